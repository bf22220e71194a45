"""The published list into a table of the database: all of it or nothing.

    deliver(runtime, spec, now=…, log=…)

The table is there already, and belongs to whoever made it. It is checked first; then the list goes
into a table beside it, by several connections; at last the two change places in one step, so that a
reader sees the old list or the new one. Before they do, it is asked again whether the list is still
the published one: another may have been published meanwhile. What happened is at
`record/delivery.json` of the run.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.columns import DatabaseColumn, literal
from etl.connection import Connection
from etl.database import TableName
from etl.datasets import Delivery, Engine, JobSpec
from etl.errors import EtlError, PassingError, TableError, listing, shortened, suggestion
from etl.published import LATEST
from etl.runtime import Runtime
from etl.tables import Tables

LIST = "recommendations/recommendations.csv"
RECORD = "record/delivery.json"
PAIRS = ("USER_ID", "ITEM_ID", "RANK", "SCORE")
RELATED_PAIRS = ("ITEM_ID", "RELATED_ITEM_ID", "RANK", "SCORE")

_WHOLE = ("smallint", "integer", "bigint", "tinyint", "mediumint", "int")
_NUMBER = ("real", "double precision", "numeric", "double", "float", "decimal")
_TEXT = ("text", "character varying", "character", "varchar", "char", "uuid")
_TEXT_OF_MYSQL = ("tinytext", "mediumtext", "longtext")
_TYPES: Mapping[str, tuple[str, ...]] = {"RANK": _WHOLE, "SCORE": _NUMBER}
_ID_TYPES = (*_WHOLE, *_TEXT, *_TEXT_OF_MYSQL)
_MANY_DIGITS = "decimal(20,0)"  # as many as a `bigint unsigned` has
_SECONDS_FOR_LOCK = 60
_PAUSES = (60, 180)  # seconds before a passing fault is tried again


def deliver(
    runtime: Runtime,
    spec: JobSpec,
    *,
    now: Callable[[], datetime],
    log: Callable[[str], None],
    sleep: Callable[[float], None],
) -> dict[str, Any]:
    """Write the run's list into the table of the specification, and the record of it.

    If another run is the published one, nothing is written but the record, which says so. A fault
    that may pass is tried again, here: a failed job of Glue has no name that the workflow could
    tell from one that stays.

    Args:
        runtime: The job's runtime; its folder is the run's.
        spec: The job's specification.
        now: The clock, UTC.
        log: Called with each line of the log.
        sleep: Waits some seconds.

    Returns:
        The record.

    Raises:
        EtlError: If the table does not fit, or cannot be written; it keeps the list that it had.
    """
    if spec.delivery is None:
        raise EtlError("the specification names no table to deliver to; deploy the workflow anew")
    folder, delivery = runtime.folder, spec.delivery
    record: dict[str, Any] = {"run": folder.run, "to": "database", "table": delivery.table}

    def write(status: str, **more: Any) -> dict[str, Any]:
        record.update(status=status, **more, createdAt=f"{now():%Y-%m-%dT%H:%M:%SZ}")
        runtime.commit(json.dumps(record, ensure_ascii=False, indent=2) + "\n", path=RECORD)
        return record

    def published() -> dict[str, Any]:
        latest = published_list(folder.s3, folder.bucket)
        if latest["run"] != folder.run:
            raise AnotherListPublishedError(f"the published list is that of run '{latest['run']}'")
        return latest

    header = RELATED_PAIRS if "ITEM_ID" in spec.batch_input.columns else PAIRS
    table = TABLES[spec.engine](runtime.tables, delivery)

    def written() -> dict[str, int]:
        latest = published()
        with _spark_errors(runtime.tables):
            schema = ", ".join(f"{column} string" for column in header)
            rows = runtime.read_csv(folder.uri(LIST), schema, escape='"', is_multi_line=True)
            rows = rows.withColumn("RUN", F.lit(folder.run))
            return table.write(rows, expected=latest["recommendations"], before_swap=published)

    try:
        for pause in (*_PAUSES, None):
            try:
                counts = written()
                break
            except PassingError as error:
                if pause is None:
                    raise
                log(f"not delivered: {error}; tried again in {pause} s")
                sleep(pause)
    except AnotherListPublishedError as another:
        log(f"nothing is delivered: {another}")
        return write("SKIPPED", reason=str(another))
    except EtlError as error:
        named = f"table '{delivery.table}'"
        into = "" if named in str(error) else f" into {named}"
        reason = f"the list of run '{folder.run}' is not delivered{into}: {error}"
        write("FAILED", reason=reason)
        raise EtlError(reason) from None
    log(f"table '{delivery.table}': {counts['rows']:,} rows for {counts['replaced']:,} old ones")
    return write("DELIVERED", columns=dict(delivery.columns), **counts)


def check_table(tables: Tables, spec: JobSpec) -> None:
    """Do nothing if the table that the list goes into can take it, or there is none.

    Raises:
        EtlError: If it cannot; it names every reason.
    """
    if spec.delivery is None:
        return
    try:
        with _spark_errors(tables):
            TABLES[spec.engine](tables, spec.delivery).check()
    except EtlError as error:
        raise EtlError(*(f"delivery: {problem}" for problem in error.problems)) from None


class AnotherListPublishedError(Exception):
    """The run's list is not the published one, or is not any more."""


