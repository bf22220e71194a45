"""The sources of the job's files: what the specification describes → rows that are checked.

Tables are read lazily and expressions are resolved: nothing here reads a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pyspark.sql import DataFrame

from etl.columns import DatabaseColumn, between
from etl.datasets import DATASET_TYPES, Column, JobSpec, Relation, beyond_the_row
from etl.errors import EtlError, TableError, listing, suggestion
from etl.plans import beyond_the_parsed_row
from etl.projection import Table, join_tables, project_columns, quote_name
from etl.references import named_columns, tables_of
from etl.tables import Tables
from etl.validation import NULL_ID, WATERMARK, validate_rows

LARGE_BYTES = 200_000_000
"""Of all tables together; more is worth another start of Java, and a sort by several tasks."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Source:
    """The description of a data set or a list that the job writes.

    Attributes:
        title: Its name in messages, for example `data set USERS`.
        key: Its key path in the configuration, for example `datasets.users`.
        prefix: The prefix of its files below the run's prefix, for example `users/`.
        relation: The source of its rows.
        columns: Its columns.
        column_keys: The key path of each column in the configuration.
        counted_columns: The columns that Personalize counts together with the types of events.
        watermark: The column of its first table that says when a row was written; empty for none.
        is_list: Whether it is a list of ids.
    """

    title: str
    key: str
    prefix: str
    relation: Relation
    columns: tuple[Column, ...]
    column_keys: tuple[str, ...]
    counted_columns: tuple[str, ...] = ()
    watermark: str = ""
    is_list: bool = False

    def is_fault(self, reason: str) -> bool:
        """Return whether a row that is rejected for a reason counts as a fault.

        A list may have nulls, as a left join gives them: they are left out and no fault.
        """
        return not (self.is_list and reason == NULL_ID)

    @property
    def expressions(self) -> tuple[str, ...]:
        """The expressions of its columns, and of the watermark."""
        watermark = [self.watermark_column.source] if self.watermark else []
        return (*(column.source for column in self.columns), *watermark)

    @property
    def written(self) -> Iterator[tuple[str, str]]:
        """What the configuration has: the key path of each expression, and the expression."""
        if self.relation.filter:
            yield f"{self.key}.filter", self.relation.filter
        yield from zip(self.column_keys, (column.source for column in self.columns), strict=True)

    @property
    def watermark_column(self) -> Column:
        """The watermark as a further column, which is not written."""
        use = next(tables_of(self.relation))
        name = use.rename.get(self.watermark, self.watermark)
        return Column(WATERMARK, f"{quote_name(use.alias)}.{quote_name(name)}", "long")


def sources_from_spec(spec: JobSpec) -> dict[str, Source]:
    """Return the data sets and lists that the job writes, by their names in the manifest.

    The data sets come first, in their order, then the lists, whose columns are ids. Those of a
    further recommender have its name before theirs: `similar.batchInput`.
    """
    sources: dict[str, Source] = {}
    for data_set in spec.datasets:
        key = f"datasets.{data_set.type.lower()}"
        sources[data_set.type] = Source(
            title=f"data set {data_set.type}",
            key=key,
            prefix=data_set.prefix,
            relation=data_set.relation,
            columns=data_set.columns,
            column_keys=tuple(f"{key}.columns.{name}" for name in data_set.header),
            counted_columns=data_set.counted_columns,
            watermark=spec.watermark.column
            if spec.watermark and data_set.type == "INTERACTIONS"
            else "",
        )
    sources |= _list_sources(spec)
    for name in spec.recommenders:
        sources |= _list_sources(spec.of_recommender(name), name)
    return sources


