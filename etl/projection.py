"""Tables → a data set's columns: joins, filters and Spark SQL expressions.

Nothing here reads a row: Spark resolves names and types alone, and what it cannot resolve becomes
an error that names the key path in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from pyspark.sql import types as T  # noqa: N812

from etl.datasets import Column, Join, Relation
from etl.errors import EtlError, listing, suggestion
from etl.plans import makes_rows, unreadable_literals
from etl.references import (
    UNCOMPARABLE,
    TableUse,
    column_references,
    is_named,
    tables_of,
    unquoted,
    unreadable,
)

# A name that no Personalize column can have: those hold letters, digits and _ alone.
_PLAIN_COLUMN = "plain column"
# What gives another result for null than null.
_ASKS_FOR_NULL = re.compile(
    r"\b(IS|CASE)\b|<=>|\b(?!(?:AND|OR|NOT|IN)\b)\w+\s*\(",  # of functions nobody knows
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Table:
    """A table of which the named columns are read.

    Attributes:
        frame: The columns that are read, and `unreadable(column)` of those that can hold a value
            which Spark cannot.
        columns: All its columns, in their order.
    """

    frame: DataFrame
    columns: tuple[str, ...]

    @property
    def values(self) -> DataFrame:
        """The columns that are read, alone."""
        return self.frame.select(*(quote_name(c) for c in self.frame.columns if c in self.columns))

    def renamed(self, rename: Mapping[str, str]) -> Table:
        """Return the table with columns renamed, old name → new one."""
        if not rename:
            return self
        names = {**rename, **{unreadable(old): unreadable(new) for old, new in rename.items()}}
        frame = self.frame.toDF(*(names.get(column, column) for column in self.frame.columns))
        return Table(frame, tuple(rename.get(column, column) for column in self.columns))


@dataclass(frozen=True)
class JoinedTables:
    """Joined tables and their columns.

    Attributes:
        frame: The columns of all tables that are read, to be named as `alias.column`.
        tables: Alias → its table, in the order of the joins.
        filter: The condition by which they are filtered; empty for none.
        unreadable_keys: The texts of what Spark cannot hold in the columns by which rows find their
            partners; null in all other rows. A row with one is kept, to be rejected.
    """

    frame: DataFrame
    tables: Mapping[str, Table]
    filter: str = ""
    unreadable_keys: tuple[Expression, ...] = ()

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Alias → its table's column names, those that are not read too."""
        return {alias: table.columns for alias, table in self.tables.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Every column as `alias.column`."""
        return tuple(
            f"{alias}.{column}" for alias, columns in self.columns.items() for column in columns
        )

    def unreadable_values(self, expression: str) -> list[tuple[Expression, Expression]]:
        """Return the columns that an expression names and that can hold what Spark cannot.

        Returns:
            The value, which then is the nearest one or null, and the text, which else is null.
        """
        references = column_references(expression)
        return [
            (_qualified(alias, column), _qualified(alias, unreadable(column)))
            for alias, table in self.tables.items()
            for column in table.columns
            if unreadable(column) in table.frame.columns and is_named(references, alias, column)
        ]

    def uncomparable(self, condition: Expression, expression: str) -> list[Expression]:
        """Return the texts of values for which nobody knows whether a condition holds.

        They have no nearest value, and so are null. By the logic of SQL null AND false is false:
        then the row is out, whatever the value is. It is not sure where nulls are asked for.
        """
        unknown = F.lit(True) if _ASKS_FOR_NULL.search(expression) else condition.isNull()
        values = self.unreadable_values(expression)
        return [F.when(value.isNull() & unknown, text) for value, text in values]


def _qualified(alias: str, column: str) -> Expression:
    return F.col(f"{quote_name(alias)}.{quote_name(column)}")


def join_tables(
    relation: Relation, tables: Mapping[str, Table], *, key: str, first: Table | None = None
) -> JoinedTables:
    """Join a relation's tables by equality and filter them.

    Args:
        relation: What to join.
        tables: Table name as the relation writes it → the table.
        key: The relation's key path in the configuration, for messages.
        first: Stands in the place of the first table; that table if left out.

    Returns:
        Every column that is read of every table, to be named as `alias.column`.

    Raises:
        EtlError: If a renamed, joined or filtered column does not exist or an alias is used twice.
    """
    main, *further = tables_of(relation)
    joined = _renamed(main, {**tables, main.table: first} if first else tables, key=key)
    for number, (join, use) in enumerate(zip(relation.joins, further, strict=True)):
        join_key = f"{key}.joins[{number}]"
        right = _renamed(use, tables, key=join_key)
        if use.alias in joined.tables:
            raise EtlError(
                f"{join_key}: alias '{use.alias}' stands for two tables;"
                ' give one of them another alias = "…"'
            )
        joined = _joined(join, joined, right, key=join_key)
    if not relation.filter:
        return joined
    try:
        # By itself, for the messages.
        odd = unreadable_literals(joined.frame.filter(relation.filter))
        if odd:
            raise EtlError(
                f'{key}.filter = "{relation.filter}": {"; ".join(odd)}: the condition holds for no'
                " row; write it otherwise"
            )
        kept = condition = F.expr(relation.filter)
        for text in (*joined.uncomparable(condition, relation.filter), *joined.unreadable_keys):
            kept = kept | text.isNotNull()  # to be rejected
        return replace(joined, frame=joined.frame.filter(kept), filter=relation.filter)
    except AnalysisException as error:
        raise EtlError(
            f'{key}.filter = "{relation.filter}":'
            f" {_sql_problem(error, relation.filter, joined.names)}"
        ) from None


def _renamed(use: TableUse, tables: Mapping[str, Table], *, key: str) -> JoinedTables:
    table = tables[use.table]
    for old in use.rename:
        if old not in table.columns:
            raise EtlError(
                f"{key}.rename: table '{use.table}' has no column '{old}'"
                f"{suggestion(old, table.columns)} Columns: {listing(table.columns)}"
            )
    table = table.renamed(use.rename)
    return JoinedTables(table.frame.alias(use.alias), {use.alias: table})


def _joined(
    join: Join, left_tables: JoinedTables, right_table: JoinedTables, *, key: str
) -> JoinedTables:
    """Join a table; rows whose key cannot be read are kept in an inner join too."""
    if not join.on:
        raise EtlError(f"{key}.on is empty; write the columns that must be equal")
    condition, partner = F.lit(True), F.lit(True)
    unreadable_keys = list(left_tables.unreadable_keys)
    for left_name, right_name in join.on.items():
        left, left_type, text = find_column(left_name, left_tables, key=f"{key}.on")
        right, right_type, _ = find_column(right_name, right_table, key=f"{key}.on")
        unreadable_keys += [text] if text is not None else []
        partner = partner & right.isNotNull()
        if isinstance(left_type, T.StringType) != isinstance(right_type, T.StringType):
            # Spark would cast the text to a number and silently lose what is not one.
            left, right = as_text(left, left_type), as_text(right, right_type)
        condition = condition & (left == right)
    keeps_all = join.how == "inner" and unreadable_keys
    frame = left_tables.frame.join(
        right_table.frame, on=condition, how="left" if keeps_all else join.how
    )
    if keeps_all:
        frame = frame.filter(reduce(or_, (text.isNotNull() for text in unreadable_keys), partner))
    tables = {**left_tables.tables, **right_table.tables}
    return JoinedTables(frame, tables, unreadable_keys=tuple(unreadable_keys))


def find_column(
    name: str, tables: JoinedTables, *, key: str
) -> tuple[Expression, T.DataType, Expression | None]:
    """Find `column` or `alias.column`.

    Returns:
        The column, null where it cannot be read; its type; and the text of what cannot be read,
        None if it always can.
    """
    pairs = [(alias, column) for alias, columns in tables.columns.items() for column in columns]
    exact = [pair for pair in pairs if name in (pair[1], ".".join(pair))]
    matches = exact or [
        pair for pair in pairs if unquoted(name) in (pair[1].lower(), ".".join(pair).lower())
    ]
    if len(matches) > 1:
        choice = listing([f"{alias}.{column}" for alias, column in matches])
        raise EtlError(f"{key}: '{name}' is in several tables; write one of {choice}")
    if not matches:
        raise EtlError(
            f"{key}: there is no column '{name}'{suggestion(name, tables.names)}"
            f" Columns: {listing(tables.names)}"
        )
    alias, column = matches[0]
    expression, text = _qualified(alias, column), None
    if unreadable(column) in tables.tables[alias].frame.columns:
        # The nearest value is another: it has no partner.
        text = _qualified(alias, unreadable(column))
        expression = F.when(text.isNull(), expression)
    return expression, tables.frame.select(expression).schema[0].dataType, text


def as_text(value: Expression, source: T.DataType) -> Expression:
    """Return a value as people write it: 12 for a decimal 12.00, and never 1E-10."""
    if not isinstance(source, T.DecimalType) or source.scale == 0:
        return value.cast("string")
    return F.call_function("format_number", value, F.lit(f"0.{'#' * source.scale}"))


def quote_name(name: str) -> str:
    """Return a column's or alias's name quoted for Spark SQL."""
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
        One column per data set column, in that order, with the types that the database gave; then
        `unreadable(column)` for each and the columns `UNCOMPARABLE`, texts of values that Spark
        cannot hold.

    Raises:
        EtlError: If Spark SQL cannot resolve an expression or Personalize cannot take its type;
            names all of them at once.
    """
    no_text = F.lit(None).cast("string")
    texts = [
        F.coalesce(*(text for _, text in tables.unreadable_values(column.source)), no_text)
        for column in columns
    ]
    uncomparable = {
        "filter": tables.uncomparable(F.expr(tables.filter), tables.filter)
        if tables.filter
        else [],
        "joins": tables.unreadable_keys,
    }
    further = [
        *(text.alias(unreadable(c.name)) for c, text in zip(columns, texts, strict=True)),
        *(F.coalesce(*uncomparable[by], no_text).alias(name) for by, name in UNCOMPARABLE.items()),
    ]
    try:
        values = [F.expr(column.source).alias(column.name) for column in columns]
        frame = _select_per_row(tables, *values, *further)
    except AnalysisException as error:
        problems = [_expression_problem(column, tables) for column in columns]
        if not any(problems):
            problem = _sql_problem(error, "", tables.names)
            raise EtlError(f"{keys[0]} and what follows: {problem}") from None
    else:
        types = [field.dataType for field in frame.schema][: -len(further)]
        if len(types) != len(columns) or makes_rows(frame):
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
    alias, table = next(iter(tables.tables.items()))
    plain = _qualified(alias, table.frame.columns[0]).alias(_PLAIN_COLUMN)
    return tables.frame.select(*values, plain).drop(_PLAIN_COLUMN)


def _expression_problem(column: Column, tables: JoinedTables) -> str | None:
    try:
        frame = _select_per_row(tables, F.expr(column.source))
    except AnalysisException as error:
        return _sql_problem(error, column.source, tables.names)
    if len(frame.schema) != 1:
        return f"gives {len(frame.schema)} columns; name one of them"
    if makes_rows(frame):
        return "makes several rows of one; make a view in the database, and name it as the table"
    return _type_problem(column, frame.schema[0].dataType)


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
    text = text.rstrip(" ;.")
    if error_class.startswith("DATATYPE_MISMATCH") and {"TINYINT", "BOOLEAN"} <= set(
        re.findall(r"\w+", text.upper())
    ):
        return f"{text}; MySQL's boolean is a tinyint, which is a number: write x <> 0"
    if error_class.startswith("DATATYPE_MISMATCH") and re.search(r"\bdiv\b", sql, re.IGNORECASE):
        return f"{text}; for a text write cast(x as bigint) div 1000"
    return f"{text}{_syntax_advice(sql) if 'SYNTAX' in error_class else ''}"


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
        advice = 'use type = "long" for epoch seconds, or year(x)'
        return f"a {name} does not fit into {column.type}; {advice}"
    return None