def published_list(s3: Any, bucket: str) -> dict[str, Any]:
    """Return what `recommendations/latest.json` says of the published list.

    Raises:
        EtlError: If there is none.
    """
    try:
        body = s3.get_object(Bucket=bucket, Key=LATEST)["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise EtlError(
            f"s3://{bucket}/{LATEST} is not there: no list is published, so there is nothing to"
            " deliver; in a workflow of your own put deliver() after publish()"
        ) from None
    except ClientError as error:
        raise EtlError(f"s3://{bucket}/{LATEST}: {error}") from None
    latest: dict[str, Any] = json.loads(body)
    return latest


@contextmanager
def _spark_errors(tables: Tables) -> Iterator[None]:
    try:
        yield
    except Py4JJavaError as error:
        raise tables.error_from_java(error, access="write to") from None
    except PySparkException as error:
        raise EtlError(f"Spark: {shortened(' '.join(str(error).split()))}") from None


class DatabaseTable(ABC):
    """A table of the database that takes a list in place of the one that it holds.

    Args:
        tables: The database's tables.
        delivery: The table, and which of its columns take which of the list.
    """

    engine: Engine

    def __init__(self, tables: Tables, delivery: Delivery) -> None:
        self._tables, self._delivery = tables, delivery
        self.name = TableName.parse(delivery.table)
        digest = hashlib.sha256(delivery.table.encode()).hexdigest()[:12]
        self.staged = self._beside(f"retraining_staged_{digest}")
        self.former = self._beside(f"retraining_former_{digest}")

    def write(
        self, rows: DataFrame, *, expected: int, before_swap: Callable[[], object]
    ) -> dict[str, int]:
        """Replace the table's rows, all of them or none.

        Args:
            rows: The list; columns of text, named as in `delivery.columns`.
            expected: The number of rows that the list has.
            before_swap: Called at the last moment, when no other delivery can come between; if it
                raises an error, nothing is changed.

        Returns:
            The numbers of `rows` that are there now, and of those that they `replaced`.

        Raises:
            EtlError: If the table does not fit the list, or another delivery goes on; nothing is
                changed then.
            Py4JJavaError: If the database refuses a statement; nothing is changed then.
        """
        types = self.check()
        rows = rows.select(
            *(_value(rows, name, types[name]).alias(to) for name, to in self._columns.items())
        )
        with self._tables.connect() as connection:
            self._lock(connection)
            connection.execute(*self._dropping(), *self._staging())
            try:
                self._tables.append(rows, self.staged)
                staged = connection.number(f"SELECT count(*) FROM {self._sql(self.staged)}")
                if staged != expected:
                    raise PassingError(
                        f"{staged:,} of the list's {expected:,} rows arrived in the table beside"
                        f" '{self._delivery.table}'; start the delivery again"
                    )
                replaced = self._swap(connection, before_swap)
            finally:
                with suppress(Py4JJavaError):  # the next delivery drops what is left
                    connection.execute(*self._dropping())
        return {"rows": expected, "replaced": replaced}

    @property
    def _columns(self) -> Mapping[str, str]:
        return self._delivery.columns

    @property
    def _column_list(self) -> str:
        return ", ".join(self._sql(TableName((to,))) for to in self._columns.values())

    def _beside(self, name: str) -> TableName:
        return TableName((*self.name.parts[:-1], name))

    def _sql(self, name: TableName) -> str:
        return name.quote(self.engine)

    def check(self) -> dict[str, str]:
        """Return the type of the table's column for each column of the list.

        Raises:
            EtlError: If the table cannot take the list; it names every reason.
        """
        table = f"table '{self._delivery.table}'"
        known = {column.name: column for column in self._tables.columns(self._delivery.table)}
        problems = list(self._table_problems(table))
        for name, to in self._columns.items():
            if to not in known:
                problems.append(
                    f"{table} has no column '{to}' for {name}{suggestion(to, known)} Columns:"
                    f" {listing(list(known))}. Add it, or name another in delivery.columns"
                )
            elif problem := _type_problem(name, known[to]):
                problems.append(f"{table}: {problem}")
        for column in sorted(self._required_columns() - set(self._columns.values())):
            problems.append(
                f"{table}: column '{column}' takes no null and has no default, and the list has"
                " nothing for it; give it a default, or name it in delivery.columns"
            )
        if problems:
            raise TableError(*problems)
        return {name: _base(known[to]) for name, to in self._columns.items()}

    def _dropping(self) -> tuple[str, ...]:
        return tuple(
            f"DROP TABLE IF EXISTS {self._sql(name)}" for name in (self.staged, self.former)
        )

    def _lock(self, connection: Connection) -> None:
        """Keep other deliveries into the table out as long as the connection is open."""
        if not connection.number(self._lock_query(self._sql(self.name))):
            raise PassingError(
                f"another delivery into table '{self._delivery.table}' goes on; start this one when"
                " that has ended"
            )

    @abstractmethod
    def _lock_query(self, name: str) -> str:
        """Return the query that takes a lock of the session, and finds 0 if another has it."""

    @abstractmethod
    def _table_problems(self, table: str) -> Iterator[str]:
        """Yield why the table as a whole cannot take a list."""

    @abstractmethod
    def _required_columns(self) -> set[str]:
        """Return the columns for which each row needs a value."""

    @abstractmethod
    def _staging(self) -> tuple[str, ...]:
        """Return the statements that make the empty table beside."""

    @abstractmethod
    def _swap(self, connection: Connection, before_swap: Callable[[], object]) -> int:
        """Put the staged rows in place of the table's, and return the number of these."""


