"""The published list into a table of a real PostgreSQL and MariaDB: all of it or nothing."""

import csv
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.database import Database
from etl.datasets import Column, Delivery, Engine, JobSpec, Lookup, Relation
from etl.delivery import deliver
from etl.errors import EtlError
from etl.runtime import LocalRuntime, RunFolder
from localaws.http.endpoint import Endpoint
from tests.etl.runs import BUCKET, Run, users_spec
from tests.mariadb import MariaDbDatabase

NAMES = count(1)
COLUMNS = {"USER_ID": "user_id", "ITEM_ID": "item_id", "RANK": "rank", "SCORE": "score"}
ROWS = [("1", "a", 1, "0.75"), ("1", "b", 2, "1e-07"), ("2", "a", 1, "")]
OLD = [("9", "z", 1, 0.5)]
AWKWARD = [
    'say "hi"', "a,b", " padded ", "back\\slash", "o'clock", "it''s", "求人📚", "two\nlines",
    "cr\r\nlf", "\ttab", "%s ?", "NULL", "x" * 256,
]  # fmt: skip


@dataclass
class Target:
    """A database, and deliveries of lists into its tables."""

    engine: Engine
    url: str
    execute: Callable[..., list[tuple[Any, ...]]]
    connect: Callable[[], Any]
    endpoint: Endpoint
    spark: SparkSession
    directory: Path

    def __post_init__(self) -> None:
        self.s3 = self.endpoint.client("s3")
        self.run = ""
        self.slept: list[float] = []
        self.while_asleep: Callable[[], object] = lambda: None

    def publish(self, rows: list[tuple[Any, ...]], header: str = "") -> None:
        """Publish a list as the filter does."""
        self.run = f"list-{next(NAMES)}"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        path = f"runs/{self.run}/recommendations/recommendations.csv"
        body = (header or "USER_ID,ITEM_ID,RANK,SCORE") + "\n" + text.getvalue()
        self.s3.put_object(Bucket=BUCKET, Key=path, Body=body.encode())
        self.point_to(self.run, len(rows))

    def point_to(self, run: str, rows: int) -> None:
        latest = json.dumps({"run": run, "recommendations": rows})
        self.s3.put_object(Bucket=BUCKET, Key="recommendations/latest.json", Body=latest.encode())

    def deliver(
        self, table: str = "lists", columns: dict[str, str] = COLUMNS, **changes: Any
    ) -> dict[str, Any]:
        """Deliver the list of the run, and return the record."""
        lookup = Lookup("batch-input/", Relation("users"), {"USER_ID": "id"})
        spec = JobSpec(self.engine, (), lookup, delivery=Delivery(table, columns), partitions=2)
        spec = replace(spec, **changes)
        runtime = LocalRuntime(
            spark=self.spark,
            folder=RunFolder(self.s3, BUCKET, self.run),
            database=Database.from_url(self.url),
            spec=spec,
            directory=self.directory,
        )
        clock = datetime(2024, 6, 1, 12, tzinfo=UTC)
        return deliver(
            runtime, spec, now=lambda: clock, log=lambda _: None, sleep=self.sleep_until_mended
        )

    def sleep_until_mended(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.while_asleep()

    def refused(self, *arguments: Any, **changes: Any) -> str:
        """Deliver, which fails and leaves the old list; return the message."""
        with pytest.raises(EtlError) as caught:
            self.deliver(*arguments, **changes)
        message = str(caught.value)
        assert self.record() == {
            "run": self.run,
            "to": "database",
            "table": arguments[0] if arguments else "lists",
            "status": "FAILED",
            "reason": message,
            "createdAt": "2024-06-01T12:00:00Z",
        }
        assert [name for name in self.tables() if "retraining" in name] == []
        return message

    def record(self) -> Any:
        key = f"runs/{self.run}/record/delivery.json"
        return json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def rows(self, columns: str = "user_id, item_id, {rank}, score") -> list[tuple[Any, ...]]:
        rank = "`rank`" if self.engine == "mysql" else "rank"
        return sorted(self.execute(f"SELECT {columns.format(rank=rank)} FROM lists"))

    def tables(self) -> list[str]:
        schema = "DATABASE()" if self.engine == "mysql" else "current_schema()"
        return [
            name
            for (name,) in self.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = " + schema
            )
        ]

    def make_table(self, *more: str, ids: str = "varchar(300)", score: str = "") -> None:
        """Make the table, which holds another list."""
        is_mysql = self.engine == "mysql"
        rank = "`rank`" if is_mysql else "rank"
        parts = (
            f"user_id {ids} NOT NULL, item_id {ids} NOT NULL, {rank} integer NOT NULL",
            f"score {score or 'double' + ('' if is_mysql else ' precision')}",
            f"PRIMARY KEY (user_id, {rank})",
            *more,
        )
        self.execute(f"CREATE TABLE lists ({', '.join(parts)})")
        user, item = ("'9'", "'z'") if ids.startswith("varchar") else ("9", "8")
        self.execute(
            f"INSERT INTO lists (user_id, item_id, {rank}, score) VALUES ({user}, {item}, 1, 0.5)"
        )


