"""Start, watch, list, stop and explain runs, against the local AWS and as a person does it."""

import json
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from botocore.stub import ANY, Stubber
from typer.testing import CliRunner

from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from retrain.main import app
from tests.histories import (
    AS_AWS_CHAINS_IT,
    BEGIN,
    entered,
    events,
    execution_failed,
    exited,
    imports_of_which_one_fails,
    iteration,
    map_started,
    scheduled,
    task_failed,
)
from tests.projects import project
from workflow.config import load_config
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.resources import resources
from workflow.runs.advice import advice
from workflow.runs.diagnosis import LogExcerpt, explain
from workflow.runs.executions import (
    Run,
    RunningError,
    describe_run,
    failure,
    find_run,
    jobs_left_running,
    latest_runs,
    start_run,
    stop_training,
)
from workflow.runs.history import Failure

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "retraining.toml"
ACCOUNT, REGION = "123456789012", "ap-northeast-1"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:labbase-retraining"
VERSION = f"arn:aws:personalize:{REGION}:{ACCOUNT}:solution/labbase/1a2b3c4d"

# What a run does is chosen by its input: {"do": "succeed" | "fail" | "wait" | "refuse"}.
DEFINITION = {
    "StartAt": "Which?",
    "States": {
        "Which?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.do", "StringEquals": "fail", "Next": "List Datasets"},
                {"Variable": "$.do", "StringEquals": "wait", "Next": "Create Solution Version"},
                {"Variable": "$.do", "StringEquals": "refuse", "Next": "Refused"},
            ],
            "Default": "Well Done",
        },
        "List Datasets": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "labbase-list-datasets", "Payload": {}},
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.job", "Next": "Failed"}],
            "Next": "Well Done",
        },
        "Create Solution Version": {
            "Type": "Pass",
            "Result": {"arn": VERSION, "status": "CREATE PENDING"},
            "ResultPath": "$.job",
            "Next": "A Long Wait",
        },
        "A Long Wait": {"Type": "Wait", "Seconds": 3600, "Next": "Well Done"},
        "Failed": {"Type": "Fail", "ErrorPath": "$.job.Error", "CausePath": "$.job.Cause"},
        "Refused": {"Type": "Fail", "Error": "Refused", "Cause": "not tonight"},
        "Well Done": {"Type": "Succeed"},
    },
}


class ManifestNotFound(Exception):  # noqa: N818  as the handler names it
    """As the handler raises it."""


def no_manifest(event, context):
    raise ManifestNotFound("s3://bucket/runs/x/manifest.json is not there")


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """Start a local AWS with the machine deployed; Waits take their real time."""
    with Endpoint(account=ACCOUNT, region=REGION, time_scale=1.0) as endpoint:
        directory = tmp_path_factory.mktemp("functions")
        functions = Functions(account=ACCOUNT, region=REGION, directory=directory)
        functions.register("labbase-list-datasets", no_manifest)
        endpoint.mount("lambda", functions)
        endpoint.client("stepfunctions").create_state_machine(
            name="labbase-retraining",
            definition=json.dumps(DEFINITION),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/states",
        )
        yield endpoint


@pytest.fixture(scope="module")
def client(aws):
    return aws.client("stepfunctions")


@pytest.fixture
def retrain(aws):
    runner = CliRunner()

    def call(command, *arguments, config=CONFIG):
        return runner.invoke(app, [command, "--config", str(config), *arguments])

    return call


def ended(client, run):
    deadline = time.monotonic() + 10
    while (now := describe_run(client, run.arn)).status == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return now


def run_to_end(client, name, outcome):
    return ended(client, start_run(client, MACHINE, name=name, inputs={"do": outcome}))


def test_runs_are_listed_newest_first_and_found_by_name_arn_or_none(client):
    first = run_to_end(client, "listed-1", "succeed")
    second = run_to_end(client, "listed-2", "fail")

    assert [run.name for run in latest_runs(client, MACHINE, limit=2)] == ["listed-2", "listed-1"]
    assert [run.status for run in (second, first)] == ["FAILED", "SUCCEEDED"]
    assert find_run(client, MACHINE) == find_run(client, MACHINE, "latest") == second
    assert find_run(client, MACHINE, "listed-1") == first
    assert find_run(client, MACHINE, first.arn) == first
    assert failure(client, first) is None
    assert failure(client, second) == Failure(
        "List Datasets", "ManifestNotFound", "s3://bucket/runs/x/manifest.json is not there"
    )


