"""The poll loop, built once for every type of Personalize job: create → wait → get status → choose.

Every loop keeps the job that it waits for at `$.job`: `{arn, status, waitSeconds, expected, Error,
Cause}`, written by the creating task and again by each poll. A Catch writes `{Error, Cause}` to the
same path, so that `Report Failure` finds the reason there, whatever leads to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from workflow.config import Config
from workflow.definition.stage import JOB, Part, Stage, catch_all
from workflow.personalize import FAILED_STATUSES
from workflow.run_names import RUN
from workflow.sdk import Choice, ChoiceRule, GlueStartJobRunStep, LambdaStep, Retry, State, Wait
from workflow.settings import FUNCTIONS

MINUTE = 60
_GLUE_START_MINUTES = 15

# AWS's own advice for lambda:invoke; the handlers' name for an answer that did not come; and the
# service errors of Personalize and S3.
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
# https://docs.aws.amazon.com/personalize/latest/dg/API_Reference.html (common errors)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
SERVICE_ERRORS = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.EC2ThrottledException",
    "Lambda.ResourceNotReadyException",
    "ConnectionFailed",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
)
# Personalize has no room yet, or the solution just made is not ACTIVE yet: worth a longer wait.
BUSY_ERRORS = ("LimitExceededException", "ResourceInUseException")
# What an operation's own errors do not name, throttling among it, has the name of the service's
# exception; a request that got no answer that of the SDK's client.
# https://repost.aws/knowledge-center/glue-throttling-rate-exceeded
GLUE_ERRORS = (
    "Glue.ConcurrentRunsExceededException",
    "Glue.AWSGlueException",
    "Glue.SdkClientException",
    "Glue.InternalServiceException",
    "Glue.OperationTimeoutException",
    "Glue.ResourceNumberLimitExceededException",
    "Glue.ThrottlingException",
)
SNS_ERRORS = (
    "SNS.AmazonSNSException",
    "SNS.SdkClientException",
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
    config: Config,
    name: str,
    *,
    function: str,
    payload: Mapping[str, Any],
    **fields: Any,
) -> LambdaStep:
    """Return a task that calls a function, guarded by a time limit and both retriers.

    The limit lies above the function's own: Lambda then says what it was doing, while a state that
    is over its time says `States.Timeout` and nothing else.

    Args:
        config: Names the function and the partition of the ARNs.
        name: The state's name.
        function: The function.
        payload: What the handler gets; keys that end in `.$` are paths.
        fields: Further fields of the state, in the SDK's spelling; its own limit and retriers take
            the place of these. With `wait_for_callback` the limit is the run's: whoever answers
            may need longer than the function.
    """
    guards: dict[str, Any] = {
        "retry": [retry_service_errors(SERVICE_ERRORS), retry_when_busy(BUSY_ERRORS)]
    }
    if "timeout_seconds_path" not in fields:
        waits = fields.get("wait_for_callback")
        seconds = (
            config.timeout_hours * 3_600 if waits else config.function_seconds(function) + MINUTE
        )
        guards["timeout_seconds"] = seconds
    return LambdaStep(
        name,
        partition=config.partition,
        parameters={"FunctionName": config.function(function), "Payload": dict(payload)},
        **{**guards, **fields},
    )


def spark_task(
    config: Config, name: str, *, arguments: Mapping[str, Any], **fields: Any
) -> GlueStartJobRunStep:
    """Return a task that runs the Spark job to its end, guarded by a time limit and both retriers.

    Args:
        config: Names the job and the partition of the ARNs.
        name: The state's name.
        arguments: The job's, beside the run, the bucket and the specification.
        fields: Further fields of the state, in the SDK's spelling.
    """
    return GlueStartJobRunStep(
        name,
        partition=config.partition,
        parameters={
            "JobName": config.glue_job,
            "Arguments": {
                "--run.$": RUN,
                "--bucket": config.bucket,
                "--spec": f"s3://{config.bucket}/{config.spec_key}",
                **arguments,
            },
        },
        result_selector={"JobRunId.$": "$.Id"},
        # Above Glue's own limit, which leaves the time out in which the job starts.
        timeout_seconds=(config.etl.timeout_minutes + _GLUE_START_MINUTES) * MINUTE,
        retry=[retry_service_errors(GLUE_ERRORS[1:]), retry_when_busy(GLUE_ERRORS[:1])],
        **fields,
    )


def poll_loop(
    config: Config,
    *,
    title: str,
    create: str,
    wait: str,
    get_status: str,
    choose: str,
    function: str,
    payload: Mapping[str, Any],
    error: str,
    poll_first: bool = False,
    polled_by: tuple[Wait, State] | None = None,
) -> Stage:
    """Return the stage that creates a job and waits until it is ACTIVE, or failed for good.

    It is led on when the job is ACTIVE. Each of `FAILED_STATUSES` leads to its failure state, which
    finds `Error` and `Cause` at `$.job`.

    Args:
        config: Names the functions and says how often to poll.
        title: The stage's.
        create: Name of the task that creates the job.
        wait: Name of the Wait state.
        get_status: Name of the task that polls the job.
        choose: Name of the Choice state.
        function: Creates the job; returns `{arn, status, waitSeconds, failureReason}`, and a
            packaged one `expected`, how long the job will take, or null.
        payload: What it gets, beside the bounds of the first wait.
        error: The error's name if the job fails.
        poll_first: Poll before the first wait; else wait before the first poll.
        polled_by: The Wait state and the polling task, if they are no states of these functions.
    """
    least, most = config.polling.min_seconds, config.polling.max_seconds
    result: dict[str, Any] = {
        "result_selector": {
            "arn.$": "$.Payload.arn",
            "status.$": "$.Payload.status",
            "waitSeconds.$": "$.Payload.waitSeconds",
            "Error": error,
            "Cause.$": "$.Payload.failureReason",
        },
        "result_path": JOB,
    }
    expected = {}
    if function in FUNCTIONS:
        result["result_selector"]["expected.$"] = "$.Payload.expected"
        expected = {"expected.$": f"{JOB}.expected"}
    creating = lambda_task(
        config,
        create,
        function=function,
        payload={**payload, "waitSeconds": least, "maxSeconds": most},
        **result,
    )
    waiting, polling = polled_by or (
        Wait(wait, seconds_path=f"{JOB}.waitSeconds"),
        lambda_task(
            config,
            get_status,
            function="get-status",
            payload={"arn.$": f"{JOB}.arn", "minSeconds": least, "maxSeconds": most, **expected},
            **result,
        ),
    )
    return loop(
        title,
        creating=creating,
        waiting=waiting,
        polling=polling,
        choose=choose,
        poll_first=poll_first,
    )


def loop(
    title: str,
    *,
    creating: State,
    waiting: Wait,
    polling: State,
    choose: str,
    before: Sequence[State] = (),
    besides: Sequence[State] = (),
    poll_first: bool = False,
    again: str = "",
) -> Stage:
    """Return the stage of a poll loop's states, which are not linked yet.

    Args:
        title: The stage's.
        creating: The task that creates the job.
        waiting: The Wait state.
        polling: The task that polls the job.
        choose: Name of the Choice state.
        before: Tasks before the creating one, linked to it; the stage begins with the first.
        besides: Further tasks that are linked already, and can fail.
        poll_first: Poll before the first wait; else wait before the first poll.
        again: The status that leads back to the creating task; empty if none does.
    """
    choice = Choice(choose)
    choice.default_choice(waiting)
    creating.next(polling if poll_first else waiting)
    waiting.next(polling)
    polling.next(choice)

    def lead(status: str, part: Part) -> None:
        choice.add_choice(ChoiceRule.StringEquals(variable=f"{JOB}.status", value=status), part)

    if again:
        lead(again, creating)

    def lead_failures(failure: State) -> None:
        for status in FAILED_STATUSES:
            lead(status, failure)
        for task in (*before, creating, polling, *besides):
            task.add_catch(catch_all(failure, task))

    return Stage(
        title,
        [*before, creating][0],
        lead_on=partial(lead, "ACTIVE"),
        lead_failures=lead_failures,
        must_go_on=True,
    )