@pytest.fixture(params=["postgresql", "mysql"])
def target(
    request: pytest.FixtureRequest, endpoint: Endpoint, spark: SparkSession, tmp_path: Path
) -> Iterator[Target]:
    """Yield an empty database of each engine."""
    if request.param == "mysql":
        mariadb: MariaDbDatabase = request.getfixturevalue("mariadb")
        yield Target(
            "mysql", mariadb.url, mariadb.execute, mariadb.connect, endpoint, spark, tmp_path
        )
        return
    url: str = request.getfixturevalue("database")

    def execute(*statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    yield Target(
        "postgresql",
        url,
        execute,
        lambda: psycopg.connect(url, autocommit=True),
        endpoint,
        spark,
        tmp_path,
    )


def test_the_list_takes_the_place_of_the_old_one(target: Target) -> None:
    target.make_table()
    target.publish(ROWS)
    assert target.deliver() == target.record()
    assert target.record() == {
        "run": target.run,
        "to": "database",
        "table": "lists",
        "columns": {"USER_ID": "user_id", "ITEM_ID": "item_id", "RANK": "rank", "SCORE": "score"},
        "status": "DELIVERED",
        "rows": 3,
        "replaced": 1,
        "createdAt": "2024-06-01T12:00:00Z",
    }
    assert target.rows() == [("1", "a", 1, 0.75), ("1", "b", 2, 1e-07), ("2", "a", 1, None)]
    assert target.tables() == ["lists"]
    target.publish(ROWS[:1])
    assert target.deliver()["replaced"] == 3
    assert target.rows() == [("1", "a", 1, 0.75)]


def test_any_id_arrives_as_it_is(target: Target) -> None:
    target.make_table()
    target.publish([(user, user, 1, 0.5) for user in AWKWARD])
    target.deliver()
    assert target.rows("user_id, item_id") == sorted((user, user) for user in AWKWARD)


def test_ids_may_be_numbers_and_further_columns_have_defaults(target: Target) -> None:
    target.make_table("run varchar(80)", "seen integer NOT NULL DEFAULT 7", ids="bigint")
    target.publish([("12", "9007199254740993", 1, 0.5)])
    target.deliver(columns={**COLUMNS, "RUN": "run"})
    assert target.rows("user_id, item_id, run, seen") == [(12, 9007199254740993, target.run, 7)]


@pytest.mark.parametrize("user", ["1.5", "007", "abc"])
def test_an_id_that_is_no_number_is_never_made_one(target: Target, user: str) -> None:
    target.make_table(ids="bigint")
    target.publish([("1", "2", 1, 0.5), (user, "2", 1, 0.5)])
    assert f"USER_ID '{user}' is no whole number, and its column is bigint" in target.refused()
    assert target.rows("user_id, item_id") == [(9, 8)]


def test_related_items_go_to_columns_of_their_own(target: Target) -> None:
    target.execute("CREATE TABLE lists (a varchar(9), b varchar(9), c integer, d double precision)")
    target.publish([("i1", "i2", 1, 0.5)], "ITEM_ID,RELATED_ITEM_ID,RANK,SCORE")
    items = Lookup("batch-input/", Relation("items"), {"ITEM_ID": "id"})
    columns = {"ITEM_ID": "a", "RELATED_ITEM_ID": "b", "RANK": "c", "SCORE": "d"}
    target.deliver(columns=columns, batch_input=items)
    assert target.rows("a, b, c, d") == [("i1", "i2", 1, 0.5)]


def test_a_table_that_does_not_exist_is_named_with_the_nearest_one(target: Target) -> None:
    target.make_table()
    target.publish(ROWS)
    message = target.refused("list")
    assert message.startswith(
        f"the list of run '{target.run}' is not delivered: table 'list' does not exist in the"
        " database; did you mean 'lists'?"
    )
    assert target.slept == []


def test_the_extraction_fails_before_anything_is_paid_for_a_table_that_is_not_there(
    endpoint: Endpoint, spark: SparkSession, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE users AS SELECT 1 AS id, 2 AS age")
    columns = (Column("USER_ID", "id", required=True), Column("AGE", "age", "int"))
    spec = users_spec("postgresql", Relation("users"), *columns)
    run = Run(endpoint, spark, database, tmp_path)

    message = run.refused(replace(spec, delivery=Delivery("lists", COLUMNS)))

    assert message.startswith("delivery: table 'lists' does not exist in the database")
    assert run.objects() == []


def test_every_reason_why_a_table_does_not_fit_is_named(target: Target) -> None:
    target.execute(
        "CREATE TABLE lists (userid varchar(9), item_id date, rank_ integer, score integer,"
        " day integer NOT NULL)"
    )
    target.publish(ROWS)
    message = target.refused("lists", {**COLUMNS, "RANK": "rank_"})
    for problem in (
        "table 'lists' has no column 'user_id' for USER_ID; did you mean 'userid'? Columns:"
        " userid, item_id, rank_, score, day. Add it, or name another in delivery.columns",
        "column 'item_id' is date, and ITEM_ID needs a text or whole number",
        "and SCORE needs a number with a fraction, such as double",
        "column 'day' takes no null and has no default, and the list has nothing for it",
    ):
        assert problem in message


def test_a_view_is_refused(target: Target) -> None:
    target.make_table()
    target.execute("CREATE VIEW shown AS SELECT * FROM lists")
    target.publish(ROWS)
    assert "table 'shown' is no table but a view" in target.refused("shown")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("1", "a", 1, 0.5), ("x" * 301, "a", 1, 0.5)], "too long"),
        ([("1", "a", 1, 0.5), ("1", "b", 1, 0.5)], "uplicate"),
    ],
    ids=["too long", "twice"],
)
def test_a_row_that_the_database_refuses_leaves_the_old_list(
    target: Target, rows: list[tuple[Any, ...]], problem: str
) -> None:
    target.make_table()
    target.publish(rows)
    message = target.refused()
    assert problem in message
    assert f"run '{target.run}' is not delivered into table 'lists': " in message
    assert target.slept == []
    assert target.rows() == OLD


