"""Versions, aliases and redriven executions are there after a restart."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.aws import LocalAws

ROLE = "arn:aws:iam::123456789012:role/steps"


def answering(answer: str) -> str:
    state = {"Type": "Pass", "Result": answer, "End": True}
    return json.dumps({"StartAt": "Only", "States": {"Only": state}})


def ended(states: Any, **request: Any) -> Any:
    execution = states.start_execution(**request)["executionArn"]
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        described = states.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.01)
    raise AssertionError(f"{execution} is still running")


def test_versions_and_aliases_outlive_the_server(tmp_path: Path) -> None:
    with LocalAws(directory=tmp_path, time_scale=0) as aws:
        states = aws.client("stepfunctions")
        made = states.create_state_machine(
            name="kept", roleArn=ROLE, definition=answering("one"), publish=True
        )
        arn, first = made["stateMachineArn"], made["stateMachineVersionArn"]
        updated = states.update_state_machine(stateMachineArn=arn, definition=answering("two"))
        second = states.publish_state_machine_version(stateMachineArn=arn, description="second")
        third = states.update_state_machine(
            stateMachineArn=arn, definition=answering("three"), publish=True
        )["stateMachineVersionArn"]
        states.delete_state_machine_version(stateMachineVersionArn=third)
        route = {"stateMachineVersionArn": first, "weight": 100}
        alias = states.create_state_machine_alias(name="PROD", routingConfiguration=[route])
        request = {"stateMachineArn": alias["stateMachineAliasArn"], "name": "before"}
        assert ended(states, **request)["output"] == '"one"'
        before = states.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"]

    with LocalAws(directory=tmp_path, time_scale=0) as aws:
        states = aws.client("stepfunctions")
        assert states.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"] == (
            before
        )
        version = second["stateMachineVersionArn"]
        described = states.describe_state_machine(stateMachineArn=version)
        assert (described["revisionId"], described["description"]) == (
            updated["revisionId"],
            "second",
        )
        assert ended(states, stateMachineArn=alias["stateMachineAliasArn"])["output"] == '"one"'
        assert ended(states, stateMachineArn=version)["output"] == '"two"'
        assert ended(states, stateMachineArn=arn)["output"] == '"three"'
        for of, count in ((alias["stateMachineAliasArn"], 2), (version, 1), (first, 2), (arn, 4)):
            assert len(states.list_executions(stateMachineArn=of)["executions"]) == count
        published = states.publish_state_machine_version(stateMachineArn=arn)
        assert published["stateMachineVersionArn"] == f"{arn}:4"


def test_a_redriven_execution_is_kept_as_it_ended_last(tmp_path: Path) -> None:
    fail = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "Lost"}}}
    with LocalAws(directory=tmp_path, time_scale=0) as aws:
        states = aws.client("stepfunctions")
        machine = states.create_state_machine(
            name="failing", roleArn=ROLE, definition=json.dumps(fail)
        )["stateMachineArn"]
        execution = ended(states, stateMachineArn=machine)["executionArn"]
        states.redrive_execution(executionArn=execution)

    with LocalAws(directory=tmp_path, time_scale=0) as aws:
        states = aws.client("stepfunctions")
        described = states.describe_execution(executionArn=execution)
        assert described["redriveCount"] == 1
        assert described["redriveStatus"] == "NOT_REDRIVABLE"
        history = states.get_execution_history(executionArn=execution)["events"]
        types = [event["type"] for event in history]
        assert types.count("ExecutionRedriven") == 1
        assert types[-1] == "ExecutionFailed"
        with pytest.raises(ClientError) as refused:
            states.redrive_execution(executionArn=execution)
        assert refused.value.response["Error"] == {
            "Code": "ExecutionNotRedrivable",
            "Message": "the local server was started again since the execution ended",
        }


def test_endless_loops_end_with_the_server_and_are_kept(tmp_path: Path) -> None:
    loop = {
        "StartAt": "First",
        "States": {
            "First": {"Type": "Pass", "Next": "Second"},
            "Second": {"Type": "Wait", "Seconds": 1, "Next": "First"},
        },
    }
    # Without any wait they could come to the 25,000 events of an execution on a busy machine.
    with LocalAws(directory=tmp_path, port=None, time_scale=0.002) as aws:
        states = aws.client("stepfunctions")
        machine = states.create_state_machine(
            name="endless",
            roleArn="arn:aws:iam::123456789012:role/steps",
            definition=json.dumps(loop),
        )["stateMachineArn"]
        started = [
            states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)
        ]
        for execution in started:
            while not states.get_execution_history(executionArn=execution).get("nextToken"):
                time.sleep(0.01)

    with LocalAws(directory=tmp_path, port=None) as again:
        states = again.client("stepfunctions")
        for execution in started:
            described = states.describe_execution(executionArn=execution)
            assert described["status"] == "ABORTED"
            assert described["cause"] == "the local endpoint was stopped"
            newest = states.get_execution_history(executionArn=execution, reverseOrder=True)
            assert newest["events"][0]["type"] == "ExecutionAborted"
            assert newest["events"][0]["id"] > 100
