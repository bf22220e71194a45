"""Two retrainings on the local AWS: the second one's version is refused, its back-test is right."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analysis.report import report
from analysis.run_record import gather
from analysis.verdict import findings, verdict
from lambdas.get_status import next_wait
from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from tests.local_runs import EXAMPLE
from workflow import Config, parse_config
from workflow.runs.history import HistoryReader, follow

pytestmark = pytest.mark.usefixtures("warm_java")

NDCG = "normalized_discounted_cumulative_gain_at_10"
TABLES = f"""
[backtest]
[gate.metrics.{NDCG}]
minimum = 0.0
[gate.metrics.coverage]
greatest_drop = 0.9
[gate.metrics.precision_at_25]
better_than_popularity = true
"""


@dataclass
class TwoRuns:
    """The local AWS after both runs.

    Attributes:
        config: That of the second run, whose minimum cannot be reached.
        lists: The CSV that the first run published: user → items.
        events: What was inserted after that: (user, item).
        published: `latest.json` after each run.
    """

    aws: LocalAws
    config: Config
    lists: dict[str, list[str]]
    events: list[tuple[str, str]]
    published: list[dict[str, Any]]

    def read(self, key: str) -> Any:
        return json.loads(read(self.aws, self.config, key))


@pytest.fixture(scope="module")
def runs(
    module_database: str, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoRuns]:
    url = module_database
    load_sample(url, SampleSize(students=60, postings=40, events=4_000))
    sound = EXAMPLE.replace("keep = 25", "keep = 5") + TABLES
    first, second = (
        parse_config(text) for text in (sound, sound.replace("minimum = 0.0", "minimum = 1.0"))
    )
    with LocalAws(
        directory=tmp_path_factory.mktemp("aws"),
        is_kept=False,
        account=first.aws.account,
        region=first.aws.region,
        time_scale=0,
        database_url=url,
    ) as aws:
        published = [run(aws, first, "first")]
        rows = csv.reader(io.StringIO(read(aws, first, key_of(published[0]["csv"]))))
        lists: dict[str, list[str]] = {}
        for user, item, *_ in list(rows)[1:]:
            lists.setdefault(user, []).append(item)
        events = come_back(url, lists)
        published.append(run(aws, second, "second"))
        yield TwoRuns(aws, second, lists, events, published)


def run(aws: LocalAws, config: Config, name: str) -> dict[str, Any]:
    """Deploy and run; return what is published then."""
    execution = deploy(config, aws.client).execute(name=name)
    for _ in follow(HistoryReader(aws.client("stepfunctions"), execution.execution_arn)):
        pass
    described = aws.client("stepfunctions").describe_execution(executionArn=execution.execution_arn)
    assert described["status"] == "SUCCEEDED", described
    latest: dict[str, Any] = json.loads(read(aws, config, "recommendations/latest.json"))
    return latest


def read(aws: LocalAws, config: Config, key: str) -> str:
    body = aws.client("s3").get_object(Bucket=config.bucket, Key=key)["Body"].read()
    return str(body, "utf-8")


def key_of(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[2]


def come_back(url: str, lists: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Insert events after the publication: of three users one views the third of the list.

    One views the posting `1`, wherever it stands, and one does not come back.
    """
    events = [
        (user, items[2] if number % 3 == 1 else "1")
        for number, (user, items) in enumerate(sorted(lists.items()))
        if number % 3
    ]
    later = datetime.now(UTC) + timedelta(minutes=1)
    with psycopg.connect(url) as connection:
        connection.cursor().executemany(
            "INSERT INTO events (id, student_id, job_posting_id, kind, created_at)"
            " VALUES (%s, %s, %s, 'view', %s)",
            [(10_000_000 + n, int(u), int(i), later) for n, (u, i) in enumerate(events)],
        )
    return events


def test_a_version_below_an_unreachable_bound_leaves_the_lists_to_the_last_one(
    runs: TwoRuns,
) -> None:
    first, second = runs.published
    gates = [runs.read(f"runs/{name}/record/gate.json") for name in ("first", "second")]

    assert "degraded" not in first
    assert [gate["decision"] for gate in gates] == ["publish", "keep"]
    assert gates[0]["served"]["solutionVersionArn"] == first["solutionVersionArn"]
    assert second["run"] == "second"
    assert second["solutionVersionArn"] == first["solutionVersionArn"]
    refused = gates[1]["solutionVersionArn"]
    assert refused != first["solutionVersionArn"]
    value = gates[1]["metrics"][NDCG]
    reason = f"{NDCG} is {value:.4f}, minimum 1"
    assert second["degraded"] == {"reason": reason, "refusedSolutionVersionArn": refused}
    batch = runs.aws.client("personalize").list_batch_inference_jobs(
        solutionVersionArn=first["solutionVersionArn"]
    )["batchInferenceJobs"]
    assert len(batch) == 2
    popularity = gates[0]["popularity"]["metrics"]
    assert 0 < popularity["precision_at_25"] < gates[0]["metrics"]["precision_at_25"]
    assert all(rule["met"] is not False for rule in gates[0]["rules"])


def test_the_second_run_s_back_test_has_the_figures_of_the_lists_and_events(
    runs: TwoRuns,
) -> None:
    measured = runs.read("runs/second/manifest.json")["backtest"]

    hits = [item in runs.lists[user] for user, item in runs.events]
    places = [
        runs.lists[user].index(item) + 1
        for (user, item), hit in zip(runs.events, hits, strict=True)
        if hit
    ]
    gains = [1 / math.log2(1 + place) for place in places]
    shown = {item for user, _ in runs.events for item in runs.lists[user]}
    eligible = runs.read("runs/first/manifest.json")["filter"]["eligibleItems"]["rows"]
    rate = measured["metrics"]["hit_rate_at_5"]
    assert (measured["run"], measured["users"]) == ("first", len(runs.events))
    assert measured["usersWithList"] == len(runs.lists)
    assert rate["value"] == pytest.approx(sum(hits) / len(hits), abs=1e-6)
    assert rate["low"] < rate["value"] < rate["high"]
    ndcg = measured["metrics"]["normalized_discounted_cumulative_gain_at_5"]
    assert ndcg["value"] == pytest.approx(sum(gains) / len(hits), abs=1e-6)
    assert measured["metrics"]["coverage"]["value"] == pytest.approx(
        len(shown) / eligible, abs=1e-6
    )
    assert runs.read("runs/first/manifest.json")["backtest"] == {
        "reason": "no list has been published yet"
    }


def test_the_report_says_what_was_refused_and_why_and_what_the_lists_were_worth(
    runs: TwoRuns,
) -> None:
    record = gather(
        runs.config,
        runs.aws.client,
        "second",
        timed=False,
        next_wait=next_wait,
        now=datetime.now(UTC),
    )
    found = findings(record)
    page = report(record)

    assert verdict(record, found).sentence.startswith(
        "To look at: the quality gate refused the new version, so that the last one made the lists"
    )
    assert list(record.metrics)[:2] == ["this version", "the refused version"]
    assert "The new version was refused: the last published one made the lists." in page
    assert f"{NDCG} is " in page
    assert f"of the {len(runs.lists)} users with a" in page
    assert record.backtests["run"].unique().tolist() == ["first"]
