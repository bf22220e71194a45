"""The hold-out and the comparison of models by it: the job's figures beside plain Python's."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.comparison import compare
from etl.datasets import Column, JobSpec, LearnedEvents, Lookup, Relation
from etl.errors import EtlError
from localaws.http.endpoint import Endpoint
from tests.etl.list_metrics import expected_metrics
from tests.etl.runs import Run, events_data_set

NDCG = "normalized_discounted_cumulative_gain_at_25"
# What CSV and JSON have to escape is in some ids.
ITEMS = [f'posting "{n}",\\ новая' if n % 7 == 0 else f"posting-{n}" for n in range(60)]
SPEC = JobSpec(
    engine="postgresql",
    datasets=(events_data_set(Column("EVENT_TYPE", "kind", required=True)),),
    batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}),
    max_rejected_share=0.5,
    holdout=LearnedEvents("apply"),
)
Event = tuple[str, str, int, str]


@pytest.fixture
def run(endpoint: Endpoint, spark: SparkSession, database: str, tmp_path: Path) -> Iterator[Run]:
    """Yield a run of the job over a database without rows."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE events (student text, posting text, at bigint, kind text)")
        connection.execute("CREATE TABLE students (id text)")
    yield Run(endpoint, spark, database, tmp_path)


def insert(run: Run, events: Sequence[Event], students: Sequence[str]) -> None:
    """Insert rows into the database."""
    with psycopg.connect(run.url) as connection:
        cursor = connection.cursor()
        cursor.executemany("INSERT INTO events VALUES (%s, %s, %s, %s)", events)
        cursor.executemany("INSERT INTO students VALUES (%s)", [(each,) for each in students])


def some_events(users: int = 300) -> list[Event]:
    """Draw 1 to 40 events of each user, at different moments; few items have most of them."""
    chance = random.Random(3)
    return [
        (
            f"student {user}",
            ITEMS[min(int(chance.expovariate(0.1)), 59)],
            1_700_000_000 + 100 * user + 7 * number,
            "apply" if chance.random() < 0.4 else "view",
        )
        for user in range(users)
        for number in range(chance.randrange(1, 41))
    ]


def write_lists(
    run: Run, prefix: str, lists: Mapping[str, Sequence[str]], users: Sequence[str] = ()
) -> None:
    """Write lists as batch inference does; of other users a line of an error."""
    lines = [
        {"input": {"userId": user}, "output": {"recommendedItems": list(items)}, "error": None}
        for user, items in lists.items()
    ]
    errors = [
        {"input": {"userId": user}, "output": None, "error": "no such user"}
        for user in users
        if user not in lists
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [*lines, *errors])
    run.folder.put_text(f"{prefix}part-0.json.out", text)