def test_a_choice_that_ended_a_run_is_told_with_what_it_compared(client, retrain):
    run = run_to_end(client, "refused", "refuse")
    decided = "'Which?' led to 'Refused', as $.do is \"refuse\"; $.do was \"refuse\""

    explained = retrain("explain", "refused").output
    watched = " ".join(retrain("watch", "refused", "--poll-seconds", "0.02").output.split())

    assert failure(client, run).decided == decided
    assert "  state    Which?\n" in explained
    assert "the workflow, by its Choice 'Which?':\n             not tonight\n" in explained
    assert f"  decided  {decided}" in explained
    assert f"The run failed in state 'Which?': Refused not tonight {decided}" in watched


def test_an_unknown_execution_gets_a_proposal(client):
    run_to_end(client, "nightly-2024-06-01", "succeed")

    with pytest.raises(RunningError, match="did you mean 'nightly-2024-06-01'"):
        find_run(client, MACHINE, "nightly-2024-06-02")
    with pytest.raises(RunningError, match="no execution 'zzz'; the latest are nightly-2024-06-01"):
        find_run(client, MACHINE, "zzz")
    with pytest.raises(RunningError, match="is no execution of 'labbase-retraining'"):
        find_run(client, MACHINE, f"arn:aws:states:{REGION}:{ACCOUNT}:execution:other:x")


def test_an_execution_that_cannot_start_is_reported(client):
    run_to_end(client, "once", "succeed")

    with pytest.raises(RunningError, match="'once' exists already"):
        start_run(client, MACHINE, name="once", inputs={"do": "other"})
    with pytest.raises(RunningError, match="1 to 76 letters"):
        start_run(client, MACHINE, name="a b", inputs={})
    with pytest.raises(RunningError, match="'absent' is not deployed in account 123456789012"):
        start_run(client, MACHINE.replace("labbase-retraining", "absent"), name="x")
    with pytest.raises(RunningError, match="'absent' is not deployed"):
        latest_runs(client, MACHINE.replace("labbase-retraining", "absent"), limit=1)


def test_start_and_wait_shows_the_states_and_ends_with_0(retrain):
    result = retrain(
        "start", "--wait", "--poll-seconds", "0.02", "--name", "shown", "--input", '{"do": "x"}'
    )

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "started shown"
    assert lines[-1] == "shown: SUCCEEDED"
    assert [line[9:].strip() for line in lines if "→" in line] == ["→ Which?", "→ Well Done"]


def test_start_and_wait_ends_with_1_if_the_run_fails(retrain, tmp_path):
    (tmp_path / "input.json").write_text('{"do": "fail"}')

    result = retrain(
        "start", "--wait", "--poll-seconds", "0.02", "--input", f"@{tmp_path / 'input.json'}"
    )

    assert result.exit_code == 1
    assert "The run failed in state 'List Datasets': ManifestNotFound" in result.stdout
    assert "manifest.json is not there" in result.stdout


def test_a_watched_failure_exits_with_1_and_is_printed_as_json(client, retrain):
    run = run_to_end(client, "watched", "fail")

    result = retrain("watch", "watched", "--json")

    printed = json.loads(result.stdout)
    assert result.exit_code == 1
    assert printed["executionArn"] == run.arn
    assert printed["status"] == "FAILED"
    assert printed["failure"]["state"] == "List Datasets"


def test_executions_are_a_table_or_json(client, retrain):
    run_to_end(client, "in-the-table", "fail")

    table = retrain("executions", "--limit", "1")
    printed = json.loads(retrain("executions", "--limit", "1", "--json").stdout)

    (row,) = [line for line in table.stdout.splitlines() if "in-the-table" in line]
    cells = re.split(r" {2,}", row.strip())
    assert [cells[0], cells[1], cells[3], cells[4]] == [
        "in-the-table",
        "FAILED",
        "0 s",
        "List Datasets",
    ]
    assert [entry["name"] for entry in printed] == ["in-the-table"]


