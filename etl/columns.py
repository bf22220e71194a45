"""A table's columns as the database describes them → the SQL that reads what Spark can hold.

Pure Python. Spark reads a database by the driver's types, and some of their values end the whole
read: `numeric 'NaN'`, `date 'infinity'`, MySQL's zero dates, arrays of arrays. Here the database is
asked instead whether it can be read: if not, its text stands beside the nearest value or null.
Blanks that pad `char(n)` are no part of a value, so they are cut off.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from etl.database import TableName
from etl.datasets import Engine
from etl.errors import TableError

# Spark's widest decimal, and the digits that it leaves after the point of an unlimited `numeric`.
MAX_DIGITS, MAX_SCALE = 38, 18

_POSTGRESQL_AS_IT_IS = re.compile(
    r"smallint|integer|bigint|real|double precision|oid|boolean|bytea|text|uuid|inet"
    r"|character varying"
)
_POSTGRESQL_DATE = re.compile(r"date|timestamp with(out)? time zone")
# The driver gives such arrays as others than Spark expects, or numbers with zeros at their end.
_POSTGRESQL_TEXT_ARRAY = re.compile(r"(numeric(\(\d+,-?\d+\))?|bit\(1\))\[\]")
_WHOLE_NUMBER = re.compile(r"(big|small|medium|tiny)?int(eger)?( unsigned)?")
_MYSQL_DATE = re.compile(r"date|datetime|timestamp")
# A time of day would arrive as a time on 1 January 1970; MySQL's may be below zero, or 800 hours.
_MYSQL_AS_TEXT = re.compile(r"enum|set|uuid|inet[46]|time")


@dataclass(frozen=True)
class DatabaseColumn:
    """A column's name, and its type as the database writes it, for example `numeric(5,2)[]`."""

    name: str
    type: str


def tables_query(engine: Engine, tables: Sequence[TableName]) -> str:
    """Return the query of the columns of tables: `number`, `name`, `type`, `position`, `bytes`.

    `number` is the table's among those given, which has no row if it does not exist; `bytes` is
    about what its rows take, 0 or null of a view. On MySQL `table_name` and `folded` too: case
    counts in a name if `folded` is 0.
    """
    query = _postgresql_columns if engine == "postgresql" else _mysql_columns
    return " UNION ALL ".join(f"({query(number, each)})" for number, each in enumerate(tables))


def _postgresql_columns(number: int, table: TableName) -> str:
    relation = f"to_regclass({literal(table.quote('postgresql'), 'postgresql')})"
    # A domain is read as the type below it, which may be a domain too.
    return f"""
        WITH RECURSIVE named(name, position, type, modifier) AS (
            SELECT attname, attnum, atttypid, atttypmod FROM pg_catalog.pg_attribute
            WHERE attrelid = {relation} AND attnum > 0 AND NOT attisdropped
            UNION ALL
            SELECT name, position, typbasetype, greatest(modifier, typtypmod)
            FROM named JOIN pg_catalog.pg_type t ON t.oid = named.type
            WHERE typtype = 'd')
        SELECT {number} AS number, name, position, format_type(type, modifier) AS type,
               pg_relation_size({relation}) AS bytes
        FROM named JOIN pg_catalog.pg_type t ON t.oid = named.type WHERE typtype <> 'd'"""


def _mysql_columns(number: int, table: TableName) -> str:
    schema = literal(table.parts[-2], "mysql") if len(table.parts) > 1 else "DATABASE()"
    is_table = f"table_schema = {schema} AND table_name = {literal(table.parts[-1], 'mysql')}"
    return f"""
        SELECT {number} AS number, column_name AS name, ordinal_position AS position,
               column_type AS type, table_name AS table_name,
               @@lower_case_table_names AS folded,
               (SELECT sum(data_length) FROM information_schema.tables WHERE {is_table}) AS bytes
        FROM information_schema.columns WHERE {is_table}"""


def literal(text: str, engine: Engine) -> str:
    """Return a text as a literal; MySQL's have escapes."""
    escaped = text.replace("\\", "\\\\") if engine == "mysql" else text
    return "'" + escaped.replace("'", "''") + "'"


