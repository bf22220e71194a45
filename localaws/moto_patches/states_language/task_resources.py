"""The resource of a Task and its parameters: which API it calls, and what this one takes.

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import UnknownServiceError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_factory,
)

from localaws.errors import suggestion
from localaws.http.service_names import service_model, service_of_sdk_name
from localaws.moto_patches.states_language.expressions import Finding

TOKEN = "waitForTaskToken"  # noqa: S105
PATTERNS: Mapping[str, frozenset[str]] = {
    "aws-sdk": frozenset({TOKEN}),
    "batch": frozenset({"sync"}),
    "dynamodb": frozenset(),
    "ecs": frozenset({"sync", TOKEN}),
    "events": frozenset({TOKEN}),
    "glue": frozenset({"sync"}),
    "lambda": frozenset({TOKEN}),
    "sagemaker": frozenset({"sync"}),
    "sns": frozenset({TOKEN}),
    "sqs": frozenset({TOKEN}),
    "states": frozenset({"sync", "sync:2", TOKEN}),
}
"""How a task of a service can wait, besides for the response."""
PASSED_ON = frozenset(state_task_service_factory._UNSUPPORTED_SERVICE_NAMES) - {"sagemaker"}
"""Services that moto has no integration of, and whose calls it passes on."""

_RESOURCE = re.compile(
    r"arn:aws[\w-]*:states:[\w-]*:\d*:(?:(?P<sdk>aws-sdk):)?(?P<service>[\w-]+):(?P<action>\w+)"
    r"(?:\.(?P<pattern>.+))?"
)
_FUNCTION = re.compile(r"arn:aws[\w-]*:lambda:[\w-]+:\d+:function:.+")
_ACTIVITY = re.compile(r"arn:[^:]+:states:[^:]*:[^:]*:activity:.+")


@dataclass(frozen=True)
class TaskResource:
    """What the ARN of a Task names.

    Attributes:
        integration: `aws-sdk`, or the service of an optimised integration, e.g. `lambda`.
        service: The service's name in the ARN.
        action: The API's action in camelCase.
        pattern: `sync`, `sync:2`, `waitForTaskToken`, or empty.
    """

    integration: str
    service: str
    action: str
    pattern: str

    @property
    def boto3_name(self) -> str:
        """The service's name in boto3.

        Raises:
            UnknownServiceError: If there is none.
        """
        if self.integration == "aws-sdk":
            return service_of_sdk_name(self.service)
        return {"states": "stepfunctions"}.get(self.service, self.service)

    def operation(self) -> OperationModel | None:
        """Return the API's operation; None if the service has none of the name.

        Raises:
            UnknownServiceError: If there is no such service.
        """
        model = service_model(self.boto3_name)
        name = self.action[:1].upper() + self.action[1:]
        is_named = self.action[:1].islower() and name in model.operation_names
        return model.operation_model(name) if is_named else None


def task_resource(arn: str) -> TaskResource | None:
    """Return what the ARN of a service integration names; None if it is another one."""
    match = _RESOURCE.fullmatch(arn)
    if match is None or _ACTIVITY.fullmatch(arn):
        return None
    return TaskResource(
        match["sdk"] or match["service"], match["service"], match["action"], match["pattern"] or ""
    )


def task_findings(state: Mapping[str, Any], language: str) -> Iterator[Finding]:
    """Yield what is wrong with a Task's resource, parameters and credentials."""
    credentials = state.get("Credentials")
    if "Credentials" in state and not (
        isinstance(credentials, dict) and {"RoleArn", "RoleArn.$"} & credentials.keys()
    ):
        yield Finding("Credentials", "The field 'RoleArn' is required but was missing")
    arn = state.get("Resource")
    if not isinstance(arn, str) or _FUNCTION.fullmatch(arn):
        return
    if _ACTIVITY.fullmatch(arn):
        message = "The local AWS does not serve activities: use a function, or a task token, here"
        yield Finding("Resource", message)
        return
    resource = task_resource(arn)
    served = {*PATTERNS, *PASSED_ON}
    if resource is None or resource.integration not in {*served, "apigateway", "http"}:
        yield Finding("Resource", _unrecognised(arn))
        return
    try:
        operation = resource.operation() if resource.integration in served else None
    except UnknownServiceError:
        operation = None
        if resource.integration == "aws-sdk":
            yield Finding("Resource", f"{arn}: there is no service {resource.service}")
            return
    if operation is None or not _has_integration(resource):
        yield Finding("Resource", _no_action(arn, resource))
        return
    if resource.pattern and resource.pattern not in PATTERNS.get(resource.integration, ()):
        task = f"{resource.service}:{resource.action}"
        message = f"{arn}: the local AWS does not serve {task} with .{resource.pattern}"
        yield Finding("Resource", message)
        return
    field = "Arguments" if language == "JSONata" else "Parameters"
    known = supported_parameters(resource)
    yield from _of_parameters(state.get(field, {}), operation.input_shape, field, known)


