"""Matrix factorization by Spark: each user's own taste, in lines as Personalize writes them."""

import json

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.datasets import JobSpec, Lookup, Relation
from etl.errors import EtlError
from etl.factorization import Factorization, recommend
from lambdas.recommendations import Lists
from localaws.http.endpoint import Endpoint
from tests.etl.runs import Run, events_data_set

SPEC = JobSpec(
    engine="postgresql",
    datasets=(events_data_set(),),
    batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}),
)
TASTES = ("физика", 'of "chemistry", \\n')
"""Ids that CSV and JSON have to escape."""
OUTPUT = "models/als/batch-output/"


@pytest.fixture(scope="module")
def run(
    endpoint: Endpoint,
    spark: SparkSession,
    module_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Run the job: students of two tastes, and a newcomer."""
    with psycopg.connect(module_database) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE events (student text, posting text, at bigint)")
        cursor.execute("CREATE TABLE students (id text)")
        # Each has seven of the ten postings that those of the same taste have, the first ones most.
        events = [
            (f"{taste} student {user}", f"{taste} posting {(user + step) % 10}", 1_700_000_000)
            for taste in TASTES
            for user in range(20)
            for step in range(7)
        ]
        also_popular = [(f"{TASTES[1]} student {n}", f"{TASTES[1]} posting 0", 1) for n in range(4)]
        cursor.executemany("INSERT INTO events VALUES (%s, %s, %s)", [*events, *also_popular])
        students = [(f"{taste} student {user}",) for taste in TASTES for user in range(0, 20, 2)]
        cursor.executemany("INSERT INTO students VALUES (%s)", [*students, ("newcomer",)])
    each = Run(endpoint, spark, module_database, tmp_path_factory.mktemp("run"))
    each(SPEC)
    return each


@pytest.fixture(scope="module")
def lines(run: Run) -> list[str]:
    """Train once, for both tests."""
    return lines_of(run)


def lines_of(run: Run) -> list[str]:
    """Train and recommend; return the lines that were written."""
    model = Factorization(factors=4)
    found = recommend(
        run.runtime(SPEC), SPEC, model, output=OUTPUT, num_results=8, log=run.log.append
    )
    assert found == {"users": 40, "items": 20, "lists": 21}
    return run.text(f"{OUTPUT}part-00000.json.out").splitlines()


def test_each_user_gets_what_users_of_the_same_taste_had(run: Run, lines: list[str]) -> None:
    files = sorted(path for path in run.objects() if path.startswith("batch-input/"))
    requests = [line for file in files for line in run.text(file).splitlines()]
    requested = [json.loads(line)["userId"] for line in requests]
    assert [json.loads(line)["input"]["userId"] for line in lines] == requested
    rejected: list[str] = []
    lists = Lists(eligible=None, keep=8, on_error=rejected.append)
    rows = [
        row
        for line in lines
        for row in lists.rows(line.encode(), lambda user: frozenset(), lambda user: "")
    ]
    assert not rejected
    assert len(rows) == 21 * 8
    for user, item, _, score in rows:
        if user != "newcomer":
            assert user.partition(" student")[0] == item.partition(" posting")[0]
            assert float(score) > 0
    # The model knows nothing of a newcomer; the most popular items are the same for all.
    popular = [item for user, item, *_ in rows if user == "newcomer"]
    assert popular[0] == f"{TASTES[1]} posting 0"
    assert {score for user, *_, score in rows if user == "newcomer"} == {""}


def test_the_same_data_give_the_same_lines(run: Run, lines: list[str]) -> None:
    assert lines_of(run) == lines


def test_hyperparameters_that_there_are_not_are_named() -> None:
    assert Factorization.of({"factors": "16", "alpha": "1.5"}) == Factorization(16, alpha=1.5)
    with pytest.raises(EtlError, match="hyperparameters rank: als has factors, iterations"):
        Factorization.of({"rank": 16})
    with pytest.raises(EtlError, match="hyperparameters of als: invalid literal"):
        Factorization.of({"factors": "many"})
