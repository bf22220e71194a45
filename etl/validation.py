"""A data set's columns → rows that Personalize accepts, and the reasons why it rejects the others.

`validate_rows` casts the columns and adds the reasons. Nothing here runs a Spark job, except
`summary` and `rejected_examples`, which say so. `counted` counts what another job writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from pyspark.sql import types as T  # noqa: N812

from etl.csv_lines import PLAIN
from etl.datasets import MAX_EAST_ASIAN_LENGTH, Column
from etl.projection import as_text, quote_name
from etl.references import UNCOMPARABLE, unreadable

# Names that no Personalize column can have: those hold letters, digits and _ alone.
REASON = "rejected because"
SOURCE = "source row"
TRUNCATED = "truncated columns"
WATERMARK = "watermark"
NULL_ID = "null id"
_UNCOMPARABLE = "value cannot be compared"
_REASONS = "reasons"
_IS_ACCEPTED = "is accepted"
_TEXTS = "texts of unreadable values"

# 10^11 seconds is the year 5138, 10^11 milliseconds is March 1973.
EPOCH_SECONDS_BELOW = 100_000_000_000

# Each record stands on one line: line breaks, and control characters but the tab.
_LINE_BREAKS = r"\R|[\x00-\x08\x0E-\x1F\x7F]"
# Any of these characters; a class is found in a third of the time.
_HAS_LINE_BREAK = r"[\x00-\x08\x0A-\x1F\x7F\x85\u2028\u2029]"
# The local Personalize counts the same characters: localaws/personalize/data/values.py.
_EAST_ASIAN = (
    "[^\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003134f]"
)
# Java reads 5f and 1.5D as numbers too.
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"

_ISO_TIMESTAMP = (
    r"^\s*\d{4}-\d{2}-\d{2}"
    r"([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?\s*$"
)


@dataclass(frozen=True)
class Summary:
    """Counts, hash and newest timestamp of a validated data set.

    Attributes:
        rows: Rows that Personalize gets.
        rejected: Reason → rows left out for it; a row counts under its first reason.
        content_hash: 32 hexadecimal digits, the same for the same rows in any order.
        newest_timestamp: UTC epoch seconds, None where the data set has no timestamp or row.
        truncated: Column → values that were cut to what Personalize takes.
    """

    rows: int
    content_hash: str
    newest_timestamp: int | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)
    truncated: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_rows(self) -> int:
        """Rows left out for any reason."""
        return sum(self.rejected.values())


def validate_rows(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Cast every column to its Personalize type and add the reason why a row is rejected.

    Empty strings become null. Timestamps (timestamp, date, ISO text; a number is already epoch
    seconds) become UTC epoch seconds. Ids and other strings are written as people write them:
    `123` for a bigint and a decimal; a boolean as `True` or `False`, the strings by which
    Personalize trains and filters. Line breaks in a string become a space, long texts are cut.

    Args:
        frame: What `project_columns` returned: one column per data set column, and beside it, if
            its source can hold what Spark cannot, `unreadable(column)` with the text of that;
            the columns `UNCOMPARABLE` likewise for the filter and the joins.
        columns: The data set's columns.

    Returns:
        The data set's columns, then `REASON` (struct of reason and column; null for an accepted
        row), `SOURCE` (a rejected row's values before the cast, as JSON; else null) and
        `TRUNCATED` (the names of columns whose values were cut, null for none). Of several
        reasons, the first column's first one stands, in this order: null, unreadable, line break,
        too long. If the frame has a column `WATERMARK`, that too, in UTC epoch seconds, null where
        it cannot be read.
    """
    typed = [_TypedColumn.of(column, frame) for column in columns]
    rules = [(each.column.name, *rule) for each in typed for rule in each.rules()]
    reasons = [F.when(condition, _reason(reason, name)) for name, condition, reason in rules]
    uncomparable = {
        by: F.col(quote_name(name)) for by, name in UNCOMPARABLE.items() if name in frame.columns
    }
    texts = F.struct(
        *(each.unreadable.alias(each.column.name) for each in typed),
        *(text.alias(by) for by, text in uncomparable.items()),
    )
    values = F.struct(*_values(columns), texts.alias(_TEXTS))
    source = F.to_json(values, {"ignoreNullFields": "false"})
    first = [
        F.when(text.isNotNull(), _reason(_UNCOMPARABLE, by)) for by, text in uncomparable.items()
    ]
    reason = F.coalesce(*first, *reasons)
    possible = sorted({*(rule[-1] for rule in rules), *([_UNCOMPARABLE] if first else [])})
    cut = [F.when(each.is_too_long, F.lit(each.column.name)) for each in typed if each.is_cut]
    truncated = F.array_compact(F.array(*cut)) if cut else F.lit(None).cast("array<string>")
    return frame.select(
        *(each.written for each in typed),
        reason.alias(REASON, metadata={_REASONS: possible}),
        F.when(reason.isNotNull(), source).alias(SOURCE),
        F.when(F.size(truncated) > 0, truncated).alias(TRUNCATED),
        *_watermark(frame),
    )


