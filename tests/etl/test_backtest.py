"""The back-test and the popularity baseline: Spark's figures beside those of plain Python."""

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812
from scipy.stats import binomtest

from etl import backtest, ranking
from etl.datasets import Backtest, Column, JobSpec, LearnedEvents, Lookup, Relation
from etl.popularity import ALL, Reading
from etl.validation import WATERMARK
from lambdas.recommendations import csv_chunks
from localaws.http.endpoint import Endpoint
from recommenders.evaluation.items import ranking_metrics
from recommenders.evaluation.names import METRICS
from tests.etl.list_metrics import expected_metrics
from tests.etl.runs import BUCKET, Run, events_data_set
from workflow.options.backtest import BACKTEST_METRICS

PUBLISHED = datetime(2024, 6, 2, 4, 0, 7, tzinfo=UTC)
VERSION = "arn:aws:personalize:ap-northeast-1:123456789012:solution/labbase/1a2b"
NDCG10 = "normalized_discounted_cumulative_gain_at_10"
TABLES = """
    CREATE TABLE events (id serial, student text, posting text, kind text, worth real, at bigint);
    CREATE TABLE postings (id text, open boolean);
"""
SPEC = JobSpec(
    engine="postgresql",
    datasets=(
        events_data_set(
            Column("EVENT_TYPE", "kind", required=True), Column("EVENT_VALUE", "worth", "float")
        ),
    ),
    batch_input=Lookup("batch-input/", Relation("events"), {"USER_ID": "student"}),
    eligible_items=Lookup(
        "filter/eligible-items/", Relation("postings", filter="open"), {"ITEM_ID": "id"}
    ),
    exclusions=Lookup(
        "filter/exclusions/",
        Relation("events", filter="kind = 'apply'"),
        {"USER_ID": "student", "ITEM_ID": "posting"},
    ),
    backtest=Backtest(),
)
# What CSV has to quote is in some ids.
ITEMS = [f'posting "{n}", new' if n % 7 == 0 else f"posting-{n}" for n in range(90)]
Event = tuple[str, str, str, float, int]


@pytest.fixture
def runs(
    endpoint: Endpoint, spark: SparkSession, database: str, tmp_path: Path
) -> Iterator[Iterator[Run]]:
    """Yield runs of the job over one database; nothing is published before and after."""
    with psycopg.connect(database) as connection:
        connection.execute(TABLES)
    yield (Run(endpoint, spark, database, tmp_path) for _ in count())
    endpoint.client("s3").delete_object(Bucket=BUCKET, Key="recommendations/latest.json")


def insert(run: Run, events: Sequence[Event], items: Sequence[tuple[str, bool]] = ()) -> None:
    """Insert events, and items that are open or not."""
    with psycopg.connect(run.url) as connection:
        cursor = connection.cursor()
        into_events = "INSERT INTO events (student, posting, kind, worth, at) VALUES"
        cursor.executemany(f"{into_events} (%s, %s, %s, %s, %s)", events)
        if items:
            cursor.executemany("INSERT INTO postings VALUES (%s, %s)", items)


def publish(run: Run, lists: Mapping[str, Sequence[str]]) -> None:
    """Publish lists of a run, as the function does that writes them."""
    rows = ((u, i, rank, "0.5") for u, items in lists.items() for rank, i in enumerate(items, 1))
    path = "recommendations/recommendations.csv"
    run.folder.put_text(path, b"".join(csv_chunks(rows)).decode())
    latest = {
        "run": run.folder.run,
        "csv": run.folder.uri(path),
        "users": len(lists),
        "solutionVersionArn": VERSION,
        "createdAt": f"{PUBLISHED:%Y-%m-%dT%H:%M:%SZ}",
    }
    run.s3.put_object(Bucket=BUCKET, Key="recommendations/latest.json", Body=json.dumps(latest))


