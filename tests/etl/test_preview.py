"""Previews: what the job would write of some rows, and what of it does not fit the database."""

from dataclasses import replace

import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.database import Database
from etl.datasets import Column, DataSet, Delivery, Engine, JobSpec, Join, Lookup, Relation
from etl.errors import EtlError
from etl.preview import Preview, previews, problems
from etl.tables import Tables
from tests.mariadb import MariaDbDatabase

SHOP = """
CREATE TABLE buyers (id integer PRIMARY KEY, plan text, deleted boolean NOT NULL);
CREATE TABLE bought (no bigint PRIMARY KEY, buyer integer, at timestamptz NOT NULL);
CREATE TABLE lines (bought bigint NOT NULL, code text NOT NULL, quantity integer NOT NULL);
INSERT INTO buyers SELECT n, CASE WHEN n % 2 = 0 THEN 'plus' END, n > 90
    FROM generate_series(1, 100) n;
INSERT INTO bought SELECT n, CASE WHEN n > 1 THEN n % 100 + 1 END, now()
    FROM generate_series(1, 500) n;
INSERT INTO lines SELECT n, 'A-' || n % 7, n FROM generate_series(1, 500) n;
"""
USERS = Relation("buyers", filter="NOT buyers.deleted")
LINES = Relation(
    "lines",
    alias="line",
    rename={"bought": "no"},
    joins=(Join("bought", "inner", {"line.no": "number"}, rename={"no": "number"}),),
)
SPEC = JobSpec(
    engine="postgresql",
    datasets=(
        DataSet(
            "USERS",
            USERS,
            (
                Column("USER_ID", "buyers.id", required=True),
                Column("PLAN", "buyers.plan", categorical=True),
            ),
        ),
        DataSet(
            "INTERACTIONS",
            LINES,
            (
                Column("USER_ID", "bought.buyer", required=True),
                Column("ITEM_ID", "line.code", required=True),
                Column("TIMESTAMP", "bought.at", type="long", required=True),
                Column("EVENT_VALUE", "line.quantity", type="float"),
            ),
        ),
    ),
    batch_input=Lookup("batch-input/", USERS, {"USER_ID": "buyers.id"}),
    exclusions=Lookup(
        "filter/exclusions/", LINES, {"USER_ID": "bought.buyer", "ITEM_ID": "line.code"}
    ),
)


def tables(spark: SparkSession, url: str, engine: Engine = "postgresql") -> Tables:
    options = {**Database.from_url(url).options(), "fetchsize": "100"}
    return Tables(spark, engine=engine, options=options, database="the shop", partitions=1)


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SHOP)
    return database


def by_name(found: list[Preview]) -> dict[str, Preview]:
    return {preview.source.title: preview for preview in found}


def test_some_rows_of_each_file_as_they_are_written(shop: str, spark: SparkSession):
    found = by_name(list(previews(tables(spark, shop), SPEC, at_most=20, lines=2)))

    users, events = found["data set USERS"], found["data set INTERACTIONS"]
    assert (users.read, users.selected, users.accepted) == (20, 20, 20)
    assert users.lines == ("USER_ID,PLAN", "1,", "2,plus")
    assert [(c.column.name, c.source_type, c.nulls, c.distinct) for c in users.columns] == [
        ("USER_ID", "int", 0.0, 20),
        ("PLAN", "string", 0.5, 1),
    ]
    assert (events.read, events.selected, events.accepted) == (20, 20, 19)
    assert events.reasons == {("null id", "USER_ID"): 1}
    assert events.rejected[0]["row"]["ITEM_ID"] == "A-1"
    assert found["batch input"].lines == ('{"userId":"1"}', '{"userId":"10"}')
    assert found["exclusions"].accepted == 19


def test_the_partners_of_a_joined_table_are_found_wherever_they_stand(
    shop: str, spark: SparkSession
):
    """The first lines belong to the last orders here: a LIMIT on both tables would join nothing."""
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("UPDATE lines SET bought = 501 - bought")

    events = by_name(list(previews(tables(spark, shop), SPEC, at_most=10)))["data set INTERACTIONS"]

    assert (events.read, events.accepted) == (10, 10)


def test_an_empty_table_is_a_preview_without_rows(shop: str, spark: SparkSession):
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("TRUNCATE lines")

    events = by_name(list(previews(tables(spark, shop), SPEC)))["data set INTERACTIONS"]

    assert (events.read, events.selected, events.accepted, events.rejected) == (0, 0, 0, ())
    assert events.lines == ("USER_ID,ITEM_ID,TIMESTAMP,EVENT_VALUE",)