def _unrecognised(arn: str) -> str:
    return (
        f"The resource provided {arn} is not recognized. The value is not a valid resource ARN, or"
        " the resource is not available in this region."
    )


def _has_integration(resource: TaskResource) -> bool:
    if resource.integration == "aws-sdk" or resource.integration in PASSED_ON:
        return True
    if resource.integration == "sagemaker" and resource.pattern:
        return resource.action.endswith("Job") and supported_parameters(resource) is not None
    return supported_parameters(resource) is not None


def _no_action(arn: str, resource: TaskResource) -> str:
    if resource.integration == "aws-sdk":
        names = service_model(resource.boto3_name).operation_names
        actions = [name[0].lower() + name[1:] for name in names]
        hint = suggestion(resource.action, actions)
        no_action = f"{arn}: {resource.service} has no API action {resource.action}"
        return f"{no_action}{hint and '; '}{hint}"
    served_elsewhere = resource.integration == "sagemaker" and resource.operation() is not None
    if resource.integration in PATTERNS and not served_elsewhere:
        return _unrecognised(arn)
    return f"{arn}: the local AWS does not serve {resource.service}:{resource.action}"


def supported_parameters(resource: TaskResource) -> frozenset[str] | None:
    """Return the parameters of an optimised integration.

    None if the service's integration has no such action, and for services without a list.
    """
    if resource.integration == "aws-sdk" or resource.integration in PASSED_ON:
        return None
    task = state_task_service_factory.state_task_service_for(resource.integration)
    task.resource = type("Named", (), {"api_action": resource.action})()
    supported = task._get_supported_parameters()
    return None if supported is None else frozenset(supported)


def _of_parameters(
    given: Any, shape: Shape | None, place: str, known: frozenset[str] | None = None
) -> Iterator[Finding]:
    """Yield the unknown and the missing members of a request, by the API's model.

    Args:
        given: The template; what is dynamic in it is not looked into.
        shape: The model's.
        place: E.g. `Parameters`.
        known: The members that an integration takes of all those; None takes all.
    """
    if isinstance(shape, ListShape) and isinstance(given, list):
        for number, member in enumerate(given):
            yield from _of_parameters(member, shape.member, f"{place}[{number}]")
    elif isinstance(shape, MapShape) and isinstance(given, dict):
        for name, member in given.items():
            yield from _of_parameters(member, shape.value, f"{place}/{name}")
    if not isinstance(given, dict) or (shape and not isinstance(shape, StructureShape)):
        return
    structure = shape if isinstance(shape, StructureShape) else None
    if structure and structure.is_document_type:
        return
    own = structure.members if structure else {}
    members: dict[str, Shape | None] = {pascal(name): one for name, one in own.items()}
    if known is not None:
        members = {name: members.get(name) for name in known}
    for field, value in given.items():
        name = field.removesuffix(".$")
        if name not in members:
            hint = f"write {pascal(name)}" if pascal(name) in members else suggestion(name, members)
            message = f"The field '{name}' is not supported by Step Functions{hint and '; '}{hint}"
            yield Finding(place, message)
        elif name == field and members[name]:
            yield from _of_parameters(value, members[name], f"{place}/{name}")
    names = {field.removesuffix(".$") for field in given}
    for required in structure.required_members if structure else ():
        is_filled_in = own[required].metadata.get("idempotencyToken")
        if pascal(required) not in names and not is_filled_in:
            message = f"The field '{pascal(required)}' is required but was missing"
            yield Finding(place, message)


def pascal(name: str) -> str:
    """Return a member's name as Step Functions has it."""
    return name[:1].upper() + name[1:]