def newest_of(events: Sequence[Event], users: set[str]) -> list[Event]:
    """Return the newest tenth of the events of each of some users, at least one of two."""
    newest = []
    for user in users:
        own = sorted((e for e in events if e[0] == user), key=lambda e: -e[2])
        newest += own[: max(1, len(own) // 10)] if len(own) > 1 else []
    return newest


def test_the_newest_tenth_of_a_tenth_of_the_users_is_kept_from_all_trainings(run: Run) -> None:
    events = some_events()
    too_long = ("student 1", "x" * 300, 1_800_000_000, "apply")  # is rejected, not held out
    insert(run, [*events, too_long], ["student 1"])

    manifest = run(SPEC)

    trained = [tuple(row) for row in run.rows("interactions/")]
    written = [(user, item, str(at), kind) for user, item, at, kind in events]
    kept_apart = Counter(written) - Counter(trained)
    users = {user for user, *_ in kept_apart}
    expected = [(u, i, str(at), kind) for u, i, at, kind in newest_of(events, users)]
    assert kept_apart == Counter(expected)
    assert not Counter(trained) - Counter(written)
    assert 15 <= len(users) <= 50  # a tenth of 300, drawn by a hash
    pairs = {(user, item) for user, item, _, kind in expected if kind == "apply"}
    assert {(user, item) for user, item in run.rows("holdout/")} == pairs
    learned = Counter(item for _, item, _, kind in trained if kind == "apply")
    assert manifest["holdout"] == {
        "path": "holdout/",
        "interactions": len(expected),
        "rows": len(pairs),
        "users": len({user for user, _ in pairs}),
        "catalogue": len({item for _, item, *_ in trained}),
        "popular": sorted(learned, key=lambda item: (-learned[item], item))[:25],
    }
    assert manifest["datasets"]["INTERACTIONS"]["rows"] == len(trained)
    assert manifest["datasets"]["INTERACTIONS"]["rejected"] == {"id over 256 characters": 1}


def test_without_a_hold_out_all_is_as_it_was(run: Run) -> None:
    insert(run, some_events(20), ["student 1"])

    manifest = run(JobSpec(**{**vars(SPEC), "holdout": None}))

    assert "holdout" not in manifest
    assert len(run.rows("interactions/")) == len(some_events(20))
    assert not any(path.startswith("holdout/") for path in run.objects())


def test_models_are_compared_by_the_same_users_and_items(run: Run) -> None:
    events, chance = some_events(1_200), random.Random(5)
    students = [f"student {n}" for n in range(1_000)]
    insert(run, events, students)
    entry = run(SPEC)["holdout"]
    wanted: dict[str, set[str]] = {}
    for user, item in run.rows("holdout/"):
        if user in students:
            wanted.setdefault(user, set()).add(item)
    popular = dict.fromkeys(wanted, entry["popular"])
    # One model knows something, the other nothing, and has no list for half of the users.
    good = {u: [*chance.sample(ITEMS, 8), *wanted.get(u, ()), *ITEMS[:20]] for u in students}
    bad = {user: chance.sample(ITEMS, 30) for user in students[::2]}
    write_lists(run, "models/good/", good)
    write_lists(run, "models/bad/", bad, students)
    outputs = {"bad": "models/bad/", "good": "models/good/"}

    record = compare(run.runtime(SPEC), outputs, by=NDCG, log=run.log.append)

    assert json.loads(run.text("record/comparison.json")) == record
    assert (record["best"], record["by"], record["users"]) == ("good", NDCG, len(wanted))
    for name, lists in {"good": good, "bad": bad}.items():
        shown = {u: list(dict.fromkeys(lists.get(u, ())))[:25] for u in wanted}
        expected = expected_metrics(wanted, shown, popular, catalogue=entry["catalogue"], length=25)
        assert record["models"][name]["metrics"] == expected
        assert record["models"][name]["lists"] == sum(user in lists for user in wanted)
    assert any(line.startswith("── good: ") for line in run.log)


def refused(run: Run, outputs: Mapping[str, str]) -> str:
    """Compare, which fails; return the message."""
    with pytest.raises(EtlError) as caught:
        compare(run.runtime(SPEC), outputs, by=NDCG, log=run.log.append)
    assert "record/comparison.json" not in run.objects()
    return str(caught.value)


def test_what_cannot_be_compared_is_said(run: Run) -> None:
    assert "manifest.json is not there" in refused(run, {"good": "models/good/"})
    manifest: dict[str, Any] = {"run": run.folder.run}
    run.folder.put_text("manifest.json", json.dumps(manifest))
    assert "has no hold-out" in refused(run, {"good": "models/good/"})


@pytest.mark.parametrize(
    ("events", "students", "said"),
    [
        ([(f"student {n}", "a", 1, "apply") for n in range(50)], "student", "nothing was held out"),
        (some_events(), "a newcomer", "is among those that lists are made for"),
    ],
)
def test_a_hold_out_of_nobody_is_said(
    run: Run, events: Sequence[Event], students: str, said: str
) -> None:
    insert(run, events, [students])
    run(SPEC)
    write_lists(run, "models/good/", {students: ITEMS[:3]})
    assert said in refused(run, {"good": "models/good/"})


def test_personalize_is_left_out_if_the_gate_let_no_version_of_it_make_lists(run: Run) -> None:
    students = [f"student {n}" for n in range(300)]
    insert(run, some_events(), students)
    run(SPEC)
    lists = dict.fromkeys(students, ITEMS[:3])
    write_lists(run, "models/good/", lists)
    outputs = {"personalize": "batch-output/", "good": "models/good/"}
    gate = {"decision": "leave out", "reason": "coverage is 0.01, minimum 0.1", "served": None}
    run.folder.put_text("record/gate.json", json.dumps(gate))

    record = compare(run.runtime(SPEC), outputs, by=NDCG, log=run.log.append)

    reason = "the quality gate refused its version: coverage is 0.01, minimum 0.1"
    assert (record["best"], [*record["models"]]) == ("good", ["good"])
    assert record["leftOut"] == {"personalize": reason}
    assert f"── personalize is left out: {reason}" in run.log
    only = {"personalize": "batch-output/"}
    with pytest.raises(EtlError, match=f"there is no list to compare: {reason}"):
        compare(run.runtime(SPEC), only, by=NDCG, log=run.log.append)

    served = gate | {"decision": "keep", "served": {"solutionVersionArn": "arn:old"}}
    run.folder.put_text("record/gate.json", json.dumps(served))
    write_lists(run, "batch-output/", lists)
    both = compare(run.runtime(SPEC), outputs, by=NDCG, log=run.log.append)
    assert (both["leftOut"], [*both["models"]]) == ({}, ["personalize", "good"])


def test_a_model_without_output_or_with_other_lines_than_its_input_is_named(run: Run) -> None:
    students = [f"student {n}" for n in range(300)]
    insert(run, some_events(), students)
    run(SPEC)
    write_lists(run, "models/good/", {"student 1": ITEMS[:3]}, students)
    outputs = dict(zip(["good", "hybrid"], ["models/good/", "models/hybrid/"], strict=True))
    assert refused(run, outputs).startswith("hybrid: no .out file at s3://")

    write_lists(run, "models/few/", {"student 1": ITEMS[:3]}, students[:200])
    few = refused(run, {"few": "models/few/"})
    assert "/models/few/ has 200 lines, and batch-input/ has 300: a model writes one line" in few

    some = dict.fromkeys(students[:150], ITEMS[:3])
    write_lists(run, "models/twice/", some)
    first = run.text("models/twice/part-0.json.out")
    run.folder.put_text("models/twice/part-1.json.out", first)
    assert "/models/twice/ has 300 lists for 150 users" in refused(run, {"twice": "models/twice/"})
