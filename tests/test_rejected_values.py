"""One rule for the job and the import: a value that one of them rejects, the other rejects too.

Neither may import the other; docs/own-database.md states the rule.
"""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import Column, ColumnType
from etl.validation import REASON, validate_rows
from localaws.personalize.data.schemas import Field
from localaws.personalize.data.values import values_of

INTEGERS = ["0", "-1", "1.5", "1e3", "NaN", "x", "1" * 25, "-" + "1" * 25]
FLOATS = ["0", "-1.5", "1e3", "-2E-3", "NaN", "Infinity", "-Infinity", "1" * 25, "1e400", "x", "."]
JAVA_FLOATS = ["5f", "1.5D", "0x1p3", "1d"]
TIMES = ["0", "-1", "1704067200", "99999999999", "100000000000", "-100000000000", "1" * 25]


def field_of(column: Column) -> Field:
    avro = column.avro_field()
    kinds = avro["type"] if isinstance(avro["type"], list) else [avro["type"]]
    return Field(
        column.name,
        kinds[-1],
        nullable="null" in kinds,
        categorical=avro.get("categorical", False),
        textual=avro.get("textual", False),
    )


@pytest.mark.parametrize(
    ("column", "database_type", "texts"),
    [
        (Column("X", "x", "int"), "string", [*INTEGERS, "2147483647", "2147483648", "-2147483648"]),
        (
            Column("X", "x", "int"),
            "double",
            ["0", "-1", "1.5", "NaN", "2147483648", "-2147483649", "1e400"],
        ),
        (
            Column("X", "x", "long"),
            "string",
            [*INTEGERS, str(2**63 - 1), str(2**63), str(-(2**63))],
        ),
        (
            Column("X", "x", "float"),
            "string",
            [*FLOATS, *JAVA_FLOATS, "3.4028234e38", "3.5e38", "-1e39"],
        ),
        (Column("X", "x", "float"), "double", [*FLOATS[:-2], "3.4028234e38", "3.5e38", "-1e39"]),
        (
            Column("X", "x", "double"),
            "string",
            [*FLOATS, *JAVA_FLOATS, "1e39", "1.7976931348623157e308"],
        ),
        (Column("X", "x", "double"), "double", [*FLOATS[:-2], "1e39"]),
        (Column("TIMESTAMP", "x", "long", required=True), "decimal(38,0)", ["", *TIMES]),
        (Column("CREATION_TIMESTAMP", "x", "long"), "decimal(38,0)", ["", *TIMES]),
        (Column("CREATION_TIMESTAMP", "x", "long"), "double", [*TIMES, "NaN", "Infinity", "1e400"]),
        (Column("USER_ID", "x", required=True), "string", ["", " ", "あ" * 256, "a" * 257]),
        (Column("X", "x", categorical=True), "string", ["", "|", "あ" * 1000]),
        (Column("X", "x", required=True), "string", ["", " "]),
    ],
    ids=lambda each: f"{each.name}-{each.type}" if isinstance(each, Column) else None,
)
def test_what_the_job_rejects_the_import_rejects_and_what_it_writes_is_imported(
    spark: SparkSession, column: Column, database_type: str, texts: list[str]
) -> None:
    frame = spark.createDataFrame([(text,) for text in texts], "text string")
    checked = validate_rows(
        frame.select(F.col("text").cast(database_type).alias(column.name)), [column]
    )
    written = {
        text: None if row[REASON] else ("" if row[0] is None else str(row[0]))
        for text, row in zip(texts, checked.collect(), strict=True)
    }
    field = field_of(column)
    rejected = {text for text, csv_value in written.items() if csv_value is None}
    assert rejected == {text for text in texts if faults(field, text)}
    assert not [
        text for text, csv_value in written.items() if csv_value and faults(field, csv_value)
    ]


def faults(field: Field, text: str) -> list[tuple[int, str]]:
    return values_of(field, [text], is_id=field.name.endswith("_ID"))[1]


@pytest.mark.parametrize("kind", ["int", "long", "float", "double"])
def test_both_reject_the_special_numbers_of_databases(
    spark: SparkSession, kind: ColumnType
) -> None:
    column = Column("X", "x", kind)
    for text in ("NaN", "Infinity", "-Infinity"):
        frame = spark.sql(f"SELECT double('{text}') AS X")
        row = validate_rows(frame, [column]).collect()[0]
        assert row[REASON]["reason"] == f"value cannot be read as {kind}"
        assert faults(field_of(column), text)
