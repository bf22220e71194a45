"""The errors of tasks whose service refuses the call, by the names that Step Functions has.

An error of the operation's model is `SNS.NotFoundException`; every other one, a throttled call
among them, has the name of the exception of its service's SDK, such as `Glue.AWSGlueException`; and
where no response comes, or not all of it, that of the SDK's client, `Glue.SdkClientException`.
https://repost.aws/knowledge-center/glue-throttling-rate-exceeded
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
)
from moto.stepfunctions.parser.api import (
    HistoryEventType,
    LambdaFunctionFailedEventDetails,
    TaskFailedEventDetails,
)
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_lambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_dynamodb,
    state_task_service_events,
    state_task_service_glue,
    state_task_service_lambda,
    state_task_service_sfn,
    state_task_service_sns,
    state_task_service_sqs,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from localaws.http.service_names import service_model
from localaws.moto_patches.patch import Patch

NO_RESPONSE = (ConnectionError, HTTPClientError, IncompleteReadError)
"""What botocore raises where no response comes, or not all of it."""


@dataclass(frozen=True)
class _Integration:
    """A service as Step Functions' integration of it has it.

    Attributes:
        task: moto's class of its tasks.
        prefix: Of its errors' names.
        service: Its name in causes.
        exception: The SDK's, of errors without a model; empty for the one that the service names.
        client: boto3's name of it.
    """

    task: Any
    prefix: str
    service: str
    client: str
    exception: str = ""

    def error_name(self, error: Exception) -> str:
        if not isinstance(error, ClientError):
            return sdk_client_error(self.prefix)
        code = error.response["Error"]["Code"]
        operation = service_model(self.client).operation_model(error.operation_name)
        for shape in operation.error_shapes:
            if code in {shape.name, shape.metadata.get("error", {}).get("code")}:
                return f"{self.prefix}.{shape.name.removesuffix('Exception')}Exception"
        return f"{self.prefix}.{self.exception or self.service}Exception"

    def cause(self, error: Exception) -> str:
        if not isinstance(error, ClientError):
            return str(error)
        metadata = error.response["ResponseMetadata"]
        return (
            f"{error.response['Error']['Message']} (Service: {self.service}; Status Code:"
            f" {metadata['HTTPStatusCode']}; Error Code: {error.response['Error']['Code']};"
            f" Request ID: {metadata.get('RequestId', '')}; Proxy: null)"
        )


_LAMBDA = _Integration(
    state_task_service_lambda.StateTaskServiceLambda, "Lambda", "AWSLambda", "lambda"
)
_INTEGRATIONS = (
    _LAMBDA,
    _Integration(
        state_task_service_dynamodb.StateTaskServiceDynamoDB,
        "DynamoDB",
        "AmazonDynamoDBv2",
        "dynamodb",
        "AmazonDynamoDB",
    ),
    _Integration(
        state_task_service_events.StateTaskServiceEvents,
        "EventBridge",
        "AmazonEventBridge",
        "events",
    ),
    _Integration(state_task_service_glue.StateTaskServiceGlue, "Glue", "AWSGlue", "glue"),
    _Integration(
        state_task_service_sfn.StateTaskServiceSfn,
        "StepFunctions",
        "AWSStepFunctions",
        "stepfunctions",
    ),
    _Integration(state_task_service_sns.StateTaskServiceSns, "SNS", "AmazonSNS", "sns"),
    _Integration(state_task_service_sqs.StateTaskServiceSqs, "SQS", "AmazonSQS", "sqs"),
)


def service_errors(patch: Patch) -> None:
    """Name the errors of calls as AWS does: moto names all of them by their codes.

    EventBridge's end the execution by States.Runtime, which nothing catches, and those of a
    function that is named by its ARN are all `Exception`.
    """
    for integration in _INTEGRATIONS:
        patch.around(integration.task, "_from_error")(partial(_task_failed, integration))

    @patch.around(state_task_lambda.StateTaskLambda)
    def _from_error(original: Any, self: Any, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, (ClientError, *NO_RESPONSE)):
            return original(self, env, ex)
        error, cause = _LAMBDA.error_name(ex), _LAMBDA.cause(ex)
        details = LambdaFunctionFailedEventDetails(error=error, cause=cause)
        return FailureEvent(
            env=env,
            error_name=CustomErrorName(error),
            event_type=HistoryEventType.LambdaFunctionFailed,
            event_details=EventDetails(lambdaFunctionFailedEventDetails=details),
        )


def _task_failed(
    integration: _Integration, original: Any, self: Any, env: Any, ex: Exception
) -> Any:
    if not isinstance(ex, (ClientError, *NO_RESPONSE)):
        return original(self, env, ex)
    error = CustomErrorName(integration.error_name(ex))
    return task_failed(self, env, error, integration.cause(ex))


def sdk_client_error(prefix: str) -> str:
    """Return the name of the error of a task whose service did not respond."""
    return f"{prefix}.SdkClientException"


def task_failed(task: Any, env: Any, error: ErrorName, cause: str) -> FailureEvent:
    """Return the event TaskFailed of a task, with the error's name and its cause."""
    details = TaskFailedEventDetails(
        error=error.error_name,
        cause=cause,
        resource=task._get_sfn_resource(),
        resourceType=task._get_sfn_resource_type(),
    )
    return FailureEvent(
        env=env,
        error_name=error,
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    )