def _watermark(frame: DataFrame) -> Iterator[Expression]:
    if WATERMARK in frame.columns:
        source = frame.schema[WATERMARK].dataType
        yield _epoch_seconds(F.col(WATERMARK), WATERMARK, source).alias(WATERMARK)


def _reason(reason: str, column: str) -> Expression:
    return F.struct(F.lit(reason).alias("reason"), F.lit(column).alias("column"))


def _values(columns: Sequence[Column]) -> list[Expression]:
    return [F.col(quote_name(column.name)) for column in columns]


@dataclass(frozen=True)
class _TypedColumn:
    """A column's value in Personalize's type, and whether the source held a value.

    Attributes:
        unreadable: The text of a value that Spark cannot hold, null for all others.
        is_text: Whether it is a text in the source, and so may hold any character.
    """

    column: Column
    value: Expression
    present: Expression
    unreadable: Expression
    is_text: bool

    @classmethod
    def of(cls, column: Column, frame: DataFrame) -> _TypedColumn:
        raw, source = F.col(quote_name(column.name)), frame.schema[column.name].dataType
        text = F.lit(None).cast("string")
        if unreadable(column.name) in frame.columns:
            text = F.col(quote_name(unreadable(column.name)))
        present = raw.isNotNull()
        is_text = isinstance(source, T.StringType)
        if is_text:
            present = present & (raw != "")
        if column.is_timestamp:
            value = _epoch_seconds(raw, column.name, source)
        elif column.type == "string":
            value = _string(raw, column, source)
        else:
            value = _number_or_boolean(raw, column, source)
        value = F.when(present & text.isNull(), value)
        return cls(column, value, present | text.isNotNull(), text, is_text)

    @property
    def is_cut(self) -> bool:
        """Whether a longer value than Personalize takes is cut."""
        return self.column.is_truncated and self.is_text

    @property
    def is_too_long(self) -> Expression:
        """Whether the value has more characters than Personalize takes."""
        return F.length(self.value) > self._limit

    @property
    def written(self) -> Expression:
        """The value as it is written, under its column's name."""
        value = self.value
        if self.is_cut:
            cut = value.substr(F.lit(1), self._limit)
            value = F.when(self.is_too_long, cut).otherwise(value)
        return value.alias(self.column.name, metadata={} if self.is_text else PLAIN)

    @property
    def _limit(self) -> Expression:
        limit = F.lit(self.column.max_length)
        if not self.column.textual:
            return limit
        # The guide does not say how Personalize tells a language: here, what most letters are.
        letters = F.length(F.regexp_replace(self.value, _EAST_ASIAN, ""))
        is_east_asian = (F.length(self.value) > MAX_EAST_ASIAN_LENGTH) & (
            letters * 2 >= F.length(self.value)
        )
        return F.when(is_east_asian, F.lit(MAX_EAST_ASIAN_LENGTH)).otherwise(limit)

    def rules(self) -> Iterator[tuple[Expression, str]]:
        """Yield conditions under which the row is rejected, each with its reason."""
        column = self.column
        if column.required:
            yield ~self.present, NULL_ID if column.is_id else "missing required value"
        reason = f"value cannot be read as {column.type}"
        if column.is_timestamp:
            reason = "unreadable timestamp"
        yield self.present & self.value.isNull(), reason
        if not self.is_text:
            return
        if column.is_id:
            yield self.value.rlike(_HAS_LINE_BREAK), "line break in an id"
        if column.max_length is not None and not self.is_cut:
            noun = "id" if column.is_id else "value"
            yield self.is_too_long, f"{noun} over {column.max_length} characters"


