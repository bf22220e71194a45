"""A database → its description: catalogue, counts and the values of some rows; nothing is written.

PostgreSQL's own catalogue is read, not its information_schema: that hides foreign keys from users
who may only read. psycopg and PyMySQL are used, not Spark: a dozen small queries a table in
Spark's JDBC reader would cost half a second each.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from etl.database import Database, TableName
from etl.errors import EtlError
from retrain.project.errors import ProjectError
from retrain.project.references import Candidate, candidates, with_references
from retrain.project.schema import ColumnFacts, Kind, Reference, Schema, TableFacts

SAMPLE_ROWS = 1_000
COUNTED_ROWS = 200_000  # beyond, the database's estimate serves
MAX_TABLES = 300
_VALUE_LENGTH = 2_000
_COMPARED_VALUES = 300
_CONNECT_SECONDS = 10
_STATEMENT_SECONDS = 30


@dataclass(frozen=True)
class _Table:
    """A table of the catalogue: its name in SQL, its description without values, its estimate."""

    sql: str
    facts: TableFacts
    estimate: int


def read_schema(url: str) -> Schema:
    """Return the description of a database.

    Args:
        url: `postgresql://user:password@host:port/name`, or mysql.

    Raises:
        ProjectError: If the database cannot be reached, or has no tables with columns.
    """
    try:
        database = Database.from_url(url)
    except EtlError as error:
        raise ProjectError(str(error)) from None
    connect = _postgresql if database.engine == "postgresql" else _mysql
    with connect(database) as catalogue:
        tables = catalogue.tables()
        if not tables:
            raise ProjectError(
                f"{database.description}: has no tables that the user '{database.user}' may read;"
                " name another database, or give the user SELECT"
            )
        if len(tables) > MAX_TABLES:
            raise ProjectError(
                f"{database.description}: has {len(tables):,} tables; init looks at"
                f" {MAX_TABLES} at most: give it a user who may read those that matter"
            )
        sampled = tuple(filter(None, (catalogue.sampled(table) for table in tables)))
        schema = Schema(database.engine, database.name, sampled)
        names = {table.facts.name: table.sql for table in tables}
        shares = {each: catalogue.share_found(each, names) for each in candidates(schema)}
        return with_references(schema, shares)


class _Catalogue(ABC):
    """A connection, and what both engines have in common."""

    quote: str
    text_type: str

    @abstractmethod
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    @abstractmethod
    def tables(self) -> list[_Table]:
        """Return the tables that the user may read, without rows and values."""

    @abstractmethod
    def text_of(self, column: ColumnFacts) -> str:
        """Return the SQL of a column's value as a text that is not too long."""

    @property
    @abstractmethod
    def error(self) -> type[Exception]:
        """The class of the driver's errors."""

    def name(self, name: str) -> str:
        """Return a name quoted for SQL."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def sampled(self, table: _Table) -> TableFacts | None:
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
        except self.error:
            return None
        columns = tuple(
            _settled(replace(column, values=tuple(row[number] for row in sample)))
            for number, column in enumerate(facts.columns)
        )
        rows = max(table.estimate, count) if count > COUNTED_ROWS else count
        return replace(facts, columns=columns, rows=rows)

    def share_found(self, candidate: Candidate, names: Mapping[str, str]) -> float | None:
        """Return the share of some values of a column that another table has; None of no values."""
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
        except self.error:
            return 0.0
        return found / values if values else None


def _settled(column: ColumnFacts) -> ColumnFacts:
    """Return a column with the kind that its values show: JSON in a text, a flag in a number."""
    if column.kind == "text" and column.documents:
        return replace(column, kind="json")
    if column.kind == "boolean" and not set(column.counts) <= {"0", "1", "true", "false"}:
        return replace(column, kind="integer")
    return column


# ── PostgreSQL ─────────────────────────────────────────────────────────────────────────────────

_POSTGRESQL_TABLES = """
    SELECT c.oid, n.nspname, c.relname, pg_table_is_visible(c.oid),
           greatest(c.reltuples, (SELECT sum(p.reltuples) FROM pg_inherits i
                                  JOIN pg_class p ON p.oid = i.inhrelid
                                  WHERE i.inhparent = c.oid))::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
          AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
          AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    ORDER BY n.nspname, c.relname"""
_POSTGRESQL_COLUMNS = """
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
_POSTGRESQL_KEYS = """
    SELECT i.indrelid, i.indisprimary,
           ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, o)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
                 WHERE k.o <= i.indnkeyatts ORDER BY k.o)
    FROM pg_index i
    WHERE i.indrelid IN ({tables}) AND i.indisunique AND i.indpred IS NULL
          AND i.indexprs IS NULL"""