class Personalize:
    """A service that only stops trainings: it answers with a code, or does it."""

    def __init__(self):
        self.code, self.stopped = "", []

    def __call__(self, environ, start_response):
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        assert environ["HTTP_X_AMZ_TARGET"] == "AmazonPersonalize.StopSolutionVersionCreation"
        self.stopped.append(body["solutionVersionArn"])
        headers = [("Content-Type", "application/x-amz-json-1.1")]
        start_response("400 Bad Request" if self.code else "200 OK", headers)
        return [json.dumps({"__type": self.code, "message": "no"} if self.code else {}).encode()]


@pytest.fixture
def personalize(aws):
    service = Personalize()
    aws.mount("personalize", service)
    return service


def test_the_topic_is_told_of_a_run_that_is_stopped(aws, client, retrain, personalize):
    config = load_config(CONFIG)
    rule = next(
        one.properties
        for one in resources(config, build_artefacts(config))
        if one.type == "AWS::Events::Rule"
    )
    events, sns, sqs = aws.client("events"), aws.client("sns"), aws.client("sqs")
    assert sns.create_topic(Name=config.topic_arn.split(":")[-1])["TopicArn"] == config.topic_arn
    queue = sqs.create_queue(QueueName="mail")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=config.topic_arn, Protocol="sqs", Endpoint=arn["QueueArn"])
    events.put_rule(Name=rule["Name"], EventPattern=json.dumps(rule["EventPattern"]))
    events.put_targets(Rule=rule["Name"], Targets=rule["Targets"])

    run_to_end(client, "told-1", "fail")  # reports itself
    run = start_run(client, MACHINE, name="told-2", inputs={"do": "wait"})
    assert retrain("stop", "--cause", "wrong table").exit_code == 0

    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    assert ended(client, run).status == "ABORTED"
    assert json.loads(message["Body"])["Message"] == (
        '"Run told-2 of labbase-retraining is ABORTED. Cause: wrong table"'
    )


def until_it_waits(client, run):
    deadline = time.monotonic() + 10
    while "A Long Wait" not in json.dumps(
        client.get_execution_history(executionArn=run.arn), default=str
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("", [f"  and its training {VERSION}; what it took until now is billed"]),
        ("ResourceInUseException", []),  # it has ended meanwhile
        (
            "AccessDeniedException",
            [f"  Personalize goes on with, and bills, {VERSION} (AccessDeniedException: no)"],
        ),
    ],
)
def test_stop_ends_the_run_and_its_training(client, retrain, personalize, code, lines):
    personalize.code = code
    name = f"stopped-{code or 'training'}"
    run = start_run(client, MACHINE, name=name, inputs={"do": "wait"})
    until_it_waits(client, run)

    result = retrain("stop", "--cause", "wrong table")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"stopped {name}", *lines]
    assert personalize.stopped == [VERSION]
    assert failure(client, ended(client, run)) == Failure(
        "A Long Wait", "StoppedByHand", "wrong table"
    )


def test_an_import_cannot_be_stopped():
    arn = f"arn:aws:personalize:{REGION}:{ACCOUNT}:dataset-import-job/users-1"

    assert stop_training(None, arn) == "Personalize cannot stop it"


def test_an_ended_execution_cannot_be_stopped(client, retrain):
    run_to_end(client, "ended", "succeed")

    named, none_runs = retrain("stop", "ended"), retrain("stop")

    assert (named.exit_code, none_runs.exit_code) == (1, 1)
    assert "execution 'ended' is SUCCEEDED since" in named.stderr
    assert "has no RUNNING execution" in none_runs.stderr


def test_explain_prints_state_source_log_and_advice(aws, client, retrain):
    run = run_to_end(client, "explained", "fail")
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/labbase-list-datasets")
    logs.create_log_stream(logGroupName="/aws/lambda/labbase-list-datasets", logStreamName="s")
    at = int(run.begun.timestamp() * 1_000)
    lines = [
        (at - 3_600_000, "an hour before"),
        (at, "START RequestId: 1 Version: $LATEST"),
        (at, '{"level": "ERROR", "message": "no manifest below runs/explained/"}'),
        (at, "ManifestNotFound: s3://bucket/runs/x/manifest.json  is not there"),  # said already
        (at, "plain words\n"),
    ]
    logs.put_log_events(
        logGroupName="/aws/lambda/labbase-list-datasets",
        logStreamName="s",
        logEvents=[{"timestamp": when, "message": text} for when, text in lines],
    )

    result = retrain("explain", "explained")

    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.stdout.splitlines()[1:]] == [
        "  state    List Datasets",
        "  error    ManifestNotFound",
        "  says     the function 'labbase-list-datasets':",
        "             s3://bucket/runs/x/manifest.json is not there",
        "  log      /aws/lambda/labbase-list-datasets",
        "             ERROR no manifest below runs/explained/",
        "             plain words",
        "  to do    The run's ETL did not finish. To extract again: 'retrain resume explained'",
    ]


