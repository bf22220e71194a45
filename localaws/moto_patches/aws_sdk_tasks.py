"""`aws-sdk` tasks as AWS has them: any operation of any service, in PascalCase.

https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
moto takes and returns the names of boto3, so that a definition for AWS fails there.
"""

from collections.abc import Callable, Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError, UnknownServiceError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.response import StreamingBody
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
    state_task_service_unsupported,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)

from localaws.errors import suggestion
from localaws.http.service_names import sdk_error_prefix, service_model, service_of_sdk_name
from localaws.moto_patches.patch import Patch
from localaws.moto_patches.service_errors import NO_RESPONSE, sdk_client_error, task_failed
from localaws.moto_patches.states_language.task_resources import task_resource
from localaws.moto_patches.states_language.texts import json_text


def sdk_tasks(patch: Patch) -> None:
    """Let `aws-sdk` tasks use PascalCase: moto has boto3's names, and no service with a hyphen."""

    def validate(self: Any) -> None:
        _operation(self)

    def eval_service_task(
        self: Any,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: Any,
        state_credentials: Any,
    ) -> None:
        operation = _operation(self)
        client = module.boto_client_for(
            service=operation.service_model.service_name,
            region=resource_runtime_part.region,
            state_credentials=state_credentials,
        )
        env.stack.append(call_operation(client, operation, normalised_parameters))

    def error_name(service_name: str) -> str:
        return sdk_error_prefix(service_of_sdk_name(service_name))

    module: Any = state_task_service_aws_sdk
    task = module.StateTaskServiceAwsSdk
    patch.replace(task, "_validate_service_integration_is_supported", validate)
    patch.replace(task, "_eval_service_task", eval_service_task)
    patch.replace(task, "_normalise_service_error_name", staticmethod(error_name))

    @patch.around(task)
    def _from_error(original: Any, self: Any, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, NO_RESPONSE):
            return original(self, env, ex)
        name = sdk_client_error(error_name(self.resource.api_name))
        return task_failed(self, env, CustomErrorName(name), str(ex))


def passed_on_tasks(patch: Patch) -> None:
    """Pass on a call that has no integration of its own as an `aws-sdk` task does.

    moto passes on PascalCase where the API has other names, and its errors are States.Runtime.
    """
    module: Any = state_task_service_unsupported
    task = module.StateTaskServiceUnsupported

    def eval_service_task(
        self: Any,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: Any,
        state_credentials: Any,
    ) -> None:
        resource = task_resource(self.resource.resource_arn)
        operation = resource.operation() if resource else None
        if operation is None:
            raise ValueError(f"{self.resource.resource_arn}: the local AWS does not serve it")
        client = module.boto_client_for(
            service=operation.service_model.service_name,
            region=resource_runtime_part.region,
            state_credentials=state_credentials,
        )
        env.stack.append(call_operation(client, operation, normalised_parameters))

    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        prefix = sdk_error_prefix(self.resource.service_name)
        if isinstance(ex, NO_RESPONSE):
            return task_failed(self, env, CustomErrorName(sdk_client_error(prefix)), str(ex))
        if not isinstance(ex, ClientError):
            return StateTaskServiceCallback._from_error(self, env, ex)
        code = ex.response["Error"]["Code"].removesuffix("Exception")
        name = f"{prefix}.{code}Exception"
        metadata = ex.response["ResponseMetadata"]
        cause = (
            f"{ex.response['Error']['Message']} (Service: {self.resource.service_name}; Status"
            f" Code: {metadata['HTTPStatusCode']}; Request ID: {metadata['RequestId']})"
        )
        return task_failed(self, env, CustomErrorName(name), cause)

    patch.replace(task, "_eval_service_task", eval_service_task)
    patch.add_own(task, "_from_error", from_error)


def call_operation(client: Any, operation: OperationModel, parameters: Any) -> Any:
    """Call an operation with a task's parameters; return what the state gets.

    Raises:
        ValueError: If a parameter is none of the operation's.
    """
    request = _request(parameters, operation.input_shape, "Parameters")
    response = getattr(client, xform_name(operation.name))(**request)
    response.pop("ResponseMetadata", None)
    return _result(response, operation.output_shape)


def _operation(task: Any) -> OperationModel:
    """Return the operation of a task's ARN.

    Raises:
        ValueError: If there is none.
    """
    arn, action = task.resource.resource_arn, task.resource.api_action
    try:
        model = service_model(service_of_sdk_name(task.resource.api_name))
    except UnknownServiceError:
        raise ValueError(f"{arn}: there is no service {task.resource.api_name}") from None
    names = {name[0].lower() + name[1:]: name for name in model.operation_names}
    if action not in names:
        hint = suggestion(action, names)
        raise ValueError(
            f"{arn}: {task.resource.api_name} has no API action {action}{hint and '; '}{hint}"
        )
    return model.operation_model(names[action])


def _request(value: Any, shape: Shape | None, path: str) -> Any:
    """Return boto3's parameters for those of a definition.

    Raises:
        ValueError: If a field is none of the API's in PascalCase.
    """
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        names = {_pascal(name): name for name in shape.members}
        for name in value:
            if name not in names:
                hint = f"; write {_pascal(name)}" if _pascal(name) in names else ""
                raise ValueError(
                    f"The field '{name}' is not supported by Step Functions at {path}{hint}"
                )
        return {
            names[name]: _request(member, shape.members[names[name]], f"{path}.{name}")
            for name, member in value.items()
        }
    if shape is not None and shape.type_name == "string" and not isinstance(value, str):
        return json_text(value)
    if shape is not None and shape.type_name == "blob":
        return (value if isinstance(value, str) else json_text(value)).encode()
    return _convert_members(value, shape, lambda member, of: _request(member, of, path))


def _result(value: Any, shape: Shape | None) -> Any:
    """Return a state's result for boto3's response."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return {
            _pascal(name): _result(member, shape.members[name])
            for name, member in value.items()
            if name in shape.members
        }
    if isinstance(value, StreamingBody):
        value = value.read()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return _convert_members(value, shape, _result)


def _convert_members(value: Any, shape: Shape | None, convert: Callable[[Any, Shape], Any]) -> Any:
    """Return the value with the members of its lists and maps converted."""
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [convert(member, shape.member) for member in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {name: convert(member, shape.value) for name, member in value.items()}
    return value


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]