@dataclass(frozen=True)
class _Reading:
    """How a column is read.

    Attributes:
        source: The column, or an SQL expression of it.
        cast: The database's type as which it is read; empty for its own.
        readable: The SQL condition under which Spark can hold the value; empty if it always can.
        otherwise: The SQL of the nearest value that Spark can hold, which keeps the order; null
            of null.
    """

    source: str
    cast: str = ""
    readable: str = ""
    otherwise: str = "NULL"

    @property
    def value(self) -> str:
        """The SQL of the value; the cast stands outside, as PostgreSQL's CASE forgets digits."""
        value = self.source
        if self.readable:
            value = f"CASE WHEN {self.readable} THEN {value} ELSE {self.otherwise} END"
        return f"CAST({value} AS {self.cast})" if self.cast else value


def read_query(
    engine: Engine,
    table: TableName,
    columns: Sequence[DatabaseColumn],
    *,
    partition_column: str = "",
    zero_dates_are_null: bool = False,
    where: str = "",
    at_most: int | None = None,
) -> str:
    """Return the query that reads columns, for Spark's `dbtable`.

    Its columns are `c0`, `c1`, … in the given order, the nearest value or null where Spark cannot
    hold one; for each column where that can be, `t0` and so on with its text, else null; and
    `part`, the partition column as it is. Spark quotes no quotes in names, so it gets none.

    Args:
        engine: The database's engine.
        table: The table.
        columns: Those that are read.
        partition_column: The partition column, empty for none.
        zero_dates_are_null: Whether MySQL's `0000-00-00` stands for null, and is not unreadable.
        where: An SQL condition on the table, as `among` returns it; empty for all rows.
        at_most: Most rows; None for all.
    """
    selected = []
    for number, column in enumerate(columns):
        name = TableName((column.name,)).quote(engine)
        reading = (_postgresql if engine == "postgresql" else _mysql)(column.type, name)
        selected.append(f"{reading.value} AS c{number}")
        if reading.readable:
            text = f"CAST({name} AS {'char' if engine == 'mysql' else 'text'})"
            if zero_dates_are_null and engine == "mysql":
                text = f"CASE WHEN {text} LIKE '0000-00-00%' THEN NULL ELSE {text} END"
            # No IS NULL: MySQL holds it true of a zero date.
            selected.append(f"CASE WHEN {reading.readable} THEN NULL ELSE {text} END AS t{number}")
    if partition_column:
        selected.append(f"{TableName((partition_column,)).quote(engine)} AS part")
    rows = table.quote(engine)
    rows += f" WHERE {where}" if where else ""
    rows += "" if at_most is None else f" LIMIT {at_most}"
    return f"(SELECT {', '.join(selected)} FROM {rows}) AS named"


def among(
    engine: Engine, column: DatabaseColumn, values: Collection[object], *, as_text: bool
) -> str:
    """Return the SQL condition under which a column has one of the values.

    Args:
        engine: The database's engine.
        column: The column.
        values: Texts, numbers or bytes.
        as_text: Whether the column is compared by its text; else its index serves.
    """
    name = TableName((column.name,)).quote(engine)
    if as_text:
        name = f"CAST({name} AS {'char' if engine == 'mysql' else 'text'})"
    texts = sorted({_value(value, engine) for value in values})
    return f"{name} IN ({', '.join(texts)})" if texts else "1 = 0"


def between(engine: Engine, column: DatabaseColumn, since: int, until: int | None) -> str:
    """Return the SQL condition under which a column's time lies in a window; an index serves it.

    The session's zone is UTC with both engines, as Spark reads times.

    Args:
        engine: The database's engine.
        column: A date, a timestamp, or a whole number of epoch seconds.
        since: The first moment, UTC epoch seconds.
        until: The moment after the last one; None for no end.

    Raises:
        TableError: If the column is none of these.
    """
    name = TableName((column.name,)).quote(engine)
    base = re.sub(r"\([\d,]+\)", "", column.type.lower())
    is_time = (_POSTGRESQL_DATE if engine == "postgresql" else _MYSQL_DATE).fullmatch(base)
    if not is_time and not _WHOLE_NUMBER.fullmatch(base):
        raise TableError(
            f"column '{column.name}' is a {column.type}, and so no watermark; name a column that is"
            " a date, a timestamp or epoch seconds"
        )

    def moment(seconds: int) -> str:
        if not is_time:
            return str(seconds)
        zone = "+00" if base.endswith("with time zone") else ""
        text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{zone}"
        # An untyped text would be cut to a day beside PostgreSQL's date.
        type_ = "timestamptz" if zone else "timestamp"
        return f"'{text}'::{type_}" if engine == "postgresql" else f"'{text}'"

    condition = f"{name} >= {moment(since)}"
    return condition if until is None else f"{condition} AND {name} < {moment(until)}"


