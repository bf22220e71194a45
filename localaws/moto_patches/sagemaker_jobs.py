"""Tasks that run SageMaker's training, processing and transform jobs, and create models.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
    state_task_service_factory,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    ResourceCondition,
)
from moto.stepfunctions.parser.asl.utils import boto_client

from localaws.http.service_names import service_model
from localaws.moto_patches.aws_sdk_tasks import call_operation
from localaws.moto_patches.patch import Patch
from localaws.moto_patches.service_errors import NO_RESPONSE, sdk_client_error, task_failed
from localaws.moto_patches.states_language.texts import json_text

SERVED = frozenset(
    {"createTrainingJob", "createProcessingJob", "createTransformJob", "createModel"}
)
"""The actions that the local SageMaker has."""

_MODELLED = {"ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound"}
_RUNNING = frozenset({"InProgress", "Stopping"})


def sagemaker_jobs(patch: Patch) -> None:
    """Serve SageMaker's tasks: moto has no integration of it, and no `.sync`."""
    original = state_task_service_factory.state_task_service_for

    def state_task_service_for(service_name: str) -> Any:
        return SageMakerTask() if service_name == "sagemaker" else original(service_name)

    patch.replace_imported(
        "moto.stepfunctions.parser", "state_task_service_for", state_task_service_for
    )


class SageMakerTask(state_task_service_callback.StateTaskServiceCallback):  # type: ignore[misc]
    """A task of SageMaker; its parameters are the API's, and its times are epoch milliseconds."""

    def __init__(self) -> None:
        # With the token, for moto ends an endpoint of it whether there is one or not.
        patterns = {ResourceCondition.Sync, ResourceCondition.WaitForTaskToken}
        super().__init__(supported_integration_patterns=patterns)

    def _get_supported_parameters(self) -> set[str] | None:
        action = self.resource.api_action
        if action not in SERVED:
            return None
        shape = service_model("sagemaker").operation_model(_pascal(action)).input_shape
        return set(shape.members) if shape else set()

    def _normalise_parameters(self, parameters: Any, **_: Any) -> None:
        """Leave the parameters as they are: the API's names are those of Step Functions."""

    def _eval_service_task(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        client = _client(resource_runtime_part, state_credentials)
        operation = service_model("sagemaker").operation_model(_pascal(self.resource.api_action))
        env.stack.append(call_operation(client, operation, normalised_parameters))

    def _build_sync_resolver(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> Callable[[], Any]:
        env.stack.pop()
        client = _client(resource_runtime_part, state_credentials)
        job = self.resource.api_action.removeprefix("create")
        name = {f"{job}Name": normalised_parameters[f"{job}Name"]}

        def resolve() -> Any:
            described = getattr(client, xform_name(f"Describe{job}"))(**name)
            if described[f"{job}Status"] in _RUNNING:
                return None
            described.pop("ResponseMetadata", None)
            operation = service_model("sagemaker").operation_model(f"Describe{job}")
            result = _with_milliseconds(described, operation.output_shape)
            if described[f"{job}Status"] != "Completed":
                failed = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)
                raise FailureEventException(task_failed(self, env, failed, json_text(result)))
            return result

        def cancel() -> None:
            getattr(client, xform_name(f"Stop{job}"))(**name)

        resolver: Any = resolve
        resolver.cancel = cancel
        return resolve

    def _from_error(self, env: Any, ex: Exception) -> Any:
        if isinstance(ex, NO_RESPONSE):
            return task_failed(self, env, CustomErrorName(sdk_client_error("SageMaker")), str(ex))
        if not isinstance(ex, ClientError):
            return super()._from_error(env, ex)
        error, metadata = ex.response["Error"], ex.response["ResponseMetadata"]
        code = error["Code"]
        name = f"{code}Exception" if code in _MODELLED else "AmazonSageMakerException"
        cause = (
            f"{error['Message']} (Service: AmazonSageMaker; Status Code:"
            f" {metadata['HTTPStatusCode']}; Error Code: {code}; Request ID:"
            f" {metadata.get('RequestId', '')}; Proxy: null)"
        )
        return task_failed(self, env, CustomErrorName(f"SageMaker.{name}"), cause)


def _client(runtime: Any, credentials: Any) -> Any:
    client_for = boto_client.boto_client_for
    return client_for(region=runtime.region, service="sagemaker", state_credentials=credentials)


def _with_milliseconds(value: Any, shape: Shape | None) -> Any:
    """Return a response with its times, which are ISO 8601 here, as epoch milliseconds."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return {
            name: _with_milliseconds(member, shape.members[name]) for name, member in value.items()
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_with_milliseconds(member, shape.member) for member in value]
    if shape is not None and shape.type_name == "timestamp" and isinstance(value, str):
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    return value


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]
