"""The repaired interpreter behaves as AWS does, and the unrepaired one still does not.

The canaries take one repair out and show the fault it mends. When one fails after an update of
moto, its repair is no longer needed.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import moto
import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.parser import utils

from localaws import interpreter
from localaws.endpoint import Endpoint
from localaws.functions import Functions
from localaws.glue import Glue
from localaws.interpreter import InterpreterError

ROLE = "arn:aws:iam::210987654321:role/steps"
SLEEP = "import time\nwhile True: time.sleep(0.01)\n"
Definition = dict[str, Any]


class ThrottlingException(Exception):  # noqa: N818  AWS's name, which Retry matches
    """The service is busy."""


class Aws:
    """A running endpoint with functions and Glue, and a way to run a definition on it."""

    def __init__(self, endpoint: Endpoint, functions: Functions, glue: Glue, scripts: Path) -> None:
        self.endpoint, self.functions, self.glue, self.scripts = endpoint, functions, glue, scripts
        self.states = endpoint.client("stepfunctions")
        self._machines = 0

    def start(self, definition: Definition, event: Any = None, **more: Any) -> str:
        """Create a state machine, start an execution, return its ARN."""
        self._machines += 1
        machine = self.states.create_state_machine(
            name=f"machine-{self._machines}", roleArn=ROLE, definition=json.dumps(definition)
        )["stateMachineArn"]
        started = self.states.start_execution(
            stateMachineArn=machine, input=json.dumps(event or {}), **more
        )
        arn: str = started["executionArn"]
        return arn

    def ended(self, execution: str) -> dict[str, Any]:
        """The description of an execution once it has ended."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            described: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.005)
        raise AssertionError(f"{execution} is still running")

    def run(self, definition: Definition, event: Any = None, **more: Any) -> dict[str, Any]:
        """The description of an execution that ran to its end."""
        return self.ended(self.start(definition, event, **more))

    def output(self, definition: Definition, event: Any = None) -> Any:
        """What an execution returned that must succeed."""
        described = self.run(definition, event)
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])

    def job(self, name: str, script: str) -> Definition:
        """A Glue job and the Task that runs it to its end."""
        path = self.scripts / f"{name}.py"
        path.write_text(script)
        command = {"Name": "glueetl", "ScriptLocation": str(path)}
        self.endpoint.client("glue").create_job(Name=name, Role=ROLE, Command=command)
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::glue:startJobRun.sync",
            "Parameters": {"JobName": name, "Arguments": {"--run.$": "$$.Execution.Name"}},
        }


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    directory = tmp_path_factory.mktemp("glue")
    endpoint = Endpoint(account="210987654321", region="ap-northeast-1", time_scale=0.0)
    functions = Functions(account="210987654321", region="ap-northeast-1")
    glue = Glue(directory=directory, environment=lambda: dict(os.environ), grace=1.0)
    endpoint.mount("lambda", functions)
    endpoint.mount("glue", glue)
    with endpoint:
        yield Aws(endpoint, functions, glue, directory)
        glue.close()


def only(state: Definition) -> Definition:
    return {"StartAt": "Only", "States": {"Only": state | {"End": True}}}


def invoke(function: str, **fields: Any) -> Definition:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        **fields,
    }


def mapped(state: Definition, **fields: Any) -> Definition:
    iterator = {"StartAt": "Item", "States": {"Item": state}}
    return only({"Type": "Map", "ItemsPath": "$.items", "Iterator": iterator, **fields})


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# What the retraining definition uses


