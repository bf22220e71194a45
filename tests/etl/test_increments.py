"""Increments on a real PostgreSQL: what the database is asked for, and what the manifest says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.datasets import Backtest, Column, DataSet, JobSpec, Lookup, Relation, Watermark
from etl.errors import EtlError
from etl.increments import Window
from localaws.http.endpoint import Endpoint
from tests.etl.runs import Run
from tests.mariadb import MariaDbDatabase

HOUR = 3_600
EVENTS = DataSet(
    "INTERACTIONS",
    Relation("events", alias="e"),
    (
        Column("USER_ID", "e.student", required=True),
        Column("ITEM_ID", "e.posting", required=True),
        Column("TIMESTAMP", "e.at", "long", required=True),
        Column("EVENT_TYPE", "e.kind", required=True),
    ),
)
SPEC = JobSpec(
    engine="postgresql",
    datasets=(EVENTS,),
    batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}),
    watermark=Watermark("at", overlap_seconds=HOUR),
)
# 20,000 events until 2024-05-01 00:00 UTC, one every two minutes: 30 in the last hour.
SHOP = """
    CREATE TABLE students (id int PRIMARY KEY);
    INSERT INTO students SELECT generate_series(1, 50);
    CREATE TABLE events (student int, posting int, kind text, at timestamp, written timestamptz);
    INSERT INTO events SELECT n % 50 + 1, n % 7, 'view',
        '2024-05-01'::timestamp - n * interval '2 min' FROM generate_series(0, 19999) AS n;
    UPDATE events SET written = at AT TIME ZONE 'UTC';
    CREATE INDEX ON events (at);
    CREATE INDEX ON events (written);
    ANALYZE events;
"""
# 2,000 more in the 33 hours after that.
NEWS = """
    INSERT INTO events SELECT n % 50 + 1, n % 9, 'apply',
        '2024-05-01'::timestamp + n * interval '1 min',
        '2024-05-01 00:00Z'::timestamptz + n * interval '1 min' FROM generate_series(1, 2000) AS n;
    ANALYZE events;