def _value(value: object, engine: Engine) -> str:
    if isinstance(value, bytes | bytearray):
        return f"x'{value.hex()}'" if engine == "mysql" else f"'\\x{value.hex()}'::bytea"
    return literal(str(value), engine)


def _postgresql(database_type: str, name: str) -> _Reading:
    if database_type.endswith("[]"):
        element = _postgresql(database_type.removesuffix("[]"), "element")
        readable = f"coalesce(array_ndims({name}), 1) = 1"
        if element.readable:
            readable += (
                f" AND NOT EXISTS (SELECT 1 FROM unnest({name}) AS element"
                f" WHERE NOT ({element.readable}))"
            )
        is_text = _POSTGRESQL_TEXT_ARRAY.fullmatch(database_type)
        cast = "text[]" if is_text else element.cast and f"{element.cast}[]"
        return _Reading(name, cast, readable)
    base = re.sub(r"\([\d,-]+\)", "", database_type)
    if base == "numeric":
        return _decimal(database_type, name, cast="numeric", always=False)
    if _POSTGRESQL_DATE.fullmatch(base):
        return _Reading(
            name,
            readable=f"{name} >= '0001-01-01' AND {name} < '10000-01-01'",
            otherwise=f"CAST(CASE WHEN {name} > '1970-01-01' THEN '9999-12-31'"
            f" WHEN {name} < '1970-01-01' THEN '0001-01-01' END AS {base})",
        )
    if _POSTGRESQL_AS_IT_IS.fullmatch(base) or database_type == "bit(1)":
        return _Reading(name)
    return _Reading(name, cast="text")


def _mysql(database_type: str, name: str) -> _Reading:
    base = re.split(r"\W", database_type, maxsplit=1)[0].lower()
    if base == "decimal":
        return _decimal(database_type, name, cast="decimal", always=True)
    if _MYSQL_DATE.fullmatch(base):
        # Zero dates, zero months and days, and with ALLOW_INVALID_DATES 31 February.
        days = f"DAYOFMONTH({name}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({name}))"
        return _Reading(name, readable=f"{name} >= '0001-01-01' AND {days}")
    if base == "char":  # sql_mode = PAD_CHAR_TO_FULL_LENGTH
        return _Reading(f"TRIM(TRAILING ' ' FROM {name})")
    return _Reading(name, cast="char" if _MYSQL_AS_TEXT.fullmatch(base) else "")


def _decimal(database_type: str, name: str, *, cast: str, always: bool) -> _Reading:
    """Return how a decimal is read: with its own digits if Spark has as many.

    Args:
        database_type: For example `numeric`, `numeric(5,2)`.
        name: The column.
        cast: The database's name of the type.
        always: Whether each value has the digits that its type says, and none is `NaN`.
    """
    limits = re.search(r"\((\d+),(-?\d+)\)", database_type)
    precision, scale = map(int, limits.groups()) if limits else (MAX_DIGITS + 1, MAX_SCALE)
    own = 0 <= scale <= precision <= MAX_DIGITS
    if own and always:
        return _Reading(name)
    if not own:
        precision, scale = MAX_DIGITS, min(max(scale, 0), MAX_SCALE)
    largest = f"{'9' * (precision - scale) or '0'}.{'9' * scale}"
    return _Reading(
        name,
        cast=database_type if own else f"{cast}({precision},{scale})",
        # PostgreSQL's NaN is greater than every number.
        readable=f"round({name}, {scale}) BETWEEN -{largest} AND {largest}",
        otherwise=f"CASE WHEN {name} > 0 THEN {largest} WHEN {name} < 0 THEN -{largest} END",
    )