def old_events(chance: random.Random, users: int) -> list[Event]:
    """Draw events before the publication; few items have most of them."""
    return [
        (
            f"student-{chance.randrange(users)}",
            ITEMS[min(int(chance.expovariate(0.08)), 89)],
            "apply" if chance.random() < 0.3 else "view",
            chance.random(),
            int(PUBLISHED.timestamp()) - chance.randrange(5_000_000),
        )
        for _ in range(1_500)
    ]


def test_published_lists_are_compared_with_what_their_users_did_since(
    runs: Iterator[Run],
) -> None:
    chance, first, second = random.Random(7), next(runs), next(runs)
    postings = [(item, number % 5 > 0) for number, item in enumerate(ITEMS)]
    before = old_events(chance, 120)
    insert(first, before, postings)
    known = first(SPEC)
    assert known["backtest"] == {"reason": "no list has been published yet"}
    lists = {
        f"student-{n}": chance.sample([item for item, is_open in postings if is_open], 20)
        for n in range(100)
    }
    publish(first, lists)
    at = int(PUBLISHED.timestamp())
    since = [
        (f"student-{chance.randrange(60, 140)}", ITEMS[chance.randrange(60)], "view", 0.0, at + 1)
        for _ in range(200)
    ]
    of_that_second = ("student-1", lists["student-1"][0], "view", 0.0, at)
    insert(second, [*since, of_that_second])

    measured = second(SPEC)["backtest"]

    wanted: dict[str, set[str]] = {}
    for user, item, *_ in since:
        if user in lists:
            wanted.setdefault(user, set()).add(item)
    popular = popular_lists(before, postings, list(wanted), length=20)
    assert measured.pop("metrics") == expected_metrics(wanted, lists, popular, catalogue=72)
    assert measured == {
        "run": first.folder.run,
        "publishedAt": "2024-06-02T04:00:07Z",
        "solutionVersionArn": VERSION,
        "usersWithList": 100,
        "users": len(wanted),
        "interactions": sum(user in lists for user, *_ in since),
        "intervals": dict(ranking.INTERVALS),
    }
    assert any("users came back since run" in line for line in second.log)


def popular_lists(
    events: Sequence[Event], postings: Sequence[tuple[str, bool]], users: list[str], *, length: int
) -> dict[str, list[str]]:
    """Return each user's list of the most popular items: open, and without an application."""
    counted = Counter(item for _, item, *_ in events)
    ranked = [item for item, _ in sorted(counted.items(), key=lambda each: (-each[1], each[0]))]
    is_open = dict(postings)
    applied = {(user, item) for user, item, kind, *_ in events if kind == "apply"}
    return {
        user: [item for item in ranked if is_open[item] and (user, item) not in applied][:length]
        for user in users
    }


SCHEMA = "USER_ID string, ITEM_ID string, EVENT_TYPE string, EVENT_VALUE float, TIMESTAMP long"
ALL_ITEMS = replace(SPEC, eligible_items=None, exclusions=None)


@pytest.fixture
def run(endpoint: Endpoint, spark: SparkSession, tmp_path: Path) -> Iterator[Run]:
    """Yield a run whose interactions a test gives; nothing is published before and after."""
    yield Run(endpoint, spark, "postgresql://nobody:none@127.0.0.1:1/none", tmp_path)
    endpoint.client("s3").delete_object(Bucket=BUCKET, Key="recommendations/latest.json")


def measure(run: Run, spec: JobSpec, events: Sequence[Event], reading: Reading = ALL) -> Any:
    """Return what the manifest says of the lists published last; TIMESTAMP is the watermark too."""
    interactions = run.spark.createDataFrame(events, SCHEMA)
    rows = {"INTERACTIONS": interactions.withColumn(WATERMARK, F.col("TIMESTAMP"))}
    return backtest.measure(
        run.runtime(spec),
        spec,
        rows,
        trained=interactions,
        reading=reading,
        log=run.log.append,
    )


def remember(run: Run, measured: Mapping[str, Any]) -> None:
    """Write what was measured into the run's manifest, as the job does."""
    run.folder.put_text("manifest.json", json.dumps(measured))