"""


@pytest.fixture
def shop(endpoint: Endpoint, spark: SparkSession, database: str, tmp_path: Path) -> "Shop":
    return Shop(endpoint, spark, database, tmp_path)


class Shop:
    """A database of events, and runs of the job on it."""

    def __init__(self, *arguments: Any) -> None:
        self.url: str = arguments[2]
        self._arguments = arguments
        self.sql(SHOP)

    def sql(self, text: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(text)

    def run(self) -> Run:
        return Run(*self._arguments)

    def read_rows(self) -> tuple[int, int]:
        """Return the events that the database has read whole, and by an index, until now."""
        with psycopg.connect(self.url) as connection:
            counts = connection.execute(
                "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables"
                " WHERE relname = 'events'"
            ).fetchone()
        assert counts is not None
        return int(counts[0]), int(counts[1])


def interactions(manifest: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = manifest["datasets"]["INTERACTIONS"]
    return entry


def following(manifest: dict[str, Any]) -> Window:
    """Return the window of the run after one."""
    after = interactions(manifest)["next"]
    return Window.of(after["since"], "end", after["contentHash"])


def test_the_next_run_reads_what_is_new_and_the_database_selects_it_by_its_index(
    shop: Shop,
) -> None:
    first = shop.run()(SPEC)
    assert interactions(first)["since"] is None
    assert interactions(first)["next"]["since"] == "2024-04-30T23:00:00Z"
    shop.sql(NEWS)
    before = shop.read_rows()
    run = shop.run()

    second = run(SPEC, following(first))

    whole, by_index = (now - then for now, then in zip(shop.read_rows(), before, strict=True))
    assert (whole, by_index) == (0, 2_031)
    entry = interactions(second)
    assert (entry["rows"], entry["since"], entry["until"]) == (2_031, "2024-04-30T23:00:00Z", None)
    assert len(run.rows("interactions/")) == 2_031
    assert "── 2,031 interactions since 2024-04-30T23:00:00Z" in run.log
    assert entry["next"]["since"] == "2024-05-02T08:20:00Z"


def test_an_increment_without_anything_new_has_the_content_hash_that_was_foreseen(
    shop: Shop,
) -> None:
    first = shop.run()(SPEC)

    second = shop.run()(SPEC, following(first))

    assert interactions(second)["rows"] == 31, "too few for an import, but there is nothing new"
    assert interactions(second)["contentHash"] == interactions(first)["next"]["contentHash"]
    assert interactions(second)["next"] == interactions(first)["next"]


def test_an_event_that_came_late_is_found_within_the_overlap(shop: Shop) -> None:
    first = shop.run()(replace(SPEC, watermark=Watermark("at", overlap_seconds=48 * HOUR)))
    shop.sql("INSERT INTO events VALUES (1, 1, 'late', '2024-04-29 00:00:30')")
    run = shop.run()

    second = run(SPEC, following(first))

    assert interactions(second)["rows"] == 48 * 30 + 2
    assert interactions(second)["contentHash"] != interactions(first)["next"]["contentHash"]
    assert ["1", "1", "1714348830", "late"] in run.rows("interactions/")


def test_another_column_than_the_timestamp_finds_events_however_late_they_come(
    shop: Shop,
) -> None:
    spec = replace(SPEC, watermark=Watermark("written", overlap_seconds=0))
    first = shop.run()(spec)
    shop.sql(NEWS)
    shop.sql("INSERT INTO events VALUES (1, 1, 'late', '2020-01-01', '2024-05-01 12:00Z')")
    run = shop.run()

    second = run(spec, following(first))

    assert interactions(second)["rows"] == 2_002
    assert ["1", "1", "1577836800", "late"] in run.rows("interactions/")


def test_fewer_rows_than_personalize_imports_incrementally_are_read_with_all_others(
    shop: Shop,
) -> None:
    first = shop.run()(SPEC)
    shop.sql("INSERT INTO events VALUES (1, 1, 'buy', '2024-05-01 00:00:01')")
    run = shop.run()

    second = run(SPEC, following(first))

    assert interactions(second)["since"] is None
    assert interactions(second)["rows"] == 20_001
    assert "── fewer than the 1,000 of an incremental import: all interactions are read" in run.log


@pytest.mark.parametrize("column", ["at", "day"])
def test_an_event_makes_an_item_popular_once_however_often_it_is_read(
    shop: Shop, column: str
) -> None:
    """A watermark of days has no moment between the events of one."""
    spec = replace(SPEC, watermark=Watermark(column, 48 * HOUR), backtest=Backtest())
    days = "UPDATE events SET day = at::date WHERE day IS NULL"
    shop.sql(f"ALTER TABLE events ADD COLUMN day date; {days}")

    def popular() -> list[list[Any]]:
        with psycopg.connect(shop.url) as connection:
            rows = connection.execute(
                "SELECT posting::text, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        return [list(row) for row in rows]

    def increment(before: str, manifest: dict[str, Any], until: str = "end") -> Any:
        run, following = shop.run(), interactions(manifest)["next"]
        since = "2024-04-20" if until != "end" else following["since"]
        window = Window.of(since, until, "unknown", before)
        return run.folder.run, run(spec, window)

    run = shop.run()
    first = run(spec)
    assert first["popularity"]["top"] == popular()

    name, again = increment(run.folder.run, first)
    assert interactions(again)["rows"] > 1_000
    assert again["popularity"]["top"] == popular()

    shop.sql(f"{NEWS}{days}")
    name, second = increment(name, again)
    assert second["popularity"]["top"] == popular(), "which was not published, nor was the first"

    name, window = increment(name, second, until="2024-04-25")
    assert window["popularity"]["top"] == popular()

    shop.sql("INSERT INTO events SELECT 1, 8, 'view', '2024-05-02 20:00', NULL, '2024-05-02'")
    _, third = increment(name, second)
    assert third["popularity"]["top"] == popular()


def test_a_window_ends_before_its_last_moment(shop: Shop) -> None:
    run = shop.run()

    manifest = run(SPEC, Window.of("2024-04-20", "2024-04-22T00:00:00+00:00", "unknown"))

    entry = interactions(manifest)
    assert (entry["rows"], entry["since"], entry["until"]) == (
        2 * 24 * 30,
        "2024-04-20T00:00:00Z",
        "2024-04-22T00:00:00Z",
    )


def test_an_event_of_the_future_does_not_move_the_next_run_there(shop: Shop) -> None:
    """The job's clock says 2024-06-01 12:00; such an event would have hidden all that follow."""
    shop.sql("INSERT INTO events VALUES (1, 1, 'view', '2099-01-01')")

    manifest = shop.run()(SPEC)

    assert interactions(manifest)["next"]["since"] == "2024-06-01T11:00:00Z"


