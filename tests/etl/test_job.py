"""The job on a real PostgreSQL and S3 over HTTP: its files, its errors and its log."""

import json
import os
import re
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
from etl.datasets import (
    Agreement,
    Column,
    DataSet,
    JobSpec,
    Join,
    LearnedEvents,
    Lookup,
    RecommenderLists,
    Relation,
)
from etl.errors import EtlError
from etl.runtime import LocalRuntime
from localaws.http.endpoint import Endpoint
from tests.etl.runs import BUCKET, Run

AWKWARD_TEXTS = [
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


def execute_sql(url: str, sql: str, *rows: tuple[Any, ...]) -> None:
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


def entry(check: str, found: int, of: int, warning: str = "") -> dict[str, Any]:
    """Return the manifest's entry of a share, without a bound."""
    share = round(found / of, 4)
    return {
        "check": check,
        "found": found,
        "of": of,
        "share": share,
        "least": 0.0,
        "warning": f"{check}: {found:,} of {of:,} ({share:.1%}); {warning}" if warning else "",
    }


def test_a_run_writes_data_sets_lists_rejected_rows_and_at_last_the_manifest(run: Run) -> None:
    execute_sql(run.url, SHOP)
    run.folder.put_text("users/part-00009.csv", "left by an earlier attempt")
    manifest = run(SPEC)
    assert [
        path for path in run.objects() if not path.startswith(("batch", "filter", "inter"))
    ] == [
        "manifest.json",
        "rejected/interactions.json",
        "users/part-00000.csv",
    ]
    assert run.text("users/part-00000.csv") == "USER_ID,NAME,GRADE\n1,あ,3\n2,い,\n3,,1\n"
    assert run.rows("interactions/") == [
        ["1", "10", "1704067200"],
        ["1", "20", "1704153600"],
        ["2", "20", "1704326400"],
    ]
    batch = [path for path in run.objects() if path.startswith("batch-input/")]
    assert "".join(map(run.text, batch)) == '{"userId":"1"}\n{"userId":"2"}\n'
    assert run.text("filter/eligible-items/part-00000.csv") == "ITEM_ID\n10\n"
    assert run.text("filter/exclusions/part-00000.csv") == "USER_ID,ITEM_ID\n1,20\n"
    hashes = [manifest["datasets"][name].pop("contentHash") for name in ("USERS", "INTERACTIONS")]
    lists = [manifest["batchInput"], *manifest["filter"].values()]
    hashes += [each.pop("contentHash") for each in lists]
    assert [len(value) for value in hashes] == [32] * 5
    assert len(set(hashes)) == 5
    assert manifest == {
        "version": 1,
        "run": run.folder.run,
        "createdAt": "2024-06-01T12:00:00Z",
        "extraction": SPEC.extraction,
        "datasets": {
            "USERS": {
                "path": "users/",
                "rows": 3,
                "rejected": {},
                "truncated": {},
                "eventTypes": {},
                "newestTimestamp": None,
            },
            "INTERACTIONS": {
                "path": "interactions/",
                "rows": 3,
                "rejected": {"missing required value": 1, "null id": 1},
                "truncated": {},
                "eventTypes": {},
                "newestTimestamp": 1704326400,
            },
        },
        "batchInput": {
            "path": "batch-input/",
            "rows": 2,
            "rejected": {},
            "id": "USER_ID",
        },
        "filter": {
            "eligibleItems": {"path": "filter/eligible-items/", "rows": 1, "rejected": {}},
            "exclusions": {"path": "filter/exclusions/", "rows": 1, "rejected": {}},
        },
        "agreement": [
            entry("users of the batch input that have interactions", 2, 2),
            entry("interactions whose user is in USERS", 3, 3),
            entry("eligible items that have interactions", 1, 1),
            entry("exclusions whose user is known", 1, 1),
            entry("exclusions whose item is known", 1, 1),
        ],
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
    unfiltered = replace(SPEC, eligible_items=None, exclusions=None)
    again = run(unfiltered)
    assert again["filter"] == {"eligibleItems": None, "exclusions": None}
    assert [again["datasets"][n]["contentHash"] for n in ("USERS", "INTERACTIONS")] == hashes[:2]
    assert not [path for path in run.objects() if path.startswith("filter/")]


def test_awkward_texts_are_written_as_the_developer_guide_says(run: Run, tmp_path: Path) -> None:
    """One record on one line; Python's reader and Spark's find the same texts in it."""
    execute_sql(run.url, "CREATE TABLE students (id int, name text, grade text, active boolean)")
    rows = [(number, text, text, True) for number, text in enumerate(AWKWARD_TEXTS)]
    execute_sql(run.url, "INSERT INTO students VALUES (%s, %s, %s, %s)", *rows)
    run(replace(without_users(SPEC), eligible_items=None, exclusions=None))
    header, *lines = run.csv("users/part-00000.csv")
    assert header == ["USER_ID", "NAME", "GRADE"]
    texts = [re.sub("\r\n|\r|\n", " ", text) for text in AWKWARD_TEXTS]
    assert lines == [[str(number), text, text] for number, text in enumerate(texts)]
    copy = tmp_path / "copy.csv"
    copy.write_text(run.text("users/part-00000.csv"), encoding="utf-8")
    read = run.spark.read.csv(str(copy), header=True, quote='"', escape="\\")
    assert [list(row) for row in read.collect()] == lines


def test_texts_are_always_quoted_and_other_values_where_they_must_be(run: Run) -> None:
    """The developer guide's own example, and its rules for quotes, backslashes and line breaks."""
    execute_sql(run.url, SHOP)
    execute_sql(
        run.url,
        r"""
        UPDATE postings SET title = 'This is a romantic comedy.' WHERE id = 10;
        UPDATE postings SET title = E'A "new" C:\\path\nsecond line' WHERE id = 20;
        INSERT INTO postings VALUES (30, NULL, true);
        """,
    )
    items = DataSet(
        "ITEMS",
        Relation("postings"),
        (
            Column("ITEM_ID", "id", required=True),
            Column("GENRES", "'Comedy|Romance'", categorical=True),
            Column("OPEN", "open", "boolean"),
            Column("OPEN_NUMBER", "open", "int"),
            Column("DESCRIPTION", "title", textual=True),
            Column("PATH", r"concat(postings.id, '\\x')"),
        ),
    )
    run(replace(SPEC, datasets=(items, *SPEC.datasets[1:])))
    assert run.text("items/part-00000.csv").splitlines() == [
        "ITEM_ID,GENRES,OPEN,OPEN_NUMBER,DESCRIPTION,PATH",
        r'10,Comedy|Romance,True,1,"This is a romantic comedy.","10\\x"',
        r'20,Comedy|Romance,False,0,"A \"new\" C:\\path second line","20\\x"',
        r'30,Comedy|Romance,True,1,,"30\\x"',
    ]


def test_each_partition_becomes_a_file(run: Run) -> None:
    """One file of a hundred million rows would be one task's work."""
    execute_sql(run.url, SHOP)
    execute_sql(
        run.url, "INSERT INTO events SELECT g, 1, 10, 'v', now() FROM generate_series(6, 99) g"
    )
    manifest = run(replace(SPEC, partitions=3))
    files = [path for path in run.objects() if path.startswith("interactions/")]
    assert files == [f"interactions/part-{number:05d}.csv" for number in range(3)]
    rows = [row for path in files for row in run.csv(path)]
    assert rows.count(["USER_ID", "ITEM_ID", "TIMESTAMP"]) == 3
    assert len(rows) == 3 + manifest["datasets"]["INTERACTIONS"]["rows"]


@pytest.mark.parametrize(("type_count", "fits"), [(9, True), (10, False), (12, False)])
def test_more_event_types_than_personalize_takes_are_refused(
    run: Run, type_count: int, fits: bool
) -> None:
    """Types and columns together are at most ten, the column EVENT_TYPE among them."""
    execute_sql(run.url, SHOP)
    execute_sql(
        run.url,
        "DELETE FROM events; INSERT INTO events SELECT g, 1, 10, 'k' || g, now()"
        f" FROM generate_series(1, {type_count}) g",
    )
    columns = (*EVENTS.columns, Column("EVENT_TYPE", "kind", required=True))
    spec = replace(SPEC, datasets=(USERS, replace(EVENTS, columns=columns)))
    if fits:
        types = run(spec)["datasets"]["INTERACTIONS"]["eventTypes"]
        assert types == {f"k{number}": 1 for number in range(1, type_count + 1)}
    else:
        message = run.refused(spec)
        assert f"data set INTERACTIONS: {type_count} event types (k" in message
        assert "and 1 columns (EVENT_TYPE); Personalize takes at most 10" in message


def test_a_schema_that_differs_from_the_sample_in_everything(run: Run) -> None:
    """UUID keys, numerics, enums, composite joins, mixed case, dates, times without zone."""
    execute_sql(
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
    assert run.rows("users/") == [
        [first, "gold", "", "951782400", "1234.5", "1"],
        [second, "tin", "gold", "", "0.0", ""],
    ]
    assert [line[:3] for line in run.rows("interactions/")] == [
        [first, "500", "1710037800"],
        [second, "600", "1710037801"],
    ]
    assert manifest["datasets"]["INTERACTIONS"]["newestTimestamp"] == 1710037801
    assert manifest["batchInput"] == {
        "contentHash": manifest["batchInput"]["contentHash"],
        "path": "batch-input/",
        "rows": 2,
        "rejected": {},
        "id": "USER_ID",
    }


def test_partitioned_reads_lose_and_double_nothing(run: Run) -> None:
    execute_sql(run.url, SHOP)
    execute_sql(
        run.url,
        "INSERT INTO events SELECT nullif(g, 700) * 3 - 900, g, 10, 'v', now()"
        " FROM generate_series(6, 1000) g",
    )
    run(replace(SPEC, partitions=3, output_files=2))
    files = [path for path in run.objects() if path.startswith("interactions/")]
    assert files == ["interactions/part-00000.csv", "interactions/part-00001.csv"]
    users = [line[0] for path in files for line in run.csv(path)[1:]]
    assert sorted(users, key=int) == ["1", "1", "2", *(str(g) for g in range(6, 1001))]


def test_data_sets_that_do_not_agree_end_the_job_or_are_warned_of(run: Run) -> None:
    """Ids that one table pads match nothing; a filter that names a type that never is."""
    execute_sql(run.url, SHOP)
    execute_sql(
        run.url, "CREATE TABLE members (code char(4)); INSERT INTO members VALUES ('1'), ('2')"
    )
    columns = (*EVENTS.columns, Column("EVENT_TYPE", "kind", required=True))
    spec = replace(
        SPEC,
        datasets=(USERS, replace(EVENTS, columns=columns)),
        agreement=Agreement(batch_input=0.1, event_types=0.1, warn_below=0.9),
        event_types={"solution.event_type": ("aply",)},
    )
    padded = Lookup("batch-input/", Relation("members"), {"USER_ID": "rpad(members.code, 4, ' ')"})
    message = run.refused(replace(spec, batch_input=padded))
    assert message == (
        "2 problems: (1) users of the batch input that have interactions: 0 of 2 (0.0%), less than"
        " agreement.batch_input = 10.0%; check batch_inference.user_id: is the id written as in"
        " datasets.interactions.columns.USER_ID?; lower agreement.batch_input if it is right so"
        " (2) event types of solution.event_type that occur: 0 of 1 (0.0%), less than"
        " agreement.event_types = 10.0%; no interaction is of the type aply; there are apply, view;"
        " lower agreement.event_types if it is right so"
    )
    mended = replace(
        spec,
        agreement=replace(spec.agreement, event_types=0.0),
        event_types={"solution.event_type": ("aply", "view")},
    )
    manifest = run(mended)
    warning = "no interaction is of the type aply; there are apply, view"
    assert manifest["agreement"][-1] == entry(
        "event types of solution.event_type that occur", 1, 2, warning
    )
    assert f"WARNING: {manifest['agreement'][-1]['warning']}" in run.log


def test_items_may_be_the_batch_input(run: Run) -> None:
    execute_sql(run.url, SHOP)
    lookup = Lookup("batch-input/", Relation("postings"), {"ITEM_ID": "id"})
    manifest = run(replace(SPEC, batch_input=lookup, exclusions=None))
    batch = [path for path in run.objects() if path.startswith("batch-input/")]
    assert "".join(map(run.text, batch)) == '{"itemId":"10"}\n{"itemId":"20"}\n'
    assert manifest["batchInput"] == {
        "contentHash": manifest["batchInput"]["contentHash"],
        "path": "batch-input/",
        "rows": 2,
        "rejected": {},
        "id": "ITEM_ID",
    }
    check = "items of the batch input that have interactions or are in ITEMS"
    assert manifest["agreement"][0] == entry(check, 2, 2)


def test_each_recommender_has_lists_of_its_own(run: Run) -> None:
    execute_sql(run.url, SHOP)
    postings = Lookup("recommenders/similar/batch-input/", Relation("postings"), {"ITEM_ID": "id"})
    open_ones = Lookup(
        "recommenders/similar/filter/eligible-items/",
        Relation("postings", filter="open"),
        {"ITEM_ID": "id"},
    )
    similar = RecommenderLists(postings, open_ones, baseline=LearnedEvents())
    run.folder.put_text("recommenders/similar/batch-input/part-7.json", "of an earlier attempt")
    run.folder.put_text("recommenders/similar/batch-output/a.out", "not of this job")

    manifest = run(replace(SPEC, recommenders={"similar": similar}))

    files = [path for path in run.objects() if path.startswith("recommenders/similar/batch-input/")]
    assert "".join(map(run.text, files)) == '{"itemId":"10"}\n{"itemId":"20"}\n'
    assert run.rows("recommenders/similar/filter/eligible-items/") == [["10"]]
    assert run.text("recommenders/similar/batch-output/a.out") == "not of this job"
    assert "".join(run.text(path) for path in run.objects() if path.startswith("batch-input/")) == (
        '{"userId":"1"}\n{"userId":"2"}\n'
    )
    own = manifest["recommenders"]["similar"]
    assert (own["batchInput"]["path"], own["batchInput"]["id"]) == (postings.prefix, "ITEM_ID")
    assert own["filter"]["eligibleItems"]["path"] == open_ones.prefix
    assert own["filter"]["exclusions"] is None
    assert own["popularityBaseline"]["users"] == 1
    assert "popularityBaseline" not in manifest
    assert [share["check"] for share in manifest["agreement"]] == [
        "users of the batch input that have interactions",
        "interactions whose user is in USERS",
        "eligible items that have interactions",
        "exclusions whose user is known",
        "exclusions whose item is known",
        "items of the batch input of similar that have interactions or are in ITEMS",
        "eligible items of similar that have interactions",
    ]


def test_a_recommender_whose_list_does_not_agree_is_named(run: Run) -> None:
    execute_sql(run.url, SHOP)
    strangers = Lookup("recommenders/lost/batch-input/", Relation("postings"), {"ITEM_ID": "id+5"})
    spec = replace(SPEC, recommenders={"lost": RecommenderLists(strangers)})

    message = run.refused(replace(spec, agreement=Agreement(batch_input=0.1)))

    assert "items of the batch input of lost that have interactions or are in ITEMS: 0 of 2" in (
        message
    )
    assert "check recommenders.lost.batch_inference.item_id" in message


def test_tables_that_do_not_exist_are_reported_with_their_nearest_names(run: Run) -> None:
    execute_sql(run.url, SHOP)
    execute_sql(run.url, 'CREATE SCHEMA shop; CREATE TABLE shop."Offers" (id int)')
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
    ("break_spec", "message"),
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
            "data set INTERACTIONS: no rows; fill table 'events', or check"
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
def test_a_specification_that_does_not_fit_is_reported_in_one_line_and_leaves_no_manifest(
    run: Run, break_spec: Callable[[JobSpec], JobSpec], message: str
) -> None:
    execute_sql(run.url, SHOP)
    assert run.refused(break_spec(SPEC)) == message


def test_too_many_rejected_rows_fail_the_job_and_can_be_inspected(run: Run) -> None:
    execute_sql(run.url, SHOP)
    execute_sql(run.url, "DELETE FROM events WHERE at IS NULL")
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
    execute_sql(run.url, SHOP)
    execute_sql(run.url, "DELETE FROM events")
    execute_sql(
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
    execute_sql(run.url, SHOP)
    milliseconds = run.refused(with_timestamp("unix_millis(events.at)"))
    assert "unreadable timestamp (TIMESTAMP) 3" in milliseconds
    assert milliseconds.endswith(
        "a timestamp is a date, a timestamp, ISO 8601 text or epoch seconds; write x div 1000 for"
        " milliseconds, to_timestamp(x, 'dd.MM.yyyy HH:mm') for other texts,"
        " cast(x as bigint) for epoch seconds in a text"
    )
    pattern = run.refused(with_timestamp("to_timestamp(string(events.at), 'yyyy-MM-dd')"))
    assert "missing required value (TIMESTAMP)" in pattern, "not an error of Spark's"


def test_an_expression_that_fails_on_a_row_is_reported_with_its_data_set(run: Run) -> None:
    execute_sql(run.url, SHOP)
    raising = run.refused(with_timestamp("raise_error(concat('bad row ', events.posting_id))"))
    assert raising.startswith("data set INTERACTIONS: Spark: bad row ")
    assert run.refused(with_timestamp("to_timestamp('1.1.2024', 'd.M.YYYY')")) == (
        "data set INTERACTIONS: Spark: Fail to recognize 'd.M.YYYY' pattern in the"
        " DateTimeFormatter; check the expressions of datasets.interactions"
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


def test_an_expression_that_reads_more_than_its_row_ends_the_job(run: Run) -> None:
    execute_sql(run.url, SHOP)
    getenv = "reflect('java.lang.System', 'getenv', 'DATABASE_URL')"
    assert run.refused(without_users(SPEC, NAME=getenv)) == (
        f'datasets.users.columns.NAME = "{getenv}": reflect(…) reads something else than the'
        " columns of its row; make a view in the database that has the value, and name it as the"
        " table"
    )


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
    execute_sql(run.url, SHOP)
    key = "artifacts/etl-job.json"
    run.s3.put_object(Bucket=BUCKET, Key=key, Body=SPEC.to_json().encode())
    process = script(endpoint, run.url, f"s3://{BUCKET}/{key}", run.folder.run)
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(run.text("manifest.json"))["datasets"]["USERS"]["rows"] == 3
    lines = process.stdout.splitlines()
    assert lines[0] == "progress 0/6 reading the tables"
    assert lines[-1] == "progress 6/6 done"
    assert {"── read students", " |-- grade: integer (nullable = true)"} <= set(lines)


def test_the_script_ends_with_a_one_line_error(endpoint: Endpoint, run: Run) -> None:
    process = script(endpoint, run.url, f"s3://{BUCKET}/missing.json", run.folder.run)
    assert process.returncode == 1
    assert process.stderr == (
        f"ERROR: --spec s3://{BUCKET}/missing.json: The specified key does not exist.;"
        " deploy the workflow, which writes it\n"
    )
