"""Repairs to state machines: what is refused as a definition, versions, aliases.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-cd-aliasing-versioning.html
"""

import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.moto_api._internal import mock_random
from moto.stepfunctions import models as moto_models
from moto.stepfunctions.exceptions import (
    InvalidArn,
    InvalidToken,
    ResourceNotFound,
    StateMachineDoesNotExist,
    ValidationException,
)
from moto.stepfunctions.parser import models
from moto.stepfunctions.responses import StepFunctionResponse

from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.diagnostics import diagnostics_of

MOST_DIAGNOSTICS = 100

_PAGE = 100
_ALIAS_NAME = re.compile(r"(?=.*[a-zA-Z_\-.])[a-zA-Z0-9_\-.]+")
_LONGEST_NAME = 80
_REVISED = ("definition", "roleArn", "loggingConfiguration", "tracingConfiguration")
_COMPARED = ("definition", "type", "loggingConfiguration", "tracingConfiguration")


class StateMachineAlreadyExists(AWSError):  # type: ignore[misc]  # noqa: N818  AWS's name
    """A state machine of the name is there, and is another one."""

    TYPE = "StateMachineAlreadyExists"


class ConflictException(AWSError):  # type: ignore[misc]  # noqa: N818  AWS's name
    """A version or an alias is used, or is another one."""

    TYPE = "ConflictException"


def definitions(patch: Patch) -> None:
    """Refuse the definitions that AWS refuses: moto knows its grammar alone.

    A `Next` that is nowhere, or a path that is none, ends an execution there, hours later.
    ValidateStateMachineDefinition, which moto does not have, says the same.
    """
    backend = models.StepFunctionsParserBackend

    def validate(definition: str, machine_type: str | None) -> None:
        found = diagnostics_of(definition, is_express=machine_type == "EXPRESS")
        errors = [one.text for one in found if one.severity == "ERROR"]
        if errors:
            shown = ", ".join(errors)
            raise models.InvalidDefinition(message=f"Invalid State Machine Definition: '{shown}'")

    @patch.around(backend)
    def create_state_machine(
        original: Any, self: Any, name: str, definition: str, **request: Any
    ) -> Any:
        validate(definition, request["sm_type"])
        return original(self, name=name, definition=definition, **request)

    @patch.around(backend)
    def update_state_machine(
        original: Any, self: Any, arn: str, definition: str | None = None, **changes: Any
    ) -> Any:
        if definition is not None:
            machine = next((one for one in self.state_machines if one.arn == arn), None)
            validate(definition, machine and machine.type)
        return original(self, arn, definition, **changes)

    # moto's own check knows neither the type of the machine nor the places of errors.
    patch.replace(backend, "_validate_definition", staticmethod(lambda definition: None))

    def validate_state_machine_definition(self: Any) -> Any:
        found = diagnostics_of(
            self._get_param("definition"), is_express=self._get_param("type") == "EXPRESS"
        )
        is_valid = not any(one.severity == "ERROR" for one in found)
        if self._get_param("severity") != "WARNING":
            found = [one for one in found if one.severity == "ERROR"]
        limit = self._get_param("maxResults") or MOST_DIAGNOSTICS
        shown = [
            {
                "severity": one.severity,
                "code": one.code or "SCHEMA_VALIDATION_FAILED",
                "message": one.message,
                **({"location": one.location} if one.location else {}),
            }
            for one in found[:limit]
        ]
        result = "OK" if is_valid else "FAIL"
        response = {"result": result, "diagnostics": shown, "truncated": len(found) > limit}
        return ActionResult(response)

    patch.add(
        StepFunctionResponse,
        "validate_state_machine_definition",
        validate_state_machine_definition,
    )


def second_creations(patch: Patch) -> None:
    """Refuse to create a state machine whose name another one has: moto returns the other one."""

    @patch.around(models.StepFunctionsParserBackend)
    def create_state_machine(
        original: Any, self: Any, name: str, definition: str, **request: Any
    ) -> Any:
        there = next((one for one in self.state_machines if one.name == name), None)
        if there is not None:
            new = moto_models.StateMachineInstance(
                arn=there.arn,
                name=name,
                definition=definition,
                roleArn=there.roleArn,
                loggingConfiguration=request["loggingConfiguration"],
                tracingConfiguration=request["tracingConfiguration"],
                sm_type=request["sm_type"],
            )
            if any(getattr(new, one) != getattr(there, one) for one in _COMPARED):
                raise StateMachineAlreadyExists(f"State Machine Already Exists: '{there.arn}'")
        return original(self, name=name, definition=definition, **request)


