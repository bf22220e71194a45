"""A task that waits for a token gets its answer, and an execution ends when it is stopped."""

import json
import threading
from typing import Any

import pytest

from .aws import Aws, Definition, invoke, only, until
from .test_state_machines import refusal


def waiting(aws: Aws, name: str, **fields: Any) -> tuple[str, str]:
    """Start an execution that waits for a token; return its ARN and the token."""
    queue = aws.endpoint.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    state: Definition = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
        **fields,
    }
    caught = {"Caught": {"Type": "Succeed"}} if "Catch" in fields else {}
    execution = aws.start({"StartAt": "Only", "States": {"Only": state, **caught}})
    messages: list[Any] = []
    until(
        lambda: (
            messages.extend(
                aws.endpoint.client("sqs").receive_message(QueueUrl=queue).get("Messages", ())
            )
            or bool(messages)
        )
    )
    return execution, json.loads(messages[0]["Body"])["token"]


def last(aws: Aws, execution: str, count: int) -> list[dict[str, Any]]:
    events = aws.states.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=count
    )["events"]
    return list(reversed(events))


def test_a_failed_task_says_why(aws: Aws) -> None:
    """As recorded on AWS: TaskFailed and ExecutionFailed have the error and the cause."""

    def failed() -> dict[str, Any]:
        execution, token = waiting(aws, "failing")
        aws.states.send_task_failure(taskToken=token, error="Failure error", cause="Failure cause")
        return aws.ended(execution)

    described = failed()
    assert (described["error"], described["cause"]) == ("Failure error", "Failure cause")
    task, execution = last(aws, described["executionArn"], 2)
    assert task["taskFailedEventDetails"] == {
        "cause": "Failure cause",
        "error": "Failure error",
        "resource": "sendMessage.waitForTaskToken",
        "resourceType": "sqs",
    }
    assert execution["executionFailedEventDetails"] == {
        "cause": "Failure cause",
        "error": "Failure error",
    }
    with aws.endpoint.repairs.without("task_answers"):
        assert "cause" not in failed()


def test_a_caught_task_failure_has_its_cause(aws: Aws) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    execution, token = waiting(aws, "caught", Catch=catch)
    aws.states.send_task_failure(taskToken=token, error="E", cause="C")
    assert json.loads(aws.ended(execution)["output"]) == {"Error": "E", "Cause": "C"}


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("{a}", "InvalidOutput"),
        ("NaN", "InvalidOutput"),
        ("", "InvalidOutput"),
        (json.dumps("n" * 262_143), "ValidationException"),
        (json.dumps("日" * 90_000, ensure_ascii=False), "ValidationException"),
    ],
    ids=["no JSON", "NaN", "empty", "262,145 bytes", "270,002 bytes"],
)
def test_a_task_waits_on_after_an_output_that_aws_refuses(aws: Aws, output: str, code: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html."""
    execution, token = waiting(aws, "outputs")
    success = aws.states.send_task_success
    assert refusal(success, taskToken=token, output=output)[0] == code
    success(taskToken=token, output='{"a": 1}')
    assert aws.ended(execution)["output"] == '{"a":1}'


def test_without_its_repair_a_faulty_output_fails_the_execution(aws: Aws) -> None:
    execution, token = waiting(aws, "canary")
    with aws.endpoint.repairs.without("task_answers"):
        aws.states.send_task_success(taskToken=token, output="{a}")
        assert aws.ended(execution)["status"] == "FAILED"


def test_an_execution_that_waits_for_a_token_can_be_stopped(aws: Aws) -> None:
    execution, token = waiting(aws, "stopped")
    aws.states.stop_execution(executionArn=execution, error="Operator", cause="wrong data")
    described = aws.states.describe_execution(executionArn=execution)
    assert (described["status"], described["error"]) == ("ABORTED", "Operator")
    (end,) = last(aws, execution, 1)
    assert end["type"] == "ExecutionAborted"
    assert end["executionAbortedEventDetails"] == {"error": "Operator", "cause": "wrong data"}
    refusal(aws.states.send_task_success, taskToken=token, output="1")


def test_an_execution_is_aborted_while_its_function_still_runs(aws: Aws) -> None:
    entered, release, returned = threading.Event(), threading.Event(), threading.Event()

    def hold(event: Any, context: Any) -> None:
        entered.set()
        release.wait(20)
        returned.set()

    aws.functions.register("held", hold)

    def stop() -> str:
        execution = aws.start(only(invoke("held")))
        assert entered.wait(10)
        aws.states.stop_execution(executionArn=execution)
        return execution

    def status(execution: str) -> str:
        status: str = aws.states.describe_execution(executionArn=execution)["status"]
        return status

    execution = stop()
    stopped = aws.states.describe_execution(executionArn=execution)
    assert (stopped["status"], returned.is_set()) == ("ABORTED", False)
    release.set()
    assert returned.wait(10)
    again = aws.states.describe_execution(executionArn=execution)
    assert again["stopDate"] == stopped["stopDate"]
    assert last(aws, execution, 1)[0]["type"] == "ExecutionAborted"
    for event in (entered, release, returned):
        event.clear()
    with aws.endpoint.repairs.without("immediate_ends"):
        execution = stop()
        assert status(execution) == "RUNNING"
        release.set()
        until(lambda: status(execution) == "ABORTED")


def test_a_machine_that_waits_for_a_token_times_out_in_its_history_too(aws: Aws) -> None:
    queue = aws.endpoint.client("sqs").create_queue(QueueName="late")["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
    }
    described = aws.run(only(task) | {"TimeoutSeconds": 1})
    assert described["status"] == "TIMED_OUT"
    assert last(aws, described["executionArn"], 1)[0]["type"] == "ExecutionTimedOut"
