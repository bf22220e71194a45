"""DataFrame → DataFrame: from a database's tables to rows that Personalize accepts.

`join_tables` joins and filters, `project_columns` evaluates a data set's expressions,
`validate_rows` casts them to Personalize's types and gives the reason why a row is rejected,
`summary` counts. Nothing here reads, writes or runs a Spark job, except `summary` and
`rejected_examples`, which say so.
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
_PLAIN_COLUMN = "plain column"

# 10^11 seconds is the year 5138, 10^11 milliseconds is March 1973.
EPOCH_SECONDS_BELOW = 100_000_000_000

_ISO_TIMESTAMP = (
    r"^\s*\d{4}-\d{2}-\d{2}"
    r"([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?\s*$"
)


@dataclass(frozen=True)
class JoinedTables:
    """Joined tables and their columns.

    Attributes:
        frame: All columns of all tables, to be named as `alias.column`.
        columns: Alias → its table's column names, in the order of the joins.
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
    """Counts, hash and newest timestamp of a validated data set.

    Attributes:
        rows: Rows that Personalize gets.
        rejected: Reason → rows left out for it; a row counts under its first reason.
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


def join_tables(relation: Relation, tables: Mapping[str, DataFrame], *, key: str) -> JoinedTables:
    """Join a relation's tables by equality and filter them.

    Args:
        relation: What to join.
        tables: Table name as the relation writes it → all its columns.
        key: The relation's key path in the configuration, for messages.

    Returns:
        Every column of every table, to be named as `alias.column`.

    Raises:
        EtlError: If a renamed, joined or filtered column does not exist or an alias is used twice.
    """
    first = Join(relation.table, "inner", {}, relation.alias, relation.rename)
    joined = JoinedTables(*_table_with_alias(first, tables, key=key))
    for number, join in enumerate(relation.joins):
        join_key = f"{key}.joins[{number}]"
        frame, columns = _table_with_alias(join, tables, key=join_key)
        if set(columns) & set(joined.columns):
            raise EtlError(
                f"{join_key}: alias '{next(iter(columns))}' stands for two tables;"
                ' give one of them another alias = "…"'
            )
        condition = _equality(join, joined, JoinedTables(frame, columns), key=join_key)
        joined = JoinedTables(
            joined.frame.join(frame, on=condition, how=join.how), {**joined.columns, **columns}
        )
    if not relation.filter:
        return joined
    try:
        return JoinedTables(joined.frame.filter(relation.filter), joined.columns)
    except AnalysisException as error:
        raise EtlError(
            f'{key}.filter = "{relation.filter}":'
            f" {_sql_problem(error, relation.filter, joined.names)}"
        ) from None


def _table_with_alias(
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


def _equality(
    join: Join, left_tables: JoinedTables, right_table: JoinedTables, *, key: str
) -> Expression:
    if not join.on:
        raise EtlError(f"{key}.on is empty; write the columns that must be equal")
    condition = F.lit(True)
    for left_name, right_name in join.on.items():
        left, left_type = _column(left_name, left_tables, key=f"{key}.on")
        right, right_type = _column(right_name, right_table, key=f"{key}.on")
        if isinstance(left_type, T.StringType) != isinstance(right_type, T.StringType):
            # Spark would cast the text to a number and silently lose what is not one.
            left, right = left.cast("string"), right.cast("string")
        condition = condition & (left == right)
    return condition


def _column(name: str, tables: JoinedTables, *, key: str) -> tuple[Expression, T.DataType]:
    """Find `column` or `alias.column`; return it qualified by its alias, and its type."""
    unquoted = name.replace("`", "").replace('"', "").lower()
    matches = [
        (alias, column)
        for alias, columns in tables.columns.items()
        for column in columns
        if unquoted in (column.lower(), f"{alias}.{column}".lower())
    ]
    if len(matches) > 1:
        choice = listing([f"{alias}.{column}" for alias, column in matches])
        raise EtlError(f"{key}: '{name}' is in several tables; write one of {choice}")
    if not matches:
        raise EtlError(
            f"{key}: there is no column '{name}'{suggestion(name, tables.names)}"
            f" Columns: {listing(tables.names)}"
        )
    expression = F.col(".".join(map(_quote_name, matches[0])))
    return expression, tables.frame.select(expression).schema[0].dataType


def _quote_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def project_columns(
    tables: JoinedTables, columns: Sequence[Column], *, keys: Sequence[str]
) -> DataFrame:
    """Evaluate each column's source expression.

    Args:
        tables: What `join_tables` returned.
        columns: The data set's columns.
        keys: Each column's key path in the configuration, for messages.

    Returns:
        One column per data set column, in that order, with the types that the database gave.

    Raises:
        EtlError: If Spark SQL cannot resolve an expression or Personalize cannot take its type;
            names all of them at once.
    """
    try:
        frame = _select_per_row(tables, *(F.expr(c.source).alias(c.name) for c in columns))
    except AnalysisException as error:
        problems = [_expression_problem(column, tables) for column in columns]
        if not any(problems):
            problem = _sql_problem(error, "", tables.names)
            raise EtlError(f"{keys[0]} and what follows: {problem}") from None
    else:
        types = [field.dataType for field in frame.schema]
        if len(types) != len(columns):
            problems = [_expression_problem(column, tables) for column in columns]
        else:
            problems = [_type_problem(*pair) for pair in zip(columns, types, strict=True)]
    if any(problems):
        raise EtlError(
            *(
                f'{key} = "{column.source}": {problem}'
                for key, column, problem in zip(keys, columns, problems, strict=True)
                if problem
            )
        )
    return frame


def _select_per_row(tables: JoinedTables, *values: Expression) -> DataFrame:
    """Select values; beside a plain column Spark refuses aggregates, which would give one row."""
    alias, names = next(iter(tables.columns.items()))
    plain = F.col(f"{_quote_name(alias)}.{_quote_name(names[0])}").alias(_PLAIN_COLUMN)
    return tables.frame.select(*values, plain).drop(_PLAIN_COLUMN)


def _expression_problem(column: Column, tables: JoinedTables) -> str | None:
    try:
        schema = _select_per_row(tables, F.expr(column.source)).schema
    except AnalysisException as error:
        return _sql_problem(error, column.source, tables.names)
    if len(schema) != 1:
        return f"gives {len(schema)} columns; name one of them"
    return _type_problem(column, schema[0].dataType)


def _sql_problem(error: AnalysisException, sql: str, names: Sequence[str]) -> str:
    error_class = error.getErrorClass() or ""
    parameters: Mapping[str, Any] = error.getMessageParameters() or {}
    name = str(parameters.get("objectName") or parameters.get("name", "")).replace("`", "")
    if error_class.startswith("UNRESOLVED_COLUMN"):
        return f"there is no column '{name}'{suggestion(name, names)} Columns: {listing(names)}"
    if error_class == "AMBIGUOUS_REFERENCE":
        same = [known for known in names if known.lower().endswith(f".{name.lower()}")]
        return f"'{name}' is in several tables; write one of {listing(same)}"
    if error_class in ("MISSING_GROUP_BY", "INVALID_WHERE_CONDITION"):
        return (
            "holds an aggregate over rows, and each row stands alone here; make a view in the"
            " database that counts or sums, and name it as the table"
        )
    if error_class == "UNRESOLVED_ROUTINE":
        routine = str(parameters.get("routineName", "")).replace("`", "")
        return f"Spark SQL has no function '{routine}'; {_SPARK_SQL}"
    text = str(error).strip().splitlines()[0]
    text = re.sub(r"^\[[A-Z_.]+\] |; line \d+ pos \d+.*$|\(line \d+, pos \d+\)", "", text)
    return f"{text.rstrip(' ;.')}{_syntax_advice(sql) if 'SYNTAX' in error_class else ''}"


def _syntax_advice(sql: str) -> str:
    """Return how Spark SQL writes what other databases write otherwise."""
    outside_quotes = re.sub(r"'[^']*'|`[^`]*`", "", sql)
    if "::" in outside_quotes:
        return "; write cast(x as string), not x::text"
    if not outside_quotes.isascii():
        return "; names of other letters than A-Z stand in backticks, for example `表`.`列`"
    return f"; {_SPARK_SQL}"


_SPARK_SQL = "see https://spark.apache.org/docs/latest/sql-ref.html"


def _type_problem(column: Column, source: T.DataType) -> str | None:
    """Return why a database type cannot become this column's type, None if it can."""
    name = source.simpleString()
    if isinstance(source, T.ArrayType):
        return "Personalize has no arrays; use array_join(…, '|')"
    if isinstance(source, T.MapType | T.StructType):
        return f"Personalize has no {name}; take one field out of it"
    if isinstance(source, T.BinaryType):
        return "Personalize has no binary values; use hex(…) or decode(…, 'UTF-8')"
    if not isinstance(source, T.AtomicType | T.NullType) or "interval" in name:
        return f"Personalize has no {name}; turn it into a string or a number"
    if column.is_id and isinstance(source, T.FloatType | T.DoubleType):
        return f"an id of type {name} has no certain text (1 or 1.0?); use cast(… as bigint)"
    if column.is_timestamp and isinstance(source, T.BooleanType):
        return "a boolean is no timestamp; use a timestamp, a date or epoch seconds"
    is_datetime = isinstance(source, T.TimestampType | T.TimestampNTZType | T.DateType)
    if is_datetime and column.type not in ("string", "long", "double"):
        return f'a {name} does not fit into {column.type}; use type = "long" for epoch seconds'
    return None


