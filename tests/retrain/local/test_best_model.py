"""`from = "best"` on the local AWS: two retrainings with every other stage, to the better lists."""

import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analysis.report import report
from analysis.run_record import gather
from analysis.verdict import findings, verdict
from lambdas.polling import next_wait
from localaws.aws import LocalAws
from localaws.http.calls import Call
from retrain.local.deployment import deploy
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from retrain.publications import publications
from tests.analysis.test_report import texts
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.use import denied
from tests.workflow.options.test_models import best
from workflow import Config
from workflow.runs.history import HistoryReader, failure_of, follow

pytestmark = pytest.mark.usefixtures("warm_java")

GATE_AND_COMPARISON = ("gate", "comparison")
METRIC = "normalized_discounted_cumulative_gain_at_10"
TABLES = """
[workflow]
integration = "sdk"
[backtest]
[retention]
runs = 2
[notification]
[delivery]
to = "database"
table = "lists"
[gate.metrics.{metric}]
minimum = {minimum}
"""


@dataclass
class TwoRuns:
    """The local AWS after a run whose version of Personalize was refused, and a sound one."""

    aws: LocalAws
    url: str
    config: Config
    calls: list[Call]
    messages: list[dict[str, Any]]

    def read(self, key: str) -> Any:
        return json.loads(self.text(key))

    def text(self, key: str) -> str:
        s3 = self.aws.client("s3")
        return str(s3.get_object(Bucket=self.config.bucket, Key=key)["Body"].read(), "utf-8")

    def report(self, name: str) -> tuple[str, str]:
        """Return the report of a run, its words alone, and the first sentence of its verdict."""
        now = datetime.now(UTC)
        record = gather(
            self.config, self.aws.client, name, timed=False, next_wait=next_wait, now=now
        )
        return texts(report(record)), verdict(record, findings(record)).sentence


@pytest.fixture(scope="module")
def runs(
    module_database: str, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoRuns]:
    url = module_database
    load_sample(url, SampleSize(students=600, postings=60, events=12_000))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE lists (user_id text, item_id text, rank int, score real)")
    refusing, sound = (
        best(TABLES.format(metric=METRIC, minimum=minimum)) for minimum in ("1.0", "0.0")
    )
    with LocalAws(
        directory=tmp_path_factory.mktemp("aws"),
        is_kept=False,
        account=sound.aws.account,
        region=sound.aws.region,
        time_scale=0,
        database_url=url,
    ) as aws:
        with aws.endpoint.wrap_all(Recorder).recorded() as calls:
            deploy(refusing, aws.client)
            queue = subscribed(aws, sound)
            for name, config in (("refused", refusing), ("sound", sound)):
                run(aws, config, name)
        messages = list(received(aws, queue, 2))
        yield TwoRuns(aws, url, sound, calls, messages)


def subscribed(aws: LocalAws, config: Config) -> str:
    """Return the queue into which the notifications go."""
    queue: str = aws.client("sqs").create_queue(QueueName="mails")["QueueUrl"]
    aws.client("sns").subscribe(
        TopicArn=config.topic_arn, Protocol="sqs", Endpoint=config.arn("sqs", "mails")
    )
    return queue


def received(aws: LocalAws, queue: str, number: int) -> Iterator[dict[str, Any]]:
    """Yield a number of messages of a queue; they arrive once an execution has ended."""
    deadline = time.monotonic() + 60
    while number and time.monotonic() < deadline:
        answer = aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            number -= 1
            yield json.loads(message["Body"])


def run(aws: LocalAws, config: Config, name: str) -> None:
    execution = deploy(config, aws.client).execute(name=name)
    reader = HistoryReader(aws.client("stepfunctions"), execution.execution_arn)
    for _ in follow(reader, poll_seconds=0.1):
        pass
    assert failure_of(reader.read_all()) is None


def test_a_version_that_the_gate_refuses_is_left_out_where_there_is_none_to_keep(
    runs: TwoRuns,
) -> None:
    gate, compared = (runs.read(f"runs/refused/record/{name}.json") for name in GATE_AND_COMPARISON)
    page, sentence = runs.report("refused")

    assert (gate["decision"], gate["served"]) == ("leave out", None)
    assert compared["best"] == "own"
    assert [*compared["models"]] == ["own"]
    reason = f"the quality gate refused its version: {gate['reason']}"
    assert compared["leftOut"] == {"personalize": reason}
    assert "Personalize was left out of the comparison." in page
    assert f"personalize was left out: {reason}." in page
    assert sentence.startswith(
        "To look at: the quality gate refused Personalize's new version, so that it was not"
    )


def test_the_next_version_that_meets_the_rules_is_compared_and_the_best_ones_list_published(
    runs: TwoRuns,
) -> None:
    gate, compared = (runs.read(f"runs/sound/record/{name}.json") for name in GATE_AND_COMPARISON)
    latest = runs.read("recommendations/latest.json")
    page, _ = runs.report("sound")

    assert gate["decision"] == "publish"
    assert compared["leftOut"] == {}
    scores = {
        name: model["metrics"][compared["by"]]["value"]
        for name, model in compared["models"].items()
    }
    assert set(scores) == {"personalize", "own"}
    assert compared["best"] == max(scores, key=lambda name: scores[name])
    assert latest["run"] == "sound"
    assert latest.get("model", {}).get("name", "personalize") == compared["best"]
    assert f"{compared['best']} has the greatest NDCG@25 and made the published" in page
    measured = runs.read("runs/sound/manifest.json")["backtest"]
    assert (
        measured == {"reason": "no event is newer than the lists"} or measured["run"] == "refused"
    )


def test_the_published_list_is_in_the_table_of_the_database(runs: TwoRuns) -> None:
    latest = runs.read("recommendations/latest.json")
    rows = csv.DictReader(io.StringIO(runs.text(latest["csv"].split("/", 3)[3])))
    expected = {(row["USER_ID"], row["ITEM_ID"], int(row["RANK"])) for row in rows}

    with psycopg.connect(runs.url) as connection:
        found = set(connection.execute("SELECT user_id, item_id, rank FROM lists").fetchall())

    assert found == expected
    assert runs.read("runs/sound/record/delivery.json")["status"] == "DELIVERED"


def test_both_ends_are_told_with_the_model_that_made_the_lists(runs: TwoRuns) -> None:
    told = [message["Message"] for message in runs.messages]
    best_of = runs.read("runs/sound/record/comparison.json")["best"]

    assert [text.split(" of ")[0] for text in told] == ["Run refused", "Run sound"]
    assert ", by model own; personalize was left out of the comparison: the quality" in told[0]
    assert (", by model own; delivered" in told[1]) == (best_of == "own")
    assert "left out" not in told[1]
    assert all(text.endswith("; delivered into table lists") for text in told)
    published = publications(runs.aws.client("s3"), runs.config.bucket)
    assert [each.run for each in published] == ["sound", "refused"]


@pytest.mark.parametrize("role", ["sagemaker", "states", "functions", "glue"])
def test_the_roles_may_all_that_both_runs_do(runs: TwoRuns, role: Any) -> None:
    assert denied(runs.calls, runs.config, role) == []