def versions(patch: Patch) -> None:
    """Publish, list and delete versions: moto makes them with the state machine alone.

    A version is that of a revision, which an update makes.
    """

    @patch.around(moto_models.StateMachine)
    def publish(original: Any, self: Any, description: str | None) -> None:
        latest = self.versions.get(self.latest_version_number)
        if latest is not None and latest.revision_id == _revision(self):
            self.latest_version = latest
            return
        original(self, description)
        self.latest_version.revision_id = _revision(self)

    @patch.around(moto_models.StateMachine)
    def update(original: Any, self: Any, **changes: Any) -> None:
        before = [getattr(self, name) for name in _REVISED]
        original(self, **changes)
        if before != [getattr(self, name) for name in _REVISED]:
            self.revision_id = str(mock_random.uuid4())

    @patch.around(StepFunctionResponse)
    def update_state_machine(original: Any, self: Any) -> Any:
        machine = state_machine(self)
        response = original(self).result
        if revision := _revision(machine):
            response["revisionId"] = revision
        return ActionResult(response)

    @patch.around(StepFunctionResponse)
    def _describe_state_machine(original: Any, self: Any, state_machine_arn: str) -> Any:
        response = original(self, state_machine_arn).result
        described = self.stepfunction_backend.describe_state_machine(state_machine_arn)
        if revision := _revision(described):
            response["revisionId"] = revision
        return ActionResult(response)

    def publish_state_machine_version(self: Any) -> Any:
        machine, revision = state_machine(self), self._get_param("revisionId")
        if revision and revision != (_revision(machine) or "INITIAL"):
            raise ConflictException(
                f"the current revision of {machine.arn} is {_revision(machine) or 'INITIAL'}, and"
                f" {revision} was given"
            )
        machine.publish(self._get_param("description"))
        version = machine.latest_version
        return ActionResult(
            {"creationDate": version.creation_date, "stateMachineVersionArn": version.arn}
        )

    def list_state_machine_versions(self: Any) -> Any:
        machine = state_machine(self)
        entries = [
            (-number, {"stateMachineVersionArn": one.arn, "creationDate": one.creation_date})
            for number, one in sorted(machine.versions.items(), reverse=True)
        ]
        return page_response(self, "stateMachineVersions", entries, machine.arn)

    def delete_state_machine_version(self: Any) -> Any:
        arn, _, number = self._get_param("stateMachineVersionArn").rpartition(":")
        machines = {machine.arn: machine for machine in self.stepfunction_backend.state_machines}
        machine = machines.get(arn)
        if machine is None or not number.isdecimal() or int(number) not in machine.versions:
            return EmptyResult()
        version = machine.versions[int(number)]
        using = [name for name, alias in machine.aliases.items() if version.arn in _arns(alias)]
        if using:
            raise ConflictException(
                "Version to be deleted must not be referenced by an alias. Current list of"
                f" aliases referencing this version: [{', '.join(using)}]"
            )
        del machine.versions[int(number)]
        return EmptyResult()

    for operation in (
        publish_state_machine_version,
        list_state_machine_versions,
        delete_state_machine_version,
    ):
        patch.add(StepFunctionResponse, operation.__name__, operation)


