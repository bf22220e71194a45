"""The workflow as an object for notebooks and scripts: show it, create or update it, run it.

    config = load_config("retraining.toml")
    workflow = build_workflow(config)
    workflow.create()
    execution = workflow.execute()
    execution.follow()          # in a notebook: redrawn until it ends

Building makes no client; the first call that needs one makes it. `create`, `update` and `execute`
are the only calls that change anything on AWS.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3

from workflow.config import Config
from workflow.definition.graph import retraining_graph
from workflow.definition.render import render_definition
from workflow.deployment.adapters import Deployment
from workflow.deployment.adapters.adapter import to_pascal_case
from workflow.deployment.adapters.step_functions import StateMachine
from workflow.deployment.resources import Resource
from workflow.picture.display import execution_page, follow_live, workflow_page
from workflow.runs.history import HistoryReader, history
from workflow.runs.progress import Progress
from workflow.sdk import Chain, Execution, Graph, State, Workflow


class RetrainingWorkflow(Workflow):  # type: ignore[misc]
    """The SDK's Workflow, where `create` creates or updates and no argument is lost."""

    state_machine_arn: str | None
    _client: Any = None

    def __init__(
        self, config: Config, *, client: Any = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.config = config
        self.options = dict(options or {})
        # The SDK makes a client at once if it gets none, and marks its user agent.
        placeholder = SimpleNamespace(_client_config=SimpleNamespace(user_agent=""))
        super().__init__(
            name=config.state_machine,
            definition=retraining_graph(config),
            role=config.role_arn("states"),
            tags=[{"key": key, "value": value} for key, value in sorted(config.owned_tags.items())],
            timeout_seconds=config.timeout_hours * 3_600,
            client=client or placeholder,
        )
        self.client = client

    @property
    def client(self) -> Any:
        """The boto3 client, made on first use for the configured region."""
        if self._client is None:
            self._client = boto3.client("stepfunctions", region_name=self.config.aws.region)
        return self._client

    @client.setter
    def client(self, client: Any) -> None:
        self._client = client

    def to_asl(self) -> str:
        """Return the definition as the canonical text that `asl/` holds."""
        return render_definition(self.definition.to_dict())

    def create(self) -> str:
        """Create the state machine, or bring an existing one of this name up to date.

        Returns:
            Its ARN.

        Raises:
            StructureError: If the definition breaks a structural rule; nothing was called.
            DeployError: If the state machine is being deleted.
        """
        resource = self._resource()
        adapter = StateMachine(Deployment(self.config, lambda _: self.client))
        current = adapter.read(resource)
        if current is None:
            adapter.create(resource)
        else:
            # A property that this object does not have stays as it is.
            merged = replace(resource, properties={**current, **resource.properties})
            if changes := adapter.compare(merged, current):
                adapter.update(resource, changes)
        self.state_machine_arn = resource.name
        return resource.name

    def update(
        self, definition: State | Chain | Graph | None = None, role: str | None = None
    ) -> str:
        """Update the state machine with another definition or role, or with this object's own.

        Args:
            definition: To replace this workflow's definition.
            role: ARN to replace the role's.

        Returns:
            The state machine's ARN; it is created where it does not exist yet.
        """
        if definition is not None:
            self.definition = (
                definition
                if isinstance(definition, Graph)
                else Graph(definition, comment=self.comment, timeout_seconds=self.timeout_seconds)
            )
        if role is not None:
            self.role = role
        return self.create()

    def execute(self, name: str | None = None, inputs: Any = None) -> RetrainingExecution:
        """Start one execution; in a notebook it shows itself.

        Args:
            name: The execution's, and so part of the run's S3 prefix; made from the time if left
                out.
            inputs: JSON value for the first state.
        """
        if self.state_machine_arn is None:
            self.create()
        name = name or run_name(datetime.now(UTC))
        response = self.client.start_execution(
            stateMachineArn=self.state_machine_arn,
            name=name,
            input=json.dumps({} if inputs is None else inputs, ensure_ascii=False),
        )
        return RetrainingExecution(
            workflow=self,
            execution_arn=response["executionArn"],
            start_date=response["startDate"],
            status=None,
            client=self.client,
            name=name,
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the workflow in a notebook."""
        page = workflow_page(json.loads(self.to_asl()), title=self.name)
        return page._repr_mimebundle_(include, exclude)

    def _resource(self) -> Resource:
        """Return the state machine as a resource of the model."""
        return Resource(
            "StateMachine",
            "AWS::StepFunctions::StateMachine",
            self.state_machine_arn or self.config.state_machine_arn,
            {
                "StateMachineName": self.name,
                "DefinitionString": self.to_asl(),
                "RoleArn": self.role,
                **to_pascal_case(self.options),
                "Tags": to_pascal_case(self.tags),
            },
        )


class RetrainingExecution(Execution):  # type: ignore[misc]
    """An execution of the retraining; in a notebook it shows itself, and `follow` redraws it."""

    def follow(self, *, poll_seconds: float = 2.0) -> Progress:
        """Show the execution in the notebook and redraw it until it ends.

        Interrupting the kernel ends the watching, not the execution.

        Args:
            poll_seconds: Pause between two polls.

        Returns:
            How far it had come at the last poll.
        """
        events = HistoryReader(self.client, self.execution_arn).read_all
        return follow_live(events, self._definition, title=self.name, poll_seconds=poll_seconds)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show in a notebook the status of each state so far."""
        now = datetime.now(UTC)
        events = history(self.client, self.execution_arn)
        page = execution_page(self._definition, events, title=self.name, now=now)
        return page._repr_mimebundle_(include, exclude)

    @property
    def _definition(self) -> dict[str, Any]:
        definition: dict[str, Any] = json.loads(self.workflow.to_asl())
        return definition


def build_workflow(
    config: Config, *, client: Any = None, options: Mapping[str, Any] | None = None
) -> RetrainingWorkflow:
    """Return the retraining workflow of `config`; calls nothing.

    Args:
        config: From `load_config`.
        client: A boto3 `stepfunctions` client; made on first use if left out.
        options: What else CreateStateMachine and UpdateStateMachine take, for example
            `loggingConfiguration`; what is left out stays as it is.
    """
    return RetrainingWorkflow(config, client=client, options=options)


def run_name(now: datetime) -> str:
    """Return an execution name that sorts by time and is unique: 20240601T040000Z-3fa9c1."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
