"""DataFrame → DataFrame: from a database's tables to rows that Personalize accepts.

`related` joins and filters, `projected` evaluates a data set's expressions, `checked` gives them
Personalize's types and says why a row cannot be taken, `summary` counts. Nothing here reads,
writes or runs a Spark job, except `summary` and `rejected_examples`, which say so.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from pyspark.sql import types as T  # noqa: N812

from etl.database import TableName
from etl.datasets import Column, Join, Relation
from etl.errors import EtlError, listing, suggestion

# Names that no Personalize column can have: those hold letters, digits and _ alone.
REASON = "rejected because"
SOURCE = "source row"
_PLAIN = "plain column"

# 10^11 seconds is the year 5138, 10^11 milliseconds is March 1973.
EPOCH_SECONDS_BELOW = 100_000_000_000

_ISO_TIMESTAMP = (
    r"^\s*\d{4}-\d{2}-\d{2}"
    r"([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?\s*$"
)


@dataclass(frozen=True)
class Related:
    """Joined tables.

    Attributes:
        frame: all columns of all tables, to be named as `alias.column`.
        columns: alias → its table's column names, in the order of the joins.
    """

    frame: DataFrame
    columns: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Every column as `alias.column`."""
        return tuple(
            f"{alias}.{column}" for alias, columns in self.columns.items() for column in columns
        )


@dataclass(frozen=True)
class Summary:
    """What a checked data set holds.

    Attributes:
        rows: rows that Personalize gets.
        rejected: reason → rows left out for it; a row counts under its first reason.
        content_hash: 32 hexadecimal digits, the same for the same rows in any order.
        newest_timestamp: UTC epoch seconds, None where the data set has no timestamp or row.
    """

    rows: int
    content_hash: str
    newest_timestamp: int | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_rows(self) -> int:
        """Rows left out for any reason."""
        return sum(self.rejected.values())


def related(relation: Relation, tables: Mapping[str, DataFrame], *, key: str) -> Related:
    """Join a relation's tables by equality and filter them.

    Args:
        relation: what to join.
        tables: table name as the relation writes it → all its columns.
        key: where the relation stands in the configuration, for messages.

    Returns:
        every column of every table, to be named as `alias.column`.

    Raises:
        EtlError: a renamed, joined or filtered column does not exist, an alias is used twice.
    """
    first = Join(relation.table, "inner", {}, relation.alias, relation.rename)
    result = Related(*_aliased(first, tables, key=key))
    for number, join in enumerate(relation.joins):
        place = f"{key}.joins[{number}]"
        frame, columns = _aliased(join, tables, key=place)
        if set(columns) & set(result.columns):
            raise EtlError(
                f"{place}: alias '{next(iter(columns))}' stands for two tables;"
                ' give one of them another alias = "…"'
            )
        condition = _equality(join, result, Related(frame, columns), key=place)
        result = Related(
            result.frame.join(frame, on=condition, how=join.how), {**result.columns, **columns}
        )
    if not relation.filter:
        return result
    try:
        return Related(result.frame.filter(relation.filter), result.columns)
    except AnalysisException as error:
        raise EtlError(
            f'{key}.filter = "{relation.filter}":'
            f" {_sql_fault(error, relation.filter, result.names)}"
        ) from None


def _aliased(
    join: Join, tables: Mapping[str, DataFrame], *, key: str
) -> tuple[DataFrame, dict[str, tuple[str, ...]]]:
    frame = tables[join.table]
    for old, new in join.rename.items():
        if old not in frame.columns:
            raise EtlError(
                f"{key}.rename: table '{join.table}' has no column '{old}'"
                f"{suggestion(old, frame.columns)} Columns: {listing(frame.columns)}"
            )
        frame = frame.withColumnRenamed(old, new)
    alias = join.alias or TableName.parse(join.table).alias
    return frame.alias(alias), {alias: tuple(frame.columns)}


def _equality(join: Join, before: Related, table: Related, *, key: str) -> Expression:
    if not join.on:
        raise EtlError(f"{key}.on is empty; write the columns that must be equal")
    condition = F.lit(True)
    for left, right in join.on.items():
        one, one_type = _column(left, before, key=f"{key}.on")
        other, other_type = _column(right, table, key=f"{key}.on")
        if isinstance(one_type, T.StringType) != isinstance(other_type, T.StringType):
            # Left alone, Spark turns the text into a number and silently loses what is none.
            one, other = one.cast("string"), other.cast("string")
        condition = condition & (one == other)
    return condition


