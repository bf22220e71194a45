"""Joins, expressions, types and reasons, on frames made by Spark itself."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl.datasets import Column, Join, Relation
from etl.errors import EtlError
from etl.transforms import (
    accepted_rows,
    distinct_rows,
    join_tables,
    project_columns,
    rejected_examples,
    summary,
    validate_rows,
)

ID = Column("USER_ID", "id", required=True)


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> dict[str, DataFrame]:
    """Return three people and two teams; one person has no team, one a team that does not exist."""
    return {
        "people": spark.createDataFrame(
            [(1, "a", 10, 2), (2, "b", None, 1), (3, "c", 99, None)],
            "id int, name string, team_id int, boss_id int",
        ),
        "teams": spark.createDataFrame([(10, "red"), (11, "blue")], "id int, name string"),
        "public.Tags": spark.createDataFrame(
            [("1", "x"), ("zwei", "y")], "person string, t string"
        ),
    }


def rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in frame.collect()), key=repr)


def select(tables: dict[str, DataFrame], relation: Relation, *sources: str) -> DataFrame:
    columns = [Column(f"C{n}", source) for n, source in enumerate(sources)]
    keys = [f"datasets.users.columns.{column.name}" for column in columns]
    return project_columns(join_tables(relation, tables, key="datasets.users"), columns, keys=keys)


def one(spark: SparkSession, sql: str, column: Column) -> Any:
    """Validate one SQL value; return it as accepted, or the reason why it is rejected."""
    frame = validate_rows(spark.sql(f"SELECT {sql} AS {column.name}"), [column])
    good = accepted_rows(frame, [column]).collect()
    return good[0][0] if good else rejected_examples(frame)[0]["reason"]


def test_inner_join_drops_rows_without_a_partner_and_left_join_keeps_them(
    tables: dict[str, DataFrame],
) -> None:
    def joined(how: Any) -> DataFrame:
        relation = Relation("people", joins=(Join("teams", how, {"team_id": "id"}),))
        return select(tables, relation, "people.id", "teams.name")

    assert rows(joined("inner")) == [(1, "red")]
    assert rows(joined("left")) == [(1, "red"), (2, None), (3, None)]


def test_a_table_joined_to_itself_goes_by_two_aliases(tables: dict[str, DataFrame]) -> None:
    relation = Relation(
        "people", alias="p", joins=(Join("people", "left", {"p.boss_id": "id"}, alias="boss"),)
    )
    assert rows(select(tables, relation, "p.name", "boss.name")) == [
        ("a", "b"),
        ("b", "a"),
        ("c", None),
    ]


def test_rename_filter_and_the_last_part_of_a_name_as_alias(tables: dict[str, DataFrame]) -> None:
    relation = Relation(
        "people",
        rename={"name": "label"},
        joins=(Join("public.Tags", "inner", {"people.id": "person"}),),
        filter="label = 'a' AND Tags.t IS NOT NULL",
    )
    assert rows(select(tables, relation, "label", "upper(t)")) == [("a", "X")]


def test_an_unqualified_join_column_means_the_tables_before_not_the_joined_one(
    tables: dict[str, DataFrame],
) -> None:
    relation = Relation("teams", joins=(Join("people", "inner", {"id": "team_id"}),))
    assert rows(select(tables, relation, "people.name")) == [("a",)]


@pytest.mark.parametrize(
    ("relation", "message"),
    [
        (
            Relation("people", rename={"nmae": "label"}),
            "datasets.users.rename: table 'people' has no column 'nmae'; did you mean 'name'?"
            " Columns: id, name, team_id, boss_id",
        ),
        (
            Relation("people", joins=(Join("teams", "left", {"team": "id"}),)),
            "datasets.users.joins[0].on: there is no column 'team'; did you mean 'people.team_id'?"
            " Columns: people.id, people.name, people.team_id, people.boss_id",
        ),
        (
            Relation("people", joins=(Join("people", "left", {"id": "id"}),)),
            "datasets.users.joins[0]: alias 'people' stands for two tables;"
            ' give one of them another alias = "…"',
        ),
        (
            Relation("people", filter="staus = 1"),
            "datasets.users.filter = \"staus = 1\": there is no column 'staus';"
            " Columns: people.id, people.name, people.team_id, people.boss_id",
        ),
    ],
)
def test_a_relation_that_does_not_fit_is_reported_with_its_key_path_and_the_fix(
    tables: dict[str, DataFrame], relation: Relation, message: str
) -> None:
    with pytest.raises(EtlError) as caught:
        join_tables(relation, tables, key="datasets.users")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "max(people.id)",
            "holds an aggregate over rows, and each row stands alone here; make a view in the"
            " database that counts or sums, and name it as the table",
        ),
        (
            "people.name::text",
            "Syntax error at or near ':'; write cast(x as string), not x::text",
        ),
        (
            "名簿.名前",
            "Syntax error at or near '名'; names of other letters than A-Z stand in backticks,"
            " for example `表`.`列`",
        ),
        (
            "uper(people.name)",
            "Spark SQL has no function 'uper'; see"
            " https://spark.apache.org/docs/latest/sql-ref.html",
        ),
        ("people.*", "gives 4 columns; name one of them"),
    ],
)
def test_what_spark_writes_otherwise_than_databases_is_reported(
    tables: dict[str, DataFrame], source: str, fault: str
) -> None:
    with pytest.raises(EtlError) as caught:
        select(tables, Relation("people"), source)
    assert str(caught.value) == f'datasets.users.columns.C0 = "{source}": {fault}'


def test_every_expression_that_does_not_fit_is_reported_at_once(
    tables: dict[str, DataFrame],
) -> None:
    relation = Relation("people", joins=(Join("teams", "left", {"team_id": "id"}),))
    with pytest.raises(EtlError) as caught:
        select(tables, relation, "nam", "name", "people.id", "1 +", "split('a|b', 'x')")
    names = "people.id, people.name, people.team_id, people.boss_id, teams.id, teams.name"
    assert caught.value.problems == (
        "datasets.users.columns.C0 = \"nam\": there is no column 'nam';"
        f" did you mean 'people.name'? Columns: {names}",
        "datasets.users.columns.C1 = \"name\": 'name' is in several tables;"
        " write one of people.name, teams.name",
        'datasets.users.columns.C3 = "1 +": Syntax error at or near end of input;'
        " see https://spark.apache.org/docs/latest/sql-ref.html",
        "datasets.users.columns.C4 = \"split('a|b', 'x')\": Personalize has no arrays;"
        " use array_join(…, '|')",
    )


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("123L", "123"),
        ("cast(123 as decimal(10,0))", "123"),
        ("cast(123 as decimal(38,18))", "123"),
        ("cast(0 as decimal(38,18))", "0"),
        ("cast(1.50 as decimal(38,18))", "1.5"),
        ("' a '", " a "),
        ("''", "null id"),
        ("cast(null as string)", "null id"),
        ("repeat('あ', 256)", "あ" * 256),
        ("repeat('a', 257)", "id over 256 characters"),
    ],
)
def test_ids_become_the_text_that_people_write(spark: SparkSession, sql: str, value: str) -> None:
    assert one(spark, sql, ID) == value


def test_an_id_of_floating_point_is_refused_before_any_row_is_read(spark: SparkSession) -> None:
    frame = join_tables(Relation("t"), {"t": spark.sql("SELECT 1D AS id")}, key="k")
    with pytest.raises(EtlError, match=r"an id of type double has no certain text \(1 or 1.0\?\)"):
        project_columns(frame, [ID], keys=["k.columns.USER_ID"])


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("timestamp'2024-01-01 00:00:00.999'", 1704067200),
        ("timestamp_ntz'2024-01-01 00:00:00'", 1704067200),
        ("date'2024-01-01'", 1704067200),
        ("'2024-01-01'", 1704067200),
        ("'2024-01-01 00:00:00'", 1704067200),
        ("'2024-01-01T09:00:00.5+09:00'", 1704067200),
        ("'2024-01-01T00:00:00Z'", 1704067200),
        ("'2024-01-01 00:00:00+00'", 1704067200),
        ("1704067200", 1704067200),
        ("1704067200.75D", 1704067200),
        ("cast(1704067200 as decimal(38,18))", 1704067200),
        ("1704067200000L", "unreadable timestamp"),
        ("'12:30'", "unreadable timestamp"),
        ("'2024'", "unreadable timestamp"),
        ("'2024-13-01'", "unreadable timestamp"),
        ("'yesterday'", "unreadable timestamp"),
        ("double('NaN')", "unreadable timestamp"),
        ("''", "missing required value"),
        ("cast(null as timestamp)", "missing required value"),
    ],
)
def test_timestamps_become_utc_epoch_seconds(spark: SparkSession, sql: str, value: Any) -> None:
    assert one(spark, sql, Column("TIMESTAMP", "t", "long", required=True)) == value


@pytest.mark.parametrize(
    ("column_type", "sql", "value"),
    [
        ("int", "' 5 '", 5),
        ("int", "7.0D", 7),
        ("int", "7.5D", "value cannot be read as int"),
        ("int", "3000000000", "value cannot be read as int"),
        ("int", "'5.5'", "value cannot be read as int"),
        ("int", "''", None),
        ("long", "timestamp'2024-01-01 00:00:00'", 1704067200),
        ("long", "date'2024-01-01'", 1704067200),
        ("float", "1.5BD", 1.5),
        ("float", "1e300D", "value cannot be read as float"),
        ("double", "'NaN'", "value cannot be read as double"),
        ("boolean", "'t'", True),
        ("boolean", "0", False),
        ("boolean", "'maybe'", "value cannot be read as boolean"),
        ("string", "TRUE", "true"),
        ("string", "date'2024-01-01'", "2024-01-01"),
        ("string", "cast(null as int)", None),
    ],
)
def test_values_are_cast_whole_or_not_at_all(
    spark: SparkSession, column_type: Any, sql: str, value: Any
) -> None:
    assert one(spark, sql, Column("X", "x", column_type)) == value


@pytest.mark.parametrize(
    ("column", "length", "reason"),
    [
        (Column("X", "x", categorical=True), 1_001, "value over 1000 characters"),
        (Column("X", "x", textual=True), 20_001, "value over 20000 characters"),
    ],
)
def test_texts_that_fail_the_import_are_left_out(
    spark: SparkSession, column: Column, length: int, reason: str
) -> None:
    assert one(spark, f"repeat('x', {length})", column) == reason
    assert one(spark, f"repeat('x', {length - 1})", column) == "x" * (length - 1)


def people(spark: SparkSession, rows: Sequence[tuple[Any, ...]]) -> DataFrame:
    schema = "USER_ID string, TIMESTAMP string, GRADE string"
    return validate_rows(spark.createDataFrame(list(rows), schema), PEOPLE)


PEOPLE = (
    ID,
    Column("TIMESTAMP", "t", "long", required=True),
    Column("GRADE", "grade", "int"),
)


def test_summary_counts_a_row_once_under_its_first_reason(spark: SparkSession) -> None:
    frame = people(
        spark,
        [
            ("1", "1970-01-02", "1"),
            ("2", "1970-01-03", None),
            (None, "never", "x"),
            ("3", "never", "x"),
            ("4", None, "1"),
        ],
    )
    counts = summary(frame, PEOPLE)
    assert counts.rows == 2
    assert counts.newest_timestamp == 172800
    assert dict(counts.rejected) == {
        "missing required value": 1,
        "null id": 1,
        "unreadable timestamp": 1,
    }
    examples = {example["reason"]: example for example in rejected_examples(frame)}
    assert examples["null id"] == {
        "reason": "null id",
        "column": "USER_ID",
        "row": {"USER_ID": None, "TIMESTAMP": "never", "GRADE": "x"},
    }
    assert len(rejected_examples(frame, at_most=2)) == 2


def test_content_hash_knows_rows_not_their_order(spark: SparkSession) -> None:
    first, second = ("1", "1970-01-02", None), ("2", "1970-01-02", "1")

    def content_hash(*rows: tuple[Any, ...]) -> str:
        return summary(people(spark, rows), PEOPLE).content_hash

    assert content_hash(first, second) == content_hash(second, first)
    others = [(first,), (first, first), (first, second, second), (first, ("2", "1970-01-02", "2"))]
    hashes = {content_hash(*rows) for rows in [(first, second), *others]}
    assert len(hashes) == 5


def test_content_hash_tells_a_null_in_one_column_from_a_null_in_another(
    spark: SparkSession,
) -> None:
    columns = (Column("A", "a"), Column("B", "b"))
    first = spark.createDataFrame([("x", None)], "A string, B string")
    second = spark.createDataFrame([(None, "x")], "A string, B string")
    hashes = {summary(validate_rows(f, columns), columns).content_hash for f in (first, second)}
    assert len(hashes) == 2


def test_lists_hold_each_id_once_in_order_without_nulls(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(3,), (None,), (1,), (3,)], "USER_ID int")
    assert [row[0] for row in distinct_rows(validate_rows(frame, [ID]), [ID]).collect()] == [
        "1",
        "3",
    ]


def test_python_values_of_every_type_pass(spark: SparkSession) -> None:
    row = (str(UUID(int=7)), Decimal("2.50"), datetime(2024, 1, 1), date(2024, 1, 2))
    frame = spark.createDataFrame(
        [row], "USER_ID string, PRICE decimal(12,2), SEEN timestamp, BORN date"
    )
    columns = [
        ID,
        Column("PRICE", "p", "double"),
        Column("SEEN", "s", "long"),
        Column("BORN", "b", "string"),
    ]
    assert rows(accepted_rows(validate_rows(frame, columns), columns)) == [
        ("00000000-0000-0000-0000-000000000007", 2.5, 1704067200, "2024-01-02")
    ]