def test_what_another_program_stopped_is_explained_as_stopped(client, retrain):
    """Under an error that would mean something else if the workflow had raised it."""
    run = start_run(client, MACHINE, name="stopped-by-a-program", inputs={"do": "wait"})
    until_it_waits(client, run)
    client.stop_execution(executionArn=run.arn, error="LimitExceeded", cause="no \n money: schema")
    ended(client, run)

    explained, watched = retrain("explain", run.name), retrain("watch", run.name)

    heading, *lines = [line.rstrip() for line in explained.stdout.splitlines()]
    assert heading.startswith("stopped-by-a-program: ABORTED, ")
    assert lines == [
        "  state    A Long Wait",
        "  error    LimitExceeded",
        "  says     whoever stopped it:",
        "             no",
        "              money: schema",
        f"  goes on  {VERSION}",
        "  to do    It was stopped; what was published stays published. 'retrain start' begins a"
        " new run. To go on from where it was: 'retrain resume stopped-by-a-program'",
    ]
    assert "The run was stopped in state 'A Long Wait': LimitExceeded" in watched.stdout


def test_explain_of_a_success_reports_no_failure(client, retrain):
    run_to_end(client, "a-success", "succeed")

    result = retrain("explain", "a-success")

    assert result.exit_code == 1
    assert "'a-success' is SUCCEEDED: there is no failure to explain" in result.stderr


def test_the_cost_of_a_failed_run_is_refused(client, retrain):
    run_to_end(client, "too-short", "fail")

    result = retrain("cost", "too-short")

    assert result.exit_code == 1
    assert (
        "execution 'too-short' is FAILED: its figures say nothing of a whole run" in result.stderr
    )


def test_diff_compares_with_what_is_deployed(retrain):
    result = retrain("diff", "--asl", str(ROOT / "asl" / "retraining.asl.json"))

    assert result.exit_code == 1
    assert "deployed → " in result.stdout
    assert "- A Long Wait (Wait)\n" in result.stdout
    assert "+ ETL (Task)\n" in result.stdout


@pytest.fixture
def undeployed(tmp_path):
    """Write a configuration whose workflow is not deployed."""
    path = tmp_path / "retraining.toml"
    text = CONFIG.read_text(encoding="utf-8").replace('name = "labbase"', 'name = "shop"')
    path.write_text(text, encoding="utf-8")
    return path


def test_diff_with_nothing_deployed_lists_every_state_as_new(retrain, undeployed):
    rendered = undeployed.parent / "asl"
    assert retrain("render", "--output", str(rendered), config=undeployed).exit_code == 0

    result = retrain("diff", "--asl", str(rendered / "retraining.asl.json"), config=undeployed)

    assert result.exit_code == 1
    assert result.stdout.startswith("nothing is deployed yet: every state is new\n")


@pytest.mark.parametrize("command", ["start", "watch", "executions", "stop", "explain"])
def test_nothing_deployed_is_one_message(retrain, undeployed, command):
    result = retrain(command, config=undeployed)

    assert result.exit_code == 1
    assert "the state machine 'shop-retraining' is not deployed" in result.stderr
    assert "Traceback" not in result.output


def test_credentials_of_another_account_are_refused(retrain, tmp_path):
    path = tmp_path / "retraining.toml"
    text = CONFIG.read_text(encoding="utf-8").replace("123456789012", "999999999999")
    path.write_text(text, encoding="utf-8")

    result = retrain("start", config=path)

    assert result.exit_code == 1
    assert "belong to account 123456789012" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--input", "{"], "--input: no JSON: Expecting property name"),
        (["--input", "@absent.json"], "absent.json: no text file: "),
        (["--input", f"@{sys.executable}"], f"{sys.executable}: no text file: "),
        (["--input", "@/"], "/: no text file: "),
        (["--input", "[" * 100_000], "--input: no JSON: maximum recursion depth exceeded"),
        (["--name", "a/b"], "run name 'a/b'"),
    ],
)
def test_bad_input_starts_nothing(client, retrain, arguments, complaint):
    before = latest_runs(client, MACHINE, limit=1_000)

    result = retrain("start", *arguments)

    assert result.exit_code == 1
    assert complaint in result.stderr
    assert latest_runs(client, MACHINE, limit=1_000) == before