def validate_rows(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Cast every column to its Personalize type and add the reason why a row is rejected.

    Empty strings become null. Timestamps (timestamp, date, ISO text; a number is already epoch
    seconds) become UTC epoch seconds. Ids and other strings are written as people write them:
    `123` for a bigint and a decimal, `true` for a boolean.

    Args:
        frame: What `project_columns` returned: one column per data set column.
        columns: The data set's columns.

    Returns:
        The data set's columns, then `REASON` (struct of reason and column; null for an accepted
        row) and `SOURCE` (a rejected row's values before the cast, as JSON; else null). Of several
        reasons, the first column's first one stands, in this order: null, unreadable, too long.
    """
    typed = [_TypedColumn.of(column, frame.schema[column.name].dataType) for column in columns]
    reasons = [
        F.when(condition, F.struct(F.lit(reason).alias("reason"), F.lit(name).alias("column")))
        for name, condition, reason in (
            (each.column.name, *rule) for each in typed for rule in each.rules()
        )
    ]
    source = F.to_json(F.struct(*_values(columns)), {"ignoreNullFields": "false"})
    reason = F.coalesce(*reasons, F.lit(None).cast("struct<reason:string,column:string>"))
    return frame.select(
        *(each.value.alias(each.column.name) for each in typed),
        reason.alias(REASON),
        F.when(reason.isNotNull(), source).alias(SOURCE),
    )


def _values(columns: Sequence[Column]) -> list[Expression]:
    return [F.col(_quote_name(column.name)) for column in columns]


@dataclass(frozen=True)
class _TypedColumn:
    """A column's value in Personalize's type, and whether the source held a value."""

    column: Column
    value: Expression
    present: Expression

    @classmethod
    def of(cls, column: Column, source: T.DataType) -> _TypedColumn:
        raw = F.col(_quote_name(column.name))
        present = raw.isNotNull()
        if isinstance(source, T.StringType):
            present = present & (raw != "")
        if column.is_timestamp:
            value = _epoch_seconds(raw, column.name, source)
        elif column.type == "string":
            value = _string(raw, source)
        else:
            value = _number_or_boolean(raw, column, source)
        return cls(column, F.when(present, value), present)

    def rules(self) -> Iterator[tuple[Expression, str]]:
        """Yield conditions under which the row is rejected, each with its reason."""
        column = self.column
        if column.required:
            yield ~self.present, "null id" if column.is_id else "missing required value"
        unreadable = self.present & self.value.isNull()
        if column.is_timestamp:
            yield unreadable, "unreadable timestamp"
        elif column.type != "string":
            yield unreadable, f"value cannot be read as {column.type}"
        if column.max_length is not None:
            noun = "id" if column.is_id else "value"
            yield (
                F.length(self.value) > column.max_length,
                f"{noun} over {column.max_length} characters",
            )


def _epoch_seconds(raw: Expression, name: str, source: T.DataType) -> Expression:
    """Return UTC epoch seconds; null for text or numbers that are none, such as milliseconds."""
    if isinstance(source, T.NumericType):
        seconds = F.expr(f"try_cast({_quote_name(name)} AS bigint)")
    elif isinstance(source, T.StringType):
        seconds = F.when(raw.rlike(_ISO_TIMESTAMP), raw.cast("timestamp").cast("long"))
    else:
        seconds = raw.cast("timestamp").cast("long")
    return F.when(F.abs(seconds) < EPOCH_SECONDS_BELOW, seconds)


def _string(raw: Expression, source: T.DataType) -> Expression:
    if not isinstance(source, T.DecimalType) or source.scale == 0:
        return raw.cast("string")
    # PostgreSQL's plain `numeric` arrives with 18 decimals: 123 must not become 123.000…
    whole = raw.cast(T.DecimalType(38, 0))
    trimmed = F.regexp_replace(raw.cast("string"), r"0+$", "")
    return F.when(whole == raw, whole.cast("string")).otherwise(trimmed)


def _number_or_boolean(raw: Expression, column: Column, source: T.DataType) -> Expression:
    """Return the number or boolean; null where it does not fit or would lose its fraction."""
    if isinstance(source, T.DateType):
        return raw.cast("timestamp").cast(column.type)
    cast = F.expr(f"try_cast({_quote_name(column.name)} AS {_SPARK_TYPES[column.type]})")
    if column.type in ("int", "long") and isinstance(source, T.FractionalType):
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


def accepted_rows(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Return the accepted rows of what `validate_rows` returned, with the data set's columns."""
    return frame.filter(F.col(REASON).isNull()).select(*_values(columns))


def rejected_examples(frame: DataFrame, *, at_most: int = 100) -> list[dict[str, Any]]:
    """Run a Spark job: collect at most so many rejected rows of what `validate_rows` returned.

    Returns:
        Dictionaries of `reason`, `column` and `row` (column name → value before the cast).
    """
    rejected = frame.filter(F.col(REASON).isNotNull()).select(f"`{REASON}`.*", SOURCE)
    return [
        {"reason": reason, "column": column, "row": json.loads(row)}
        for reason, column, row in rejected.limit(at_most).collect()
    ]


def summary(frame: DataFrame, columns: Sequence[Column]) -> Summary:
    """Run a Spark job: count, hash and date what `validate_rows` returned."""
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
    accepted = next((group for group in groups if group["reason"] is None), None)
    rows = accepted["rows"] if accepted else 0
    content = [[column.name for column in columns], rows, str(accepted["hash"] if accepted else 0)]
    return Summary(
        rows=rows,
        content_hash=hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32],
        newest_timestamp=accepted["newest"] if accepted else None,
        rejected={
            group["reason"]: group["rows"]
            for group in sorted(groups, key=lambda group: str(group["reason"]))
            if group["reason"] is not None
        },
    )


def distinct_rows(frame: DataFrame, columns: Sequence[Column]) -> DataFrame:
    """Return the accepted rows of what `validate_rows` returned, each once, sorted by its ids."""
    names = [column.name for column in columns]
    return accepted_rows(frame, columns).distinct().orderBy(*names)
