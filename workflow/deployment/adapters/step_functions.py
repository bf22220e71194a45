"""The state machine: read, created and updated."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    tag_list,
    to_camel_case,
    to_pascal_case,
    unless_absent,
    without,
)
from workflow.deployment.resources import Resource
from workflow.errors import DeployError

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
    properties = frozenset({*_REQUEST_NAMES, *_OFF, "RoleArn", "Tags"})
    replaced_by = frozenset({"StateMachineType"})
    irreplaceable = "its executions and their histories would be lost"
    loses = "the histories of its executions"
    defaults: ClassVar[Mapping[str, Any]] = {"StateMachineType": "STANDARD", **_OFF}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        response = unless_absent(
            self.client.describe_state_machine,
            "StateMachineDoesNotExist",
            stateMachineArn=resource.name,
        )
        if response is None:
            return None
        if response.get("status") == "DELETING":
            raise DeployError(
                f"state machine {resource.name} is being deleted until its last execution ends:"
                " stop that one, or wait, and run the same command again"
            )
        options = to_pascal_case(without(response, *_REQUEST_NAMES.values()))
        tags = self.client.list_tags_for_resource(resourceArn=resource.name)["tags"]
        return {
            **{name: response[member] for name, member in _REQUEST_NAMES.items()},
            **{name: options[name] for name in (*_OFF, "RoleArn") if options.get(name)},
            "Tags": to_pascal_case(tags),
        }

    def create(self, resource: Resource) -> None:
        tags = tag_list(resource, key="key", value="value")
        self.client.create_state_machine(**_request(resource.properties), tags=tags)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        """Update the differences; running executions keep the old definition."""
        # An option that is left out of UpdateStateMachine stays: it is turned off by name.
        off = {name: value for name, value in _OFF.items() if name in changed}
        properties = without(resource.properties, "StateMachineName", "StateMachineType")
        self.client.update_state_machine(
            stateMachineArn=resource.name, **_request({**off, **properties})
        )

    def tag(self, resource: Resource) -> None:
        tags = tag_list(resource, key="key", value="value")
        self.client.tag_resource(resourceArn=resource.name, tags=tags)

    def delete(self, resource: Resource) -> None:
        """Delete the state machine; running executions end first."""
        self.client.delete_state_machine(stateMachineArn=resource.name)


def _request(properties: Mapping[str, Any]) -> Properties:
    """Return properties but for the tags as CreateStateMachine and UpdateStateMachine want them."""
    others = without(properties, "Tags", *_REQUEST_NAMES)
    renamed = {name: properties[key] for key, name in _REQUEST_NAMES.items() if key in properties}
    return {**renamed, **to_camel_case(others)}