def _column(name: str, tables: Related, *, key: str) -> tuple[Expression, T.DataType]:
    """Find `column` or `alias.column`; its table's alias makes it plain which one is meant."""
    wanted = name.replace("`", "").replace('"', "").lower()
    found = [
        (alias, column)
        for alias, columns in tables.columns.items()
        for column in columns
        if wanted in (column.lower(), f"{alias}.{column}".lower())
    ]
    if len(found) > 1:
        choice = listing([f"{alias}.{column}" for alias, column in found])
        raise EtlError(f"{key}: '{name}' is in several tables; write one of {choice}")
    if not found:
        raise EtlError(
            f"{key}: there is no column '{name}'{suggestion(name, tables.names)}"
            f" Columns: {listing(tables.names)}"
        )
    expression = F.col(".".join(_ticked(part) for part in found[0]))
    return expression, tables.frame.select(expression).schema[0].dataType


def _ticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def projected(tables: Related, columns: Sequence[Column], *, keys: Sequence[str]) -> DataFrame:
    """Evaluate each column's source expression.

    Args:
        tables: what `related` returned.
        columns: the data set's columns.
        keys: where each column stands in the configuration, for messages.

    Returns:
        one column per data set column, in that order, with the types that the database gave.

    Raises:
        EtlError: expressions that Spark SQL cannot resolve, or whose type Personalize cannot
            take; all of them at once.
    """
    try:
        frame = _row_by_row(tables, *(F.expr(c.source).alias(c.name) for c in columns))
    except AnalysisException as error:
        whole = _sql_fault(error, "", tables.names)
        faults = [_expression_fault(column, tables) for column in columns]
        if not any(faults):
            raise EtlError(f"{keys[0]} and what follows: {whole}") from None
    else:
        kinds = [field.dataType for field in frame.schema]
        if len(kinds) != len(columns):
            faults = [_expression_fault(column, tables) for column in columns]
        else:
            faults = [_type_fault(*pair) for pair in zip(columns, kinds, strict=True)]
    problems = [
        f'{key} = "{column.source}": {fault}'
        for key, column, fault in zip(keys, columns, faults, strict=True)
        if fault
    ]
    if problems:
        raise EtlError(*problems)
    return frame


def _row_by_row(tables: Related, *values: Expression) -> DataFrame:
    """Select values; beside a plain column Spark refuses aggregates, which would give one row."""
    alias, names = next(iter(tables.columns.items()))
    plain = F.col(f"{_ticked(alias)}.{_ticked(names[0])}").alias(_PLAIN)
    return tables.frame.select(*values, plain).drop(_PLAIN)


def _expression_fault(column: Column, tables: Related) -> str | None:
    try:
        schema = _row_by_row(tables, F.expr(column.source)).schema
    except AnalysisException as error:
        return _sql_fault(error, column.source, tables.names)
    if len(schema) != 1:
        return f"gives {len(schema)} columns; name one of them"
    return _type_fault(column, schema[0].dataType)


def _sql_fault(error: AnalysisException, sql: str, names: Sequence[str]) -> str:
    kind = error.getErrorClass() or ""
    parameters: Mapping[str, Any] = error.getMessageParameters() or {}
    name = str(parameters.get("objectName") or parameters.get("name", "")).replace("`", "")
    if kind.startswith("UNRESOLVED_COLUMN"):
        return f"there is no column '{name}'{suggestion(name, names)} Columns: {listing(names)}"
    if kind == "AMBIGUOUS_REFERENCE":
        same = [known for known in names if known.lower().endswith(f".{name.lower()}")]
        return f"'{name}' is in several tables; write one of {listing(same)}"
    if kind in ("MISSING_GROUP_BY", "INVALID_WHERE_CONDITION"):
        return (
            "holds an aggregate over rows, and each row stands alone here; make a view in the"
            " database that counts or sums, and name it as the table"
        )
    if kind == "UNRESOLVED_ROUTINE":
        routine = str(parameters.get("routineName", "")).replace("`", "")
        return f"Spark SQL has no function '{routine}'; {_SPARK_SQL}"
    text = str(error).strip().splitlines()[0]
    text = re.sub(r"^\[[A-Z_.]+\] |; line \d+ pos \d+.*$|\(line \d+, pos \d+\)", "", text)
    return f"{text.rstrip(' ;.')}{_syntax_advice(sql) if 'SYNTAX' in kind else ''}"


