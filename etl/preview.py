"""What the job would write, made of a few rows of each table; and what of it does not fit.

`problems` resolves every expression against the real columns and reads no row. `previews` runs the
job's own projection and checks over the first rows of each table; of a joined table it reads the
partners of these rows alone, so that a preview of a very long table takes seconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from pyspark.sql.types import BinaryType, IntegralType, StringType

from etl.batch_files import FIELDS
from etl.columns import DatabaseColumn, among
from etl.csv_lines import csv_line
from etl.database import Database
from etl.datasets import Column, JobSpec, Join, Relation
from etl.delivery import check_table
from etl.errors import EtlError, TableError
from etl.extraction import with_source_title
from etl.projection import (
    JoinedTables,
    Table,
    find_column,
    join_tables,
    project_columns,
    quote_name,
)
from etl.references import TableUse, named_columns, tables_of, unquoted
from etl.runtime import open_spark
from etl.sources import Source, read_tables, sources_from_spec
from etl.tables import Tables
from etl.validation import REASON, SOURCE, rejected_example, validate_rows

_INTEGER = re.compile(r"((small|big|tiny|medium)?int|integer)\b.*", re.IGNORECASE)
_BINARY = re.compile(r"bytea|(var)?binary\b.*", re.IGNORECASE)
_TEXT = re.compile(r"(text|character varying|varchar|char)\b.*", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnPreview:
    """A column of a preview.

    Attributes:
        column: Its description.
        source_type: The type of its expression, as Spark writes it, for example `bigint`.
        values: Its values as they are written, of each accepted row; None for an empty field.
    """

    column: Column
    source_type: str
    values: tuple[str | None, ...]

    @property
    def nulls(self) -> float:
        """The share of empty fields, 0..1."""
        return self.values.count(None) / len(self.values) if self.values else 0.0

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len({value for value in self.values if value is not None})


@dataclass(frozen=True)
class Preview:
    """Some rows of a data set or list as the job writes them.

    Attributes:
        source: What it is made of.
        read: Rows that were read of its table.
        selected: Rows that its joins and its filter left; an accepted row of a list counts once.
        columns: Its columns.
        lines: The first accepted rows as the file has them, its header first.
        rejected: Rows that break a rule: `reason`, `column` and `row`, values before the cast.
    """

    source: Source
    read: int
    selected: int
    columns: tuple[ColumnPreview, ...]
    lines: tuple[str, ...]
    rejected: tuple[dict[str, Any], ...]

    @property
    def accepted(self) -> int:
        """How many rows are written; of a list each once."""
        return len(self.columns[0].values)

    @property
    def reasons(self) -> Mapping[tuple[str, str], int]:
        """Reason and column → rejected rows, the most frequent first."""
        counts = Counter((row["reason"], row["column"]) for row in self.rejected)
        return dict(counts.most_common())


@contextmanager
def open_tables(url: str, spec: JobSpec, environment: Mapping[str, str]) -> Iterator[Tables]:
    """Start Spark for a database for the length of a `with` block, and yield its tables.

    Args:
        url: `postgresql://user:password@host:port/name`.
        spec: The job's specification.
        environment: As `open_spark` takes it.

    Raises:
        EtlError: If the database is of another engine or cannot be reached, or Java fails inside
            the block.
    """
    database = Database.from_url(url)
    database.require(spec.engine)
    with open_spark(database, environment) as (spark, _):
        tables = Tables(
            spark,
            engine=spec.engine,
            options={**database.options(), "fetchsize": "1000"},
            database=database.description,
            partitions=1,  # one connection needs no bounds of the partition column: no row is read
        )
        try:
            yield tables
        except Py4JJavaError as error:
            raise tables.error_from_java(error) from None


def problems(tables: Tables, spec: JobSpec) -> list[str]:
    """Return every table, column and expression that does not fit the database; reads no row.

    Raises:
        EtlError: If the database cannot be reached.
    """
    found: dict[str, None] = {}
    for source in sources_from_spec(spec).values():
        try:
            _resolve(tables, source, source.relation)
        except EtlError:
            found |= dict.fromkeys(_problems_of(tables, source))
    found |= dict.fromkeys(_raised(check_table, tables, spec))
    return list(found)


def _problems_of(tables: Tables, source: Source) -> Iterator[str]:
    """Yield every problem of a source: what a wrong part leaves over is resolved without it."""
    whole = source.relation
    missing: list[str] = []
    for use in tables_of(whole):
        try:
            tables.columns(use.table)
        except TableError as error:  # any other ends it: the database cannot be reached
            missing += error.problems
    if missing:
        yield from (f"{source.title}: {problem}" for problem in missing)
        return
    alone = replace(whole, joins=(), filter="")
    yield from _raised(read_tables, tables, {"": replace(source, relation=alone)})
    sound = replace(alone, partition_column="")
    yield from _raised(_join, tables, source, sound)
    sound = replace(sound, rename=_sound_rename(tables, whole.table, whole.rename))
    for join in whole.joins:
        longer = replace(sound, joins=(*sound.joins, join))
        wrong = _raised(_join, tables, source, longer)
        yield from wrong
        sound = _with_any_join(tables, sound, join) if wrong else longer
    filtered = replace(sound, filter=whole.filter)
    wrong = _raised(_join, tables, source, filtered)
    yield from wrong
    yield from _raised(_resolve, tables, source, sound if wrong else filtered)


def _raised(function: Callable[..., object], *arguments: object) -> tuple[str, ...]:
    try:
        function(*arguments)
    except EtlError as error:
        return error.problems
    return ()


def _sound_rename(tables: Tables, table: str, rename: Mapping[str, str]) -> dict[str, str]:
    known = {column.name for column in tables.columns(table)}
    return {old: new for old, new in rename.items() if old in known}


def _with_any_join(tables: Tables, relation: Relation, join: Join) -> Relation:
    """Return the relation with a table joined by any columns: its names count, not its rows."""
    rename = _sound_rename(tables, join.table, join.rename)
    first, *_ = tables_of(relation)
    left, right = (tables.columns(table)[0].name for table in (relation.table, join.table))
    names = {use.alias for use in tables_of(relation)}
    (use,) = tables_of(Relation(join.table, join.alias))
    on = {f"{first.alias}.{first.rename.get(left, left)}": rename.get(right, right)}
    alias = f"{use.alias} {len(names)}" if use.alias in names else use.alias
    return replace(
        relation, joins=(*relation.joins, replace(join, on=on, rename=rename, alias=alias))
    )


def _join(tables: Tables, source: Source, relation: Relation) -> JoinedTables:
    read = read_tables(tables, {"": replace(source, relation=relation)})
    return join_tables(relation, read, key=source.key)


def _resolve(tables: Tables, source: Source, relation: Relation) -> DataFrame:
    joined = _join(tables, source, relation)
    return project_columns(joined, source.columns, keys=source.column_keys)


def previews(
    tables: Tables, spec: JobSpec, *, at_most: int = 1_000, lines: int = 5
) -> Iterator[Preview]:
    """Yield a preview of each data set, then of each list.

    Args:
        tables: The database's tables.
        spec: The job's specification, which fits the database.
        at_most: Rows that are read of each first table, in the order in which the database gives
            them.
        lines: How many rows are shown as the file has them.

    Raises:
        EtlError: If an expression fails on a row, or the database cannot be reached.
    """
    for source in sources_from_spec(spec).values():
        with with_source_title(source, tables):
            yield _preview(tables, source, at_most, lines)


def _preview(tables: Tables, source: Source, at_most: int, lines: int) -> Preview:
    """Return a preview by one job over the sample: all else is counted here."""
    first, joined = _sample(tables, source, at_most)
    projected = project_columns(joined, source.columns, keys=source.column_keys)
    frame = validate_rows(projected, source.columns)
    names = [column.name for column in source.columns]
    texts = [F.col(quote_name(name)).cast("string") for name in names]
    line, header = _line(source, frame)
    try:
        rows = frame.select(*texts, line, F.col(REASON), F.col(SOURCE)).collect()
        read = first.count()
    finally:
        first.unpersist()
    accepted = [row[: len(names) + 1] for row in rows if row[REASON] is None]
    if source.is_list:  # each row once, in its order
        accepted = sorted(set(accepted))
    return Preview(
        source=source,
        read=read,
        selected=len(rows),
        columns=tuple(
            ColumnPreview(
                column,
                projected.schema[column.name].dataType.simpleString(),
                tuple(row[number] for row in accepted),
            )
            for number, column in enumerate(source.columns)
        ),
        lines=(*header, *(row[-1] for row in accepted[:lines])),
        rejected=tuple(
            rejected_example(row[REASON]["reason"], row[REASON]["column"], row[SOURCE])
            for row in rows
            if row[REASON] is not None
        ),
    )


def _line(source: Source, frame: DataFrame) -> tuple[Expression, tuple[str, ...]]:
    """Return a row as it stands in the source's file, and the lines that stand before."""
    names = [column.name for column in source.columns]
    if source.key == "batch_inference":
        ids = F.struct(*(F.col(name).alias(FIELDS[name]) for name in names))
        return F.to_json(ids), ()
    texts = [column.name for column in source.columns if column.textual]
    return csv_line([frame.schema[name] for name in names], texts), (",".join(names),)