class PostgresqlTable(DatabaseTable):
    """A table of PostgreSQL, whose rows are exchanged in one transaction.

    The table stays the same one: its owner, privileges, views, keys and triggers stay as they are,
    and readers wait for nothing.
    """

    engine = "postgresql"

    def _lock_query(self, name: str) -> str:
        text = literal(f"retraining {name}", self.engine)
        return f"SELECT pg_try_advisory_lock(hashtextextended({text}, 0))::int"

    @property
    def _class(self) -> str:
        return f"to_regclass({literal(self._sql(self.name), self.engine)})"

    def _table_problems(self, table: str) -> Iterator[str]:
        query = f"SELECT relkind::text AS kind FROM pg_catalog.pg_class WHERE oid = {self._class}"
        if any(row["kind"] not in {"r", "p"} for row in self._tables.query(query)):
            yield f"{table} is no table but a view or the like; name the table below it"

    def _required_columns(self) -> set[str]:
        rows = self._tables.query(
            "SELECT attname AS name FROM pg_catalog.pg_attribute"
            f" WHERE attrelid = {self._class} AND attnum > 0 AND NOT attisdropped"
            " AND attnotnull AND NOT atthasdef AND attidentity = ''"
        )
        return {str(row["name"]) for row in rows}

    def _staging(self) -> tuple[str, ...]:
        return (
            f"CREATE UNLOGGED TABLE {self._sql(self.staged)} AS SELECT {self._column_list}"
            f" FROM {self._sql(self.name)} WITH NO DATA",
        )

    def _swap(self, connection: Connection, before_swap: Callable[[], object]) -> int:
        name, columns = self._sql(self.name), self._column_list
        with connection.transaction():
            replaced = connection.execute(f"DELETE FROM {name}")
            connection.execute(
                f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {self._sql(self.staged)}"
            )
            before_swap()  # until the commit nobody has seen these rows
        return replaced


