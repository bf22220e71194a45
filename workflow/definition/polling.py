"""The poll loop, built once for every kind of Personalize job: create → wait → look → choose.

Every loop keeps the job it waits for at `$.job`: `{arn, status, waitSeconds, Error, Cause}`,
written by the creating task and again by each look. A Catch writes `{Error, Cause}` to the same
place, so that whatever leads to `Report Failure` has said there what went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.sdk import Choice, ChoiceRule, LambdaStep, Retry, State, Wait

JOB = "$.job"

# AWS's own advice for lambda:invoke, and the service errors that Personalize, S3 and Glue answer.
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
SERVICE_ERRORS = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.EC2ThrottledException",
    "Lambda.ResourceNotReadyException",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
)
# Personalize has no room yet, or the solution just made is not ACTIVE yet: worth a longer wait.
BUSY_ERRORS = ("LimitExceededException", "ResourceInUseException")
GLUE_ERRORS = (
    "Glue.ConcurrentRunsExceededException",
    "Glue.InternalServiceException",
    "Glue.OperationTimeoutException",
    "Glue.ResourceNumberLimitExceededException",
    "Glue.ThrottlingException",
)
SNS_ERRORS = (
    "SNS.InternalErrorException",
    "SNS.KMSThrottlingException",
    "SNS.ThrottledException",
)


def retry_service_errors(errors: Sequence[str]) -> Retry:
    """Return a retrier for faults that pass in seconds: 6 tries, 2 s doubling to 60 s, jitter."""
    return Retry(
        error_equals=list(errors),
        interval_seconds=2,
        max_attempts=6,
        backoff_rate=2.0,
        max_delay_seconds=60,
        jitter_strategy="FULL",
    )


def retry_when_busy(errors: Sequence[str]) -> Retry:
    """Return a retrier for resources in use: 10 tries, 30 s doubling to 10 minutes, jitter."""
    return Retry(
        error_equals=list(errors),
        interval_seconds=30,
        max_attempts=10,
        backoff_rate=2.0,
        max_delay_seconds=600,
        jitter_strategy="FULL",
    )


def lambda_task(
    name: str,
    *,
    function: str,
    payload: Mapping[str, Any],
    partition: str,
    timeout_seconds: int,
    **fields: Any,
) -> LambdaStep:
    """Return a task that calls a function, guarded by a time limit and both retriers.

    Args:
        name: the state's name.
        function: the function's name.
        payload: what the handler gets; keys that end in `.$` are paths.
        partition: of the ARNs, for example `aws`.
        timeout_seconds: for one call.
        fields: further fields of the state, in the SDK's spelling.
    """
    return LambdaStep(
        name,
        partition=partition,
        parameters={"FunctionName": function, "Payload": dict(payload)},
        timeout_seconds=timeout_seconds,
        retry=[retry_service_errors(SERVICE_ERRORS), retry_when_busy(BUSY_ERRORS)],
        **fields,
    )


@dataclass(frozen=True)
class PollLoop:
    """The four states of a loop; enter at `create`."""

    create: LambdaStep
    wait: Wait
    look: LambdaStep
    choose: Choice

    @property
    def tasks(self) -> tuple[LambdaStep, LambdaStep]:
        """The states that call AWS."""
        return self.create, self.look


@dataclass(frozen=True)
class LoopNames:
    """What the states of a loop are called."""

    create: str
    wait: str
    look: str
    choose: str


def poll_loop(
    names: LoopNames,
    *,
    create_function: str,
    payload: Mapping[str, Any],
    status_function: str,
    job_kind: str,
    bounds: tuple[int, int],
    partition: str,
    on_active: State,
    on_failed: State,
    look_first: bool = False,
) -> PollLoop:
    """Return the loop that creates a job and waits until it is ACTIVE or CREATE FAILED.

    Args:
        names: of the four states.
        create_function: makes the job; answers `{arn, status, waitSeconds, failureReason}`.
        payload: what it gets, beside the first wait.
        status_function: looks at the job by its ARN; answers the same shape.
        job_kind: the error's name when the job fails is `<job_kind>Failed`.
        bounds: least and most seconds between two looks.
        partition: of the ARNs.
        on_active: the state after ACTIVE.
        on_failed: the state after CREATE FAILED; finds `Error` and `Cause` at `$.job`.
        look_first: look before the first wait; else wait before the first look.
    """
    least, most = bounds
    result: dict[str, Any] = {
        "result_selector": {
            "arn.$": "$.Payload.arn",
            "status.$": "$.Payload.status",
            "waitSeconds.$": "$.Payload.waitSeconds",
            "Error": f"{job_kind}Failed",
            "Cause.$": "$.Payload.failureReason",
        },
        "result_path": JOB,
        "partition": partition,
        "timeout_seconds": 120,
    }
    create = lambda_task(
        names.create, function=create_function, payload={**payload, "waitSeconds": least}, **result
    )
    wait = Wait(names.wait, seconds_path=f"{JOB}.waitSeconds")
    look = lambda_task(
        names.look,
        function=status_function,
        payload={"arn.$": f"{JOB}.arn", "minSeconds": least, "maxSeconds": most},
        **result,
    )
    choose = Choice(names.choose)
    status = f"{JOB}.status"
    choose.add_choice(ChoiceRule.StringEquals(variable=status, value="ACTIVE"), on_active)
    choose.add_choice(ChoiceRule.StringEquals(variable=status, value="CREATE FAILED"), on_failed)
    choose.default_choice(wait)
    create.next(look if look_first else wait)
    wait.next(look)
    look.next(choose)
    return PollLoop(create, wait, look, choose)
