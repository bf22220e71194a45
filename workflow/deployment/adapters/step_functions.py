"""The state machine: what is deployed, and how it is created and brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    found,
    lowered,
    raised,
    tag_list,
    touched,
    without,
)
from workflow.deployment.differences import Difference
from workflow.errors import DeployError

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource

_OPTIONS = frozenset({"EncryptionConfiguration", "LoggingConfiguration", "TracingConfiguration"})
_REQUEST_NAMES = {
    "DefinitionString": "definition",
    "StateMachineName": "name",
    "StateMachineType": "type",
}
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
        """Create the state machine with its tags."""
        tags = tag_list(resource.properties, key="key", value="value")
        self.client.create_state_machine(**_request(resource.properties), tags=tags)

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Update what differs; running executions keep the old definition."""
        changed = touched(changes)
        if changed - {"Tags"}:
            # An option that is left out of UpdateStateMachine stays: it is turned off by name.
            off = {name: _OFF[name] for name in _OPTIONS & changed}
            wanted = without(resource.properties, "StateMachineName", "StateMachineType")
            self.client.update_state_machine(
                stateMachineArn=resource.name, **_request({**off, **wanted})
            )
        if "Tags" in changed:
            tags = tag_list(resource.properties, key="key", value="value")
            self.client.tag_resource(resourceArn=resource.name, tags=tags)

    def delete(self, resource: Resource) -> None:
        """Delete the state machine; running executions end first."""
        self.client.delete_state_machine(stateMachineArn=resource.name)


def _request(properties: Mapping[str, Any]) -> Properties:
    """Return properties but for the tags as CreateStateMachine and UpdateStateMachine want them."""
    named = without(properties, "Tags", *_REQUEST_NAMES)
    renamed = {name: properties[key] for key, name in _REQUEST_NAMES.items() if key in properties}
    return {**renamed, **lowered(named)}
