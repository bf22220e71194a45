"""A definition runs on the repaired interpreter as it does on AWS."""

import json
import threading
import time
from typing import Any

from .aws import Aws, ThrottlingException, invoke, mapped, only, until

SLEEP = "import time\nwhile True: time.sleep(0.01)\n"


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
    """Uncaught in a Map, the timeout ends the execution under the same name."""
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

    in_a_map = mapped(invoke("slow", TimeoutSeconds=1, End=True))

    try:
        uncaught = aws.start(in_a_map, {"items": [1]})
        assert aws.output(definition) == {"error": "States.Timeout"}
        assert aws.ended(uncaught)["error"] == "States.Timeout"
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