# ── Explanations of histories as AWS tells them ────────────────────────────────────────────────


def minutes(*recorded):
    return events(*recorded, seconds=60)


@pytest.fixture
def explained():
    """Explain a history; `logs` are the responses of CloudWatch Logs, in order."""

    def call(recorded, logs=(), *, config=None):
        settings = {
            "region_name": REGION,
            "aws_access_key_id": "none",
            "aws_secret_access_key": "none",
        }
        states, cloudwatch = (
            boto3.client("stepfunctions", **settings),
            boto3.client("logs", **settings),
        )
        run = Run(
            "night", MACHINE.replace("stateMachine", "execution") + ":night", "FAILED", BEGIN, BEGIN
        )
        with Stubber(states) as history, Stubber(cloudwatch) as log:
            history.add_response(
                "get_execution_history",
                {"events": recorded},
                {"executionArn": run.arn, "includeExecutionData": True, "maxResults": 1_000},
            )
            for operation, answer, expected in logs:
                if isinstance(answer, str):
                    log.add_client_error(operation, answer, expected_params=expected)
                else:
                    log.add_response(operation, answer, expected)
            explanation = explain(states, cloudwatch, run, config or load_config(CONFIG), lines=2)
            log.assert_no_pending_responses()
        return explanation

    return call


def test_a_spark_job_is_explained_by_its_own_log_streams(explained):
    cause = json.dumps(
        {
            "Id": "jr_0a1b2c",
            "JobName": "labbase-retraining-etl",
            "JobRunState": "FAILED",
            "ErrorMessage": "table 'stundents' does not exist in the database",
            "LogGroupName": "/aws-glue/jobs",
        }
    )
    recorded = minutes(
        entered("ETL"),
        scheduled("glue", JobName="labbase-retraining-etl"),
        task_failed("States.TaskFailed", cause, "glue"),
        exited("ETL"),
        entered("Report Failure"),
        exited("Report Failure"),
        execution_failed("States.TaskFailed", cause),
    )
    stream = {"logStreamName": "jr_0a1b2c", "limit": 2, "startFromHead": False}
    answer = {"events": [{"timestamp": 1, "message": "EtlError: table 'stundents'\n"}]}

    explanation = explained(
        recorded,
        [
            ("get_log_events", answer, {"logGroupName": "/aws-glue/jobs/error", **stream}),
            (
                "get_log_events",
                "ResourceNotFoundException",
                {"logGroupName": "/aws-glue/jobs/output", **stream},
            ),
        ],
    )

    assert explanation.failure == Failure(
        "ETL", "States.TaskFailed", "table 'stundents' does not exist in the database"
    )
    assert explanation.speaker == "the Spark job 'labbase-retraining-etl', run jr_0a1b2c"
    assert explanation.logs == (
        LogExcerpt("/aws-glue/jobs/error", "jr_0a1b2c", ("EtlError: table 'stundents'",)),
        LogExcerpt("/aws-glue/jobs/output", "jr_0a1b2c", note="there is no such log"),
    )
    assert explanation.advice.startswith("Correct the name in the configuration")


def test_a_failed_import_is_personalizes_word_about_one_data_set(explained):
    job = {"arn": "arn:aws:personalize:r:1:dataset-import-job/i", "status": "CREATE FAILED"}
    cause = "Dataset has fewer than 1000 interactions after filtering by event type: apply"
    recorded = minutes(
        entered("Get Job Status", data={"datasetType": "INTERACTIONS"}),
        scheduled("lambda", FunctionName="labbase-get-status"),
        exited("Get Job Status", data={"job": job}),
        entered("Report Failure"),
        exited("Report Failure"),
        execution_failed("DatasetImportFailed", cause),
    )

    explanation = explained(recorded)

    assert explanation.failure.state == "Get Job Status"
    assert explanation.item == "INTERACTIONS"
    assert explanation.speaker == "Amazon Personalize, of a job that it could not finish"
    assert explanation.logs == ()
    assert explanation.advice.startswith("Personalize wants 1,000 interactions")
    assert explanation.left_running == ()