def test_a_sound_specification_has_no_problems(shop: str, spark: SparkSession):
    assert problems(tables(spark, shop), SPEC) == []


def test_a_table_that_cannot_take_the_list_is_reported_with_all_else(
    shop: str, spark: SparkSession
):
    columns = {"USER_ID": "id", "ITEM_ID": "plan", "RANK": "rank", "SCORE": "score"}
    wrong = replace(
        SPEC,
        batch_input=replace(SPEC.batch_input, relation=Relation("byers")),
        delivery=Delivery("buyers", columns),
    )

    found = problems(tables(spark, shop), wrong)

    assert [problem.partition("; ")[0].partition(". Columns:")[0] for problem in found] == [
        "batch input: table 'byers' does not exist in the database",
        "delivery: table 'buyers' has no column 'rank' for RANK",
        "delivery: table 'buyers' has no column 'score' for SCORE",
        "delivery: table 'buyers': column 'deleted' takes no null and has no default, and the list"
        " has nothing for it",
    ]


def test_everything_that_does_not_fit_is_reported_at_once(shop: str, spark: SparkSession):
    """A wrong filter, join, rename or partition column hides no other mistake of its data set."""
    users, events = SPEC.datasets
    wrong = replace(
        SPEC,
        datasets=(
            replace(
                users,
                relation=replace(USERS, filter="NOT buyers.delete_d", partition_column="code"),
                columns=(users.columns[0], Column("PLAN", "uper(buyers.plan)")),
            ),
            replace(
                events,
                relation=replace(
                    LINES,
                    rename={"bougt": "no"},
                    joins=(
                        Join("bought", "inner", {"line.bought": "nr"}),
                        Join("buyers", "left", {"buyr": "id"}),
                    ),
                ),
                columns=(*events.columns[:3], Column("EVENT_VALUE", "line.quantit", type="float")),
            ),
        ),
        exclusions=Lookup("filter/", Relation("line"), {"USER_ID": "a", "ITEM_ID": "b"}),
    )

    found = problems(tables(spark, shop), wrong)

    assert [problem.partition("; ")[0] for problem in found] == [
        "data set USERS: table 'buyers' has no column 'code' (partition_column)",
        "datasets.users.filter = \"NOT buyers.delete_d\": there is no column 'buyers.delete_d'",
        "datasets.users.columns.PLAN = \"uper(buyers.plan)\": Spark SQL has no function 'uper'",
        "datasets.interactions.rename: table 'lines' has no column 'bougt'",
        "datasets.interactions.joins[0].on: there is no column 'nr'",
        "datasets.interactions.joins[1].on: there is no column 'buyr'",
        'datasets.interactions.columns.EVENT_VALUE = "line.quantit":'
        " there is no column 'line.quantit'",
        "exclusions: table 'line' does not exist in the database",
    ]


def test_an_unreachable_database_is_one_error(spark: SparkSession):
    with pytest.raises(EtlError, match=r"the shop: .* refused"):
        problems(tables(spark, "postgresql://a:b@127.0.0.1:1/shop"), SPEC)


def test_mariadb_too(mariadb: MariaDbDatabase, spark: SparkSession):
    """Ids as texts beside numbers: the partners are compared by their text there."""
    mariadb.execute(
        "CREATE TABLE buyers (id int PRIMARY KEY, plan varchar(9), deleted tinyint(1) NOT NULL)",
        "CREATE TABLE bought (no varchar(9), buyer int, at datetime)",
        "CREATE TABLE `lines` (bought int, code varchar(9), quantity int)",
        "INSERT INTO buyers VALUES (1, 'plus', 0), (2, 'Plus', 1)",
        "INSERT INTO bought VALUES ('7', 1, '2024-01-01'), ('8', 2, NULL)",
        "INSERT INTO `lines` VALUES (7, 'A', 2), (8, 'B', 1)",
    )
    users = replace(USERS, filter="buyers.deleted = 0")
    spec = replace(
        SPEC,
        engine="mysql",
        datasets=(replace(SPEC.datasets[0], relation=users), SPEC.datasets[1]),
        batch_input=replace(SPEC.batch_input, relation=users),
    )
    shop = tables(spark, mariadb.url, "mysql")

    assert problems(shop, spec) == []
    events = by_name(list(previews(shop, spec)))["data set INTERACTIONS"]
    assert events.lines[1:] == ("1,A,1704067200,2.0",)
    assert events.reasons == {("missing required value", "TIMESTAMP"): 1}