def test_a_poll_loop_waits_for_its_status_and_keeps_its_state(aws: Aws) -> None:
    calls: list[Any] = []

    def status(event: Any, context: Any) -> Any:
        calls.append(event)
        done = "ACTIVE" if len(calls) == 3 else "CREATE IN_PROGRESS"
        return {"status": done, "waitSeconds": 600}

    aws.functions.register("status", status)
    poll = invoke(
        "status",
        Parameters={"FunctionName": "status", "Payload": {"arn.$": "$.arn"}},
        ResultSelector={"status.$": "$.Payload.status", "wait.$": "$.Payload.waitSeconds"},
        ResultPath="$.job",
        Next="Done?",
    )
    rule = {"Variable": "$.job.status", "StringEquals": "ACTIVE", "Next": "Active"}
    definition = {
        "StartAt": "Status",
        "TimeoutSeconds": 3600,
        "States": {
            "Status": {**poll, "OutputPath": "$", "TimeoutSeconds": 60, "HeartbeatSeconds": 30},
            "Done?": {"Type": "Choice", "Choices": [rule], "Default": "Wait"},
            "Wait": {"Type": "Wait", "SecondsPath": "$.job.wait", "Next": "Status"},
            "Active": {"Type": "Succeed"},
        },
    }

    output = aws.output(definition, {"arn": "arn:job"})

    assert output == {"arn": "arn:job", "job": {"status": "ACTIVE", "wait": 600}}
    assert calls == [{"arn": "arn:job"}] * 3


def test_a_map_gives_each_iteration_its_parameters_and_keeps_the_order(aws: Aws) -> None:
    aws.functions.register("double", lambda event, _: {"n": event["item"] * 2, "of": event["run"]})
    definition = mapped(
        invoke("double", End=True),
        Parameters={"item.$": "$$.Map.Item.Value", "run.$": "$.run"},
        MaxConcurrency=2,
        ResultPath="$.doubled",
    )

    output = aws.output(definition, {"items": [3, 1, 2], "run": "r1"})

    assert output["doubled"] == [{"n": n, "of": "r1"} for n in (6, 2, 4)]
    assert aws.output(definition, {"items": [], "run": "r1"})["doubled"] == []


def test_a_failed_iteration_is_caught_with_its_reason_and_ends_the_others(aws: Aws) -> None:
    polls: list[float] = []

    def import_status(event: Any, context: Any) -> Any:
        if event["name"] == "users":
            polls.append(time.monotonic())
            return {"status": "CREATE IN_PROGRESS", "name": "users"}
        until(lambda: len(polls) > 2)
        return {"status": "CREATE FAILED", "reason": "no column USER_ID", "name": "items"}

    aws.functions.register("import-status", import_status)
    rule = {"Variable": "$.status", "StringEquals": "CREATE FAILED", "Next": "Import Failed"}
    iteration = {
        "StartAt": "Get Job Status",
        "States": {
            "Get Job Status": invoke("import-status", Next="Job Complete?"),
            "Job Complete?": {"Type": "Choice", "Choices": [rule], "Default": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 600, "Next": "Get Job Status"},
            "Import Failed": {"Type": "Fail", "Error": "ImportFailed", "CausePath": "$.reason"},
        },
    }
    catch = [{"ErrorEquals": ["ImportFailed"], "ResultPath": "$.error", "Next": "Report"}]
    definition = {
        "StartAt": "Import",
        "States": {
            "Import": {
                "Type": "Map",
                "ItemsPath": "$.datasets",
                "MaxConcurrency": 3,
                "Iterator": iteration,
                "Catch": catch,
                "End": True,
            },
            "Report": {"Type": "Pass", "OutputPath": "$.error", "End": True},
        },
    }

    output = aws.output(definition, {"datasets": [{"name": "users"}, {"name": "items"}]})

    assert output == {"Error": "ImportFailed", "Cause": "no column USER_ID"}
    until(lambda: time.monotonic() - polls[-1] > 0.3)


def test_a_glue_job_runs_to_its_end_and_hands_its_run_over_as_json(aws: Aws) -> None:
    task = aws.job("etl-good", "import sys\nprint(sys.argv)\n")

    described = aws.run(only({**task, "ResultPath": "$.etl"}), {"kept": 1}, name="run-1")

    output = json.loads(described["output"])
    assert output["kept"] == 1
    assert output["etl"]["JobRunState"] == "SUCCEEDED"
    assert output["etl"]["JobName"] == "etl-good"
    assert output["etl"]["Arguments"]["--run"] == "run-1"
    # Epoch milliseconds, as Step Functions hands over Glue's times.
    assert 0 <= time.time() * 1000 - output["etl"]["StartedOn"] < 60_000