def test_a_list_that_is_not_the_published_one_is_not_delivered(target: Target) -> None:
    target.make_table()
    target.publish(ROWS)
    target.point_to("newer", 5)
    record = target.deliver()
    assert (record["status"], record["reason"]) == (
        "SKIPPED",
        "the published list is that of run 'newer'",
    )
    assert target.rows() == OLD


def test_a_list_that_another_replaces_while_it_is_loaded_is_not_swapped_in(target: Target) -> None:
    """The other one is published after the delivery has asked, before it reads its list."""
    target.make_table()
    target.publish(ROWS)
    with after_the_first_answer(target.s3, lambda: target.publish(ROWS[:1])):
        record = target.deliver()
    newer = target.run
    assert (record["status"], record["reason"]) == (
        "SKIPPED",
        f"the published list is that of run '{newer}'",
    )
    assert target.rows() == OLD
    assert target.tables() == ["lists"]
    assert target.deliver()["run"] == newer
    assert target.rows() == [("1", "a", 1, 0.75)]


def test_postgresql_asks_again_when_all_rows_are_exchanged(target: Target) -> None:
    """Another list is published while the transaction goes on, which is long for many rows."""
    if target.engine == "mysql":
        return
    target.make_table()
    target.execute(
        "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$",
        "CREATE TRIGGER waits AFTER INSERT ON lists EXECUTE FUNCTION wait_for_test()",
    )
    target.publish(ROWS)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor(1) as pool, target.connect() as test:
        test.execute("SELECT pg_advisory_lock(7)")
        delivery = pool.submit(target.deliver)
        while target.execute(waiting) == [(0,)] and not delivery.done():
            time.sleep(0.01)
        target.point_to("newer", 5)
        test.execute("SELECT pg_advisory_unlock(7)")
        record = delivery.result()
    assert record["status"] == "SKIPPED"
    assert target.rows() == OLD