class MySqlTable(DatabaseTable):
    """A table of MySQL or MariaDB, which changes its name with the one beside it in one statement.

    Privileges and views go by the name and stay; keys to other tables and triggers would not.
    https://dev.mysql.com/doc/refman/8.4/en/rename-table.html
    """

    engine = "mysql"

    def _lock_query(self, name: str) -> str:
        # Names of locks are the server's, and of 64 characters at most.
        named = f"sha1(concat('retraining ', DATABASE(), ' ', {literal(name, self.engine)}))"
        return f"SELECT coalesce(GET_LOCK({named}, 0), 0)"

    @property
    def _schema(self) -> str:
        parts = self.name.parts
        return literal(parts[0], self.engine) if len(parts) > 1 else "DATABASE()"

    def _where(self, prefix: str) -> str:
        name = literal(self.name.alias, self.engine)
        return f"{prefix}_schema = {self._schema} AND {prefix}_{{}} = {name}"

    def _table_problems(self, table: str) -> Iterator[str]:
        kinds = self._tables.query(
            "SELECT table_type AS kind FROM information_schema.tables"
            f" WHERE {self._where('table').format('name')}"
        )
        if any(row["kind"] != "BASE TABLE" for row in kinds):
            yield f"{table} is no table but a view or the like; name the table below it"
        keys = self._tables.query(
            "SELECT constraint_name AS name FROM information_schema.key_column_usage"
            f" WHERE referenced_table_name IS NOT NULL AND ({self._where('table').format('name')}"
            f" OR {self._where('referenced_table').format('name')})"
        )
        triggers = self._tables.query(
            "SELECT trigger_name AS name FROM information_schema.triggers"
            f" WHERE {self._where('event_object').format('table')}"
        )
        for rows, what in ((keys, "foreign keys"), (triggers, "triggers")):
            if names := sorted({str(row["name"]) for row in rows}):
                yield (
                    f"{table} has {what} ({', '.join(names)}), which would not stay with it when it"
                    " changes places with the new list; take them away"
                )

    def _required_columns(self) -> set[str]:
        rows = self._tables.query(
            "SELECT column_name AS name FROM information_schema.columns"
            f" WHERE {self._where('table').format('name')} AND is_nullable = 'NO'"
            " AND column_default IS NULL AND extra NOT LIKE '%auto_increment%'"
            " AND extra NOT LIKE '%GENERATED%'"
        )
        return {str(row["name"]) for row in rows}

    def _staging(self) -> tuple[str, ...]:
        return (f"CREATE TABLE {self._sql(self.staged)} LIKE {self._sql(self.name)}",)

    def _swap(self, connection: Connection, before_swap: Callable[[], object]) -> int:
        name, staged, former = map(self._sql, (self.name, self.staged, self.former))
        replaced = connection.number(f"SELECT count(*) FROM {name}")
        before_swap()
        connection.execute(
            # While it waits for a long transaction that reads the table, new readers wait for it.
            f"SET SESSION lock_wait_timeout = {_SECONDS_FOR_LOCK}",
            f"RENAME TABLE {name} TO {former}, {staged} TO {name}",
        )
        return replaced


TABLES: Mapping[Engine, type[DatabaseTable]] = {
    "postgresql": PostgresqlTable,
    "mysql": MySqlTable,
}


def _base(column: DatabaseColumn) -> str:
    """Return a column's type without length and sign."""
    return column.type.partition("(")[0].lower().removesuffix(" unsigned").strip()


def _type_problem(name: str, column: DatabaseColumn) -> str:
    """Return why a column cannot take that of the list; empty if it can."""
    is_id = name not in _TYPES
    if _base(column) in (_ID_TYPES if is_id else _TYPES[name]):
        return ""
    needs = "a text or whole number" if is_id else "a whole number"
    needs = "a number with a fraction, such as double" if name == "SCORE" else needs
    return f"column '{column.name}' is {column.type}, and {name} needs {needs}"


def _value(rows: DataFrame, name: str, base: str) -> Expression:
    """Return a column of the list as the database's type; a text that is none ends the write.

    MySQL would take '1.5' and ' 7' for whole numbers, and two users' ids for one.
    """
    value = F.col(name)
    if base in _NUMBER:
        return value.cast("double")
    if base not in _WHOLE:
        return value
    number = value.cast(_MANY_DIGITS)
    fault = F.concat(
        F.lit(f"{name} '"),
        F.coalesce(value, F.lit("")),
        F.lit(f"' is no whole number, and its column is {base}"),
    )
    is_same = number.isNotNull() & (number.cast("string") == value)
    return F.when(is_same, number).otherwise(F.raise_error(fault).cast(_MANY_DIGITS))
