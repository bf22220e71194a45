"""PostgreSQL's catalogue.

Its own, not its information_schema: that hides foreign keys from users who may only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    SELECT c.oid, n.nspname, c.relname, pg_table_is_visible(c.oid), c.relkind IN ('v', 'm'),
           greatest(c.reltuples, (SELECT sum(p.reltuples) FROM pg_inherits i
                                  JOIN pg_class p ON p.oid = i.inhrelid
                                  WHERE i.inhparent = c.oid))::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT c.relispartition
          AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
          AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    ORDER BY n.nspname, c.relname"""
_COLUMNS = """
    SELECT a.attrelid, a.attname, a.attnotnull,
           format_type(coalesce(b.oid, t.oid), CASE WHEN b.oid IS NULL THEN a.atttypmod
                                                    ELSE t.typtypmod END),
           coalesce(b.typtype, t.typtype), coalesce(b.typcategory, t.typcategory),
           ARRAY(SELECT e.enumlabel::text FROM pg_enum e
                 WHERE e.enumtypid = coalesce(b.oid, t.oid) ORDER BY e.enumsortorder)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
    WHERE a.attrelid IN ({tables}) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum"""
_KEYS = """
    SELECT i.indrelid, i.indisprimary,
           ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, o)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
                 WHERE k.o <= i.indnkeyatts ORDER BY k.o)
    FROM pg_index i
    WHERE i.indrelid IN ({tables}) AND i.indisunique AND i.indpred IS NULL
          AND i.indexprs IS NULL"""
_REFERENCES = """
    SELECT c.conrelid, a.attname, c.confrelid, b.attname
    FROM pg_constraint c
         JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
         JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND array_length(c.conkey, 1) = 1 AND c.conparentid = 0
          AND c.conrelid IN ({tables})"""
_KINDS: Mapping[str, Kind] = {
    "smallint": "integer", "integer": "integer", "bigint": "integer", "oid": "integer",
    "numeric": "decimal", "real": "float", "double precision": "float", "boolean": "boolean",
    "text": "text", "character varying": "text", "character": "text", "citext": "text",
    "name": "text", "uuid": "uuid", "date": "date", "json": "json", "jsonb": "json",
    "timestamp without time zone": "time", "timestamp with time zone": "time", "bytea": "binary",
}  # fmt: skip


class _PostgreSql(Catalogue):
    """A connection to PostgreSQL."""

    engine = "postgresql"
    quote = '"'
    text_type = "text"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return found

    def tables(self) -> list[CatalogueTable]:
        listed = self.rows(_TABLES)
        if not listed:
            return []
        names = {
            oid: configured_name((table,) if visible else (schema, table))
            for oid, schema, table, visible, *_ in listed
        }
        among = ", ".join(map(str, names))
        columns: dict[int, list[ColumnFacts]] = {oid: [] for oid in names}
        for oid, name, not_null, type_name, type_type, category, labels in self.rows(
            _COLUMNS.format(tables=among)
        ):
            kind = _kind(type_name, type_type, category)
            column = ColumnFacts(name, type_name, kind, not not_null, labels=tuple(labels))
            columns[oid].append(column)
        keys: dict[int, tuple[str, ...]] = {}
        unique: dict[int, set[str]] = {oid: set() for oid in names}
        for oid, is_primary, key in self.rows(_KEYS.format(tables=among)):
            if is_primary:
                keys[oid] = tuple(key)
            if len(key) == 1:
                unique[oid].add(key[0])
        references: dict[int, list[Reference]] = {oid: [] for oid in names}
        for oid, column, target, key in self.rows(_REFERENCES.format(tables=among)):
            if target in names:
                references[oid].append(Reference(column, names[target], key))
        return [
            CatalogueTable(
                f"{self.name(schema)}.{self.name(table)}",
                TableFacts(
                    names[oid],
                    tuple(columns[oid]),
                    keys.get(oid, ()),
                    frozenset(unique[oid]),
                    tuple(references[oid]),
                    is_view=is_view,
                ),
                max(0, estimate or 0),
            )
            for oid, schema, table, _, is_view, estimate in listed
            if columns[oid]
        ]

    def text_of(self, column: ColumnFacts) -> str:
        name = self.name(column.name)
        if column.kind == "other":
            return f"CASE WHEN {name} IS NOT NULL THEN '…' END"
        if column.kind == "binary":
            return f"upper(encode(substring({name} FROM 1 FOR {BINARY_LENGTH}), 'hex'))"
        if column.kind == "array":
            return f"left(array_to_json({name})::text, {VALUE_LENGTH})"
        return f"left({name}::text, {VALUE_LENGTH})"


def _kind(type_name: str, type_type: str, category: str) -> Kind:
    if type_type == "e":
        return "enum"
    if category == "A":
        return "array"
    return _KINDS.get(re.sub(r"\(.*?\)", "", type_name), "other")


@contextmanager
def open_postgresql(database: Database) -> Iterator[Catalogue]:
    """Connect to a PostgreSQL, which is only read, for the length of a `with` block.

    Raises:
        ProjectError: If it cannot be reached.
    """
    import psycopg  # noqa: PLC0415  belongs to the extra `local`

    given = {key: value[-1] for key, value in parse_qs(database.parameters).items()}
    path = given.get("currentSchema")
    options = "-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO" + (
        f" -c statement_timeout={STATEMENT_SECONDS}s"
    )
    try:
        with psycopg.connect(
            host=database.host,
            port=database.port,
            dbname=database.name,
            user=database.user or None,
            password=database.password or None,
            sslmode=given.get("sslmode", "prefer"),
            connect_timeout=CONNECT_SECONDS,
            options=options + (f" -c search_path={path}" if path else ""),
            autocommit=True,
        ) as connection:
            yield _PostgreSql(connection, psycopg.Error)
    except psycopg.Error as error:
        raise unreachable(database, error) from None
