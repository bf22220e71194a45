"""The catalogue of MySQL and MariaDB: their information_schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from etl.database import Database
from retrain.project.database.catalogue import (
    BINARY_LENGTH,
    CONNECT_SECONDS,
    STATEMENT_SECONDS,
    VALUE_LENGTH,
    Catalogue,
    CatalogueTable,
    configured_name,
    unreachable,
)
from retrain.project.database.schema import ColumnFacts, Kind, Reference, TableFacts

_TABLES = """
    SELECT table_name, table_rows, table_type FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')
    ORDER BY table_name"""
_COLUMNS = """
    SELECT table_name, column_name, is_nullable, column_type FROM information_schema.columns
    WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"""
_KEYS = """
    SELECT table_name, index_name, column_name FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND non_unique = 0 AND sub_part IS NULL
    ORDER BY table_name, index_name, seq_in_index"""
_REFERENCES = """
    SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name
    FROM information_schema.key_column_usage
    WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()"""
_KINDS: Mapping[str, Kind] = {
    "tinyint": "integer", "smallint": "integer", "mediumint": "integer", "int": "integer",
    "bigint": "integer", "year": "integer", "decimal": "decimal", "float": "float",
    "double": "float", "char": "text", "varchar": "text", "tinytext": "text", "text": "text",
    "mediumtext": "text", "longtext": "text", "enum": "enum", "set": "text", "date": "date",
    "datetime": "time", "timestamp": "time", "json": "json", "uuid": "uuid", "binary": "binary",
    "varbinary": "binary", "tinyblob": "binary", "blob": "binary", "mediumblob": "binary",
    "longblob": "binary",
}  # fmt: skip


class _MySql(Catalogue):
    """A connection to MySQL or MariaDB."""

    engine = "mysql"
    quote = "`"
    text_type = "char"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def tables(self) -> list[CatalogueTable]:
        columns: dict[str, list[ColumnFacts]] = {}
        for table, name, is_nullable, type_name in self.rows(_COLUMNS):
            labels = re.findall(r"'((?:[^']|'')*)'", type_name)
            kind = _kind(type_name)
            column = ColumnFacts(
                name,
                type_name,
                kind,
                is_nullable == "YES",
                labels=tuple(label.replace("''", "'") for label in labels if kind == "enum"),
            )
            columns.setdefault(table, []).append(column)
        keys = _grouped(self.rows(_KEYS))
        constraints = _grouped(self.rows(_REFERENCES))
        return [
            CatalogueTable(
                self.name(table),
                TableFacts(
                    configured_name((table,)),
                    tuple(columns[table]),
                    tuple(name for (name,) in keys.get((table, "PRIMARY"), ())),
                    frozenset(
                        key[0][0] for (of, _), key in keys.items() if of == table and len(key) == 1
                    ),
                    tuple(
                        Reference(column, configured_name((target,)), key)
                        for (of, _), ((column, target, key), *more) in constraints.items()
                        if of == table and not more
                    ),
                    is_view=kind == "VIEW",
                ),
                int(estimate or 0),
            )
            for table, estimate, kind in self.rows(_TABLES)
            if table in columns
        ]

    def text_of(self, column: ColumnFacts) -> str:
        name = self.name(column.name)
        if column.kind == "other":
            return f"CASE WHEN {name} IS NOT NULL THEN '…' END"
        if column.kind == "binary":
            return f"HEX(LEFT({name}, {BINARY_LENGTH}))"
        if column.type.startswith("bit"):
            name = f"({name} + 0)"
        return f"LEFT(CAST({name} AS char), {VALUE_LENGTH})"


def _grouped(
    rows: Sequence[tuple[Any, ...]],
) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return rows by their first two cells, in their order."""
    groups: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for first, second, *others in rows:
        groups.setdefault((first, second), []).append(tuple(others))
    return groups


def _kind(type_name: str) -> Kind:
    if type_name.startswith("tinyint(1)") or type_name == "bit(1)":
        return "boolean"
    return _KINDS.get(re.split(r"\W", type_name, maxsplit=1)[0].lower(), "other")


@contextmanager
def open_mysql(database: Database) -> Iterator[Catalogue]:
    """Connect to a MySQL or MariaDB, which is only read, for the length of a `with` block.

    Raises:
        ProjectError: If it cannot be reached.
    """
    import pymysql  # noqa: PLC0415  belongs to the extra `local`

    given = {key.lower(): value[-1].upper() for key, value in parse_qs(database.parameters).items()}
    is_encrypted = given.get("sslmode", "") in ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
    try:
        connection = pymysql.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password,
            database=database.name,
            charset="utf8mb4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=2 * STATEMENT_SECONDS,
            ssl={"check_hostname": False} if is_encrypted else None,
            autocommit=True,
        )
        with connection:
            with connection.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
            yield _MySql(connection, pymysql.Error)
    except pymysql.Error as error:
        raise unreachable(database, error) from None