def _list_sources(spec: JobSpec, recommender: str = "") -> dict[str, Source]:
    lists = {
        "batchInput": ("batch input", "batch_inference", spec.batch_input),
        "eligibleItems": ("eligible items", "filter.eligible_items", spec.eligible_items),
        "exclusions": ("exclusions", "filter.exclusions", spec.exclusions),
    }
    return {
        f"{recommender}.{name}".removeprefix("."): Source(
            title=f"{title} of {recommender}" if recommender else title,
            key=recommender_key(recommender, key),
            prefix=lookup.prefix,
            relation=lookup.relation,
            columns=tuple(Column(*column, required=True) for column in lookup.columns.items()),
            column_keys=tuple(
                recommender_key(recommender, f"{key}.{name.lower()}") for name in lookup.columns
            ),
            is_list=True,
        )
        for name, (title, key, lookup) in lists.items()
        if lookup is not None
    }


def recommender_key(recommender: str, key: str) -> str:
    """Return a key path in the configuration of a recommender's own; the first has no name."""
    return f"recommenders.{recommender}.{key}" if recommender else key


def of_recommender(by_source: Mapping[str, _T], recommender: str) -> dict[str, _T]:
    """Return what belongs to one recommender, as if it were the only one.

    Args:
        by_source: Something of each of `sources_from_spec`.
        recommender: Its name; empty for the first.

    Returns:
        That of the data sets, and that of the recommender's lists by their plain names.
    """
    split = {name: name.rpartition(".")[::2] for name in by_source}
    return {
        plain: by_source[name]
        for name, (owner, plain) in split.items()
        if owner == recommender or plain in DATASET_TYPES
    }


def has_few_rows(tables: Tables, sources: Iterable[Source], *, views_are_small: bool) -> bool:
    """Return whether the tables of sources are small: at most some three million rows of events.

    Args:
        tables: The database's.
        sources: The sources.
        views_are_small: Whether a view counts as small, whose size nobody knows.

    Raises:
        EtlError: If the database cannot be reached.
    """
    names = sorted({use.table for source in sources for use in tables_of(source.relation)})
    tables.describe(names)
    sizes = [tables.size(name) for name in names]
    return sum(sizes) <= LARGE_BYTES and (views_are_small or all(sizes))


def read_tables(
    tables: Tables, sources: Mapping[str, Source], *, apart: str = ""
) -> dict[str, Table]:
    """Read each table once, of its columns the named ones; persist those that several sources use.

    Args:
        tables: The database's.
        sources: What is read.
        apart: The source whose first table is read by `read_window` too, and so does not count.

    Raises:
        EtlError: If tables do not exist, or expressions read something else than their row, naming
            all of them; or if the database cannot be reached.
    """
    _refuse_beyond_the_row(sources.values())
    uses = Counter(use.table for source in sources.values() for use in tables_of(source.relation))
    if apart in sources:
        uses[sources[apart].relation.table] -= 1
    problems: list[str] = []
    columns: dict[str, tuple[DatabaseColumn, ...]] = {}
    tables.describe(uses)
    for name in uses:
        try:
            columns[name] = tables.columns(name)
        except TableError as error:
            problems.append(f"{_first_use(name, sources).title}: {error}")
    for source in sources.values():
        if source.watermark and source.relation.table in columns:
            try:
                watermark = watermark_of(source, columns[source.relation.table])
                between(tables.engine, watermark, 0, None)
            except TableError as error:
                problems.append(f"{source.title}: {error} (increments.watermark)")
    if problems:
        raise EtlError(*problems)
    known = {name: tuple(column.name for column in columns[name]) for name in columns}
    named: dict[str, set[str]] = {name: set() for name in uses}
    partition_columns: dict[str, str] = {}
    for source in sources.values():
        relation = source.relation
        for name, names in named_columns(relation, source.expressions, known).items():
            named[name] |= names
        if relation.partition_column:
            partition_columns.setdefault(relation.table, relation.partition_column)
    read: dict[str, Table] = {}
    for name, count in uses.items():
        try:
            _check_case(name, named[name])
            frame = tables.read(
                name,
                columns[name],
                named=named[name],
                partition_column=partition_columns.get(name, ""),
            )
        except TableError as error:
            problems.append(f"{_first_use(name, sources).title}: {error}")
            continue
        read[name] = Table(frame.persist() if count > 1 else frame, known[name])
    if problems:
        raise EtlError(*problems)
    return read


