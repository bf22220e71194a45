"""`[notification]` on the local AWS: every end of an execution arrives on the topic and the bus."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from localaws.aws import LocalAws
from localaws.http.calls import Call
from retrain.local.deployment import deploy
from retrain.main import app
from tests.projects import EXAMPLE, write
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.use import denied, unused_by
from workflow import Config, load_config, parse_config

PLAIN = parse_config(EXAMPLE)
TABLES = """
[workflow]
definition = "retraining.py"

[notification]
"""
# As the packaged workflow ends: at its end, in the middle, by a Choice and by a task that fails.
ENDS = """
from workflow import Stages
from workflow.sdk import Choice, ChoiceRule, Pass, Succeed, Task, Wait

SKIP = {"Error": "AnotherRunInProgress", "Cause": "run 'x' is in progress"}
NOTHING = {"step": "nothing", "why": "nothing has changed"}


def build(config):
    choice = Choice("Which End?")
    ways = {
        "skip": Pass("Say Why", result=SKIP, result_path="$.job"),
        "nothing": Pass("Say What", result=NOTHING, result_path="$.increment"),
        "raise": Task(
            "Look for Nobody",
            resource="arn:aws:states:::aws-sdk:personalize:describeSolution",
            parameters={"SolutionArn": config.arn("personalize", "solution/nobody")},
        ),
        "wait": Wait("Wait for Long", seconds=3_600),
    }
    for end, state in ways.items():
        choice.add_choice(ChoiceRule.StringEquals(variable="$.end", value=end), state)
        if end in {"skip", "nothing"}:
            state.next(Succeed(f"Ended by {end}"))
    choice.default_choice(Pass("Done"))
    return Stages(config).compose(choice)
