"""A JDBC connection of the job's driver process: statements, and queries of a few rows.

Spark's reader can make no statements, and a query of the catalogue takes it a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession


class Connection:
    """An open connection; each statement is committed by itself, but inside `transaction`."""

    def __init__(self, jdbc: Any) -> None:
        self._jdbc = jdbc

    def execute(self, *statements: str) -> int:
        """Execute statements; return the number of rows that the last one changed."""
        changed = 0
        for statement in statements:
            prepared = self._jdbc.createStatement()
            try:
                prepared.execute(statement)
                changed = max(prepared.getUpdateCount(), 0)
            finally:
                prepared.close()
        return changed

    def number(self, query: str) -> int:
        """Return the whole number that a query of one value finds; 0 for null."""
        statement = self._jdbc.createStatement()
        try:
            rows = statement.executeQuery(query)
            return int(rows.getLong(1)) if rows.next() else 0
        finally:
            statement.close()

    def rows(self, query: str) -> list[dict[str, str | None]]:
        """Return the rows that a query finds: its columns' names → the values as texts."""
        statement = self._jdbc.createStatement()
        try:
            result = statement.executeQuery(query)
            columns = result.getMetaData()
            numbers = range(1, columns.getColumnCount() + 1)
            names = [columns.getColumnLabel(number) for number in numbers]
            found = []
            while result.next():
                found.append(dict(zip(names, map(result.getString, numbers), strict=True)))
            return found
        finally:
            statement.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block's statements together; none of them if one fails."""
        self._jdbc.setAutoCommit(False)
        try:
            yield
            self._jdbc.commit()
        except BaseException:
            self._jdbc.rollback()
            raise
        finally:
            self._jdbc.setAutoCommit(True)


@contextmanager
def connected(spark: SparkSession, options: Mapping[str, str]) -> Iterator[Connection]:
    """Open a connection for the length of a `with` block.

    Args:
        spark: The session, on whose class path the driver is.
        options: Spark's JDBC options: `url`, `user`, `password`, `driver`.
    """
    java: Any = spark._jvm
    drivers = java.org.apache.spark.sql.execution.datasources.jdbc.DriverRegistry
    drivers.register(options["driver"])
    properties = java.java.util.Properties()
    for name in ("user", "password"):
        properties.setProperty(name, options[name])
    jdbc = drivers.get(options["driver"]).connect(options["url"], properties)
    try:
        yield Connection(jdbc)
    finally:
        jdbc.close()
