"""What a configuration makes of a database, without a run: mistakes, and some rows of each file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.datasets import MAX_EVENT_TYPES_AND_COLUMNS, JobSpec
from etl.errors import EtlError
from retrain.project.database.reading import reach
from retrain.project.errors import ProjectError

if TYPE_CHECKING:
    from etl.preview import Preview
    from etl.tables import Tables

_MANY = 50  # of so many rows, values that are all different are no categories


def check_against_database(
    spec: JobSpec, url: str, *, source: str, environment: Mapping[str, str]
) -> str:
    """Resolve every table, column and expression of a configuration; no row is read.

    Args:
        spec: The job's specification.
        url: The database's URL.
        source: The configuration's name in messages.
        environment: As the job takes it.

    Returns:
        The database in words.

    Raises:
        ProjectError: If something does not fit, naming all of it, or the database cannot be
            reached.
    """
    with _checked_tables(spec, url, source=source, environment=environment) as tables:
        return tables.database


def preview_database(
    spec: JobSpec,
    url: str,
    *,
    source: str,
    rows: int,
    sample: int,
    environment: Mapping[str, str],
    show: Callable[[Preview], None],
) -> bool:
    """Show some rows of each data set and list, as the job writes them.

    Args:
        spec: The job's specification.
        url: The database's URL.
        source: The configuration's name in messages.
        rows: Rows that are shown of each.
        sample: Rows that are read of each table.
        environment: As the job takes it.
        show: Called with each preview as soon as it is there.

    Returns:
        Whether each data set, and the batch input, has rows.

    Raises:
        ProjectError: As `check_against_database` does.
    """
    from etl.preview import previews  # noqa: PLC0415  Spark costs time

    has_rows = True
    with _checked_tables(spec, url, source=source, environment=environment) as tables:
        for preview in previews(tables, spec, at_most=sample, lines=rows):
            show(preview)
            is_needed = not preview.source.is_list or preview.source.key == "batch_inference"
            has_rows = has_rows and (preview.read > 0 or not is_needed)
    return has_rows


@contextmanager
def _checked_tables(
    spec: JobSpec, url: str, *, source: str, environment: Mapping[str, str]
) -> Iterator[Tables]:
    """Yield the tables of a database that a configuration fits."""
    from etl.preview import open_tables, problems  # noqa: PLC0415  Spark costs time

    reach(url, spec.engine)  # Spark takes seconds to start
    try:
        with open_tables(url, spec, environment) as tables:
            if found := problems(tables, spec):
                count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
                lines = "\n".join(f"  {problem}" for problem in found)
                raise ProjectError(f"{source}: {count} in the {tables.database}\n{lines}")
            yield tables
    except EtlError as error:
        raise ProjectError("\n".join(error.problems)) from None


def remarks(preview: Preview, max_rejected_share: float) -> Iterator[str]:
    """Yield sentences on what a preview shows that is hardly meant so."""
    source = preview.source
    if not preview.read:
        yield f"table '{source.relation.table}' has no rows"
        return
    if not preview.selected:
        yield (
            f"none of the first {preview.read:,} rows of '{source.relation.table}' is left by"
            f" {source.key}.filter and the inner joins"
        )
        return
    faults = sum(source.is_fault(row["reason"]) for row in preview.rejected)
    if faults > max_rejected_share * (preview.accepted + faults):
        yield (
            f"more rows are rejected than etl.max_rejected_share = {max_rejected_share:.1%} allows:"
            f" if the others are like these, the run fails; filter them out by {source.key}.filter"
        )
    for column in preview.columns:
        if column.nulls == 1 and preview.accepted:
            yield f"{column.column.name} is empty in every row"
        if column.column.categorical and column.distinct == preview.accepted >= _MANY:
            yield f"{column.column.name} differs in every row: as a category it teaches nothing"
    types = next((c.distinct for c in preview.columns if c.column.name == "EVENT_TYPE"), 0)
    if types + len(source.counted_columns) > MAX_EVENT_TYPES_AND_COLUMNS:
        yield (
            f"{types} event types and {len(source.counted_columns)} columns; Personalize takes at"
            f" most {MAX_EVENT_TYPES_AND_COLUMNS} of both together"
        )