"""
KEPT = ", by solution version labbase/1a2b as before, in place of labbase/3c4d"
CSV = "s3://bucket/runs/RUN/recommendations/recommendations.csv"
OUTCOMES = {
    "good": ("succeeded", "SUCCEEDED"),
    "bad-gate": ("degraded", "SUCCEEDED"),
    "skip": ("skipped", "SUCCEEDED"),
    "nothing": ("skipped", "SUCCEEDED"),
    "raise": ("failed", "FAILED"),
    "wait": ("failed", "ABORTED"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ends")
    write(directory, {"retraining.toml": EXAMPLE + TABLES, "retraining.py": ENDS})
    return directory / "retraining.toml"


@pytest.fixture(scope="module")
def config(file: Path) -> Config:
    return load_config(file)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(
        directory=tmp_path_factory.mktemp("aws"),
        is_kept=False,
        account="123456789012",
        region="ap-northeast-1",
        time_scale=1,
    ) as running:
        yield running


class Told:
    """What was told of each end, and the calls of the function that told it."""

    def __init__(self, aws: LocalAws, config: Config) -> None:
        self.mails: dict[str, Any] = {}
        self.events: dict[str, Any] = {}
        self.calls: list[Call] = []
        sqs = aws.client("sqs")
        self._queues = {
            "mails": sqs.create_queue(QueueName="mails")["QueueUrl"],
            "events": sqs.create_queue(QueueName="events")["QueueUrl"],
        }
        aws.client("sns").subscribe(
            TopicArn=config.topic_arn, Protocol="sqs", Endpoint=config.arn("sqs", "mails")
        )
        aws.client("events").put_rule(
            Name="ours", EventPattern=json.dumps({"source": ["personalize-retraining"]})
        )
        target = {"Id": "queue", "Arn": config.arn("sqs", "events")}
        aws.client("events").put_targets(Rule="ours", Targets=[target])
        with aws.endpoint.wrap_all(Recorder).recorded() as self.calls:
            self._end(aws, config)
            self._receive(aws)

    def _end(self, aws: LocalAws, config: Config) -> None:
        s3, states = aws.client("s3"), aws.client("stepfunctions")
        list_of = {
            "users": 30,
            "recommendations": 150,
            "extractedAt": "2024-06-01T04:12:00Z",
            "createdAt": "2024-06-01T04:30:00Z",
            "csv": CSV,
            "solutionVersionArn": config.arn("personalize", "solution/labbase/1a2b"),
        }
        refused = config.arn("personalize", "solution/labbase/3c4d")
        degraded = {
            "reason": "coverage is 0.0310, minimum 0.1",
            "refusedSolutionVersionArn": refused,
        }
        for run, content in {
            "good": list_of,
            "bad-gate": {**list_of, "degraded": degraded},
        }.items():
            body = json.dumps({"run": run, **content})
            s3.put_object(
                Bucket=config.bucket, Key=f"runs/{run}/record/publication.json", Body=body
            )
        s3.put_object(Bucket=config.bucket, Key="recommendations/latest.json", Body=body)
        for run in OUTCOMES:
            execution = states.start_execution(
                stateMachineArn=config.state_machine_arn,
                name=run,
                input=json.dumps({"end": run}),
            )["executionArn"]
        states.stop_execution(executionArn=execution, error="StoppedByHand", cause="wrong table")

    def _receive(self, aws: LocalAws) -> None:
        deadline = time.monotonic() + 60
        while (
            min(len(self.mails), len(self.events)) < len(OUTCOMES) and time.monotonic() < deadline
        ):
            for name, url in self._queues.items():
                received = aws.client("sqs").receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
                )
                for message in received.get("Messages", ()):
                    body = json.loads(message["Body"])
                    if name == "mails":
                        self.mails[body["MessageAttributes"]["run"]["Value"]] = body
                    else:
                        self.events[body["detail"]["run"]] = body


@pytest.fixture(scope="module")
def told(aws: LocalAws, config: Config) -> Told:
    deploy(config, aws.client)
    return Told(aws, config)


def test_each_end_is_told_once_by_its_outcome(told: Told) -> None:
    mails = {run: mail["MessageAttributes"]["outcome"]["Value"] for run, mail in told.mails.items()}
    events = {
        run: (event["detail"]["outcome"], event["detail"]["status"])
        for run, event in told.events.items()
    }

    assert mails == {run: outcome for run, (outcome, _) in OUTCOMES.items()}
    assert events == OUTCOMES
    publications = [call for call in told.calls if call.operation == "Publish"]
    assert len(publications) == len(OUTCOMES)


def test_a_mail_is_one_line_with_the_figures_or_the_reason(told: Told) -> None:
    figures = "150 recommendations for 30 users, of data extracted at 2024-06-01T04:12:00Z"
    lines = {run: mail["Message"] for run, mail in told.mails.items()}

    assert told.mails["good"]["Subject"] == "labbase-retraining: succeeded"
    assert lines["good"].startswith("Run good of labbase-retraining succeeded, in ")
    assert lines["good"].endswith(f"s; {figures}")
    assert "succeeded, degraded, in" in lines["bad-gate"]
    assert lines["bad-gate"].endswith(f"s: coverage is 0.0310, minimum 0.1; {figures}{KEPT}")
    assert lines["skip"] == (
        "Run skip of labbase-retraining published nothing: run 'x' is in progress"
    )
    assert lines["nothing"].endswith("published nothing: nothing has changed")
    assert "failed after" in lines["raise"]
    assert "with Personalize.ResourceNotFoundException: " in lines["raise"]
    assert "solution/nobody" in lines["raise"]
    assert "was aborted after" in lines["wait"]
    assert lines["wait"].endswith("with StoppedByHand: wrong table")
    assert not any("\n" in line for line in lines.values())


@pytest.fixture
def retrain(told: Told, file: Path) -> Callable[..., Any]:
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--config", str(file)])


@pytest.mark.parametrize(
    ("run", "lines"),
    [
        (
            "good",
            [
                "good: SUCCEEDED",
                "  150 recommendations for 30 users, of data extracted at 2024-06-01T04:12:00Z",
                f"  {CSV}",
            ],
        ),
        (
            "bad-gate",
            [
                "bad-gate: SUCCEEDED, degraded: coverage is 0.0310, minimum 0.1",
                "  150 recommendations for 30 users, of data extracted at 2024-06-01T04:12:00Z"
                + KEPT,
                f"  {CSV}",
            ],
        ),
        (
            "nothing",
            [
                "nothing: SUCCEEDED, published nothing: nothing has changed",
                f"  the list of run 'bad-gate' is published: {CSV}",
            ],
        ),
    ],
)
def test_who_watches_a_run_is_told_the_same(retrain: Any, run: str, lines: list[str]) -> None:
    shown = retrain("watch", run).stdout.splitlines()

    assert shown[-len(lines) :] == lines


def test_the_list_of_executions_says_what_ended_each_and_why(retrain: Any) -> None:
    shown = retrain("executions").stdout.splitlines()
    rows = {line[3:].split()[0]: line.rstrip() for line in shown[1:7]}

    assert {run: line[:1] for run, line in rows.items()} == {
        run: "!" if run == "bad-gate" else " " for run in OUTCOMES
    }
    assert rows["nothing"].endswith("  Ended by nothing")
    assert rows["raise"].endswith("  Look for Nobody")
    assert rows["good"].endswith(" s")
    assert shown[7:] == [
        "nothing published nothing: nothing has changed",
        "skip published nothing: run 'x' is in progress",
        "! bad-gate degraded: coverage is 0.0310, minimum 0.1",
    ]
    listed = json.loads(retrain("executions", "--json").stdout)
    assert {each["name"]: (each["outcome"], each["status"]) for each in listed} == OUTCOMES


def test_without_a_name_the_run_is_explained_that_failed_last(retrain: Any) -> None:
    """Those that were skipped have succeeded, though some ended later."""
    listed = json.loads(retrain("executions", "--json").stdout)
    failed = [each for each in listed if each["status"] in {"FAILED", "ABORTED"}]
    last = max(failed, key=lambda each: str(each["stopDate"]))

    heading, explained, *_ = retrain("explain").stdout.splitlines()

    assert heading == "The run that failed last:"
    assert explained.startswith(f"{last['name']}: {last['status']}, ")


def test_the_operator_may_read_what_is_shown(aws: LocalAws, retrain: Any, config: Config) -> None:
    with aws.endpoint.wrap_all(Recorder).recorded() as calls:
        retrain("executions")
        retrain("watch", "bad-gate")
        retrain("explain")

    assert denied(calls, config, "operator") == []


def test_the_event_has_the_figures_as_data(told: Told) -> None:
    event = told.events["good"]

    assert (event["source"], event["detail-type"]) == ("personalize-retraining", "Retraining Ended")
    assert event["detail"]["published"]["users"] == 30
    assert event["detail"]["message"] == told.mails["good"]["Message"]


def test_the_function_may_do_what_it_does(told: Told, config: Config) -> None:
    assert denied(told.calls, config, "functions") == []
    assert unused_by(told.calls, config, "functions", besides=PLAIN) == []


def test_who_stops_watching_is_told_that_the_run_goes_on(
    told: Told, aws: LocalAws, config: Config, file: Path
) -> None:
    states = aws.client("stepfunctions")
    execution = states.start_execution(
        stateMachineArn=config.state_machine_arn, name="watched", input='{"end": "wait"}'
    )["executionArn"]
    with subprocess.Popen(
        [sys.executable, "-c", "from retrain.main import main; main()", "watch", "watched"],
        cwd=file.parent,
        env={**os.environ, **aws.endpoint.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert any("→ Wait for Long" in line for line in watching.stdout)
        watching.terminate()
        _, errors = watching.communicate(timeout=30)
    status = states.describe_execution(executionArn=execution)["status"]
    states.stop_execution(executionArn=execution)

    assert (watching.returncode, status) == (143, "RUNNING")
    assert errors == "watched goes on; 'retrain watch watched' shows it again\n"
