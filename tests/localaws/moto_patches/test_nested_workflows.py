"""A state machine starts another one, waits for it, and ends with it."""

import json
from typing import Any

import pytest

from .aws import ROLE, Aws, Definition, mapped, only, until

ENDLESS = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Wait", "Seconds": 3600, "Next": "Again"},
        "Again": {"Type": "Pass", "Next": "Wait"},
    },
}


def child(aws: Aws, name: str, definition: Definition) -> str:
    arn: str = aws.states.create_state_machine(
        name=name, roleArn=ROLE, definition=json.dumps(definition)
    )["stateMachineArn"]
    return arn


def start(machine: str, pattern: str = "", **more: Any) -> Definition:
    resource = f"arn:aws:states:::states:startExecution{pattern}"
    return {"Type": "Task", "Resource": resource, "Parameters": {"StateMachineArn": machine} | more}


def test_a_task_starts_an_execution_and_goes_on(aws: Aws) -> None:
    machine = child(aws, "started", only({"Type": "Pass"}))
    task = only(start(machine, **{"Input": {"名.$": "$.name"}, "Name.$": "$$.Execution.Name"}))
    described = aws.run(task, {"name": "花"}, name="parent")
    result = json.loads(described["output"])
    assert result["ExecutionArn"].endswith(":execution:started:parent")
    assert isinstance(result["StartDate"], int)
    ended = aws.ended(result["ExecutionArn"])
    assert ended["input"] == '{"名":"花"}'
    with aws.endpoint.repairs.without("nested_workflows"):
        assert aws.run(task, {"name": "花"}, name="other")["status"] == "FAILED"


def test_a_task_gives_the_output_of_what_it_waits_for(aws: Aws) -> None:
    """As a text with `.sync`, as JSON with `.sync:2`."""
    machine = child(aws, "waited-for", only({"Type": "Pass", "Result": {"answer": ["花", 42]}}))
    as_text = aws.output(only(start(machine, ".sync", Input={"a": 1})))
    as_json = aws.output(only(start(machine, ".sync:2", Input={"a": 1})))
    assert (as_text["Status"], as_text["StateMachineArn"]) == ("SUCCEEDED", machine)
    assert as_text["Output"] == '{"answer":["花",42]}'
    assert as_text["Input"] == '{"a":1}'
    assert as_json["Output"] == {"answer": ["花", 42]}
    assert as_json["Input"] == {"a": 1}
    assert as_json["StopDate"] >= as_json["StartDate"] > 1_600_000_000_000


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
def test_a_child_that_fails_fails_its_task(aws: Aws, pattern: str) -> None:
    failing = only({"Type": "Fail", "Error": "NoRows", "Cause": "users.csv is empty"})
    del failing["States"]["Only"]["End"]
    task = start(child(aws, f"failing{len(pattern)}", failing), pattern)
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}]
    states = {"Only": {**task, "Catch": catch, "End": True}, "Caught": {"Type": "Succeed"}}
    caught = aws.output({"StartAt": "Only", "States": states})
    cause = json.loads(caught["Cause"])
    assert caught["Error"] == "States.TaskFailed"
    assert (cause["Status"], cause["Error"], cause["Cause"]) == (
        "FAILED",
        "NoRows",
        "users.csv is empty",
    )


def test_a_machine_that_does_not_exist_is_named(aws: Aws) -> None:
    lost = "arn:aws:states:ap-northeast-1:210987654321:stateMachine:lost"
    failed = aws.run(only(start(lost, ".sync")))
    assert failed["error"] == "StepFunctions.StateMachineDoesNotExistException"
    assert failed["cause"].startswith(f"State Machine Does Not Exist: '{lost}'")


def runs_of(aws: Aws, machine: str) -> list[str]:
    executions = aws.states.list_executions(stateMachineArn=machine)["executions"]
    return [execution["status"] for execution in executions]


def test_stopping_the_parent_stops_the_child(aws: Aws) -> None:
    machine = child(aws, "endless", ENDLESS)
    middle = child(aws, "middle", only(start(machine, ".sync")))
    parent = aws.start(only(start(middle, ".sync:2")))
    until(lambda: runs_of(aws, machine) == ["RUNNING"])

    aws.states.stop_execution(executionArn=parent)

    assert aws.ended(parent)["status"] == "ABORTED"
    until(lambda: runs_of(aws, middle) + runs_of(aws, machine) == ["ABORTED", "ABORTED"])


def test_a_failed_item_of_a_map_stops_what_the_others_wait_for(aws: Aws) -> None:
    machine = child(aws, "endless-item", ENDLESS)
    lost = "arn:aws:states:ap-northeast-1:210987654321:stateMachine:lost"
    task = {**start("", ".sync"), "Parameters": {"StateMachineArn.$": "$"}, "End": True}
    failed = aws.run(mapped(task, MaxConcurrency=2), {"items": [machine, lost]})
    assert failed["status"] == "FAILED"
    until(lambda: set(runs_of(aws, machine)) <= {"ABORTED"})


def test_a_child_answers_its_parent_by_a_task_token(aws: Aws) -> None:
    answer = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess",
        "Parameters": {"TaskToken.$": "$.token", "Output": {"from": "花"}},
    }
    machine = child(aws, "answering", only(answer))
    task = start(machine, ".waitForTaskToken", Input={"token.$": "$$.Task.Token"})
    assert aws.output(only(task)) == {"from": "花"}


def test_a_name_that_was_used_is_an_error_of_the_task(aws: Aws) -> None:
    machine = child(aws, "named-child", only({"Type": "Pass"}))
    task = {**start(machine, ".sync", Name="same"), "Next": "Again"}
    again = {**start(machine, ".sync", Name="same"), "End": True}
    failed = aws.run({"StartAt": "First", "States": {"First": task, "Again": again}})
    assert failed["error"] == "StepFunctions.ExecutionAlreadyExistsException"
