"""The state machine, created and updated by the SDK's Workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import Adapter, found, lowered, picked, raised, touched
from workflow.deployment.differences import Difference
from workflow.errors import DeployError
from workflow.state_machine import build_workflow

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource

_OPTIONS = frozenset({"EncryptionConfiguration", "LoggingConfiguration", "TracingConfiguration"})
_OFF = {
    "EncryptionConfiguration": {"Type": "AWS_OWNED_KEY"},
    "LoggingConfiguration": {"Level": "OFF", "IncludeExecutionData": False, "Destinations": []},
    "TracingConfiguration": {"Enabled": False},
}


class StateMachine(Adapter):
    """AWS::StepFunctions::StateMachine."""

    service = "stepfunctions"
    properties = _OPTIONS | {
        "DefinitionString",
        "RoleArn",
        "StateMachineName",
        "StateMachineType",
        "Tags",
    }
    replaced_by = frozenset({"StateMachineType"})
    irreplaceable = "its executions and their histories would be lost"
    loses = "the histories of its executions"
    defaults: ClassVar[Mapping[str, Any]] = {"StateMachineType": "STANDARD", **_OFF}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        arn = {"stateMachineArn": resource.name}
        there = found(self.client.describe_state_machine, "StateMachineDoesNotExist", **arn)
        if there is None:
            return None
        if there.get("status") == "DELETING":
            raise DeployError(
                f"state machine {resource.name} is being deleted until its last execution ends:"
                " stop that one, or wait, and run the same command again"
            )
        options = {name: there.get(name[0].lower() + name[1:]) for name in _OPTIONS}
        return {
            "StateMachineName": there["name"],
            "StateMachineType": there["type"],
            "DefinitionString": there["definition"],
            "RoleArn": there["roleArn"],
            **{name: raised(value) for name, value in options.items() if value},
            "Tags": [
                raised(tag)
                for tag in self.client.list_tags_for_resource(resourceArn=resource.name)["tags"]
            ],
        }

    def create(self, resource: Resource) -> None:
        """Create the state machine through the SDK, with logging and tracing."""
        self._bring_about(resource, {})

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Update what differs through the SDK; running executions keep the old definition."""
        # An option that is left out of UpdateStateMachine stays: it has to be turned off by name.
        self._bring_about(resource, {name: _OFF[name] for name in _OPTIONS & touched(changes)})

    def delete(self, resource: Resource) -> None:
        """Delete the state machine; running executions end first."""
        self.client.delete_state_machine(stateMachineArn=resource.name)

    def _bring_about(self, resource: Resource, off: Mapping[str, Any]) -> None:
        options = {**off, **picked(resource.properties, _OPTIONS)}
        workflow = build_workflow(self.site.config, client=self.client, options=lowered(options))
        if workflow.to_asl() != resource.properties["DefinitionString"]:
            raise DeployError(
                f"the plan's definition of {resource.name} is not the configuration's: plan again"
            )
        workflow.create()
