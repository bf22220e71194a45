"""The sample database: seeded, irregular like real data, with preferences that can be learnt."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest

from recommenders import Hybrid, Interactions, Popularity, evaluate
from retrain.local.postgres import Postgres
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize

TABLES = ("departments", "students", "companies", "job_postings", "events")


def empty_database(postgres: Postgres, name: str) -> str:
    """Make a database and return its URL."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{postgres.url.rpartition('/')[0]}/{name}"


def fingerprint(url: str) -> str:
    """Return a digest over every byte that the database gives of the sample's tables."""
    digest = hashlib.sha256()
    with psycopg.connect(url) as connection:
        for table in TABLES:
            with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as rows:
                for row in rows:
                    digest.update(row)
    return digest.hexdigest()


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    """Load a sample that is large enough for its shares and preferences to show."""
    url = empty_database(postgres, "sample")
    load_sample(url, SampleSize(students=800, postings=200, events=20_000))
    return url


@pytest.fixture
def sample(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as connection:
        yield connection


def query_number(sample: psycopg.Connection[Any], query: str) -> float:
    """Return the number that a query selects."""
    row = sample.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def test_it_loads_as_many_rows_as_configured(postgres: Postgres) -> None:
    url = empty_database(postgres, "small")

    load_sample(url, SampleSize(students=60, postings=40, events=2_000))
    with psycopg.connect(url) as connection:
        counts = {
            table: query_number(connection, f"SELECT count(*) FROM {table}") for table in TABLES
        }
    assert counts == {
        "departments": 15,
        "students": 60,
        "companies": 8,
        "job_postings": 40,
        "events": 2_000,
    }


def test_the_smallest_sizes_load(postgres: Postgres) -> None:
    url = empty_database(postgres, "smallest")

    load_sample(url, SampleSize(students=2, postings=12, events=1))
    with psycopg.connect(url) as connection:
        counts = [query_number(connection, f"SELECT count(*) FROM {table}") for table in TABLES]
    assert counts == [15, 2, 2, 12, 1]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(postgres: Postgres) -> None:
    digests = []
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        url = empty_database(postgres, name)
        load_sample(url, SampleSize(students=60, postings=40, events=1_000, seed=seed))
        digests.append(fingerprint(url))

    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"students": 1}, "at least 2 students, not 1"),
        ({"postings": 11}, "at least 12 postings, not 11"),
        ({"events": 0}, "at least 1 events, not 0"),
        ({"events": -5}, "at least 1 events, not -5"),
    ],
)
def test_a_size_that_cannot_be_is_refused(
    postgres: Postgres, sizes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_sample(postgres.url, SampleSize(**sizes))


def test_a_database_with_data_is_never_written_over(url: str) -> None:
    before = fingerprint(url)

    with pytest.raises(ValueError, match=r"tables already: companies, .*name an empty database"):
        load_sample(url, SampleSize(students=60, postings=40, events=100))
    assert fingerprint(url) == before


def test_tables_are_keyed_joined_and_indexed(sample: psycopg.Connection[Any]) -> None:
    keys = sample.execute(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'f' ORDER BY 1, 2"
    ).fetchall()
    indexed = sample.execute(
        "SELECT tablename FROM pg_indexes WHERE tablename = ANY(%s) ORDER BY 1", (list(TABLES),)
    ).fetchall()

    assert keys == [
        ("events", "FOREIGN KEY (job_posting_id) REFERENCES job_postings(id)"),
        ("events", "FOREIGN KEY (student_id) REFERENCES students(id)"),
        ("job_postings", "FOREIGN KEY (company_id) REFERENCES companies(id)"),
        ("students", "FOREIGN KEY (department_id) REFERENCES departments(id)"),
    ]
    # A primary key each, and an index on each column that is joined.
    assert [table for (table,) in indexed] == [
        *("companies", "departments", "events", "events", "events"),
        *("job_postings", "job_postings", "students", "students"),
    ]


def test_nothing_happens_before_a_posting_appears_or_after_now(
    sample: psycopg.Connection[Any],
) -> None:
    early = query_number(
        sample,
        "SELECT count(*) FROM events JOIN job_postings ON job_postings.id = job_posting_id"
        " WHERE events.created_at < published_at",
    )
    newest = sample.execute("SELECT max(created_at) FROM events").fetchone()

    assert early == 0
    assert newest is not None
    assert datetime(2024, 5, 30, tzinfo=UTC) < newest[0] < datetime(2024, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition_and_table", "least", "most"),
    [
        ("student_id IS NULL FROM events", 0.0001, 0.01),
        ("kind = 'view' FROM events", 0.6, 0.95),
        ("kind = 'favourite' FROM events", 0.05, 0.3),
        ("kind = 'apply' FROM events", 0.01, 0.1),
        ("status = 'inactive' FROM students", 0.03, 0.15),
        ("grade IS NULL FROM students", 0.02, 0.1),
        ("department_id IS NULL FROM students", 0.005, 0.05),
        ("status = 'closed' FROM job_postings", 0.15, 0.35),
        ("salary IS NULL FROM job_postings", 0.1, 0.3),
        ("description IS NULL FROM job_postings", 0.03, 0.1),
        (r"description LIKE E'%\r\n%' FROM job_postings", 0.1, 0.5),
        ("description LIKE '%,%' FROM job_postings", 0.3, 0.7),
        ("title LIKE '%\"%' FROM job_postings", 0.1, 0.5),
        ("title LIKE '%📚%' FROM job_postings", 0.1, 0.5),
        ("name LIKE '%,%' FROM companies", 0.1, 0.5),
    ],
)
def test_the_irregularities_of_real_data_are_there(
    sample: psycopg.Connection[Any], condition_and_table: str, least: float, most: float
) -> None:
    condition, _, table = condition_and_table.partition(" FROM ")
    share = query_number(
        sample, f"SELECT avg(CASE WHEN {condition} THEN 1.0 ELSE 0.0 END) FROM {table}"
    )

    assert least <= share <= most


def test_few_postings_get_most_events_and_students_repeat_events(
    sample: psycopg.Connection[Any],
) -> None:
    tenth = query_number(
        sample,
        "SELECT sum(n) / 20000 FROM (SELECT count(*) AS n FROM events"
        " GROUP BY job_posting_id ORDER BY n DESC LIMIT 20) AS top",
    )
    repeated = query_number(
        sample,
        "SELECT 1 - count(DISTINCT (student_id, job_posting_id)) / 20000.0 FROM events",
    )

    assert 0.2 <= tenth <= 0.7  # 0.1 if all 200 postings were equally popular
    assert 0.1 <= repeated <= 0.7


def test_a_favourite_follows_a_view_and_an_application_a_favourite(
    sample: psycopg.Connection[Any],
) -> None:
    steps = sample.execute(
        "SELECT before, kind, count(*) FROM (SELECT kind, lag(kind) OVER ("
        " PARTITION BY student_id, job_posting_id ORDER BY created_at) AS before"
        " FROM events WHERE student_id IS NOT NULL) AS step"
        " WHERE kind <> 'view' GROUP BY before, kind"
    ).fetchall()
    counts = {(before, event_type): count for before, event_type, count in steps}

    assert set(counts) == {("view", "favourite"), ("favourite", "apply")}


def test_events_come_in_visits(sample: psycopg.Connection[Any]) -> None:
    """Six events a visit, minutes apart, over half a year."""
    pauses = (
        "(SELECT extract(epoch FROM created_at - lag(created_at) OVER"
        " (PARTITION BY student_id ORDER BY created_at)) AS seconds"
        " FROM events WHERE student_id IS NOT NULL) AS pause"
    )
    typical = query_number(
        sample, f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM {pauses}"
    )
    between = query_number(sample, f"SELECT avg((seconds > 86400)::int) FROM {pauses}")

    assert 30 < typical < 900
    assert 0.05 < between < 0.3


def test_a_department_prefers_its_own_fields_of_work(sample: psycopg.Connection[Any]) -> None:
    """Two of twelve fields: without preferences their share is 0.17."""
    share = query_number(
        sample,
        "SELECT avg(CASE WHEN job_type IN ('ソフトウェアエンジニア', 'データサイエンティスト')"
        " THEN 1.0 ELSE 0.0 END)"
        " FROM events JOIN students ON students.id = student_id"
        " JOIN departments ON departments.id = department_id"
        " JOIN job_postings ON job_postings.id = job_posting_id"
        " WHERE departments.name = '情報科学科'",
    )

    assert share > 0.5


def test_a_model_learns_more_from_it_than_popularity(
    sample: psycopg.Connection[Any],
) -> None:
    rows = sample.execute(
        "SELECT student_id::text, job_posting_id::text, extract(epoch FROM created_at)::bigint"
        " FROM events WHERE student_id IS NOT NULL ORDER BY id"
    ).fetchall()
    users, items, times = zip(*rows, strict=True)
    interactions = Interactions.from_events(users, items, np.array(times, dtype=np.int64))

    learnt, popular = (
        evaluate(model, interactions, seed=0)["normalized_discounted_cumulative_gain_at_10"]
        for model in (Hybrid, Popularity)
    )

    assert learnt >= 1.3 * popular > 0