def _syntax_advice(sql: str) -> str:
    """Say what Spark SQL writes otherwise than a person may be used to."""
    outside_quotes = re.sub(r"'[^']*'|`[^`]*`", "", sql)
    if "::" in outside_quotes:
        return "; write cast(x as string), not x::text"
    if not outside_quotes.isascii():
        return "; names of other letters than A-Z stand in backticks, for example `表`.`列`"
    return f"; {_SPARK_SQL}"


_SPARK_SQL = "see https://spark.apache.org/docs/latest/sql-ref.html"


def _type_fault(column: Column, kind: T.DataType) -> str | None:
    """Say why a database type cannot become this column's type, None if it can."""
    name = kind.simpleString()
    if isinstance(kind, T.ArrayType):
        return "Personalize has no arrays; use array_join(…, '|')"
    if isinstance(kind, T.MapType | T.StructType):
        return f"Personalize has no {name}; take one field out of it"
    if isinstance(kind, T.BinaryType):
        return "Personalize has no binary values; use hex(…) or decode(…, 'UTF-8')"
    if not isinstance(kind, T.AtomicType | T.NullType) or "interval" in name:
        return f"Personalize has no {name}; turn it into a string or a number"
    if column.is_id and isinstance(kind, T.FractionalType) and not isinstance(kind, T.DecimalType):
        return f"an id of type {name} has no certain text (1 or 1.0?); use cast(… as bigint)"
    moment = isinstance(kind, T.TimestampType | T.TimestampNTZType | T.DateType)
    if column.is_timestamp and isinstance(kind, T.BooleanType):
        return "a boolean is no timestamp; use a timestamp, a date or epoch seconds"
    if moment and column.type not in ("string", "long", "double"):
        return f'a {name} does not fit into {column.type}; use type = "long" for epoch seconds'
    return None