def _sample(tables: Tables, source: Source, at_most: int) -> tuple[DataFrame, JoinedTables]:
    """Return the first rows of the first table, and these joined to their partners and filtered."""
    uses = list(tables_of(source.relation))
    columns = {use.table: tables.columns(use.table) for use in uses}
    named = named_columns(
        source.relation,
        [column.source for column in source.columns],
        {table: [column.name for column in of_table] for table, of_table in columns.items()},
    )

    def read(use: TableUse, **rows: Any) -> Table:
        frame = tables.read(use.table, columns[use.table], named=named[use.table], **rows)
        return Table(frame, tuple(column.name for column in columns[use.table]))

    # A table that occurs twice is read twice: each time for the rows before it.
    joins = [
        replace(join, table=str(number), alias=use.alias)
        for number, (join, use) in enumerate(zip(source.relation.joins, uses[1:], strict=True), 1)
    ]
    relation = replace(source.relation, table="0", alias=uses[0].alias, joins=(), filter="")
    first = read(uses[0], at_most=at_most)
    sampled = {"0": replace(first, frame=first.frame.persist())}  # a LIMIT gives other rows again
    for join, use in zip(joins, uses[1:], strict=True):
        before = join_tables(relation, sampled, key=source.key)
        types = {column.name: column for column in columns[use.table]}
        partners = _partners(join, before, types, key=source.key)
        where = " AND ".join(
            among(tables.engine, column, values, as_text=as_text)
            for column, values, as_text in partners
        )
        sampled[join.table] = read(use, where=where)
        relation = replace(relation, joins=(*relation.joins, join))
    relation = replace(relation, filter=source.relation.filter)
    return sampled["0"].frame, join_tables(relation, sampled, key=source.key)