def test_of_several_imports_the_one_that_failed_is_named(explained):
    """Though another item of the Map polled its job after that."""
    explanation = explained(imports_of_which_one_fails(*AS_AWS_CHAINS_IT))

    assert (explanation.failure.state, explanation.item) == ("Get Job Status", "ITEMS")


def test_an_item_without_a_data_set_is_named_by_its_number(explained):
    recorded = minutes(
        entered("Each", "Map"),
        map_started(1),
        iteration("Started", 0, "Each"),
        entered("Work", "Pass"),
        execution_failed("States.Runtime", "no such path"),
    )

    explanation = explained(recorded)

    assert (explanation.failure.state, explanation.item) == ("Work", "index 0")


def test_an_error_that_aws_returned_to_a_function_is_reported_as_such(explained):
    cause = json.dumps(
        {
            "errorMessage": "CreateDatasetImportJob: User: arn:aws:sts::1:assumed-role/f/x is not"
            " authorized to perform: iam:PassRole on resource: r",
            "errorType": "AccessDeniedException",
            "requestId": "id-2",
        }
    )
    recorded = minutes(
        entered("Import Dataset", data={"datasetType": "USERS"}),
        scheduled("lambda", FunctionName="labbase-create-import-job"),
        task_failed("AccessDeniedException", cause),
        execution_failed("AccessDeniedException", cause),
    )
    lines = ["id-1 another's", "id-2 mine", "id-2 mine too", "END RequestId: id-2"]
    answer = {"events": [{"message": line} for line in lines]}
    expected = {
        "logGroupName": "/aws/lambda/labbase-create-import-job",
        "startTime": int((BEGIN).timestamp() * 1_000),
        "endTime": int((BEGIN + timedelta(minutes=5)).timestamp() * 1_000),
    }

    explanation = explained(recorded, [("filter_log_events", answer, expected)])

    assert explanation.speaker == (
        "AWS, answering CreateDatasetImportJob to the function 'labbase-create-import-job'"
    )
    assert explanation.logs[0].lines == ("id-2 mine", "id-2 mine too")
    assert explanation.advice.startswith("A role lacks a permission")


def test_a_log_that_may_not_be_read_is_reported(explained):
    recorded = minutes(
        entered("List Datasets"),
        scheduled("lambda", FunctionName="f"),
        task_failed("KeyError", "'datasets'"),
        execution_failed("KeyError", "'datasets'"),
    )
    expected = {"logGroupName": "/aws/lambda/f", "startTime": ANY, "endTime": ANY}

    explanation = explained(recorded, [("filter_log_events", "AccessDeniedException", expected)])

    assert explanation.logs == (
        LogExcerpt("/aws/lambda/f", note="it cannot be read: AccessDeniedException"),
    )


def test_a_run_that_took_too_long_is_laid_on_the_state_it_was_in(explained):
    job = {"arn": VERSION, "status": "CREATE IN_PROGRESS"}
    recorded = minutes(
        entered("ETL"),
        scheduled("glue", JobName="etl"),
        exited("ETL"),
        entered("Get Solution Version Status"),
        exited("Get Solution Version Status", data={"job": job}),
        entered("Wait X Seconds for Solution Version", "Wait"),
        {"type": "ExecutionTimedOut", "executionTimedOutEventDetails": {"error": "States.Timeout"}},
    )

    explanation = explained(recorded)

    assert explanation.failure == Failure(
        "Wait X Seconds for Solution Version", "States.Timeout", ""
    )
    assert explanation.speaker == "AWS Step Functions"
    assert explanation.left_running == (VERSION,)
    assert "timeout_hours" in explanation.advice


def test_a_job_that_ended_is_not_left_running():
    active = {"job": {"arn": VERSION, "status": "ACTIVE"}}
    pending = {"job": {"arn": "arn:other", "status": "CREATE PENDING"}}

    recorded = events(exited("A", data=pending), exited("B", data=active))

    assert jobs_left_running(recorded) == ["arn:other"]