_POSTGRESQL_REFERENCES = """
    SELECT c.conrelid, a.attname, c.confrelid, b.attname
    FROM pg_constraint c
         JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
         JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND array_length(c.conkey, 1) = 1 AND c.conparentid = 0
          AND c.conrelid IN ({tables})"""
_POSTGRESQL_KINDS: Mapping[str, Kind] = {
    "smallint": "integer", "integer": "integer", "bigint": "integer", "oid": "integer",
    "numeric": "decimal", "real": "float", "double precision": "float", "boolean": "boolean",
    "text": "text", "character varying": "text", "character": "text", "citext": "text",
    "name": "text", "uuid": "uuid", "date": "date", "json": "json", "jsonb": "json",
    "timestamp without time zone": "time", "timestamp with time zone": "time", "bytea": "binary",
}  # fmt: skip


class _PostgreSql(_Catalogue):
    quote = '"'
    text_type = "text"

    def __init__(self, connection: Any) -> None:
        import psycopg  # noqa: PLC0415

        self._connection = connection
        self._error = psycopg.Error

    @property
    def error(self) -> type[Exception]:
        return self._error

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return found

    def tables(self) -> list[_Table]:
        listed = self.rows(_POSTGRESQL_TABLES)
        if not listed:
            return []
        names = {
            oid: _configured_name((table,) if visible else (schema, table))
            for oid, schema, table, visible, _ in listed
        }
        among = ", ".join(map(str, names))
        columns: dict[int, list[ColumnFacts]] = {oid: [] for oid in names}
        for oid, name, not_null, type_name, type_type, category, labels in self.rows(
            _POSTGRESQL_COLUMNS.format(tables=among)
        ):
            kind = _postgresql_kind(type_name, type_type, category)
            column = ColumnFacts(name, type_name, kind, not not_null, labels=tuple(labels))
            columns[oid].append(column)
        keys: dict[int, tuple[str, ...]] = {}
        unique: dict[int, set[str]] = {oid: set() for oid in names}
        for oid, is_primary, key in self.rows(_POSTGRESQL_KEYS.format(tables=among)):
            if is_primary:
                keys[oid] = tuple(key)
            if len(key) == 1:
                unique[oid].add(key[0])
        references: dict[int, list[Reference]] = {oid: [] for oid in names}
        for oid, column, target, key in self.rows(_POSTGRESQL_REFERENCES.format(tables=among)):
            if target in names:
                references[oid].append(Reference(column, names[target], key))
        return [
            _Table(
                f"{self.name(schema)}.{self.name(table)}",
                TableFacts(
                    names[oid],
                    tuple(columns[oid]),
                    keys.get(oid, ()),
                    frozenset(unique[oid]),
                    tuple(references[oid]),
                ),
                max(0, estimate or 0),
            )
            for oid, schema, table, _, estimate in listed
            if columns[oid]
        ]

    def text_of(self, column: ColumnFacts) -> str:
        name = self.name(column.name)
        if column.kind in ("binary", "other"):
            return f"CASE WHEN {name} IS NOT NULL THEN '…' END"
        if column.kind == "array":
            return f"left(array_to_json({name})::text, {_VALUE_LENGTH})"
        return f"left({name}::text, {_VALUE_LENGTH})"


def _postgresql_kind(type_name: str, type_type: str, category: str) -> Kind:
    if type_type == "e":
        return "enum"
    if category == "A":
        return "array"
    return _POSTGRESQL_KINDS.get(re.sub(r"\(.*?\)", "", type_name), "other")


@contextmanager
def _postgresql(database: Database) -> Iterator[_Catalogue]:
    import psycopg  # noqa: PLC0415  belongs to the extra `local`

    given = {key: value[-1] for key, value in parse_qs(database.parameters).items()}
    path = given.get("currentSchema")
    options = "-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO" + (
        f" -c statement_timeout={_STATEMENT_SECONDS}s"
    )
    try:
        with psycopg.connect(
            host=database.host,
            port=database.port,
            dbname=database.name,
            user=database.user or None,
            password=database.password or None,
            sslmode=given.get("sslmode", "prefer"),
            connect_timeout=_CONNECT_SECONDS,
            options=options + (f" -c search_path={path}" if path else ""),
            autocommit=True,
        ) as connection:
            yield _PostgreSql(connection)
    except psycopg.Error as error:
        raise _unreachable(database, error) from None


# ── MySQL and MariaDB ──────────────────────────────────────────────────────────────────────────

_MYSQL_TABLES = """
    SELECT table_name, table_rows FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY table_name"""
_MYSQL_COLUMNS = """
    SELECT table_name, column_name, is_nullable, column_type FROM information_schema.columns
    WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"""