def _partners(
    join: Join, before: JoinedTables, columns: Mapping[str, DatabaseColumn], *, key: str
) -> Iterator[tuple[DatabaseColumn, list[object], bool]]:
    """Yield what holds for all partners of the rows before a join, as `among` takes it.

    A superset is right: the join itself compares. So what the database compares otherwise than
    Spark (texts by a collation) is left to Spark, and so are dates.
    """
    old_names = {new.lower(): old for old, new in join.rename.items()}
    by_name = {name.lower(): column for name, column in columns.items()}
    for left_name, right_name in join.on.items():
        left, left_type, _ = find_column(left_name, before, key=f"{key}.joins.on")
        name = unquoted(right_name).removeprefix(f"{join.alias}.".lower())
        column = by_name[old_names.get(name, name).lower()]
        integers = isinstance(left_type, IntegralType) and _INTEGER.fullmatch(column.type)
        texts = isinstance(left_type, StringType) and _TEXT.fullmatch(column.type)
        binaries = isinstance(left_type, BinaryType) and _BINARY.fullmatch(column.type)
        if isinstance(left_type, IntegralType | StringType) or binaries:
            rows = before.frame.select(left.alias("key")).distinct().collect()
            values = [row["key"] for row in rows if row["key"] is not None]
            yield column, values, not (integers or texts or binaries)