def _epoch_seconds(raw: Expression, name: str, source: T.DataType) -> Expression:
    """Return UTC epoch seconds; null for what is none: before 1970, milliseconds, other texts.

    The local Personalize has the same bounds: localaws/personalize/data/values.py.
    """
    if isinstance(source, T.NumericType):
        seconds = F.expr(f"try_cast({quote_name(name)} AS bigint)")
    elif isinstance(source, T.StringType):
        seconds = F.when(raw.rlike(_ISO_TIMESTAMP), raw.cast("timestamp").cast("long"))
    else:
        seconds = raw.cast("timestamp").cast("long")
    return F.when((seconds >= 0) & (seconds < EPOCH_SECONDS_BELOW), seconds)


def _string(raw: Expression, column: Column, source: T.DataType) -> Expression:
    if isinstance(source, T.BooleanType):
        return _truth(raw)
    if isinstance(source, T.StringType) and not column.is_id:
        on_one_line = F.regexp_replace(raw, _LINE_BREAKS, " ")
        return F.when(raw.rlike(_HAS_LINE_BREAK), on_one_line).otherwise(raw)
    return as_text(raw, source)


def _number_or_boolean(raw: Expression, column: Column, source: T.DataType) -> Expression:
    """Return the number or boolean; null where it does not fit or would lose its fraction."""
    if isinstance(source, T.DateType):
        return raw.cast("timestamp").cast(column.type)
    cast = F.expr(f"try_cast({quote_name(column.name)} AS {_SPARK_TYPES[column.type]})")
    if column.type == "boolean":
        return _truth(cast)
    if column.type in ("int", "long") and isinstance(source, T.FractionalType):
        return F.when(raw == F.floor(raw), cast)
    if column.type in ("float", "double"):
        if isinstance(source, T.StringType):
            cast = F.when(raw.rlike(_NUMBER), cast)
        infinity = F.lit(float("inf"))
        return F.when(~F.isnan(cast) & (F.abs(cast) != infinity), cast)
    return cast


def _truth(boolean: Expression) -> Expression:
    return F.when(boolean, F.lit("True")).when(~boolean, F.lit("False"))


_SPARK_TYPES = {
    "int": "int",
    "long": "bigint",
    "float": "float",
    "double": "double",
    "boolean": "boolean",
}


def accepted(frame: DataFrame) -> DataFrame:
    """Return the accepted rows of what `validate_rows` returned."""
    return frame.filter(F.col(REASON).isNull())


