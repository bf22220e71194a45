"""Types, reasons and counts, on frames made by Spark itself."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl.datasets import Column
from etl.validation import (
    accepted_rows,
    counted,
    distinct_rows,
    rejected_examples,
    summary,
    validate_rows,
)

ID = Column("USER_ID", "id", required=True)


def validated(spark: SparkSession, sql: str, column: Column) -> Any:
    """Validate one SQL value; return it as accepted, or the reason why it is rejected."""
    frame = validate_rows(spark.sql(f"SELECT {sql} AS {column.name}"), [column])
    good = accepted_rows(frame, [column]).collect()
    return good[0][0] if good else rejected_examples(frame)[0]["reason"]


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
        ("'a\nb'", "line break in an id"),
    ],
)
def test_ids_become_the_text_that_people_write(spark: SparkSession, sql: str, value: str) -> None:
    assert validated(spark, sql, ID) == value


def test_of_control_characters_and_line_breaks_the_tab_alone_stays(spark: SparkSession) -> None:
    """https://www.unicode.org/reports/tr18/#Line_Boundaries, and what is no text at all."""
    breaks = {*range(32), 0x7F, 0x85, 0x2028, 0x2029} - {0x09}
    points = [*range(0x101), 0x2027, 0x2028, 0x2029, 0x202A, 0xFFFD, 0x1F4DA]
    texts = [f"a{chr(point)}b" for point in points]
    rows = [(text, text) for text in (*texts, "a\r\nb", "\r\n\r")]
    columns = [ID, Column("NAME", "name")]
    frame = validate_rows(spark.createDataFrame(rows, "USER_ID string, NAME string"), columns)
    names = [row["NAME"] for row in frame.collect()]
    assert names == [
        *("a b" if point in breaks else text for point, text in zip(points, texts, strict=True)),
        *("a b", "  "),
    ]
    accepted = [row["USER_ID"] for row in accepted_rows(frame, columns).collect()]
    assert accepted == [
        text for point, text in zip(points, texts, strict=True) if point not in breaks
    ]


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
    assert validated(spark, sql, Column("TIMESTAMP", "t", "long", required=True)) == value


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
        ("boolean", "'t'", "True"),
        ("boolean", "0", "False"),
        ("int", "TRUE", 1),
        ("boolean", "'maybe'", "value cannot be read as boolean"),
        ("string", "TRUE", "True"),
        ("string", "FALSE", "False"),
        ("string", "'one\n\ntwo\r\nthree\rfour\u2028five'", "one  two three four five"),
        ("string", "'a\tb'", "a\tb"),
        ("string", "date'2024-01-01'", "2024-01-01"),
        ("string", "cast(null as int)", None),
    ],
)
def test_values_are_cast_whole_or_not_at_all(
    spark: SparkSession, column_type: Any, sql: str, value: Any
) -> None:
    assert validated(spark, sql, Column("X", "x", column_type)) == value


@pytest.mark.parametrize(
    ("column", "sql"),
    [
        (Column("X", "x", categorical=True), "repeat('x', 1001)"),
        (Column("EVENT_TYPE", "x"), "repeat('あ', 1001)"),
        (Column("IMPRESSION", "x"), "repeat('1|', 501)"),
    ],
)
def test_values_that_fail_the_import_are_left_out(
    spark: SparkSession, column: Column, sql: str
) -> None:
    assert validated(spark, sql, column) == "value over 1000 characters"
    assert len(validated(spark, f"left({sql}, 1000)", column)) == 1_000


@pytest.mark.parametrize(
    ("textual", "sql", "kept"),
    [
        (False, "repeat('x', 1001)", 1_000),
        (True, "repeat('x', 20001)", 20_000),
        (True, "repeat('求人', 3501)", 7_000),
        (True, "concat(repeat('あ', 4000), repeat('a', 3999))", 7_000),
        (True, "concat(repeat('あ', 4000), repeat('a', 4001))", None),
        (True, "repeat('あ', 7000)", None),
        (True, "repeat('😀', 20001)", 20_000),
        (True, "repeat('x', 20000)", None),
    ],
)
def test_longer_texts_are_cut_and_counted(
    spark: SparkSession, textual: bool, sql: str, kept: int | None
) -> None:
    """https://docs.aws.amazon.com/personalize/latest/dg/items-datasets.html#text-data."""
    columns = [ID, Column("X", "x", textual=textual)]
    frame = validate_rows(
        spark.sql(f"SELECT id, {sql} AS X FROM VALUES ('1'), (null) AS t(id)").withColumnRenamed(
            "id", "USER_ID"
        ),
        columns,
    )
    (row,) = accepted_rows(frame, columns).collect()
    whole = spark.sql(f"SELECT {sql}").collect()[0][0]
    assert row["X"] == whole[:kept]
    counts = summary(frame, columns)
    assert dict(counts.truncated) == ({"X": 1} if kept else {})
    assert counts.rows == 1


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


@pytest.mark.parametrize("timestamp", ["'1970-01-02'", "'never'", "CAST(NULL AS string)"])
def test_rows_are_counted_while_they_are_written(
    spark: SparkSession, tmp_path: Path, timestamp: str
) -> None:
    """Spark reads nothing where a constant leaves out every row; all are counted even so."""
    rows = spark.sql(f"SELECT id AS USER_ID, {timestamp} AS TIMESTAMP, id AS GRADE FROM range(3)")
    frame = validate_rows(rows, PEOPLE)
    accepted, counts = counted(frame, PEOPLE)
    accepted.write.csv(f"{tmp_path}/people")
    assert counts() == summary(frame, PEOPLE)
    assert counts().rows + counts().rejected_rows == 3


def test_content_hash_knows_rows_not_their_order(spark: SparkSession) -> None:
    first, second = ("1", "1970-01-02", None), ("2", "1970-01-02", "1")

    def content_hash(*rows: tuple[Any, ...]) -> str:
        return summary(people(spark, rows), PEOPLE).content_hash

    assert content_hash(first, second) == content_hash(second, first)
    others = [(first,), (first, first), (first, second, second), (first, ("2", "1970-01-02", "2"))]
    hashes = {content_hash(*rows) for rows in [(first, second), *others]}
    assert len(hashes) == 5


def test_content_hash_distinguishes_nulls_of_two_columns(
    spark: SparkSession,
) -> None:
    columns = (Column("A", "a"), Column("B", "b"))
    first = spark.createDataFrame([("x", None)], "A string, B string")
    second = spark.createDataFrame([(None, "x")], "A string, B string")
    hashes = {summary(validate_rows(f, columns), columns).content_hash for f in (first, second)}
    assert len(hashes) == 2


@pytest.mark.parametrize("are_few", [True, False])
def test_lists_hold_each_id_once_in_order_without_nulls(spark: SparkSession, are_few: bool) -> None:
    frame = spark.createDataFrame([(3,), (None,), (1,), (3,)], "USER_ID int")
    rows = distinct_rows(validate_rows(frame, [ID]), [ID], are_few=are_few)
    assert [row[0] for row in accepted_rows(rows, [ID]).collect()] == ["1", "3"]
    counts = summary(rows, [ID])
    assert (counts.rows, counts.rejected) == (2, {"null id": 1})
    assert len(counts.content_hash) == 32


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
    accepted = accepted_rows(validate_rows(frame, columns), columns).collect()
    assert [tuple(row) for row in accepted] == [
        ("00000000-0000-0000-0000-000000000007", 2.5, 1704067200, "2024-01-02")
    ]
