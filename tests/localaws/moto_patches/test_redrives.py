"""A redriven execution goes on from where it ended, and repeats nothing that succeeded."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws import Aws, Definition, invoke, mapped, only, until


class Function:
    """A function that fails for some events; it keeps what it was called with."""

    def __init__(self, fails: Callable[[Any], bool]) -> None:
        self.fails, self.calls = fails, list[Any]()
        self._lock = threading.Lock()

    def handle(self, event: Any, context: Any) -> Any:
        with self._lock:
            self.calls.append(event)
        if self.fails(event):
            raise ValueError("not yet")
        return {"done": event}


def registered(aws: Aws, name: str, fails: Callable[[Any], bool]) -> Function:
    function = Function(fails)
    aws.functions.register(name, function.handle)
    return function


def redriven(aws: Aws, execution: str) -> Any:
    aws.states.redrive_execution(executionArn=execution)
    return aws.ended(execution)


def test_an_execution_goes_on_from_the_state_that_failed(aws: Aws) -> None:
    first = registered(aws, "first", lambda _: False)
    second = registered(aws, "second", lambda _: True)
    states = {
        "First": {**invoke("first"), "Assign": {"kept": "花"}, "Next": "Second"},
        "Second": {
            **invoke("second"),
            "Parameters": {"FunctionName": "second", "Payload": {"of.$": "$", "kept.$": "$kept"}},
            "Next": "Last",
        },
        "Last": {
            "Type": "Pass",
            "Parameters": {"all.$": "$", "n.$": "$$.Execution.RedriveCount"},
            "End": True,
        },
    }
    failed = aws.run({"StartAt": "First", "States": states}, {"a": 1})
    assert (failed["status"], failed["redriveStatus"]) == ("FAILED", "REDRIVABLE")
    second.fails = lambda _: False

    described = redriven(aws, failed["executionArn"])

    payload = {"of": {"done": {"a": 1}}, "kept": "花"}
    assert json.loads(described["output"]) == {"all": {"done": payload}, "n": 1}
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    assert described["redriveDate"] >= failed["stopDate"]
    assert "error" not in described
    assert (first.calls, second.calls) == ([{"a": 1}], [payload, payload])
    history = aws.states.get_execution_history(executionArn=failed["executionArn"])["events"]
    types = [event["type"] for event in history]
    assert types[0] == "ExecutionStarted"
    assert types.index("ExecutionFailed") + 1 == types.index("ExecutionRedriven")
    assert types[-1] == "ExecutionSucceeded"
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))


def test_of_a_map_and_a_parallel_only_what_failed_runs_again(aws: Aws) -> None:
    item = registered(aws, "item", lambda event: event == 2)
    later = registered(aws, "later", lambda event: event["done"] == 3)
    iteration = {
        "StartAt": "Item",
        "States": {
            "Item": {**invoke("item"), "Next": "Later"},
            "Later": {**invoke("later"), "End": True},
        },
    }
    map_state = {"Type": "Map", "ItemsPath": "$.items", "Iterator": iteration, "MaxConcurrency": 1}
    branch = {
        "StartAt": "Map",
        "States": {"Map": {**map_state, "End": True}},
    }
    side = registered(aws, "side", lambda _: False)
    other = {"StartAt": "Side", "States": {"Side": {**invoke("side"), "End": True}}}
    definition = only({"Type": "Parallel", "Branches": [branch, other]})
    failed = aws.run(definition, {"items": [1, 2, 3]})
    assert failed["status"] == "FAILED"
    until(lambda: len(side.calls) == 1)

    item.fails = lambda _: False
    again = redriven(aws, failed["executionArn"])
    assert again["status"] == "FAILED"
    later.fails = lambda _: False
    described = redriven(aws, failed["executionArn"])

    results = [{"done": {"done": number}} for number in (1, 2, 3)]
    assert json.loads(described["output"]) == [results, {"done": {"items": [1, 2, 3]}}]
    assert item.calls == [1, 2, 2, 3]
    assert [event["done"] for event in later.calls] == [1, 2, 3, 3]
    assert len(side.calls) == 1
    assert described["redriveCount"] == 2


def test_a_retry_of_a_map_runs_all_of_its_items_again(aws: Aws) -> None:
    item = registered(aws, "retried", lambda event: event == 2 and len(item.calls) < 4)
    retry = [{"ErrorEquals": ["ValueError"], "MaxAttempts": 1}]
    definition = mapped(invoke("retried", End=True), MaxConcurrency=1, Retry=retry)
    assert aws.output(definition, {"items": [1, 2]}) == [{"done": 1}, {"done": 2}]
    assert item.calls == [1, 2, 1, 2]


def test_a_stopped_execution_goes_on_where_it_was_stopped(aws: Aws) -> None:
    release, entered = threading.Event(), threading.Event()

    def hold(event: Any, context: Any) -> Any:
        entered.set()
        release.wait(10)

    aws.functions.register("held", hold)
    execution = aws.start(only({**invoke("held"), "OutputPath": "$"}))
    assert entered.wait(10)
    aws.states.stop_execution(executionArn=execution)
    release.set()
    assert aws.ended(execution)["status"] == "ABORTED"
    assert redriven(aws, execution)["status"] == "SUCCEEDED"


def fail_state() -> Definition:
    return {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "Lost"}}}


def test_a_fail_state_fails_again(aws: Aws) -> None:
    failed = aws.run(fail_state())
    again = redriven(aws, failed["executionArn"])
    assert (again["status"], again["error"], again["redriveCount"]) == ("FAILED", "Lost", 1)


def test_what_succeeded_or_runs_cannot_be_redriven(aws: Aws) -> None:
    done = aws.run(only({"Type": "Pass"}))
    reason = "Execution is SUCCEEDED and cannot be redriven"
    assert (done["redriveStatus"], done["redriveStatusReason"]) == ("NOT_REDRIVABLE", reason)
    with pytest.raises(ClientError) as refused:
        aws.states.redrive_execution(executionArn=done["executionArn"])
    assert refused.value.response["Error"] == {"Code": "ExecutionNotRedrivable", "Message": reason}
    lost = done["executionArn"].replace(done["name"], "lost")
    with pytest.raises(aws.states.exceptions.ExecutionDoesNotExist):
        aws.states.redrive_execution(executionArn=lost)
    with (
        aws.endpoint.repairs.without("redriven_executions"),
        pytest.raises(ClientError, match="does not serve RedriveExecution"),
    ):
        aws.states.redrive_execution(executionArn=done["executionArn"])