def accepted_rows(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Return the accepted rows of what `validate_rows` returned, with the data set's columns."""
    return accepted(frame).select(*_values(columns))


def rejected_examples(frame: DataFrame, *, at_most: int = 100) -> list[dict[str, Any]]:
    """Run a Spark job: collect at most so many rejected rows of what `validate_rows` returned.

    Returns:
        Dictionaries of `reason`, `column` and `row` (column name → value before the cast).
    """
    rejected = frame.filter(F.col(REASON).isNotNull()).select(f"`{REASON}`.*", SOURCE)
    return [rejected_example(*row) for row in rejected.limit(at_most).collect()]


def rejected_example(reason: str, column: str, source: str) -> dict[str, Any]:
    """Return a rejected row as it is kept: `reason`, `column` and `row`, of `SOURCE`'s JSON."""
    row: dict[str, Any] = json.loads(source)
    unreadable_texts = row.pop(_TEXTS)
    row |= {name: text for name, text in unreadable_texts.items() if text is not None}
    return {"reason": reason, "column": column, "row": row}


def counted(frame: DataFrame, columns: Sequence[Column]) -> tuple[DataFrame, Callable[[], Summary]]:
    """Count, hash and date what `validate_rows` returned while it is written: rows are read once.

    The rows have to be written by the stage in which they are counted, without a shuffle behind:
    of such a stage alone Spark counts no row twice when it repeats a task.

    Returns:
        The accepted rows with the data set's columns, and what returns the summary as soon as they
        are written by one Spark job.
    """
    observation = Observation()
    # As a column: a condition that never holds would have Spark leave out the count too.
    marked = frame.withColumn(_IS_ACCEPTED, F.col(REASON).isNull())
    observed = marked.observe(observation, *_counts(frame, columns))
    rows = observed.filter(quote_name(_IS_ACCEPTED)).select(*_values(columns))
    return rows, lambda: _summary(observation.get, frame, columns)


def summary(frame: DataFrame, columns: Sequence[Column]) -> Summary:
    """Run a Spark job: count, hash and date what `validate_rows` or `distinct_rows` returned."""
    (row,) = frame.agg(*_counts(frame, columns)).collect()
    return _summary(row.asDict(), frame, columns)


def _counts(frame: DataFrame, columns: Sequence[Column]) -> list[Expression]:
    is_accepted, reason = F.col(REASON).isNull(), F.col(REASON)["reason"]
    timestamp = next((F.col(c.name) for c in columns if c.is_timestamp), F.lit(None).cast("long"))
    row_hash = F.when(is_accepted, _row_hash(columns))
    return [
        F.count_if(is_accepted).alias("rows"),
        # The sum of the hashes, which is greater than a long: of their halves Spark adds longs.
        F.sum(F.shiftright(row_hash, 32)).alias("high"),
        F.sum(row_hash.bitwiseAND(F.lit(0xFFFFFFFF))).alias("low"),
        F.max(F.when(is_accepted, timestamp)).alias("newest"),
        *(
            F.count_if(is_accepted & F.array_contains(TRUNCATED, name)).alias(f"cut {name}")
            for name in _cut(columns)
        ),
        *(F.count_if(reason == each).alias(f"rejected {each}") for each in _reasons(frame)),
    ]


def _summary(counts: Mapping[str, Any], frame: DataFrame, columns: Sequence[Column]) -> Summary:
    rejected = {reason: counts[f"rejected {reason}"] for reason in _reasons(frame)}
    truncated = {name: counts[f"cut {name}"] for name in _cut(columns)}
    hashes = ((counts["high"] or 0) << 32) + (counts["low"] or 0)
    return Summary(
        rows=counts["rows"],
        content_hash=_content_hash(columns, counts["rows"], hashes),
        newest_timestamp=counts["newest"],
        rejected={reason: rows for reason, rows in rejected.items() if rows},
        truncated={name: values for name, values in truncated.items() if values},
    )


def _reasons(frame: DataFrame) -> list[str]:
    """Return the reasons for which rows of what `validate_rows` returned can be rejected."""
    reasons: list[str] = frame.schema[REASON].metadata[_REASONS]
    return reasons


def _cut(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns if column.is_truncated]


def distinct_rows(
    frame: DataFrame, columns: Sequence[Column], *, are_few: bool = False
) -> DataFrame:
    """Return each row of what `validate_rows` returned once, sorted by its ids.

    Args:
        frame: The rows.
        columns: The list's columns.
        are_few: Whether one task sorts them, which takes no look at them to share them out.

    Returns:
        The columns, `REASON` and `SOURCE`.
    """
    names = [column.name for column in columns]
    rows = frame.select(*_values(columns), REASON, SOURCE).distinct()
    return rows.coalesce(1).sortWithinPartitions(*names) if are_few else rows.orderBy(*names)


def _row_hash(columns: Sequence[Column]) -> Expression:
    """Return a number for each row; their sum is the same for the same rows in any order."""
    values = _values(columns)
    # xxhash64 skips nulls, so (null, 'a') and ('a', null) need the flags to differ.
    return F.xxhash64(*values, *(value.isNull() for value in values))


def _content_hash(columns: Sequence[Column], rows: int, hashes: int) -> str:
    content = [[column.name for column in columns], rows, str(hashes)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
