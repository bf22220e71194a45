"""What a `.sync` task has started does not outlive the task."""

import json
from typing import Any

import pytest

from localaws.http.faults import Faults

from .aws import Aws, Definition, mapped, only, until

SLEEP = "import time; time.sleep(60)"
RETRY = [{"ErrorEquals": ["Glue.AWSGlueException"], "IntervalSeconds": 1, "MaxAttempts": 1}]


def runs_of(aws: Aws, job: str) -> list[dict[str, Any]]:
    """Return a job's runs, the first one first."""
    runs: list[dict[str, Any]] = aws.endpoint.client("glue").get_job_runs(JobName=job)["JobRuns"]
    return runs[::-1]


def states_of(aws: Aws, job: str) -> list[str]:
    return [run["JobRunState"] for run in runs_of(aws, job)]


def test_a_job_that_cannot_be_asked_is_stopped_before_its_retry(aws: Aws, faults: Faults) -> None:
    """Of a job that allows one run at a time: its retry meets no other run."""
    begun = aws.scripts / "begun"
    job = aws.job(
        "etl-asked-once",
        f"""
import pathlib, time
begun = pathlib.Path({str(begun)!r})
if not begun.exists():
    begun.touch()
    time.sleep(60)
""",
    )
    execution = aws.start(only({**job, "Retry": RETRY}))
    until(begun.exists)

    faults.inject("throttle", operation="GetJobRun")

    assert aws.ended(execution)["status"] == "SUCCEEDED"
    first, second = runs_of(aws, "etl-asked-once")
    assert (first["JobRunState"], second["JobRunState"]) == ("STOPPED", "SUCCEEDED")
    assert first["CompletedOn"] <= second["StartedOn"]


def test_a_job_that_can_never_be_asked_is_stopped(aws: Aws, faults: Faults) -> None:
    job = aws.job("etl-never-asked", SLEEP)
    faults.inject("error InternalFailure", operation="GetJobRun", times=0)

    ended = aws.run(only(job))

    assert (ended["status"], ended["error"]) == ("FAILED", "Glue.AWSGlueException")
    faults.clear()
    until(lambda: states_of(aws, "etl-never-asked") == ["STOPPED"])


def test_a_job_is_stopped_although_the_first_request_to_stop_it_fails(
    aws: Aws, faults: Faults
) -> None:
    execution = aws.start(only(aws.job("etl-stopped-twice", SLEEP)))
    until(lambda: states_of(aws, "etl-stopped-twice") == ["RUNNING"])
    faults.inject("throttle", operation="BatchStopJobRun", times=2)

    aws.states.stop_execution(executionArn=execution)

    assert aws.ended(execution)["status"] == "ABORTED"
    until(lambda: states_of(aws, "etl-stopped-twice") == ["STOPPED"])


def test_the_end_of_a_state_s_time_stops_its_job(aws: Aws) -> None:
    job = aws.job("etl-late", SLEEP)
    ended = aws.run(only({**job, "TimeoutSeconds": 1}))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
    until(lambda: states_of(aws, "etl-late") == ["STOPPED"])


def test_a_failed_branch_stops_the_job_of_the_other(aws: Aws) -> None:
    aws.functions.register("broken", _fail_when_running(aws, "etl-beside"))
    broken = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:ap-northeast-1:210987654321:function:broken",
    }
    job = aws.job("etl-beside", SLEEP)
    branches = [
        {"StartAt": "Job", "States": {"Job": {**job, "End": True}}},
        {"StartAt": "Broken", "States": {"Broken": {**broken, "End": True}}},
    ]

    ended = aws.run(only({"Type": "Parallel", "Branches": branches}))

    assert (ended["status"], ended["error"]) == ("FAILED", "RuntimeError")
    until(lambda: states_of(aws, "etl-beside") == ["STOPPED"])


def _fail_when_running(aws: Aws, job: str) -> Any:
    def handler(event: Any, context: Any) -> None:
        until(lambda: states_of(aws, job) == ["RUNNING"])
        raise RuntimeError("broken")

    return handler


@pytest.mark.parametrize("suffix", [".sync", ".sync:2"])
def test_a_child_that_cannot_be_asked_is_stopped(aws: Aws, faults: Faults, suffix: str) -> None:
    loop = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 99, "Next": "Wait"}}}
    machine = _machine(aws, f"endless{suffix[-1]}", loop)
    start = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{suffix}",
        "Parameters": {"StateMachineArn": machine},
    }
    parent = aws.start(only(start))
    until(lambda: _statuses(aws, machine) == ["RUNNING"])

    faults.inject("error Boom 500", operation="DescribeExecution")
    until(lambda: _statuses(aws, machine) == ["ABORTED"])

    assert aws.ended(parent)["error"] == "StepFunctions.AWSStepFunctionsException"


def test_an_item_that_cannot_be_asked_stops_the_jobs_of_all(aws: Aws, faults: Faults) -> None:
    job = aws.job("etl-items", SLEEP)
    aws.endpoint.client("glue").update_job(
        JobName="etl-items",
        JobUpdate={
            "Role": "arn:aws:iam::210987654321:role/steps",
            "Command": {"Name": "glueetl", "ScriptLocation": str(aws.scripts / "etl-items.py")},
            "ExecutionProperty": {"MaxConcurrentRuns": 3},
        },
    )
    execution = aws.start(mapped({**job, "End": True}), {"items": [1, 2, 3]})
    until(lambda: states_of(aws, "etl-items") == ["RUNNING"] * 3)

    faults.inject("throttle", operation="GetJobRun")

    assert aws.ended(execution)["error"] == "Glue.AWSGlueException"
    until(lambda: states_of(aws, "etl-items") == ["STOPPED"] * 3)


def _machine(aws: Aws, name: str, definition: Definition) -> str:
    arn: str = aws.states.create_state_machine(
        name=name,
        roleArn="arn:aws:iam::210987654321:role/steps",
        definition=json.dumps(definition),
    )["stateMachineArn"]
    return arn


def _statuses(aws: Aws, machine: str) -> list[str]:
    executions = aws.states.list_executions(stateMachineArn=machine)["executions"]
    return [execution["status"] for execution in executions]
