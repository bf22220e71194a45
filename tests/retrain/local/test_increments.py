"""Runs one after the other on the local AWS, of which each does only what has changed."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from tests.local_runs import EXAMPLE
from workflow import parse_config
from workflow.runs.history import HistoryReader, failure_of, follow

pytestmark = pytest.mark.usefixtures("warm_java")

CONFIG = parse_config(EXAMPLE + "\n[increments]\noverlap_hours = 120\n")
READER = 1
# 1,000 events of one student in the 17 hours after the newest one; one comes two days late.
NEWS = f"""
    INSERT INTO events
    SELECT before.id + n, reader.id, posting.id, 'view', newest + n * interval '1 min'
    FROM (SELECT max(id) AS id, max(created_at) AS newest FROM events) AS before,
        (SELECT {READER} AS id) AS reader,
        generate_series(1, 1000) AS n
        JOIN LATERAL (SELECT id FROM job_postings ORDER BY id OFFSET n % 3 LIMIT 1) AS posting
        ON true;
    INSERT INTO events SELECT max(id) + 1, min(student_id), min(job_posting_id), 'view',
        max(created_at) - interval '2 days' FROM events;
"""


@dataclass
class Deployment:
    """The workflow on the local AWS, and its database."""

    aws: LocalAws
    workflow: Any
    url: str

    def run(self, **request: Any) -> "Ended":
        """Start a run and wait for its end."""
        begun = time.monotonic()
        execution = self.workflow.execute(inputs={"increments": request} if request else {})
        arn = execution.execution_arn
        reader = HistoryReader(self.aws.client("stepfunctions"), arn)
        states = [step.state for step in follow(reader, poll_seconds=0.05) if step.type == "exited"]
        failure = failure_of(reader.read_all())
        assert failure is None, failure
        name = arn.rpartition(":")[2]
        return Ended(
            states,
            self.json(f"runs/{name}/record/increment.json"),
            self.json("recommendations/latest.json"),
            name,
            time.monotonic() - begun,
        )

    def json(self, key: str) -> dict[str, Any]:
        body = self.aws.client("s3").get_object(Bucket=CONFIG.bucket, Key=key)["Body"].read()
        content: dict[str, Any] = json.loads(body)
        return content

    def sql(self, text: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(text)

    def list_of(self, user: int, run: str) -> list[str]:
        key = f"runs/{run}/recommendations/recommendations.csv"
        body = self.aws.client("s3").get_object(Bucket=CONFIG.bucket, Key=key)["Body"].read()
        rows = [line.split(",") for line in body.decode().splitlines()]
        return [row[1] for row in rows if row[0] == str(user)]


@dataclass
class Ended:
    """A run that has succeeded."""

    states: list[str]
    record: dict[str, Any]
    latest: dict[str, Any]
    name: str
    seconds: float

    @property
    def modes(self) -> dict[str, str | None]:
        return {name: entry["mode"] for name, entry in self.record["datasets"].items()}


@pytest.fixture(scope="module")
def deployment(module_database: str, scratch: Path) -> Iterator[Deployment]:
    url = module_database
    load_sample(url, SampleSize(students=60, postings=40, events=4_000))
    with LocalAws(
        directory=scratch / "increments",
        is_kept=False,
        account=CONFIG.aws.account,
        region=CONFIG.aws.region,
        time_scale=0,
        database_url=url,
    ) as aws:
        yield Deployment(aws, deploy(CONFIG, aws.client), url)


def test_each_run_does_what_has_changed_since_the_one_before(deployment: Deployment) -> None:
    first = deployment.run(since="2024-05-01")  # there is nothing yet that a window could follow
    beginning = ["Begin Run", "Plan Increment", "Extracted Already?", "ETL", "List Datasets"]
    assert first.states[:5] == beginning
    assert first.modes == {"USERS": "FULL", "ITEMS": "FULL", "INTERACTIONS": "FULL"}
    assert first.record["trainingMode"] == "FULL"
    assert first.record["windowLeftOut"] == "nothing was imported before"
    assert first.latest["run"] == first.name

    second = deployment.run()
    assert second.states == [*beginning, "Anything New?", "Nothing Changed"]
    assert second.modes == {"USERS": None, "ITEMS": None, "INTERACTIONS": None}
    assert second.latest["run"] == first.name

    deployment.sql(NEWS)
    third = deployment.run()
    assert third.modes == {"USERS": None, "ITEMS": None, "INTERACTIONS": "INCREMENTAL"}
    assert third.record["trainingMode"] == "UPDATE"
    assert third.record["windowLeftOut"] == ""
    assert third.latest["run"] == third.name
    assert third.record["datasets"]["INTERACTIONS"]["rows"] == 124 + 1_000 + 1, "the late one too"
    first_items, items = (deployment.list_of(READER, run.name)[:3] for run in (first, third))
    assert set(items) == {"1", "2", "3"} != set(first_items), "what the reader has just looked at"
