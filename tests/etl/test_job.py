"""The job on a real PostgreSQL and S3 over HTTP: its files, its errors and its log."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession

import etl.job
from etl.database import Database
from etl.datasets import Column, DataSet, JobSpec, Join, Lookup, Relation
from etl.errors import EtlError
from etl.runtime import LocalRuntime
from localaws.http.endpoint import Endpoint
from tests.etl.runs import BUCKET, Run

NASTY = [
    "plain",
    "a,b",
    '"',
    '""',
    '"quoted"',
    'in "the" middle',
    "line\nbreak",
    "line\r\nbreak",
    "lone\rreturn",
    "\r",
    "back\\slash\\",
    '\\"',
    "\\N",
    " blanks around ",
    "\ttab",
    "#comment",
    "日本語、テスト",
    "😀👩‍🔬",
    "'",
    "null",
]


@pytest.fixture
def run(endpoint: Endpoint, spark: SparkSession, database: str, tmp_path: Path) -> Run:
    return Run(endpoint, spark, database, tmp_path)


def execute(url: str, sql: str, *rows: tuple[Any, ...]) -> None:
    with psycopg.connect(url) as connection:
        if rows:
            connection.cursor().executemany(sql, rows)
        else:
            connection.execute(sql)


SHOP = """
    CREATE TABLE students (id int PRIMARY KEY, name text, grade int, active boolean);
    INSERT INTO students VALUES (1, 'あ', 3, true), (2, 'い', NULL, true), (3, '', 1, false);
    CREATE TABLE postings (id int PRIMARY KEY, title text, open boolean);
    INSERT INTO postings VALUES (10, 'x', true), (20, 'y', false);
    CREATE TABLE events (id bigint, student_id int, posting_id int, kind text, at timestamptz);
    INSERT INTO events VALUES
        (1, 1, 10, 'view', '2024-01-01 09:00:00+09'), (2, 1, 20, 'apply', '2024-01-02 00:00:00Z'),
        (3, NULL, 10, 'view', '2024-01-03 00:00:00Z'), (4, 2, 10, 'view', NULL),
        (5, 2, 20, 'view', '2024-01-04 00:00:00Z');