@contextmanager
def after_the_first_answer(s3: Any, act: Callable[[], None]) -> Iterator[None]:
    """Act once in a block, when S3 has answered the first GetObject."""
    acts = iter([act])

    def once(**_: Any) -> None:
        for each in acts:
            each()

    s3.meta.events.register("after-call.s3.GetObject", once)
    try:
        yield
    finally:
        s3.meta.events.unregister("after-call.s3.GetObject", once)


def test_a_list_that_is_not_whole_is_not_delivered(target: Target) -> None:
    target.make_table()
    target.publish(ROWS)
    target.point_to(target.run, 4)
    assert "3 of the list's 4 rows arrived" in target.refused()
    assert target.rows() == OLD


def test_what_an_interrupted_delivery_left_is_no_hindrance(target: Target) -> None:
    """A job that is killed while it loads leaves the table beside."""
    target.make_table()
    target.publish(ROWS)
    with stopped_before_swap(target):
        pass
    assert len(target.tables()) == 2
    target.deliver()
    assert len(target.rows()) == 3
    assert target.tables() == ["lists"]


@contextmanager
def stopped_before_swap(target: Target) -> Iterator[None]:
    """Make the tables that a killed delivery leaves."""
    from etl.delivery import TABLES  # noqa: PLC0415
    from etl.tables import Tables  # noqa: PLC0415

    tables = Tables(target.spark, engine=target.engine, options={}, database="", partitions=1)
    table = TABLES[target.engine](tables, Delivery("lists", COLUMNS))
    target.execute(f"CREATE TABLE {table.staged.quote(target.engine)} (left_over integer)")
    yield


def test_two_deliveries_do_not_mix(target: Target) -> None:
    target.make_table()
    target.publish(ROWS)
    with target.connect() as other:
        cursor = other.cursor()
        if target.engine == "mysql":
            cursor.execute(
                "SELECT GET_LOCK(sha1(concat('retraining ', DATABASE(), ' `lists`')), 0)"
            )
        else:
            cursor.execute("""SELECT pg_advisory_lock(hashtextextended('retraining "lists"', 0))""")
        cursor.fetchall()
        assert "is not delivered: another delivery into table 'lists' goes on" in target.refused()
        assert target.slept == [60, 180]
        release = "RELEASE_ALL_LOCKS" if target.engine == "mysql" else "pg_advisory_unlock_all"
        target.while_asleep = lambda: cursor.execute(f"SELECT {release}()")
        assert target.deliver()["status"] == "DELIVERED"
    assert target.slept == [60, 180, 60]
    assert len(target.rows()) == 3