@pytest.mark.parametrize(
    ("error", "cause", "beginning"),
    [
        ("E", "data set USERS: 5 of 10 rows (50.0%) break a rule", "Read the rejected rows"),
        ("E", "data set ITEMS: no rows; fill table 'x'", "The query returned nothing"),
        ("E", "Create failed. Dataset has fewer than 25 users", "Personalize wants 25"),
        ("E", "Input CSV is missing the following columns:[A]", "The data set's schema"),
        ("BatchInferenceFailed", "Invalid S3 output path", "Personalize cannot use that S3 path"),
        ("E", "FATAL: password authentication failed for user", "The database refuses the user"),
        ("E", "Connection to 127.0.0.1:9 refused.", "The job does not reach the database"),
        ("QualityGateFailed", "", "The run's record/gate.json and 'retrain report'"),
        ("NoRecommendations", "", "Check filter.eligible_items and filter.exclusions"),
        ("E", "More than 5 resources with PENDING or IN_PROGRESS status.", "More jobs of Person"),
        ("LimitExceededException", "You have too many solutions", "A quota of Personalize is used"),
        ("E", "stopped by StopSolutionVersionCreation", "Somebody stopped the training"),
        ("Sandbox.Timedout", "Task timed out after 900.00 seconds", "A time limit was reached"),
        ("Runtime.ExitError", "Runtime exited with error: signal: killed", "Memory"),
        ("ThrottlingException", "Rate exceeded", "A passing fault of AWS"),
        ("E", "AlgorithmError: KeyError: 'u7', exit code: 1", "Mend the model's script"),
        ("E", 'AlgorithmError: A:\nExitCode 137\nB, exit code: 137', "The script was killed"),
        ("E", 'AlgorithmError: A:\nExitCode -9\nErrorMessage ""', "The script was killed"),
        ("E", "AlgorithmError: , exit code: 139", "The script crashed in native code"),
        ("Odd", "something else", "Mend what the cause says"),
    ],
)  # fmt: skip
def test_each_known_failure_has_its_own_advice(error, cause, beginning):
    text = advice(error, cause, bucket="b", run="r", connection="shop-db")

    assert text.startswith(beginning)


def test_the_advice_names_the_run_and_the_connection():
    rejected = advice("E", "more than max_rejected_share", bucket="b", run="r", connection="c")
    refused = advice("E", "Connection refused", bucket="b", run="r", connection="shop-db")

    assert "s3://b/runs/r/rejected/" in rejected
    assert "'shop-db'" in refused


@pytest.mark.parametrize(
    "lines",
    [
        [
            "START RequestId: id-2 Version: $LATEST",
            "asking tokyo",
            "[ERROR] ValueError: on holiday",
            "END RequestId: id-2",
            "REPORT RequestId: id-2\tDuration: 3.00 ms",
        ],
        [
            '{"time": "t", "type": "platform.start", "record": {"requestId": "id-2"}}',
            "asking tokyo",
            '{"level": "ERROR", "message": "on holiday", "requestId": "id-2"}',
            '{"time": "t", "type": "platform.report", "record": {"requestId": "id-2"}}',
        ],
    ],
    ids=["text", "json"],
)
def test_what_a_function_of_ones_own_prints_is_part_of_the_explanation(explained, tmp_path, lines):
    """Lines that it prints do not name the request; another environment's stream has others."""
    cause = json.dumps({"errorMessage": "on holiday", "errorType": "E", "requestId": "id-2"})
    recorded = minutes(
        entered("Ask the Editors"),
        scheduled("lambda", FunctionName="labbase-ask-editors"),
        task_failed("E", cause),
        execution_failed("E", cause),
    )
    answer = {
        "events": [
            {"message": "before", "logStreamName": "one"},
            *({"message": line, "logStreamName": "one"} for line in lines),
            {"message": "after", "logStreamName": "one"},
            {"message": "of another call", "logStreamName": "two"},
        ]
    }
    expected = {"logGroupName": "/aws/lambda/labbase-ask-editors", "startTime": ANY, "endTime": ANY}

    explanation = explained(
        recorded, [("filter_log_events", answer, expected)], config=project(tmp_path)
    )

    assert explanation.speaker == "the function 'labbase-ask-editors'"
    assert explanation.logs[0].lines[0] == "asking tokyo"
    assert "on holiday" in explanation.logs[0].lines[1]
    assert len(explanation.logs[0].lines) == 2
    assert explanation.advice.startswith("Mend functions/ask_editors.py, then 'retrain deploy'")
