"""What the job writes of a source: its files, and examples of the rows that it leaves out.

Rows are counted while they are written. Nothing is left of a data set or list too many of whose
rows break a rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.agreement import EventTypes
from etl.batch_files import FIELDS
from etl.datasets import MAX_EVENT_TYPES_AND_COLUMNS, JobSpec
from etl.errors import EtlError, listing, shortened
from etl.runtime import Runtime
from etl.sources import Source
from etl.validation import Summary, counted, rejected_examples

# What to do about rejected rows, where the reason does not say it.
ZERO_DATE = "0000-00-00"
ADVICE = {
    ZERO_DATE: "MySQL's zero dates become null if zeroDateTimeBehavior=CONVERT_TO_NULL is in the"
    " database's URL, on AWS in that of the Glue connection",
    "unreadable timestamp": "a timestamp is a date, a timestamp, ISO 8601 text or epoch seconds;"
    " write x div 1000 for milliseconds, to_timestamp(x, 'dd.MM.yyyy HH:mm') for other texts,"
    " cast(x as bigint) for epoch seconds in a text",
}
# 1990: what is older as a whole is no epoch seconds, but 20251231, days or minutes.
PLAUSIBLE_FROM = 631_152_000


def write_data_set(
    runtime: Runtime,
    spec: JobSpec,
    source: Source,
    frame: DataFrame,
    *,
    log: Callable[[str], None],
    may_be_empty: bool = False,
) -> Summary:
    """Write a data set's CSV files, and examples of the rejected rows below `rejected/`.

    Raises:
        EtlError: If there are no rows, or too many break a rule; the examples are written before.
    """
    accepted, summary = counted(frame, source.columns)
    texts = [column.name for column in source.columns if column.textual]
    runtime.write_csv(accepted, source.prefix, texts=texts, files=spec.output_files)
    counts = summary()
    with _deleted_if_refused(runtime, source):
        if not counts.rows + counts.rejected_rows and not may_be_empty:
            raise EtlError(
                f"{source.title}: no rows; fill table '{source.relation.table}', or check"
                f" {source.key}.filter and the inner joins"
            )
        left_out = check_rejected(runtime, spec, source, frame, counts)
    cut = ", ".join(f"{column} {values:,}" for column, values in counts.truncated.items())
    left_out += f", truncated {cut}" if cut else ""
    log_schema(accepted, f"write {source.prefix}, {counts.rows:,} rows{left_out}", log=log)
    if counts.newest_timestamp is not None and counts.newest_timestamp < PLAUSIBLE_FROM:
        newest = datetime.fromtimestamp(counts.newest_timestamp, UTC).date()
        log(
            f"WARNING: {source.title}: the newest timestamp is {counts.newest_timestamp}, that is"
            f" {newest}; a number is taken as epoch seconds: write"
            " to_timestamp(cast(x as string), 'yyyyMMdd') for 20251231, x * 60 for minutes"
        )
    return counts


@contextmanager
def _deleted_if_refused(runtime: Runtime, source: Source) -> Iterator[None]:
    """Delete the files of a source if the block refuses it."""
    try:
        yield
    except EtlError:
        runtime.folder.delete(source.prefix)
        raise


def check_rejected(
    runtime: Runtime, spec: JobSpec, source: Source, frame: DataFrame, counts: Summary
) -> str:
    """Write examples of the rejected rows below `rejected/`, and say what is left out.

    Returns:
        `, left out 2: null id (USER_ID) 2`; empty if no row is rejected.

    Raises:
        EtlError: If too many rows break a rule; the examples are written before.
    """
    if not counts.rejected:
        return ""
    examples = rejected_examples(frame)
    path = f"rejected/{source.prefix.rstrip('/')}.json"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in examples)
    runtime.folder.put_text(path, lines)
    reasons = {
        reason: f"{reason} ({', '.join(columns)}) {rows:,}" if columns else f"{reason} {rows:,}"
        for reason, rows in counts.rejected.items()
        for columns in [sorted({str(row["column"]) for row in examples if row["reason"] == reason})]
    }
    faults = list(filter(source.is_fault, reasons))
    rejected = sum(counts.rejected[reason] for reason in faults)
    total = counts.rows + rejected
    if rejected > spec.max_rejected_share * total:
        share, most = _percentages(rejected / total, spec.max_rejected_share)
        example = next((row for row in examples if row["reason"] in faults), examples[0])
        raise EtlError(
            f"{source.title}: {rejected:,} of {total:,} rows ({share}) break a rule,"
            f" more than max_rejected_share = {most}:"
            f" {', '.join(reasons[reason] for reason in faults)};"
            f" for example {shortened(json.dumps(example, ensure_ascii=False))}; see"
            f" {runtime.folder.uri(path)}, then mend the rows or the expression,"
            f" or leave them out by {source.key}.filter"
            + "".join(f"; {ADVICE[each]}" for each in _advised(faults, examples))
        )
    return f", left out {counts.rejected_rows:,}: {', '.join(reasons.values())}"


def check_event_types(source: Source, event_types: EventTypes) -> None:
    """Raise `EtlError` if the interactions have more types and columns than Personalize takes."""
    if event_types.number + len(source.counted_columns) <= MAX_EVENT_TYPES_AND_COLUMNS:
        return
    raise EtlError(
        f"{source.title}: {event_types.number:,} event types"
        f" ({listing(list(event_types.rows))}) and {len(source.counted_columns)} columns"
        f" ({listing(source.counted_columns)}); Personalize takes at most"
        f" {MAX_EVENT_TYPES_AND_COLUMNS} of both together; leave columns out, or rare types by"
        f" {source.key}.filter, or give several types one name in {source.key}.columns.EVENT_TYPE"
    )


def _percentages(share: float, most: float) -> tuple[str, str]:
    """Return two different shares with as many digits as tell them apart."""
    texts = ((f"{share:.{digits}%}", f"{most:.{digits}%}") for digits in range(1, 12))
    return next((pair for pair in texts if pair[0] != pair[1]), (str(share), str(most)))


def _advised(reasons: Iterable[str], examples: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield from (reason for reason in reasons if reason in ADVICE)
    texts = [str(example["row"].get(example["column"])) for example in examples]
    if any(text.startswith(ZERO_DATE) for text in texts):
        yield ZERO_DATE


def write_batch_input(
    runtime: Runtime, spec: JobSpec, source: Source, frame: DataFrame, *, log: Callable[[str], None]
) -> dict[str, Any]:
    """Write the users, or items, to recommend for as JSON lines, `{"userId":"1"}`.

    Returns:
        The manifest's entry: that of a list, and `id`, the name of the column.

    Raises:
        EtlError: If there are no users, or too many ids break a rule.
    """
    accepted, summary = counted(frame, source.columns)
    ids = accepted.select(
        *(F.col(column.name).alias(FIELDS[column.name]) for column in source.columns)
    )
    runtime.write_json_lines(ids, source.prefix)
    counts = summary()
    with _deleted_if_refused(runtime, source):
        left_out = check_rejected(runtime, spec, source, frame, counts)
        if not counts.rows:
            raise EtlError(
                f"{source.title}: nobody to recommend for; fill table '{source.relation.table}',"
                f" or check {source.key}.filter{left_out}"
            )
    log_schema(ids, f"write {source.prefix}, {counts.rows:,} rows{left_out}", log=log)
    return _list_entry(source, counts) | {"id": source.columns[0].name}


def write_list(
    runtime: Runtime, spec: JobSpec, source: Source, frame: DataFrame, *, log: Callable[[str], None]
) -> dict[str, Any]:
    """Write a list of ids as CSV.

    Returns:
        The manifest's entry: `path`, `rows`, `rejected` and `contentHash`.

    Raises:
        EtlError: If too many ids break a rule.
    """
    ids, summary = counted(frame, source.columns)
    runtime.write_csv(ids, source.prefix)
    counts = summary()
    with _deleted_if_refused(runtime, source):
        left_out = check_rejected(runtime, spec, source, frame, counts)
    log_schema(ids, f"write {source.prefix}, {counts.rows:,} rows{left_out}", log=log)
    return _list_entry(source, counts)


def _list_entry(source: Source, counts: Summary) -> dict[str, Any]:
    return {
        "path": source.prefix,
        "rows": counts.rows,
        "rejected": dict(counts.rejected),
        "contentHash": counts.content_hash,
    }


def log_schema(frame: DataFrame, heading: str, *, log: Callable[[str], None]) -> None:
    """Log a heading, and the frame's columns and types below it, as `printSchema` prints them."""
    log(f"── {heading}")
    log(frame._jdf.schema().treeString())
