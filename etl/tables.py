"""Tables read over JDBC by Spark, on this machine and on AWS Glue alike.

Of a table only the named columns are read. A value that Spark cannot hold arrives as null, and its
text in a column beside it, whose name `references.unreadable`
returns.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from pyspark.sql.types import NumericType, StringType

from etl.columns import DatabaseColumn, read_query, tables_query
from etl.connection import Connection, connected
from etl.database import TableName, writing_options
from etl.datasets import Engine
from etl.errors import EtlError, TableError, listing, suggestion
from etl.references import unreadable
from etl.session import error_from_java, is_missing_table

# The greatest bound that Spark takes; what is beyond is in the last part.
_LONGEST = 2**63 - 1
# The driver's own parameter; the driver never sees a zero date.
_ZERO_DATES_ARE_NULL = "zerodatetimebehavior=convert_to_null"


class Tables:
    """A database's tables.

    Args:
        spark: The session.
        engine: The database's engine.
        options: Spark's JDBC options: `url`, `user`, `password`, `driver`, `fetchsize`.
        database: The database in words, for messages.
        partitions: Connections that share a table which is read in parallel.
    """

    def __init__(
        self,
        spark: SparkSession,
        *,
        engine: Engine,
        options: Mapping[str, str],
        database: str,
        partitions: int,
    ) -> None:
        self._spark, self._engine, self._options = spark, engine, options
        self._database, self._partitions = database, partitions
        self._described: dict[str, tuple[tuple[DatabaseColumn, ...], int]] = {}

    @property
    def engine(self) -> Engine:
        """The database's engine."""
        return self._engine

    @property
    def database(self) -> str:
        """The database in words."""
        return self._database

    def error_from_java(self, error: Py4JJavaError, *, access: str = "read") -> EtlError:
        """Return the error as `session.error_from_java` does."""
        return error_from_java(error, self._database, self._options["user"], access=access)

    def columns(self, name: str) -> tuple[DatabaseColumn, ...]:
        """Return a table's columns in their order.

        Args:
            name: `table` or `schema.table`.

        Raises:
            TableError: If the database has no such table.
            EtlError: If the database cannot be reached, or the user may not read the table.
        """
        columns, _ = self._description(name)
        if columns:
            return columns
        table = TableName.parse(name)
        try:  # the database says why: it does not exist, or is not to be seen
            self._reader().option("dbtable", table.quote(self._engine)).load()
        except Py4JJavaError as error:
            if is_missing_table(error):
                known = self._table_names()
                tables = f" Tables: {listing(known)}" if known else " it has no tables"
                raise TableError(
                    f"table '{name}' does not exist in the database"
                    f"{suggestion(name, known)}{tables}"
                ) from None
            raise self.error_from_java(error) from None
        return columns

    def size(self, name: str) -> int:
        """Return about how many bytes a table's rows take in the database; 0 if nobody knows.

        Raises:
            EtlError: If the database cannot be reached.
        """
        try:
            return self._description(name)[1]
        except TableError:  # whoever reads the table says where it is named
            return 0

    def describe(self, names: Iterable[str]) -> None:
        """Ask the database by one query for what `columns` and `size` return of tables.

        Raises:
            EtlError: If the database cannot be reached.
        """
        tables: dict[str, TableName] = {}
        for name in names:
            if not self._is_known(name):
                with suppress(TableError):
                    tables[name] = TableName.parse(name)
        if not tables:
            return
        try:
            rows = self.query(tables_query(self._engine, list(tables.values())))
        except Py4JJavaError as error:
            raise self.error_from_java(error) from None
        rows.sort(key=lambda row: int(row["position"] or 0))
        for number, (name, table) in enumerate(tables.items()):
            own = [row for row in rows if row["number"] == str(number)]
            if self._engine == "mysql" and own and own[0]["folded"] == "0":
                own = [row for row in own if row["table_name"] == table.parts[-1]]
            columns = (DatabaseColumn(str(row["name"]), str(row["type"])) for row in own)
            size = int(own[0]["bytes"] or 0) if own else 0
            self._described[name] = tuple(columns), size

    def _description(self, name: str) -> tuple[tuple[DatabaseColumn, ...], int]:
        if not self._is_known(name):
            TableName.parse(name)
            self.describe([name])
        return self._described[name]

    def _is_known(self, name: str) -> bool:
        """Return whether a table has been described; one that was not there may have come since."""
        return bool(self._described.get(name, ((), 0))[0])

    def read(
        self,
        name: str,
        columns: Collection[DatabaseColumn],
        *,
        named: Collection[str],
        partition_column: str = "",
        where: str = "",
        at_most: int | None = None,
    ) -> DataFrame:
        """Return rows of a table's named columns; Spark reads them when the frame is used.

        Args:
            name: `table` or `schema.table`.
            columns: The table's columns.
            named: The names of those that are read.
            partition_column: Numeric column by which several connections share the table; empty
                for one connection.
            where: The SQL condition on the rows, as `columns.among` returns it; empty for all.
            at_most: Most rows, by the database's LIMIT; None for all.

        Returns:
            The named columns in the table's order, then `unreadable(column)` of those that can
            hold what Spark cannot: its text, null in all other rows.

        Raises:
            TableError: If there is no such partition column.
            EtlError: If the database cannot be reached.
        """
        try:
            return self._read(name, columns, named, partition_column, where, at_most)
        except Py4JJavaError as error:
            raise self.error_from_java(error) from None

    def _read(
        self,
        name: str,
        columns: Collection[DatabaseColumn],
        named: Collection[str],
        partition_column: str,
        where: str,
        at_most: int | None,
    ) -> DataFrame:
        partitioned_by = _partition_column(name, columns, partition_column)
        read = [column for column in columns if column.name in named]
        read = read or list(columns)[:1]  # a constant for each row needs the rows
        table = TableName.parse(name)
        query = read_query(
            self._engine,
            table,
            read,
            partition_column=partitioned_by,
            zero_dates_are_null=_ZERO_DATES_ARE_NULL in self._options["url"].lower(),
            where=where,
            at_most=at_most,
        )
        reader = self._reader().option("dbtable", query)
        frame = reader.load()
        if partitioned_by:
            data_type = frame.schema["part"].dataType
            if not isinstance(data_type, NumericType):
                raise TableError(
                    f"partition_column '{partitioned_by}' of table '{name}' is a"
                    f" {data_type.simpleString()}; name a numeric column or leave it out"
                )
            if self._partitions == 1:
                return _with_names(frame, [column.name for column in read])
            (bounds,) = self.query(f"SELECT min(part) AS low, max(part) AS high FROM {query}")
            # Without a bound that is a number, or with one value alone, there is nothing to share.
            low, high = (Decimal(bounds[name] or "NaN") for name in ("low", "high"))
            if low.is_finite() and high.is_finite() and low < high:
                frame = (
                    reader.option("partitionColumn", "part")
                    .option("lowerBound", max(math.floor(low), -_LONGEST))
                    .option("upperBound", min(math.floor(high) + 1, _LONGEST))
                    .option("numPartitions", self._partitions)
                    .load()
                )
        return _with_names(frame, [column.name for column in read])

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a connection for statements that change the database."""
        with connected(self._spark, self._options) as connection:
            yield connection

    def append(self, rows: DataFrame, table: TableName) -> None:
        """Add rows to a table by several connections.

        Args:
            rows: Columns named as the table's.
            table: The table, which exists.

        Raises:
            Py4JJavaError: If the database takes one of them not; others may be in then.
        """
        options = writing_options(self._engine, self._options)
        (
            rows.repartition(self._partitions)
            .write.format("jdbc")
            .mode("append")
            .options(**options, dbtable=table.quote(self._engine))
            .save()
        )

    def _reader(self) -> DataFrameReader:
        return self._spark.read.format("jdbc").options(**self._options)

    def query(self, query: str) -> list[dict[str, str | None]]:
        """Return the few rows that a query finds, their values as texts."""
        with self.connect() as connection:
            return connection.rows(query)

    def _table_names(self) -> list[str]:
        current = "current_schema()" if self._engine == "postgresql" else "DATABASE()"
        rows = self.query(
            f"SELECT table_schema AS s, table_name AS t, {current} AS c"
            " FROM information_schema.tables WHERE table_schema NOT IN"
            " ('pg_catalog', 'information_schema', 'mysql', 'sys', 'performance_schema')"
        )
        return sorted(
            str(row["t"]) if row["s"] == row["c"] else f"{row['s']}.{row['t']}" for row in rows
        )


def _partition_column(
    table: str, columns: Collection[DatabaseColumn], partition_column: str
) -> str:
    known = {column.name.lower(): column.name for column in columns}
    if partition_column and partition_column.lower() not in known:
        raise TableError(
            f"table '{table}' has no column '{partition_column}' (partition_column)"
            f"{suggestion(partition_column, known.values())}"
            f" Columns: {listing(list(known.values()))}"
        )
    return known.get(partition_column.lower(), "")


def _with_names(frame: DataFrame, names: Collection[str]) -> DataFrame:
    values, texts = [], []
    for number, name in enumerate(names):
        values.append(_value(frame, f"c{number}").alias(name))
        if f"t{number}" in frame.columns:
            texts.append(F.col(f"t{number}").alias(unreadable(name)))
    return frame.select(*values, *texts)


def _value(frame: DataFrame, column: str) -> Expression:
    """Return a column, a text as an expression: a filter on it is then Spark's work.

    Spark gives filters on columns to the database, which compares by its collation: to MySQL 'A'
    is 'a'. What a filter means must not depend on who evaluates it.
    """
    value = F.col(column)
    return F.concat(value) if isinstance(frame.schema[column].dataType, StringType) else value