def test_in_an_increment_nothing_is_missing_that_does_not_occur_in_it(shop: Shop) -> None:
    """Only some users of the batch input, and some types of events, have occurred since."""
    strict = replace(
        SPEC,
        event_types={"batch_inference.personalize_filter": ("view",)},
        agreement=replace(SPEC.agreement, batch_input=0.9, event_types=1.0),
    )
    first = shop.run()(strict)
    assert [each["found"] for each in first["agreement"]] == [50, 1]
    shop.sql(NEWS)
    shop.sql("INSERT INTO students SELECT generate_series(1000, 9000)")

    second = shop.run()(strict, Window.of("2024-05-01T01:00:00Z", "end", "unknown"))

    assert second["agreement"] == []
    assert first["batchInput"]["contentHash"] != second["batchInput"]["contentHash"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("kind", "column 'kind' is a text, and so no watermark; name a column that is a date"),
        ("wirtten", "table 'events' has no column 'wirtten'; did you mean 'written'?"),
        (
            "posting",
            "column 'posting' of table 'events' does not say when a row was written: its newest"
            " value is 6, that is 1970-01-01T00:00:06Z",
        ),
    ],
)
def test_a_watermark_that_is_no_time_is_a_mistake(shop: Shop, column: str, message: str) -> None:
    run = shop.run()
    refusal = run.refused(replace(SPEC, watermark=Watermark(column, overlap_seconds=0)))
    assert message in refusal
    assert "increments.watermark" in refusal


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("yesterday", "end", "--since yesterday: write a time such as 2024-06-01T04:00:00Z"),
        ("2024-05-02", "2024-05-01", "--since 2024-05-02 is not before --until 2024-05-01"),
    ],
)
def test_a_window_that_is_none_is_a_mistake(since: str, until: str, message: str) -> None:
    with pytest.raises(EtlError) as caught:
        Window.of(since, until, "unknown")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("column", ["instant", "local", "day", "seconds"])
def test_a_window_of_a_mariadb_in_another_zone_is_in_utc(
    endpoint: Endpoint, spark: SparkSession, mariadb: MariaDbDatabase, tmp_path: Path, column: str
) -> None:
    """A `timestamp` is an instant; a `datetime` and a `date` are taken as UTC."""
    mariadb.execute(
        "SET time_zone = '+00:00'",
        "CREATE TABLE students (id int)",
        "INSERT INTO students VALUES (1)",
        "CREATE TABLE events (n int, instant timestamp, local datetime, day date, seconds bigint)",
        "INSERT INTO events SELECT seq, from_unixtime(1714521600 + seq * 3600),"
        " '2024-05-01' + INTERVAL seq HOUR, date('2024-05-01' + INTERVAL seq HOUR),"
        " 1714521600 + seq * 3600 FROM seq_0_to_1499",
    )
    events = DataSet(
        "INTERACTIONS",
        Relation("events"),
        (
            Column("USER_ID", "1", required=True),
            Column("ITEM_ID", "n", required=True),
            Column("TIMESTAMP", "seconds", "long", required=True),
        ),
    )
    spec = replace(SPEC, engine="mysql", datasets=(events,), watermark=Watermark(column, HOUR))
    run = Run(endpoint, spark, mariadb.url, tmp_path)

    manifest = run(spec, Window.of("2024-05-04T00:00:00Z", "2024-06-20T00:00:00Z", "unknown"))

    assert interactions(manifest)["rows"] == (50 - 3) * 24
    assert min(int(row[1]) for row in run.rows("interactions/")) == 3 * 24