def test_only_the_events_that_count_are_a_success_and_make_an_item_popular(run: Run) -> None:
    spec, at = replace(ALL_ITEMS, backtest=Backtest(("apply",))), int(PUBLISHED.timestamp())
    old = [("a", "x", "view", 0.0, 1), ("b", "x", "view", 0.0, 2), ("b", "y", "apply", 0.0, 3)]
    known = measure(run, spec, old)
    assert known["popularity"] == {"items": 1, "top": [["y", 1]], "eventTypes": ["apply"]}
    remember(run, known)
    publish(run, {"a": ["x"], "b": ["z"]})

    new = [("a", "x", "view", 0.0, at + 1), ("b", "y", "apply", 0.0, at + 1)]
    measured = measure(run, spec, new)["backtest"]

    assert (measured["users"], measured["interactions"]) == (1, 1)
    rate = measured["metrics"]["hit_rate_at_5"]
    assert (rate["value"], rate["popularity"], rate["difference"]["value"]) == (0, 1, -1)


def test_what_cannot_be_compared_is_said_and_fails_nothing(run: Run) -> None:
    at = int(PUBLISHED.timestamp())
    old, newcomer = ("a", "x", "view", 0.0, 1), ("newcomer", "x", "view", 0.0, at + 1)

    def reason(*events: Event) -> str:
        return str(measure(run, ALL_ITEMS, events)["backtest"]["reason"])

    assert reason(old) == "no list has been published yet"
    publish(run, {"a": ["x"]})
    assert reason(old) == "there are no interactions since: nobody came back"
    assert reason(old, newcomer) == "none of the users of the 1 interactions since has a list"
    uri = f"s3://{BUCKET}/runs/{run.folder.run}/recommendations/recommendations.csv"
    run.s3.delete_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))
    assert reason(old) == f"the lists of run '{run.folder.run}' are gone: {uri}"
    run.s3.put_object(Bucket=BUCKET, Key="recommendations/latest.json", Body=b"{}")
    assert reason(old) == (
        f"s3://{BUCKET}/recommendations/latest.json is not what a run wrote there: KeyError('run')"
    )


def test_lists_are_compared_where_the_manifest_of_their_run_is_gone(run: Run) -> None:
    publish(run, {"a": ["x"]})

    event = ("a", "x", "view", 0.0, int(PUBLISHED.timestamp()) + 1)
    metrics = measure(run, ALL_ITEMS, [event])["backtest"]["metrics"]

    assert metrics["hit_rate_at_5"].keys() == {"value", "low", "high"}
    assert "coverage" not in metrics


def test_a_run_of_new_interactions_alone_adds_to_what_was_popular(run: Run) -> None:
    spec, at = replace(ALL_ITEMS, baseline=LearnedEvents()), int(PUBLISHED.timestamp())
    settled = {"until": at, "top": [["x", 2], ["y", 1]]}
    before = {"items": 2, "top": [["x", 3], ["y", 1]], "settled": settled, "eventTypes": []}
    remember(run, {"popularity": before})
    publish(run, {"a": ["x"], "b": ["z"]})

    new = [
        ("a", "y", "view", 0.0, at + 1),
        ("b", "y", "view", 0.0, at + 2),
        ("c", "z", "view", 0.0, at + 3),
    ]
    overlap = [("a", "x", "view", 0.0, at - 1), ("b", "x", "view", 0.0, at)]
    reading = Reading(since=at - 9, newest=at + 3)
    measured = measure(run, spec, [*overlap, *new], reading)

    assert measured["popularity"] == {
        "items": 3,
        "top": [["x", 3], ["y", 3], ["z", 1]],
        "settled": {"until": at + 3, "top": [["x", 3], ["y", 3], ["z", 0]]},
        "eventTypes": [],
    }
    assert measured["backtest"]["users"] == 2
    assert measured["popularityBaseline"] == {"reason": "new interactions alone were read"}
    unknown = {"reason": "new interactions alone were read, and those before not counted"}
    for other_spec, other_reading in (
        (spec, replace(reading, since=at + 1)),  # what lies between was not counted
        (replace(spec, backtest=Backtest(("view",))), reading),  # and other events were
    ):
        found = measure(run, other_spec, new, other_reading)["popularity"]
        assert unknown.items() <= found.items()