def checked(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Give every column its Personalize type and say which rows cannot be taken.

    Empty strings become null. Timestamps (timestamp, date, ISO text; a number is already epoch
    seconds) become UTC epoch seconds. Ids and other strings are written as people write them:
    `123` for a bigint and a decimal, `true` for a boolean.

    Args:
        frame: what `projected` returned: one column per data set column.
        columns: the data set's columns.

    Returns:
        the data set's columns, then `REASON` (struct of reason and column; null for a good row)
        and `SOURCE` (the rejected row's values before the cast, as JSON; null for a good row).
        Where several reasons hold, the first column's first one is given, in this order:
        null, unreadable, too long.
    """
    typed = [_Typed.of(column, frame.schema[column.name].dataType) for column in columns]
    faults = [
        F.when(condition, F.struct(F.lit(reason).alias("reason"), F.lit(name).alias("column")))
        for name, condition, reason in (
            (each.column.name, *rule) for each in typed for rule in each.rules()
        )
    ]
    source = F.to_json(F.struct(*_values(columns)), {"ignoreNullFields": "false"})
    reason = F.coalesce(*faults, F.lit(None).cast("struct<reason:string,column:string>"))
    return frame.select(
        *(each.value.alias(each.column.name) for each in typed),
        reason.alias(REASON),
        F.when(reason.isNotNull(), source).alias(SOURCE),
    )


def _values(columns: Sequence[Column]) -> list[Expression]:
    return [F.col(_ticked(column.name)) for column in columns]


@dataclass(frozen=True)
class _Typed:
    """A column's value in Personalize's type, and whether the source held anything at all."""

    column: Column
    value: Expression
    present: Expression

    @classmethod
    def of(cls, column: Column, kind: T.DataType) -> _Typed:
        raw = F.col(_ticked(column.name))
        present = raw.isNotNull()
        if isinstance(kind, T.StringType):
            present = present & (raw != "")
        if column.is_timestamp:
            value = _epoch_seconds(raw, column.name, kind)
        elif column.type == "string":
            value = _text(raw, kind)
        else:
            value = _scalar(raw, column, kind)
        return cls(column, F.when(present, value), present)

    def rules(self) -> Iterator[tuple[Expression, str]]:
        """Yield conditions under which the row is left out, each with its reason."""
        column = self.column
        if column.required:
            yield ~self.present, "null id" if column.is_id else "missing required value"
        unreadable = self.present & self.value.isNull()
        if column.is_timestamp:
            yield unreadable, "unreadable timestamp"
        elif column.type != "string":
            yield unreadable, f"value cannot be read as {column.type}"
        if column.max_length is not None:
            what = "id" if column.is_id else "value"
            yield (
                F.length(self.value) > column.max_length,
                f"{what} over {column.max_length} characters",
            )


def _epoch_seconds(raw: Expression, name: str, kind: T.DataType) -> Expression:
    """Return UTC epoch seconds; null for text or numbers that are none, such as milliseconds."""
    if isinstance(kind, T.NumericType):
        seconds = F.expr(f"try_cast({_ticked(name)} AS bigint)")
    elif isinstance(kind, T.StringType):
        seconds = F.when(raw.rlike(_ISO_TIMESTAMP), raw.cast("timestamp").cast("long"))
    else:
        seconds = raw.cast("timestamp").cast("long")
    return F.when(F.abs(seconds) < EPOCH_SECONDS_BELOW, seconds)


def _text(raw: Expression, kind: T.DataType) -> Expression:
    if not isinstance(kind, T.DecimalType) or kind.scale == 0:
        return raw.cast("string")
    # PostgreSQL's plain `numeric` arrives with 18 decimals: 123 must not become 123.000…
    whole = raw.cast(T.DecimalType(38, 0))
    trimmed = F.regexp_replace(raw.cast("string"), r"0+$", "")
    return F.when(whole == raw, whole.cast("string")).otherwise(trimmed)


def _scalar(raw: Expression, column: Column, kind: T.DataType) -> Expression:
    """Return the number or boolean; null where it does not fit or would lose its fraction."""
    if isinstance(kind, T.DateType):
        raw = raw.cast("timestamp")
        return raw.cast(column.type)
    cast = F.expr(f"try_cast({_ticked(column.name)} AS {_SPARK_TYPES[column.type]})")
    if column.type in ("int", "long") and isinstance(kind, T.FractionalType):
        return F.when(raw == F.floor(raw), cast)
    if column.type in ("float", "double"):
        infinity = F.lit(float("inf"))
        return F.when(~F.isnan(cast) & (F.abs(cast) != infinity), cast)
    return cast


_SPARK_TYPES = {
    "int": "int",
    "long": "bigint",
    "float": "float",
    "double": "double",
    "boolean": "boolean",
}


def accepted(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Return the good rows of what `checked` returned, with the data set's columns alone."""
    return frame.filter(F.col(REASON).isNull()).select(*_values(columns))


def rejected_examples(frame: DataFrame, *, at_most: int = 100) -> list[dict[str, Any]]:
    """Run a Spark job: collect some rejected rows of what `checked` returned.

    Returns:
        dictionaries of `reason`, `column` and `row` (column name → value before the cast).
    """
    bad = frame.filter(F.col(REASON).isNotNull()).select(f"`{REASON}`.*", SOURCE)
    return [
        {"reason": reason, "column": column, "row": json.loads(row)}
        for reason, column, row in bad.limit(at_most).collect()
    ]


def summary(frame: DataFrame, columns: Sequence[Column]) -> Summary:
    """Run a Spark job: count, hash and date what `checked` returned."""
    values = _values(columns)
    # xxhash64 skips nulls, so (null, 'a') and ('a', null) need the flags to differ.
    row_hash = F.xxhash64(*values, *(value.isNull() for value in values))
    timestamp = next((F.col(c.name) for c in columns if c.is_timestamp), F.lit(None))
    groups = (
        frame.groupBy(F.col(REASON)["reason"].alias("reason"))
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.sum(row_hash.cast("decimal(20,0)")).alias("hash"),
            F.max(timestamp).alias("newest"),
        )
        .collect()
    )
    good = next((group for group in groups if group["reason"] is None), None)
    rows = good["rows"] if good else 0
    content = [[column.name for column in columns], rows, str(good["hash"] if good else 0)]
    return Summary(
        rows=rows,
        content_hash=hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32],
        newest_timestamp=good["newest"] if good else None,
        rejected={
            group["reason"]: group["rows"]
            for group in sorted(groups, key=lambda group: str(group["reason"]))
            if group["reason"] is not None
        },
    )


def listed(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Return the good rows of what `checked` returned, each once, in the order of their ids."""
    names = [column.name for column in columns]
    return accepted(frame, columns).distinct().orderBy(*names)