def test_readers_see_the_old_list_or_the_new_one_and_never_half(target: Target) -> None:
    target.make_table()
    lists = [[(f"{n}", f"{item}", 1, 0.5) for n in range(2_000)] for item in ("a", "b", "c")]
    target.publish(lists[0])
    target.deliver()
    seen: set[tuple[int, int, str]] = set()
    faults: list[BaseException] = []
    done, begun = threading.Event(), threading.Event()

    def read() -> None:
        try:
            with target.connect() as connection:
                cursor = connection.cursor()
                while not done.is_set():
                    cursor.execute(
                        "SELECT count(*), count(DISTINCT item_id), min(item_id) FROM lists"
                    )
                    seen.add(tuple(cursor.fetchone()))
                    begun.set()
        except BaseException as error:
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        assert begun.wait(30)
        for rows in lists[1:]:
            target.publish(rows)
            target.deliver()
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert faults == []
    assert seen <= {(2_000, 1, "a"), (2_000, 1, "b"), (2_000, 1, "c")}
    assert target.rows("user_id, item_id")[0] == ("0", "c")


def test_postgresql_keeps_views_privileges_keys_and_triggers(
    request: pytest.FixtureRequest, target: Target
) -> None:
    if target.engine == "mysql":
        return
    target.execute("CREATE TABLE people (id varchar(300) PRIMARY KEY)")
    target.execute("INSERT INTO people VALUES ('1'), ('2'), ('9')")
    target.make_table("FOREIGN KEY (user_id) REFERENCES people")
    target.execute(
        "CREATE VIEW first AS SELECT user_id, item_id FROM lists WHERE rank = 1",
        "GRANT SELECT ON lists TO PUBLIC",
    )
    target.publish(ROWS)
    target.deliver()
    assert sorted(target.execute("SELECT * FROM first")) == [("1", "a"), ("2", "a")]
    assert target.execute("SELECT relacl::text LIKE '%=r/%' FROM pg_class WHERE relname='lists'")
    target.publish([("3", "a", 1, 0.5)])
    assert 'violates foreign key constraint "lists_user_id_fkey"' in target.refused()
    assert len(target.rows()) == 3


def test_mariadb_refuses_what_would_not_stay_with_the_table(
    endpoint: Endpoint, spark: SparkSession, mariadb: MariaDbDatabase, tmp_path: Path
) -> None:
    target = Target("mysql", mariadb.url, mariadb.execute, lambda: None, endpoint, spark, tmp_path)
    target.execute("CREATE TABLE people (id varchar(300) PRIMARY KEY)")
    target.execute("INSERT INTO people VALUES ('9')")
    target.make_table("CONSTRAINT known FOREIGN KEY (user_id) REFERENCES people (id)")
    target.execute("CREATE TRIGGER counted AFTER INSERT ON lists FOR EACH ROW SET @n = 1")
    target.publish(ROWS)
    message = target.refused()
    assert "table 'lists' has foreign keys (known)" in message
    assert "table 'lists' has triggers (counted)" in message
    assert target.rows() == OLD


def test_a_user_who_may_not_write_is_named(
    endpoint: Endpoint, spark: SparkSession, database: str, target: Target
) -> None:
    if target.engine == "mysql":
        return
    target.make_table()
    target.execute("CREATE ROLE reader LOGIN PASSWORD 'x'", "GRANT SELECT ON lists TO reader")
    try:
        target.publish(ROWS)
        owner, _, rest = target.url.partition("@")
        target.url = f"postgresql://reader:x@{rest}"
        message = target.refused()
        target.url = f"{owner}@{rest}"
        assert "permission denied for schema public" in message
        assert target.slept == []
        assert "may the user 'reader' write to it?" in message
        assert target.rows() == OLD
    finally:
        target.execute("DROP OWNED BY reader", "DROP ROLE reader")