def test_the_baseline_is_measured_as_personalize_measures_a_version(run: Run) -> None:
    events = [*old_events(random.Random(3), 80), ("alone", ITEMS[0], "view", 1.0, 1)]
    spec = replace(ALL_ITEMS, backtest=None, baseline=LearnedEvents("view", 0.25))

    measured = measure(run, spec, events)

    chosen = [event for event in events if event[2] == "view" and event[3] >= 0.25]
    catalogue = len({item for _, item, *_ in events})
    assert measured == {"popularityBaseline": expected_baseline(run.spark, chosen, catalogue)}
    assert set(measured["popularityBaseline"]["metrics"]) == set(METRICS)


def expected_baseline(
    spark: SparkSession, events: Sequence[Event], catalogue: int
) -> dict[str, Any]:
    users = sorted({user for user, *_ in events})
    frame = spark.createDataFrame([(user,) for user in users], "user string")
    folds = {
        r[0]: r[1] for r in frame.select("user", F.pmod(F.xxhash64("user"), F.lit(10))).collect()
    }
    hits, relevant = [], []
    for user in users:
        own = sorted(((at, item) for each, item, _, _, at in events if each == user), reverse=True)
        if len(own) < 2:
            continue
        others = Counter(item for each, item, *_ in events if folds[each] != folds[user])
        ranked = sorted(others, key=lambda item: (-others[item], item))[:25]
        wanted = {item for _, item in own[: max(1, len(own) // 10)]}
        hits.append([item in wanted for item in ranked])
        relevant.append(len(wanted))
    values = ranking_metrics(np.array(hits), np.array(relevant))
    values["coverage"] = 25 / catalogue
    return {
        "users": len(hits),
        "metrics": {name: pytest.approx(value, abs=1e-6) for name, value in values.items()},
    }


def test_data_without_a_second_event_of_anybody_has_no_baseline(run: Run) -> None:
    spec = replace(ALL_ITEMS, backtest=None, baseline=LearnedEvents())

    measured = measure(run, spec, [("a", "x", "view", 0.0, 1), ("b", "x", "view", 0.0, 2)])

    assert measured["popularityBaseline"] == {
        "reason": "no user has two interactions, of which the newer one could be held out"
    }


def test_the_worked_example_of_personalizes_guide(spark: SparkSession) -> None:
    """Hits at the positions two and five: MRR 0.5, NDCG 0.6241, precision 0.4."""
    wanted = spark.createDataFrame([("a", "x"), ("a", "y")], "USER_ID string, ITEM_ID string")
    hits = spark.createDataFrame([("a", 2), ("a", 5)], "USER_ID string, RANK int")

    (row,) = ranking.list_metrics(wanted, hits).collect()

    assert row["mean_reciprocal_rank_at_25"] == 0.5
    assert round(row["normalized_discounted_cumulative_gain_at_5"], 4) == 0.6241
    assert row["precision_at_5"] == 0.4
    assert (row["hit_rate_at_5"], row["hit_rate_at_10"]) == (1, 1)


@pytest.mark.parametrize("users", [1, 2, 10, 29])
def test_an_interval_of_few_users_does_not_shrink_to_nothing(users: int) -> None:
    """Users who are all alike have no deviation, and prove little nevertheless."""
    for least, mean in ((0.0, 0.0), (0.0, 1.0), (-1.0, -0.2), (-1.0, 0.0)):
        measured = ranking.interval(mean, None if users == 1 else 0.0, users, least=least)
        assert least <= measured["low"] <= mean <= measured["high"] <= 1
        assert measured["high"] - measured["low"] > 0.1
    wilson = binomtest(users, users).proportion_ci(method="wilson")
    assert math.isclose(ranking.wilson(1.0, users)[0], wilson.low, rel_tol=1e-6)


def test_the_names_are_those_that_the_gate_takes() -> None:
    assert {*ranking.COMPARED, ranking.COVERAGE} == set(BACKTEST_METRICS)
