"""The workflow as an object for notebooks and scripts: show it, create or update it, run it.

    config = load_config("retraining.toml")
    workflow = build_workflow(config)
    workflow.create()
    execution = workflow.execute()
    execution.follow()          # redrawn in a notebook, lines elsewhere, until it ends

Building makes no client; the first call that needs one makes it. `create`, `deploy`, `update`,
`execute`, `delete` and an execution's `stop` are the only calls that change anything on AWS. What
the SDK draws by scripts from the network is drawn here without any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, Protocol

import boto3

from workflow.config import Config
from workflow.definition.graph import retraining_graph
from workflow.definition.render import render_definition
from workflow.deployment.account import clients_of
from workflow.deployment.adapters import Deployment
from workflow.deployment.adapters.adapter import to_pascal_case
from workflow.deployment.adapters.step_functions import StateMachine
from workflow.deployment.deploy import apply, describe, plan
from workflow.deployment.resources import Resource
from workflow.errors import DeployError
from workflow.picture.display import (
    Page,
    execution_page,
    follow_live,
    in_notebook,
    workflow_page,
)
from workflow.run_names import run_name
from workflow.runs.endings import Endings
from workflow.runs.history import HistoryReader, follow, history
from workflow.runs.lines import Lines
from workflow.runs.progress import Progress, progress_of
from workflow.runs.visits import RUNNING, HistoryEvent, Visits
from workflow.sdk import (
    Chain,
    ExecutionsList,
    FrozenGraph,
    Graph,
    SdkExecution,
    SdkWorkflow,
    State,
)


class Clients(Protocol):
    """What makes boto3 clients, as a boto3 Session does."""

    def client(self, service_name: str, /) -> Any:
        """Return a client."""


class DrawnWorkflow(SdkWorkflow):  # type: ignore[misc]
    """The SDK's Workflow with views drawn here, also of a state machine made elsewhere."""

    state_machine_arn: str | None

    @classmethod
    def attach(cls, state_machine_arn: str, client: Any = None) -> DrawnWorkflow:
        """Return a state machine that exists as a workflow, as it is deployed.

        Args:
            state_machine_arn: The state machine's ARN.
            client: A boto3 `stepfunctions` client; made for the ARN's region if left out.
        """
        if client is None:
            region = state_machine_arn.split(":")[3]
            client = clients_of(boto3, region)("stepfunctions")
        deployed = client.describe_state_machine(stateMachineArn=state_machine_arn)
        return DrawnWorkflow(
            name=deployed["name"],
            definition=FrozenGraph.from_json(deployed["definition"]),
            role=deployed["roleArn"],
            state_machine_arn=deployed["stateMachineArn"],
            client=client,
        )

    def execute(self, name: str | None = None, inputs: Any = None) -> DrawnExecution:
        """Start one execution; in a notebook it shows itself.

        Args:
            name: The execution's, and so part of the run's S3 prefix; made from the time if left
                out.
            inputs: JSON value for the first state.
        """
        name = name or run_name(datetime.now(UTC))
        response = self.client.start_execution(
            stateMachineArn=self._arn,
            name=name,
            input=json.dumps({} if inputs is None else inputs, ensure_ascii=False),
        )
        return self._execution({**response, "name": name, "status": RUNNING})

    def list_executions(
        self, max_items: int = 100, status_filter: Any = None, html: bool = False
    ) -> Any:
        """Return the latest executions, the newest first; none of a workflow that does not exist.

        Args:
            max_items: Number of executions, at most.
            status_filter: Only those with this `ExecutionStatus`.
            html: Return a table for a notebook instead of a list.
        """
        request = {"statusFilter": status_filter.value} if status_filter else {}
        pages = self.client.get_paginator("list_executions").paginate(
            stateMachineArn=self._arn,
            PaginationConfig={"MaxItems": max_items},
            **request,
        )
        executions = ExecutionsList()
        with suppress(self.client.exceptions.StateMachineDoesNotExist):
            executions += [self._execution(each) for page in pages for each in page["executions"]]
        if not html:
            return executions
        from IPython.display import HTML  # noqa: PLC0415 - scripts do without

        return HTML(executions.to_html())  # type: ignore[no-untyped-call]

    def render_graph(self, portrait: bool = True, *, unfold: bool = False) -> Page:
        """Return the workflow's picture, which a notebook shows; always from top to bottom.

        Args:
            portrait: Must be true: the picture goes from top to bottom.
            unfold: Draw the states of poll loops one by one, not each loop as one box.

        Raises:
            ValueError: If `portrait` is false.
        """
        _check_portrait(portrait)
        return workflow_page(self.definition.to_dict(), title=self.name, unfold=unfold)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the workflow in a notebook."""
        return self.render_graph()._repr_mimebundle_(include, exclude)

    @property
    def _arn(self) -> str:
        return self.state_machine_arn or ""

    def _execution(self, described: Mapping[str, Any]) -> DrawnExecution:
        return DrawnExecution(
            workflow=self,
            execution_arn=described["executionArn"],
            start_date=described["startDate"],
            stop_date=described.get("stopDate"),
            status=described["status"],
            client=self.client,
            name=described["name"],
        )


class RetrainingWorkflow(DrawnWorkflow):
    """The workflow of a configuration; `create` creates or updates, and no argument is lost."""

    _client: Any = None

    def __init__(
        self,
        config: Config,
        *,
        definition: Graph | None = None,
        client: Any = None,
        options: Mapping[str, Any] | None = None,
        aws: Clients | None = None,
    ) -> None:
        self.config = config
        self._aws = aws
        self.options = dict(options or {})
        # The SDK makes a client at once if it gets none, and marks its user agent.
        placeholder = SimpleNamespace(_client_config=SimpleNamespace(user_agent=""))
        super().__init__(
            name=config.state_machine,
            definition=retraining_graph(config) if definition is None else definition,
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
            self._client = clients_of(boto3, self.config.aws.region)("stepfunctions")
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

    def deploy(self) -> str:
        """Create all that the workflow runs on, or bring it up to date, as `retrain deploy` does.

        That is the state machine, the permissions that its role needs for this definition, the
        functions, the Spark job, and so on. `create` is enough where nothing new is called.

        Returns:
            The changes, a line each; printed, it reads as `retrain plan`.

        Raises:
            ConfigError: If a source of a function cannot be packaged.
            UnderivedPermissionsError: If the state machine's role would lack a permission.
            DeployError: If something would be lost, or AWS cannot be read or changed.
        """
        aws = self._aws or boto3.Session()
        is_session = isinstance(aws, boto3.Session)
        clients = clients_of(aws, self.config.aws.region) if is_session else cache(aws.client)
        changes = plan(self.config, clients, definition=self.definition.to_dict())
        lines = "\n".join(describe(changes))
        if changes.destructive:
            raise DeployError(
                f"nothing was touched: something would be lost; 'retrain deploy' asks:\n{lines}"
            )
        apply(changes, clients, now=datetime.now(UTC))
        self.state_machine_arn = self.config.state_machine_arn
        return lines

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

    def execute(self, name: str | None = None, inputs: Any = None) -> DrawnExecution:
        """Start one execution, after creating the state machine or bringing it up to date.

        Args:
            name: The execution's, and so part of the run's S3 prefix; made from the time if left
                out.
            inputs: JSON value for the first state.
        """
        if self.state_machine_arn is None:
            self.create()
        return super().execute(name, inputs)

    @property
    def _arn(self) -> str:
        arn: str = self.state_machine_arn or self.config.state_machine_arn
        return arn

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


class DrawnExecution(SdkExecution):  # type: ignore[misc]
    """The SDK's Execution; in a notebook it shows itself, and `follow` redraws it."""

    def follow(self, *, poll_seconds: float = 2.0) -> Progress:
        """Show the execution until it ends: redrawn in a notebook, elsewhere a line for each state.

        An interruption ends the watching, not the execution.

        Args:
            poll_seconds: Pause between two polls.

        Returns:
            How far it had come at the last poll.
        """
        reader = HistoryReader(self.client, self.execution_arn)
        definition = self.workflow.definition.to_dict()
        if in_notebook():
            return follow_live(
                reader.read_all, definition, title=self._title, poll_seconds=poll_seconds
            )
        lines = Lines(Endings.of(definition))
        with suppress(KeyboardInterrupt):
            for step in follow(reader, poll_seconds=poll_seconds):
                for line in lines.of(step):
                    print(line, flush=True)  # noqa: T201
        visits, now = Visits(reader.read_all()), datetime.now(UTC)
        print(self._page(visits, now).text)  # noqa: T201
        return progress_of(visits, definition, now=now)

    def render_progress(
        self, portrait: bool = True, max_events: int = 25_000, *, unfold: bool = False
    ) -> Page:
        """Return the picture of the execution so far, which a notebook shows.

        Args:
            portrait: Must be true: the picture goes from top to bottom.
            max_events: Number of events of the history that are read, at most.
            unfold: Draw the states of poll loops one by one, not each loop as one box.

        Raises:
            ValueError: If `portrait` is false.
        """
        _check_portrait(portrait)
        events = history(self.client, self.execution_arn)[:max_events]
        return self._page(events, datetime.now(UTC), unfold=unfold)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show in a notebook the status of each state so far."""
        return self.render_progress()._repr_mimebundle_(include, exclude)

    def _page(
        self, events: Iterable[HistoryEvent] | Visits, now: datetime, *, unfold: bool = False
    ) -> Page:
        definition = self.workflow.definition.to_dict()
        return execution_page(definition, events, title=self._title, now=now, unfold=unfold)

    @property
    def _title(self) -> str:
        title: str = self.name or self.execution_arn.rpartition(":")[2]
        return title


def build_workflow(
    config: Config,
    *,
    definition: Graph | None = None,
    aws: Clients | None = None,
    client: Any = None,
    options: Mapping[str, Any] | None = None,
) -> RetrainingWorkflow:
    """Return the retraining workflow of `config`; calls nothing.

    Args:
        config: From `load_config`.
        definition: What `Stages(config).compose(…)` returns, for example; the configured workflow
            if left out.
        aws: A boto3 Session, or what else makes clients; the default Session if left out.
        client: A boto3 `stepfunctions` client, if there is one; made on first use if left out.
        options: What else CreateStateMachine and UpdateStateMachine take, for example
            `loggingConfiguration`; what is left out stays as it is.

    Raises:
        DeployError: If `aws` is that of another region than the configuration's.
    """
    if aws is not None:
        client = aws.client("stepfunctions")
        if client.meta.region_name != config.aws.region:
            raise DeployError(
                f"aws makes clients for {client.meta.region_name}, and the configuration names"
                f" {config.aws.region}; give a session of that region"
            )
    return RetrainingWorkflow(
        config, definition=definition, client=client, options=options, aws=aws
    )


def _check_portrait(portrait: bool) -> None:
    if not portrait:
        raise ValueError("portrait=False: the picture goes from top to bottom; leave it out")