def aliases(patch: Patch) -> None:
    """Refuse the aliases that AWS refuses: moto takes any name, and replaces one that is there."""

    def check_routing(self: Any, routing: list[dict[str, Any]]) -> None:
        arns, weights = [one["stateMachineVersionArn"] for one in routing], _weights(routing)
        shown = f"[{', '.join(arns)}]"
        if not 1 <= len(routing) <= 2:
            raise ValidationException(
                f"1 validation error detected: Value '{shown}' at 'routingConfiguration' failed to"
                " satisfy constraint: Member must have length less than or equal to 2"
            )
        if len(set(arns)) < len(arns):
            raise ValidationException(
                "Routing configuration must contain distinct state machine version ARNs. Received:"
                f" {shown}"
            )
        if any(not 0 <= weight <= 100 for weight in weights) or sum(weights) != 100:
            received = ", ".join(map(str, weights))
            raise ValidationException(
                f"Sum of routing configuration weights must equal 100. Received: [{received}]"
            )
        if len({arn.rpartition(":")[0] for arn in arns}) > 1:
            raise ValidationException(
                f"Routing configuration must be of one state machine. Received: {shown}"
            )
        known = {
            version.arn
            for machine in self.stepfunction_backend.state_machines
            for version in machine.versions.values()
        }
        if not known.issuperset(arns):
            raise ValidationException(
                f"Routing configuration must contain state machine version ARNs. Received: {shown}"
            )

    patch.replace(StepFunctionResponse, "_validate_routing_configuration", check_routing)

    @patch.around(moto_models.StepFunctionBackend)
    def create_state_machine_alias(
        original: Any, self: Any, name: str, routing: list[dict[str, Any]], description: str | None
    ) -> Any:
        constraint = (
            f"Member must have length less than or equal to {_LONGEST_NAME}"
            if len(name) > _LONGEST_NAME
            else f"Member must satisfy regular expression pattern: ^{_ALIAS_NAME.pattern}$"
        )
        if len(name) > _LONGEST_NAME or not _ALIAS_NAME.fullmatch(name):
            raise ValidationException(
                f"1 validation error detected: Value '{name}' at 'name' failed to satisfy"
                f" constraint: {constraint}"
            )
        arn = routing[0]["stateMachineVersionArn"].rpartition(":")[0]
        machine = next(one for one in self.state_machines if one.arn == arn)
        there = machine.aliases.get(name)
        if there is None:
            return original(self, name, routing, description)
        if (there.routing_configuration, there.description) != (routing, description):
            raise ConflictException(
                "Failed to create alias because an alias with the same name and a different routing"
                " configuration already exists."
            )
        return there

    @patch.around(moto_models.StepFunctionBackend)
    def describe_state_machine_alias(original: Any, self: Any, arn: str) -> Any:
        try:
            return original(self, arn)
        except StateMachineDoesNotExist:
            raise ResourceNotFound(arn) from None

    @patch.around(moto_models.StepFunctionBackend)
    def delete_state_machine_alias(original: Any, self: Any, arn: str) -> None:
        try:
            original(self, arn)
        except StateMachineDoesNotExist:
            raise ResourceNotFound(arn) from None


def state_machine(request: Any) -> Any:
    """Return the state machine that a request names by its own ARN.

    Raises:
        InvalidArn: If the ARN is that of a version or an alias, or none.
        StateMachineDoesNotExist: If there is none.
    """
    arn = request._get_param("stateMachineArn")
    backend = request.stepfunction_backend
    backend._validate_machine_arn(arn)
    if len(arn.split(":")) > 7:
        raise InvalidArn(f"Invalid Arn: '{arn}': write the state machine's, without a qualifier")
    machine = next((one for one in backend.state_machines if one.arn == arn), None)
    if machine is None:
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
    return machine


def executed_revision(backend: Any, arn: str) -> tuple[Any, Any, Any]:
    """Return the state machine that an ARN names, its version and its alias, if it names these.

    Of an alias, the version is drawn by the weights.

    Raises:
        InvalidArn: If it is no state machine's ARN.
        StateMachineDoesNotExist: If there is none.
    """
    backend._validate_machine_arn(arn)
    unqualified, qualifier = ":".join(arn.split(":")[:7]), ":".join(arn.split(":")[7:])
    machine = next((one for one in backend.state_machines if one.arn == unqualified), None)
    if machine is None:
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
    if not qualifier:
        return machine, None, None
    alias = machine.aliases.get(qualifier)
    if alias:
        routing = alias.routing_configuration
        (route,) = random.choices(routing, _weights(routing))
        qualifier = route["stateMachineVersionArn"].rpartition(":")[2]
    version = machine.versions.get(int(qualifier)) if qualifier.isdecimal() else None
    if version is None:
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
    return machine, version, alias


def page_response(request: Any, member: str, entries: list[Any], scope: str) -> Any:
    """Return one page of a list as the response."""
    size = request._get_param("maxResults") or _PAGE
    try:
        shown, token = page(
            entries,
            token=request._get_param("nextToken"),
            size=size,
            scope=f"{member} of {scope}",
        )
    except ServiceError:
        raise InvalidToken("'Invalid token'") from None
    return ActionResult({member: shown, **({"nextToken": token} if token else {})})


def _revision(machine: Any) -> str | None:
    return getattr(machine, "revision_id", None)


def _arns(alias: Any) -> set[str]:
    return {one["stateMachineVersionArn"] for one in alias.routing_configuration}


def _weights(routing: Iterable[Mapping[str, Any]]) -> list[int]:
    return [one["weight"] for one in routing]