_MYSQL_KEYS = """
    SELECT table_name, index_name, column_name FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND non_unique = 0 AND sub_part IS NULL
    ORDER BY table_name, index_name, seq_in_index"""
_MYSQL_REFERENCES = """
    SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name
    FROM information_schema.key_column_usage
    WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()"""
_MYSQL_KINDS: Mapping[str, Kind] = {
    "tinyint": "integer", "smallint": "integer", "mediumint": "integer", "int": "integer",
    "bigint": "integer", "year": "integer", "decimal": "decimal", "float": "float",
    "double": "float", "char": "text", "varchar": "text", "tinytext": "text", "text": "text",
    "mediumtext": "text", "longtext": "text", "enum": "enum", "set": "text", "date": "date",
    "datetime": "time", "timestamp": "time", "json": "json", "uuid": "uuid", "binary": "binary",
    "varbinary": "binary", "tinyblob": "binary", "blob": "binary", "mediumblob": "binary",
    "longblob": "binary",
}  # fmt: skip


class _MySql(_Catalogue):
    quote = "`"
    text_type = "char"

    def __init__(self, connection: Any) -> None:
        import pymysql  # noqa: PLC0415

        self._connection = connection
        self._error = pymysql.Error

    @property
    def error(self) -> type[Exception]:
        return self._error

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def tables(self) -> list[_Table]:
        columns: dict[str, list[ColumnFacts]] = {}
        for table, name, is_nullable, type_name in self.rows(_MYSQL_COLUMNS):
            labels = re.findall(r"'((?:[^']|'')*)'", type_name)
            kind = _mysql_kind(type_name)
            column = ColumnFacts(
                name,
                type_name,
                kind,
                is_nullable == "YES",
                labels=tuple(label.replace("''", "'") for label in labels if kind == "enum"),
            )
            columns.setdefault(table, []).append(column)
        keys = _grouped(self.rows(_MYSQL_KEYS))
        constraints = _grouped(self.rows(_MYSQL_REFERENCES))
        return [
            _Table(
                self.name(table),
                TableFacts(
                    _configured_name((table,)),
                    tuple(columns[table]),
                    tuple(name for (name,) in keys.get((table, "PRIMARY"), ())),
                    frozenset(
                        key[0][0] for (of, _), key in keys.items() if of == table and len(key) == 1
                    ),
                    tuple(
                        Reference(column, _configured_name((target,)), key)
                        for (of, _), ((column, target, key), *more) in constraints.items()
                        if of == table and not more
                    ),
                ),
                int(estimate or 0),
            )
            for table, estimate in self.rows(_MYSQL_TABLES)
            if table in columns
        ]

    def text_of(self, column: ColumnFacts) -> str:
        name = self.name(column.name)
        if column.kind in ("binary", "other"):
            return f"CASE WHEN {name} IS NOT NULL THEN '…' END"
        if column.type.startswith("bit"):
            name = f"({name} + 0)"
        return f"LEFT(CAST({name} AS char), {_VALUE_LENGTH})"


def _grouped(
    rows: Sequence[tuple[Any, ...]],
) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return rows by their first two cells, in their order."""
    groups: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for first, second, *others in rows:
        groups.setdefault((first, second), []).append(tuple(others))
    return groups


def _mysql_kind(type_name: str) -> Kind:
    if type_name.startswith("tinyint(1)") or type_name == "bit(1)":
        return "boolean"
    return _MYSQL_KINDS.get(re.split(r"\W", type_name, maxsplit=1)[0].lower(), "other")


@contextmanager
def _mysql(database: Database) -> Iterator[_Catalogue]:
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
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=2 * _STATEMENT_SECONDS,
            ssl={"check_hostname": False} if is_encrypted else None,
            autocommit=True,
        )
        with connection:
            with connection.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
            yield _MySql(connection)
    except pymysql.Error as error:
        raise _unreachable(database, error) from None


# ── Both ───────────────────────────────────────────────────────────────────────────────────────


def _configured_name(parts: Sequence[str]) -> str:
    """Return a table's name as the configuration writes it, quoted only where it must be."""
    plain = ".".join(parts)
    try:
        is_plain = TableName.parse(plain).parts == tuple(parts)
    except EtlError:
        is_plain = False
    if is_plain:
        return plain
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _unreachable(database: Database, error: Exception) -> ProjectError:
    text = str(error.args[-1] if error.args else error).strip().splitlines()
    return ProjectError(
        f"{database.description}: {text[0] if text else type(error).__name__}; is it running, may"
        f" this machine reach it, and are database, user '{database.user}' and password right?"
    )