def _refuse_beyond_the_row(sources: Iterable[Source]) -> None:
    problems = [
        f'{key} = "{expression}": {found} reads something else than the columns of its row; make a'
        " view in the database that has the value, and name it as the table"
        for source in sources
        for key, expression in source.written
        if (found := beyond_the_row(expression) or beyond_the_parsed_row(expression))
    ]
    if problems:
        raise EtlError(*problems)


def read_window(
    tables: Tables, source: Source, known: Mapping[str, Table], *, since: int, until: int | None
) -> Table:
    """Read the rows of a source's first table whose watermark lies in a window.

    The database selects them.

    Args:
        tables: The database's.
        source: The source.
        known: What `read_tables` returned, which says what else is read of the table.
        since: The first moment, UTC epoch seconds.
        until: The moment after the last one; None for no end.

    Raises:
        EtlError: If the database cannot be reached.
    """
    name = source.relation.table
    columns = tables.columns(name)
    frame = tables.read(
        name,
        columns,
        named=known[name].values.columns,
        partition_column=source.relation.partition_column,
        where=between(tables.engine, watermark_of(source, columns), since, until),
    )
    return Table(frame, known[name].columns)


def watermark_of(source: Source, columns: Collection[DatabaseColumn]) -> DatabaseColumn:
    """Return the column of a table that is a source's watermark.

    Raises:
        TableError: If there is none of this name.
    """
    by_name = {column.name.lower(): column for column in columns}
    if source.watermark.lower() not in by_name:
        names = [column.name for column in columns]
        raise TableError(
            f"table '{source.relation.table}' has no column '{source.watermark}'"
            f"{suggestion(source.watermark, names)} Columns: {listing(names)}"
        )
    return by_name[source.watermark.lower()]


def _check_case(table: str, columns: Collection[str]) -> None:
    """Refuse columns whose names differ by case alone, which Spark takes for one name."""
    by_name: dict[str, str] = {}
    for column in sorted(columns):
        other = by_name.setdefault(column.lower(), column)
        if other != column:
            raise TableError(
                f"table '{table}' has the columns '{other}' and '{column}', which Spark takes for"
                " the same name; make a view that renames one of them, and name it as the table"
            )


def _first_use(table: str, sources: Mapping[str, Source]) -> Source:
    return next(
        source
        for source in sources.values()
        if any(use.table == table for use in tables_of(source.relation))
    )


def resolve_frames(
    sources: Mapping[str, Source], tables: Mapping[str, Table]
) -> dict[str, DataFrame]:
    """Join, project and validate the rows of every source, without reading one.

    Returns:
        Source name → what `etl.validation.validate_rows` returns.

    Raises:
        EtlError: If columns or expressions do not fit the tables, naming all of them.
    """
    frames: dict[str, DataFrame] = {}
    problems: list[str] = []
    for name, source in sources.items():
        try:
            frames[name] = resolve_frame(source, tables)
        except EtlError as error:
            problems.extend(error.problems)
    if problems:
        raise EtlError(*problems)
    return frames


def resolve_frame(
    source: Source, tables: Mapping[str, Table], *, first: Table | None = None
) -> DataFrame:
    """Join, project and validate the rows of one source, without reading one.

    Args:
        source: The source.
        tables: Table name → the table.
        first: Stands in the place of the relation's first table; that table if left out.

    Returns:
        What `etl.validation.validate_rows` returns.

    Raises:
        EtlError: If columns or expressions do not fit the tables, naming all of them.
    """
    joined = join_tables(source.relation, tables, key=source.key, first=first)
    columns, keys = source.columns, source.column_keys
    if source.watermark:
        columns = (*columns, source.watermark_column)
        keys = (*keys, "increments.watermark")
    return validate_rows(project_columns(joined, columns, keys=keys), source.columns)