"""
USERS = DataSet(
    "USERS",
    Relation("students"),
    (
        Column("USER_ID", "id", required=True),
        Column("NAME", "name"),
        Column("GRADE", "grade", categorical=True),
    ),
)
EVENTS = DataSet(
    "INTERACTIONS",
    Relation("events", partition_column="id"),
    (
        Column("USER_ID", "student_id", required=True),
        Column("ITEM_ID", "posting_id", required=True),
        Column("TIMESTAMP", "at", "long", required=True),
    ),
)
SPEC = JobSpec(
    engine="postgresql",
    datasets=(USERS, EVENTS),
    batch_input=Lookup("batch-input/", Relation("students", filter="active"), {"USER_ID": "id"}),
    eligible_items=Lookup(
        "filter/eligible-items/", Relation("postings", filter="open"), {"ITEM_ID": "id"}
    ),
    exclusions=Lookup(
        "filter/exclusions/",
        Relation("events", filter="kind = 'apply'"),
        {"USER_ID": "student_id", "ITEM_ID": "posting_id"},
    ),
    max_rejected_share=0.5,
)


def without_users(spec: JobSpec, **columns: str) -> JobSpec:
    """Return `spec` with other expressions for some columns of USERS."""
    changed = tuple(
        replace(column, source=columns.get(column.name, column.source)) for column in USERS.columns
    )
    return replace(spec, datasets=(replace(USERS, columns=changed),))


def test_a_run_writes_data_sets_lists_rejected_rows_and_at_last_the_manifest(run: Run) -> None:
    execute(run.url, SHOP)
    run.folder.put_text("users/part-00009.csv", "left by an earlier try")
    manifest = run(SPEC)
    assert run.objects() == [
        "batch-input/users.json",
        "filter/eligible-items/part-00000.csv",
        "filter/exclusions/part-00000.csv",
        "interactions/part-00000.csv",
        "manifest.json",
        "rejected/interactions.json",
        "users/part-00000.csv",
    ]
    assert run.text("users/part-00000.csv") == "USER_ID,NAME,GRADE\n1,あ,3\n2,い,\n3,,1\n"
    assert sorted(run.csv("interactions/part-00000.csv")) == [
        ["1", "10", "1704067200"],
        ["1", "20", "1704153600"],
        ["2", "20", "1704326400"],
        ["USER_ID", "ITEM_ID", "TIMESTAMP"],
    ]
    assert run.text("batch-input/users.json") == '{"userId":"1"}\n{"userId":"2"}\n'
    assert run.text("filter/eligible-items/part-00000.csv") == "ITEM_ID\n10\n"
    assert run.text("filter/exclusions/part-00000.csv") == "USER_ID,ITEM_ID\n1,20\n"
    hashes = [manifest["datasets"][name].pop("contentHash") for name in ("USERS", "INTERACTIONS")]
    assert [len(value) for value in hashes] == [32, 32]
    assert manifest == {
        "version": 1,
        "run": run.folder.run,
        "createdAt": "2024-06-01T12:00:00Z",
        "datasets": {
            "USERS": {"path": "users/", "rows": 3, "rejected": {}, "newestTimestamp": None},
            "INTERACTIONS": {
                "path": "interactions/",
                "rows": 3,
                "rejected": {"missing required value": 1, "null id": 1},
                "newestTimestamp": 1704326400,
            },
        },
        "batchInput": {"path": "batch-input/", "rows": 2},
        "filter": {
            "eligibleItems": {"path": "filter/eligible-items/", "rows": 1},
            "exclusions": {"path": "filter/exclusions/", "rows": 1},
        },
    }
    rejected = [json.loads(line) for line in run.text("rejected/interactions.json").splitlines()]
    assert sorted(rejected, key=lambda line: str(line["reason"])) == [
        {
            "reason": "missing required value",
            "column": "TIMESTAMP",
            "row": {"USER_ID": 2, "ITEM_ID": 10, "TIMESTAMP": None},
        },
        {
            "reason": "null id",
            "column": "USER_ID",
            "row": {"USER_ID": None, "ITEM_ID": 10, "TIMESTAMP": "2024-01-03T00:00:00.000Z"},
        },
    ]
    assert [line for line in run.log if line.startswith("progress")] == [
        "progress 0/6 reading the tables",
        "progress 1/6 data set USERS",
        "progress 2/6 data set INTERACTIONS",
        "progress 3/6 batch input",
        "progress 4/6 eligible items",
        "progress 5/6 exclusions",
        "progress 6/6 done",
    ]
    without = replace(SPEC, eligible_items=None, exclusions=None)
    again = run(without)
    assert again["filter"] == {"eligibleItems": None, "exclusions": None}
    assert [again["datasets"][n]["contentHash"] for n in ("USERS", "INTERACTIONS")] == hashes
    assert not [path for path in run.objects() if path.startswith("filter/")]


def test_nasty_texts_come_back_from_the_csv_as_they_were(run: Run) -> None:
    execute(run.url, "CREATE TABLE students (id int, name text, grade text, active boolean)")
    rows = [(number, text, text, True) for number, text in enumerate(NASTY)]
    execute(run.url, "INSERT INTO students VALUES (%s, %s, %s, %s)", *rows)
    run(replace(without_users(SPEC), eligible_items=None, exclusions=None))
    header, *lines = run.csv("users/part-00000.csv")
    assert header == ["USER_ID", "NAME", "GRADE"]
    assert lines == [[str(number), text, text] for number, text in enumerate(NASTY)]


def test_a_schema_that_looks_nothing_like_the_sample(run: Run) -> None:
    """UUID keys, numerics, enums, composite joins, mixed case, dates, times without zone."""
    execute(
        run.url,
        """
        CREATE SCHEMA "Sales Data";
        CREATE TYPE tier AS ENUM ('gold', 'tin');
        CREATE TABLE "Sales Data"."Customer" (
            "Key" uuid PRIMARY KEY, "Tier" tier, "Referrer" uuid, "Born" date,
            "Balance" numeric, "order" smallint);
        INSERT INTO "Sales Data"."Customer" VALUES
            ('00000000-0000-0000-0000-000000000001', 'gold', NULL, '2000-02-29', 1234.50, 1),
            ('00000000-0000-0000-0000-000000000002', 'tin',
             '00000000-0000-0000-0000-000000000001', NULL, 0, NULL);
        CREATE TABLE "order" (shop smallint, number numeric, buyer uuid, placed timestamp);
        INSERT INTO "order" VALUES
            (1, 7, '00000000-0000-0000-0000-000000000001', '2024-03-10 02:30:00'),
            (2, 7, '00000000-0000-0000-0000-000000000002', '2024-03-10 02:30:01');
        CREATE TABLE order_line (shop int, number bigint, sku numeric(10,0), seen_epoch bigint);
        INSERT INTO order_line VALUES (1, 7, 500, 1700000000), (2, 7, 600, 1700000001);
        """,
    )
    customers = Relation(
        '"Sales Data".Customer',
        alias="c",
        joins=(Join('"Sales Data".Customer', "left", {"c.Referrer": "Key"}, alias="referrer"),),
    )
    orders = Relation(
        "order_line",
        joins=(Join("order", "inner", {"shop": "shop", "number": "number"}, alias="o"),),
        partition_column="NUMBER",
    )
    manifest = run(
        JobSpec(
            engine="postgresql",
            datasets=(
                DataSet(
                    "USERS",
                    customers,
                    (
                        Column("USER_ID", "c.Key", required=True),
                        Column("TIER", "c.Tier", categorical=True),
                        Column("REFERRER_TIER", "referrer.Tier", categorical=True),
                        Column("BORN", "c.Born", "long"),
                        Column("BALANCE", "c.Balance", "double"),
                        Column("ORDER", "c.`order`", "int"),
                    ),
                ),
                DataSet(
                    "INTERACTIONS",
                    orders,
                    (
                        Column("USER_ID", "o.buyer", required=True),
                        Column("ITEM_ID", "sku", required=True),
                        Column("TIMESTAMP", "placed", "long", required=True),
                        Column("EVENT_VALUE", "seen_epoch", "float"),
                    ),
                ),
            ),
            batch_input=Lookup("batch-input/", Relation("order"), {"USER_ID": "buyer"}),
        )
    )
    first, second = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2))
    assert sorted(run.csv("users/part-00000.csv")[1:]) == [
        [first, "gold", "", "951782400", "1234.5", "1"],
        [second, "tin", "gold", "", "0.0", ""],
    ]
    assert [line[:3] for line in sorted(run.csv("interactions/part-00000.csv")[1:])] == [
        [first, "500", "1710037800"],
        [second, "600", "1710037801"],
    ]
    assert manifest["datasets"]["INTERACTIONS"]["newestTimestamp"] == 1710037801
    assert manifest["batchInput"] == {"path": "batch-input/", "rows": 2}


def test_partitioned_reads_lose_and_double_nothing(run: Run) -> None:
    execute(run.url, SHOP)
    execute(
        run.url,
        "INSERT INTO events SELECT nullif(g, 700) * 3 - 900, g, 10, 'v', now()"
        " FROM generate_series(6, 1000) g",
    )
    run(replace(SPEC, partitions=3, output_files=2))
    files = [path for path in run.objects() if path.startswith("interactions/")]
    assert files == ["interactions/part-00000.csv", "interactions/part-00001.csv"]
    users = [line[0] for path in files for line in run.csv(path)[1:]]
    assert sorted(users, key=int) == ["1", "1", "2", *(str(g) for g in range(6, 1001))]


def test_tables_that_do_not_exist_are_reported_with_their_nearest_names(run: Run) -> None:
    execute(run.url, SHOP)
    execute(run.url, 'CREATE SCHEMA shop; CREATE TABLE shop."Offers" (id int)')
    users = replace(USERS, relation=Relation("studnets"))
    lookup = replace(SPEC.batch_input, relation=Relation("offers"))
    message = run.refused(replace(SPEC, datasets=(users,), batch_input=lookup))
    tables = "Tables: events, postings, shop.Offers, students"
    assert message == (
        "2 problems: (1) data set USERS: table 'studnets' does not exist in the database;"
        f" did you mean 'students'? {tables} (2) batch input: table 'offers' does not exist in"
        f" the database; did you mean 'shop.Offers'? {tables}"
    )


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda spec: without_users(spec, GRADE="students.grad"),
            "datasets.users.columns.GRADE = \"students.grad\": there is no column 'students.grad';"
            " did you mean 'students.grade'? Columns: students.id, students.name, students.grade,"
            " students.active",
        ),
        (
            lambda spec: replace(
                spec, batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "idd"})
            ),
            "batch_inference.user_id = \"idd\": there is no column 'idd'; did you mean"
            " 'students.id'? Columns: students.id, students.name, students.grade, students.active",
        ),
        (
            lambda spec: replace(
                spec, datasets=(replace(EVENTS, relation=Relation("events", filter="id < 0")),)
            ),
            "data set INTERACTIONS: no rows; fill table 'events', or look at"
            " datasets.interactions.filter and the inner joins",
        ),
        (
            lambda spec: replace(
                spec,
                datasets=(
                    replace(EVENTS, relation=replace(EVENTS.relation, partition_column="kind")),
                ),
            ),
            "data set INTERACTIONS: partition_column 'kind' of table 'events' is a string;"
            " name a numeric column or leave it out",
        ),
        (
            lambda spec: replace(spec, engine="mysql"),
            'database URL: is postgresql, but the configuration says engine = "mysql";'
            " change one of them",
        ),
    ],
)
def test_what_does_not_fit_is_reported_in_one_line_and_leaves_no_manifest(
    run: Run, break_it: Callable[[JobSpec], JobSpec], message: str
) -> None:
    execute(run.url, SHOP)
    assert run.refused(break_it(SPEC)) == message


def test_too_many_rejected_rows_fail_the_job_and_can_be_inspected(run: Run) -> None:
    execute(run.url, SHOP)
    execute(run.url, "DELETE FROM events WHERE at IS NULL")
    run(SPEC)
    message = run.refused(replace(SPEC, max_rejected_share=0.2))
    path = run.folder.uri("rejected/interactions.json")
    assert message == (
        "data set INTERACTIONS: 1 of 4 rows (25.0%) break a rule, more than max_rejected_share"
        ' = 20.0%: null id (USER_ID) 1; for example {"reason": "null id", "column": "USER_ID",'
        ' "row": {"USER_ID": null, "ITEM_ID": 10, "TIMESTAMP": "2024-01-03T00:00:00.000Z"}};'
        f" see {path}, then mend the rows or the expression, or leave them out by"
        " datasets.interactions.filter"
    )
    assert run.objects() == ["rejected/interactions.json", "users/part-00000.csv"]


def test_a_share_barely_over_its_limit_is_told_with_the_digits_that_show_it(run: Run) -> None:
    execute(run.url, SHOP)
    execute(run.url, "DELETE FROM events")
    execute(
        run.url,
        "INSERT INTO events SELECT n, CASE WHEN n > 11 THEN 1 END, 10, 'view', now()"
        " FROM generate_series(1, 1099) AS n",
    )
    assert (
        "data set INTERACTIONS: 11 of 1,099 rows (1.001%) break a rule, more than"
        " max_rejected_share = 1.000%: null id (USER_ID) 11;"
    ) in run.refused(replace(SPEC, max_rejected_share=0.01))


def with_timestamp(source: str) -> JobSpec:
    """Return the specification with interactions alone, dated by another expression."""
    columns = tuple(
        replace(column, source=source) if column.is_timestamp else column
        for column in SPEC.datasets[-1].columns
    )
    return replace(SPEC, datasets=(replace(SPEC.datasets[-1], columns=columns),))


def test_timestamps_in_milliseconds_or_odd_texts_fail_with_what_to_write(run: Run) -> None:
    execute(run.url, SHOP)
    milliseconds = run.refused(with_timestamp("unix_millis(events.at)"))
    assert "unreadable timestamp (TIMESTAMP) 3" in milliseconds
    assert milliseconds.endswith(
        "a timestamp is a date, a timestamp, ISO 8601 text or epoch seconds; write x div 1000 for"
        " milliseconds, to_timestamp(x, 'dd.MM.yyyy HH:mm') for other texts"
    )
    pattern = run.refused(with_timestamp("to_timestamp(string(events.at), 'yyyy-MM-dd')"))
    assert "missing required value (TIMESTAMP)" in pattern, "not an error of Spark's"


def test_an_expression_that_fails_on_a_row_is_reported_with_its_data_set(run: Run) -> None:
    execute(run.url, SHOP)
    raising = run.refused(with_timestamp("raise_error(concat('bad row ', events.posting_id))"))
    assert raising.startswith("data set INTERACTIONS: Spark: bad row ")
    assert run.refused(with_timestamp("to_timestamp('1.1.2024', 'd.M.YYYY')")) == (
        "data set INTERACTIONS: Spark: Fail to recognize 'd.M.YYYY' pattern in the"
        " DateTimeFormatter; look at the expressions of datasets.interactions"
    )


@pytest.mark.parametrize(
    ("change", "fault", "advice"),
    [
        ({"password": "wr0ng"}, "password authentication failed", "check the user '"),
        ({"name": "nowhere"}, 'database "nowhere" does not exist', "check the database's name"),
        ({"port": 1}, "Connection to 127.0.0.1:1 refused", "is it running"),
    ],
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    run: Run, change: dict[str, Any], fault: str, advice: str
) -> None:
    database = replace(Database.from_url(run.url), **change)
    runtime = LocalRuntime(
        spark=run.spark, folder=run.folder, database=database, spec=SPEC, directory=run.directory
    )
    with pytest.raises(EtlError) as caught:
        runtime.tables.columns("students")
    message = str(caught.value)
    assert message.startswith(
        f"postgresql database '{database.name}' at 127.0.0.1:{database.port}:"
    )
    assert fault in message
    assert advice in message
    assert f":{database.password}@" not in message
    assert "wr0ng" not in message


def script(endpoint: Endpoint, url: str, spec: str, run: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(etl.job.__file__)), "--JOB_NAME", "etl"]
    options = {"runtime": "local", "run": run, "bucket": BUCKET, "spec": spec, "JOB_RUN_ID": "jr_1"}
    return subprocess.run(
        [*command, *(part for name, value in options.items() for part in (f"--{name}", value))],
        env={
            **os.environ,
            **endpoint.environment,
            "DATABASE_URL": url,
            "PYTHONPATH": str(Path(etl.job.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_runs_as_glue_starts_it(endpoint: Endpoint, run: Run) -> None:
    execute(run.url, SHOP)
    key = "artifacts/etl-job.json"
    run.s3.put_object(Bucket=BUCKET, Key=key, Body=SPEC.to_json().encode())
    done = script(endpoint, run.url, f"s3://{BUCKET}/{key}", run.folder.run)
    assert (done.returncode, done.stderr.splitlines()[2:]) == (0, [])
    assert json.loads(run.text("manifest.json"))["datasets"]["USERS"]["rows"] == 3
    lines = done.stdout.splitlines()
    assert lines[0] == "progress 0/6 reading the tables"
    assert lines[-1] == "progress 6/6 done"
    assert {"── read students", " |-- grade: integer (nullable = true)"} <= set(lines)


def test_the_script_ends_with_one_line_for_a_person_when_it_cannot_go_on(
    endpoint: Endpoint, run: Run
) -> None:
    failed = script(endpoint, run.url, f"s3://{BUCKET}/missing.json", run.folder.run)
    assert failed.returncode == 1
    assert failed.stderr == (
        f"ERROR: --spec s3://{BUCKET}/missing.json: The specified key does not exist.;"
        " deploy the workflow, which writes it\n"
    )