def test_a_failed_glue_job_is_caught_published_and_rethrown_with_its_reason(aws: Aws) -> None:
    sns, sqs = aws.endpoint.client("sns"), aws.endpoint.client("sqs")
    topic = sns.create_topic(Name="failures")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=attributes["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    task = aws.job("etl-bad", "raise ValueError('users.csv is empty')")
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Report Failure"}]
    message = "States.Format('{} failed: {}', $$.Execution.Name, States.JsonToString($.error))"
    report = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": topic, "Subject": "Failed", "Message.$": message},
        "ResultPath": None,
        "Next": "Failed",
    }
    definition = {
        "StartAt": "ETL",
        "States": {
            "ETL": {**task, "Catch": catch, "End": True},
            "Report Failure": report,
            "Failed": {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
        },
    }

    described = aws.run(definition, name="night-7")

    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(described["cause"])
    assert cause["ErrorMessage"] == "ValueError: users.csv is empty"
    assert isinstance(cause["CompletedOn"], int)
    [received] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert received["Body"].startswith('night-7 failed: {"Error"')


def test_a_retry_matches_the_handlers_error_and_backs_off_without_waiting(aws: Aws) -> None:
    calls: list[float] = []

    def busy(event: Any, context: Any) -> Any:
        calls.append(time.monotonic())
        if len(calls) < 4:
            raise ThrottlingException("slow down")
        return "done"

    aws.functions.register("busy", busy)
    retry = {
        "ErrorEquals": ["ThrottlingException"],
        "IntervalSeconds": 60,
        "BackoffRate": 2,
        "MaxAttempts": 5,
        "MaxDelaySeconds": 90,
        "JitterStrategy": "FULL",
    }

    assert aws.output(only(invoke("busy", Retry=[retry]))) == "done"
    assert len(calls) == 4
    assert calls[-1] - calls[0] < 5


def test_an_uncaught_handler_error_names_its_type_and_body(aws: Aws) -> None:
    def broken(event: Any, context: Any) -> Any:
        raise KeyError("JOB_TYPE")

    aws.functions.register("broken", broken)

    described = aws.run(only(invoke("broken")))

    assert (described["status"], described["error"]) == ("FAILED", "KeyError")
    assert json.loads(described["cause"])["errorMessage"] == "'JOB_TYPE'"


def test_a_task_that_takes_too_long_times_out_and_can_be_caught(aws: Aws) -> None:
    release = threading.Event()
    aws.functions.register("slow", lambda *_: release.wait(10))
    catch = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.error", "Next": "Late"}]
    definition = {
        "StartAt": "Slow",
        "States": {
            "Slow": invoke("slow", TimeoutSeconds=1, Catch=catch, End=True),
            "Late": {"Type": "Pass", "Parameters": {"error.$": "$.error.Error"}, "End": True},
        },
    }

    try:
        assert aws.output(definition) == {"error": "States.Timeout"}
    finally:
        release.set()


def test_a_state_machine_times_out_and_stops_its_glue_job(aws: Aws) -> None:
    definition = only(aws.job("etl-endless", SLEEP)) | {"TimeoutSeconds": 1}

    described = aws.run(definition)

    assert (described["status"], described["error"]) == ("TIMED_OUT", "States.Timeout")
    assert described["stopDate"] > described["startDate"]
    until(lambda: aws.glue.progress() == [])
    [run] = aws.endpoint.client("glue").get_job_runs(JobName="etl-endless")["JobRuns"]
    assert run["JobRunState"] == "STOPPED"


def test_stopping_an_execution_stops_its_glue_job_and_keeps_error_and_cause(aws: Aws) -> None:
    execution = aws.start(only(aws.job("etl-stopped", SLEEP)))
    until(lambda: len(aws.glue.progress()) == 1)

    aws.states.stop_execution(executionArn=execution, error="Operator", cause="wrong data")

    described = aws.ended(execution)
    assert described["status"] == "ABORTED"
    assert (described["error"], described["cause"]) == ("Operator", "wrong data")
    until(lambda: aws.glue.progress() == [])
    [run] = aws.endpoint.client("glue").get_job_runs(JobName="etl-stopped")["JobRuns"]
    assert run["JobRunState"] == "STOPPED"


def test_a_handlers_client_calls_back_into_the_endpoint(aws: Aws) -> None:
    """A task inside a task: the one port serves both at once."""
    aws.functions.register("inner", lambda *_: "inside")

    def outer(event: Any, context: Any) -> Any:
        answer = aws.endpoint.client("lambda").invoke(FunctionName="inner", Payload=b"{}")
        return json.load(answer["Payload"])

    aws.functions.register("outer", outer)

    assert aws.output(only(invoke("outer"))) == "inside"


# Each repair, and its canary


def test_an_execution_name_that_aws_refuses_is_refused(aws: Aws) -> None:
    with pytest.raises(ClientError) as refused:
        aws.start(only({"Type": "Pass"}), name="no spaces")

    assert refused.value.response["Error"]["Code"] == "InvalidName"
    with aws.endpoint.repairs.without("execution_names"):
        assert aws.run(only({"Type": "Pass"}), name="no spaces")["status"] == "SUCCEEDED"


def test_two_executions_without_a_name_both_run(aws: Aws) -> None:
    first = aws.run(only({"Type": "Pass"}))
    again = aws.states.start_execution(stateMachineArn=first["stateMachineArn"])

    assert aws.ended(again["executionArn"])["status"] == "SUCCEEDED"
    with aws.endpoint.repairs.without("execution_names"):
        unnamed = aws.start(only({"Type": "Pass"}))
        aws.ended(unnamed)
        assert unnamed.endswith(":None")


def test_waits_and_retries_follow_the_time_scale(aws: Aws) -> None:
    def refuse(event: Any, context: Any) -> Any:
        raise ThrottlingException("no")

    aws.functions.register("refuse", refuse)
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    wait = only({"Type": "Wait", "Seconds": 1})
    refused = only(invoke("refuse", Retry=retry))

    def seconds(definition: Definition) -> float:
        described = aws.run(definition)
        took: float = (described["stopDate"] - described["startDate"]).total_seconds()
        return took

    assert interpreter.SHORTEST_WAIT <= seconds(wait) < 0.9
    assert seconds(refused) < 0.9
    with aws.endpoint.repairs.without("scaled_wait"):
        assert seconds(wait) >= 1
    with aws.endpoint.repairs.without("scaled_retry"):
        assert seconds(refused) >= 1


def test_a_scaled_wait_takes_its_part_of_the_time_and_can_be_stopped(aws: Aws) -> None:
    aws.endpoint.repairs.undo()
    scaled = interpreter.install(time_scale=0.001)
    try:
        described = aws.run(only({"Type": "Wait", "Seconds": 300}))
        took = (described["stopDate"] - described["startDate"]).total_seconds()
        assert 0.3 <= took < 1.2
        execution = aws.start(only({"Type": "Wait", "Seconds": 3_600_000}))
        until(lambda: len(aws.states.get_execution_history(executionArn=execution)["events"]) == 2)
        aws.states.stop_execution(executionArn=execution)
        assert aws.ended(execution)["status"] == "ABORTED"
    finally:
        scaled.undo()
        aws.endpoint.repairs.redo()


def test_without_its_repair_a_glue_job_fails_always(aws: Aws) -> None:
    definition = only(aws.job("etl-canary", ""))

    with aws.endpoint.repairs.without("glue_sync"):
        described = aws.run(definition)

    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert "interrupt_all" in described["cause"]


def test_without_its_repair_a_time_in_a_result_breaks_the_description(aws: Aws) -> None:
    definition = only(aws.job("etl-times", ""))

    with aws.endpoint.repairs.without("json_clients"), pytest.raises(ClientError) as broken:
        aws.run(definition)

    assert broken.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_the_start_time_in_the_context_is_a_text(aws: Aws) -> None:
    state = {"Type": "Pass", "Parameters": {"started.$": "$$.Execution.StartTime"}}

    started = aws.output(only(state))["started"]

    assert started.endswith("Z")
    assert len(started) == len("2026-01-31T12:00:00.000Z")
    with aws.endpoint.repairs.without("context_times"), pytest.raises(ClientError):
        aws.run(only(state))


def test_an_error_of_the_definition_itself_is_not_caught(aws: Aws) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    parameters = {"FunctionName": "any", "Payload.$": "$.not_there"}
    definition = {
        "StartAt": "Broken",
        "States": {
            "Broken": invoke("any", Parameters=parameters, Catch=catch, End=True),
            "Caught": {"Type": "Succeed"},
        },
    }

    described = aws.run(definition)

    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert "'$.not_there' could not be found" in described["cause"]
    with aws.endpoint.repairs.without("terminal_errors"):
        assert aws.run(definition)["status"] == "SUCCEEDED"


def test_an_execution_can_be_stopped_right_after_its_start(aws: Aws) -> None:
    endless = {"StartAt": "Again", "States": {"Again": {"Type": "Pass", "Next": "Again"}}}
    execution = aws.start(endless)

    aws.states.stop_execution(executionArn=execution)

    assert aws.ended(execution)["status"] == "ABORTED"


@pytest.mark.parametrize("output", ["テキスト", 1, None, {"a": [True]}])
def test_every_json_value_is_an_output(aws: Aws, output: Any) -> None:
    state = only({"Type": "Pass", "Result": output})

    assert aws.output(state) == output
    if isinstance(output, str):
        with aws.endpoint.repairs.without("reported_end"), pytest.raises(json.JSONDecodeError):
            aws.output(state)


def test_finished_threads_are_forgotten(aws: Aws) -> None:
    def kept() -> int:
        for _ in range(3):
            aws.run(only({"Type": "Pass"}))
        return len(utils.TMP_THREADS)

    assert kept() < 6
    with aws.endpoint.repairs.without("finished_threads"):
        assert kept() >= 6


def stopped_in_a_map(aws: Aws) -> str:
    """The status of an execution that is stopped while its Map's iterations wait."""
    release, entered = threading.Event(), threading.Event()

    def hold(event: Any, context: Any) -> Any:
        entered.set()
        release.wait(10)

    aws.functions.register("hold", hold)
    execution = aws.start(mapped(invoke("hold", End=True)), {"items": [1, 2]})
    assert entered.wait(10)
    aws.states.stop_execution(executionArn=execution)
    release.set()
    status: str = aws.ended(execution)["status"]
    return status


def test_an_execution_stopped_inside_a_map_is_aborted(aws: Aws) -> None:
    assert stopped_in_a_map(aws) == "ABORTED"
    with aws.endpoint.repairs.without("first_end"):
        assert stopped_in_a_map(aws) == "FAILED"


def test_a_map_runs_at_most_forty_iterations_at_once(aws: Aws) -> None:
    lock = threading.Lock()
    running, most = 0, 0

    def count(event: Any, context: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.3)
        with lock:
            running -= 1

    aws.functions.register("count", count)
    definition = mapped(invoke("count", End=True))

    aws.run(definition, {"items": list(range(50))})
    assert 2 <= most <= 40
    most = 0
    with aws.endpoint.repairs.without("map_concurrency"):
        aws.run(definition, {"items": list(range(50))})
    assert most > 40


def test_a_choice_without_a_match_says_so(aws: Aws) -> None:
    rule = {"Variable": "$.status", "StringEquals": "ACTIVE", "Next": "Done"}
    definition = {
        "StartAt": "Active?",
        "States": {"Active?": {"Type": "Choice", "Choices": [rule]}, "Done": {"Type": "Succeed"}},
    }

    described = aws.run(definition, {"status": "CREATE PENDING"})

    assert (described["status"], described["error"]) == ("FAILED", "States.NoChoiceMatched")
    assert "Choice state 'Active?'" in described["cause"]
    with aws.endpoint.repairs.without("no_choice_matched"):
        assert aws.run(definition, {"status": "x"})["error"] == "States.Runtime"


def test_a_reserved_error_leaves_a_map_and_a_fail_state_under_its_own_name(aws: Aws) -> None:
    release = threading.Event()
    aws.functions.register("late", lambda *_: release.wait(10))
    in_a_map = mapped(invoke("late", TimeoutSeconds=1, End=True))
    rethrown = {
        "StartAt": "Fail",
        "States": {"Fail": {"Type": "Fail", "ErrorPath": "$.e", "Cause": "again"}},
    }

    def errors() -> list[str]:
        runs = aws.run(in_a_map, {"items": [1]}), aws.run(rethrown, {"e": "States.TaskFailed"})
        return [described["error"] for described in runs]

    try:
        assert errors() == ["States.Timeout", "States.TaskFailed"]
        with aws.endpoint.repairs.without("reserved_errors"):
            assert errors() == ["States.Runtime", "States.Runtime"]
    finally:
        release.set()


def test_an_aws_sdk_task_is_refused_by_name_when_the_machine_is_created(aws: Aws) -> None:
    definition = only({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sns:listTopics"})

    with pytest.raises(ClientError, match="aws-sdk tasks are not supported"):
        aws.start(definition)

    with aws.endpoint.repairs.without("sdk_tasks"):
        assert aws.run(definition)["status"] == "SUCCEEDED"


def test_an_invalid_definition_is_the_callers_error(aws: Aws) -> None:
    def code() -> str:
        with pytest.raises(ClientError) as refused:
            aws.start(only({"Type": "Tusk"}))
        found: str = refused.value.response["Error"]["Code"]
        return found

    assert code() == "InvalidDefinition"
    with aws.endpoint.repairs.without("request_errors"):
        assert code() != "InvalidDefinition"


def test_a_history_comes_in_pages(aws: Aws) -> None:
    execution = aws.run(only({"Type": "Pass"}))["executionArn"]
    kinds = ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    pager = aws.states.get_paginator("get_execution_history")

    pages = list(pager.paginate(executionArn=execution, PaginationConfig={"PageSize": 3}))
    back = aws.states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)

    assert [[event["type"] for event in page["events"]] for page in pages] == [kinds[:3], kinds[3:]]
    assert [event["type"] for event in back["events"]] == ["ExecutionSucceeded"]
    with aws.endpoint.repairs.without("history_pages"):
        whole = aws.states.get_execution_history(executionArn=execution, maxResults=1)
        assert [event["type"] for event in whole["events"]] == kinds


def test_without_its_repair_a_stop_loses_its_cause(aws: Aws) -> None:
    with aws.endpoint.repairs.without("reported_end"), aws.endpoint.repairs.without("scaled_wait"):
        execution = aws.start(only({"Type": "Wait", "Seconds": 600}))
        until(lambda: len(aws.states.get_execution_history(executionArn=execution)["events"]) == 2)
        aws.states.stop_execution(executionArn=execution, error="Operator", cause="wrong data")
        described = aws.ended(execution)

    assert described["status"] == "ABORTED"
    assert "cause" not in described


def test_another_version_of_moto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto, "__version__", "5.3.0")

    with pytest.raises(InterpreterError, match=r"written for moto 5\.2\.5, installed is 5\.3\.0"):
        interpreter.install(0.0)
