"""What the catalogues of both engines have in common: counts, and the values of some rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from etl.columns import DatabaseColumn, among
from etl.database import Database, TableName
from etl.datasets import Engine
from etl.errors import EtlError
from retrain.project.database.references import Candidate, likely_keys
from retrain.project.database.schema import ColumnFacts, TableFacts
from retrain.project.errors import ProjectError

SAMPLE_ROWS = 1_000
COUNTED_ROWS = 200_000  # beyond, the database's estimate serves
VALUE_LENGTH = 2_000
BINARY_LENGTH = 64  # bytes, twice as many digits: longer than any id
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 30
_COMPARED_VALUES = 300


@dataclass(frozen=True)
class CatalogueTable:
    """A table of the catalogue: its name in SQL, its description without values, its estimate."""

    sql: str
    facts: TableFacts
    estimate: int


class Catalogue(ABC):
    """A connection, and what both engines have in common.

    Args:
        connection: The driver's.
        error: The class of the driver's errors.
    """

    engine: Engine
    quote: str
    text_type: str

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection = connection
        self._error = error

    @abstractmethod
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    @abstractmethod
    def tables(self) -> list[CatalogueTable]:
        """Return the tables and views that the user may read, without rows and values."""

    @abstractmethod
    def text_of(self, column: ColumnFacts) -> str:
        """Return the SQL of a column's value as a text that is not too long."""

    def name(self, name: str) -> str:
        """Return a name quoted for SQL."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def sampled(self, table: CatalogueTable) -> TableFacts | None:
        """Return a table with its number of rows and some values; None if it cannot be read."""
        facts = table.facts
        try:
            ((count,),) = self.rows(
                f"SELECT count(*) FROM (SELECT 1 FROM {table.sql} LIMIT {COUNTED_ROWS + 1}) AS c"
            )
            values = ", ".join(self.text_of(column) for column in facts.columns)
            query = f"SELECT {values} FROM {table.sql}"
            half = SAMPLE_ROWS // 2
            if count <= SAMPLE_ROWS:
                queries = [query]
            elif facts.single_key:  # the oldest rows and the newest
                ordered = f"{query} ORDER BY {self.name(facts.single_key)}"
                queries = [f"{ordered} LIMIT {half}", f"{ordered} DESC LIMIT {half}"]
            else:
                queries = [f"{query} LIMIT {half}", f"{query} LIMIT {half} OFFSET {count - half}"]
            sample = [row for each in queries for row in self.rows(each)]
        except self._error:
            return None
        columns = tuple(
            _settled(replace(column, values=tuple(row[number] for row in sample)))
            for number, column in enumerate(facts.columns)
        )
        rows = max(table.estimate, count) if count > COUNTED_ROWS else count
        found = replace(facts, columns=columns, rows=rows)
        return found if found.key else self._with_key(found, table.sql)

    def _with_key(self, facts: TableFacts, table: str) -> TableFacts:
        """Return a table or view that declares no key with the column that is like one."""
        for column in likely_keys(facts):
            name = self.name(column)
            query = f"SELECT {name} FROM {table} LIMIT {COUNTED_ROWS}"
            try:
                ((rows, distinct),) = self.rows(
                    f"SELECT count(*), count(DISTINCT {name}) FROM ({query}) AS few"
                )
            except self._error:
                continue
            if rows == distinct:
                return replace(facts, key=(column,), unique=facts.unique | {column})
        return facts

    def share_found(self, candidate: Candidate, names: Mapping[str, str]) -> float | None:
        """Return the share of some values of a column that another table has.

        None if that cannot be said: there are no values, or the database cannot compare them.
        """
        column, key = self.name(candidate.column), f"t.{self.name(candidate.key)}"
        condition = f"{key} = wanted.v"
        if not candidate.is_same_type:  # no index serves, and no collation matters
            casts = (f"CAST({each} AS {self.text_type})" for each in (key, "wanted.v"))
            condition = " = ".join(casts)
        query = f"""
            SELECT count(*), count({key}) FROM
                (SELECT DISTINCT v FROM
                    (SELECT {column} AS v FROM {names[candidate.table]} WHERE {column} IS NOT NULL
                     LIMIT {_COMPARED_VALUES}) AS few) AS wanted
            LEFT JOIN {names[candidate.target]} AS t ON {condition}"""
        try:
            ((values, found),) = self.rows(query)
        except self._error:
            return None
        return found / values if values else None

    def share_used(self, key: ColumnFacts, column: ColumnFacts, table: str) -> float:
        """Return the share of some keys that a column of a table has; 1 if that cannot be said.

        Args:
            key: The keys, with the values that were sampled.
            column: The column that refers to them.
            table: The column's table, as SQL.
        """
        values = sorted(set(key.present[:: max(1, len(key.present) // _COMPARED_VALUES)]))
        if not values:
            return 1.0
        is_same_type = key.kind == column.kind
        one_of = among(
            self.engine,
            DatabaseColumn(column.name, column.type),
            [bytes.fromhex(value) for value in values] if key.kind == "binary" else values,
            as_text=not is_same_type,
        )
        query = f"SELECT count(DISTINCT {self.name(column.name)}) FROM {table} WHERE {one_of}"
        try:
            ((used,),) = self.rows(query)
        except self._error:
            return 1.0
        return float(used) / len(values)


def _settled(column: ColumnFacts) -> ColumnFacts:
    """Return a column with the kind that its values show: JSON in a text, a flag in a number."""
    if column.kind == "text" and column.documents:
        return replace(column, kind="json")
    if column.kind == "boolean" and not set(column.counts) <= {"0", "1", "true", "false"}:
        return replace(column, kind="integer")
    return column


def configured_name(parts: Sequence[str]) -> str:
    """Return a table's name as the configuration writes it, quoted only where it must be."""
    plain = ".".join(parts)
    try:
        is_plain = TableName.parse(plain).parts == tuple(parts)
    except EtlError:
        is_plain = False
    if is_plain:
        return plain
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def unreachable(database: Database, error: Exception) -> ProjectError:
    """Return the error of a database that the driver cannot reach."""
    text = str(error.args[-1] if error.args else error).strip().splitlines()
    return ProjectError(
        f"{database.description}: {text[0] if text else type(error).__name__}; is it running, may"
        f" this machine reach it, and are database, user '{database.user}' and password right?"
    )
