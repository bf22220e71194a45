"""The extraction: read a database, write the files that Amazon Personalize imports.

Stages, in this order: delete the files of an earlier attempt of the same run, the manifest first;
read the tables; resolve every expression, before any row is read; write each data set and each
list; count what they have in common; compare the lists published last with what people did since,
if that is asked for; write the manifest. Without a manifest nothing below the run's
prefix may be used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from etl.agreement import EventTypes, judge, shares
from etl.backtest import measure
from etl.datasets import JobSpec
from etl.delivery import check_table
from etl.errors import EtlError, shortened
from etl.holdout import PREFIX as HOLD_OUT
from etl.holdout import held_out, marked, trained_on, write_hold_out
from etl.increments import ALL, Window, continuation, read_increment, time_text
from etl.output import (
    check_event_types,
    log_schema,
    write_batch_input,
    write_data_set,
    write_list,
)
from etl.popularity import Reading
from etl.runtime import Runtime
from etl.side_by_side import side_by_side
from etl.sources import (
    Source,
    has_few_rows,
    of_recommender,
    read_tables,
    resolve_frames,
    sources_from_spec,
)
from etl.tables import Tables
from etl.validation import Summary, accepted, accepted_rows, distinct_rows

_INTERACTIONS = "INTERACTIONS"

CLEARED = (
    "manifest.json",
    "users/",
    "items/",
    "interactions/",
    "batch-input/",
    "filter/",
    "rejected/",
    HOLD_OUT,
)


def run(
    runtime: Runtime,
    spec: JobSpec,
    *,
    now: Callable[[], datetime],
    log: Callable[[str], None],
    window: Window = ALL,
) -> dict[str, Any]:
    """Read, transform, check, write, and publish the manifest.

    Args:
        runtime: The job's runtime; its folder is the run's.
        spec: The job's specification.
        now: The clock, UTC.
        log: Called with each line of the log; `progress DONE/ALL STEP` is the progress.
        window: The interactions to read; all of them if left out, or if the specification has no
            watermark.

    Returns:
        The manifest.

    Raises:
        EtlError: If the specification does not fit the database, or too many rows break a rule;
            then no manifest is left.
    """
    sources = sources_from_spec(spec)
    measuring = ["the lists published last"] if spec.is_measured else []
    titles = (source.title for source in sources.values())
    steps = ["reading the tables", *titles, *measuring, "done"]
    progress = (f"progress {done}/{len(steps) - 1} {step}" for done, step in enumerate(steps))
    for path in dict.fromkeys([*CLEARED, *(source.prefix for source in sources.values())]):
        runtime.folder.delete(path)
    log(next(progress))
    begun = now()
    check_table(runtime.tables, spec)  # before anything is paid for a list that cannot be delivered
    increment = _INTERACTIONS if spec.watermark and window.since is not None else ""
    tables = read_tables(runtime.tables, sources, apart=increment)
    for name, table in tables.items():
        log_schema(table.values, f"read {name}", log=log)
    frames = resolve_frames(sources, tables)
    if increment:
        with with_source_title(sources[increment], runtime.tables):
            rows = read_increment(runtime.tables, sources[increment], tables, window, log=log)
        frames, window = ({**frames, increment: rows}, window) if rows else (frames, ALL)
    if spec.holdout:
        frames = {**frames, _INTERACTIONS: marked(frames[_INTERACTIONS])}
    with _cached(runtime, sources, frames) as cached:
        manifest = _write(
            runtime,
            spec,
            sources,
            cached,
            window=window,
            begun=begun,
            now=now,
            log=log,
            progress=progress,
        )
    runtime.commit(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
    log(next(progress))
    return manifest


@contextmanager
def _cached(
    runtime: Runtime, sources: Mapping[str, Source], frames: Mapping[str, DataFrame]
) -> Iterator[dict[str, DataFrame]]:
    """Keep data sets, and lists without duplicates, until all are written and compared."""
    cached: dict[str, DataFrame] = {}
    try:
        for name, source in sources.items():
            with with_source_title(source, runtime.tables):
                rows = frames[name]
                if source.is_list:
                    are_few = has_few_rows(runtime.tables, [source], views_are_small=False)
                    rows = distinct_rows(rows, source.columns, are_few=are_few)
                cached[name] = rows.persist()
        yield cached
    finally:
        for rows in cached.values():
            rows.unpersist()


def _write(
    runtime: Runtime,
    spec: JobSpec,
    sources: Mapping[str, Source],
    frames: Mapping[str, DataFrame],
    *,
    window: Window,
    begun: datetime,
    now: Callable[[], datetime],
    log: Callable[[str], None],
    progress: Iterator[str],
) -> dict[str, Any]:
    """Write all data sets, then all lists, compare them, and return the manifest."""
    is_partial = window.since is not None
    trained = dict(frames)
    if spec.holdout:
        trained[_INTERACTIONS] = trained_on(frames[_INTERACTIONS])
    rows = {name: accepted_rows(frame, sources[name].columns) for name, frame in frames.items()}
    data_sets, lists, (agreement, event_types) = _write_files(
        runtime, spec, sources, trained, rows, is_partial=is_partial, log=log, progress=progress
    )
    manifest = _manifest(runtime.folder.run, now(), sources, data_sets, event_types)
    manifest["extraction"] = spec.extraction
    reading = Reading(window.since, window.until, window.after)
    left = dict(rows)
    if spec.holdout:
        left[_INTERACTIONS] = accepted_rows(trained[_INTERACTIONS], sources[_INTERACTIONS].columns)
        manifest["holdout"] = write_hold_out(
            runtime,
            held_out(frames[_INTERACTIONS]),
            left[_INTERACTIONS],
            rows.get("ITEMS"),
            spec.holdout,
            log=log,
        )
    if spec.watermark and _INTERACTIONS in frames:
        source, frame = sources[_INTERACTIONS], frames[_INTERACTIONS]
        following = continuation(frame, source, spec.watermark, begun=begun)
        manifest["datasets"][_INTERACTIONS] |= {
            "since": time_text(window.since),
            "until": time_text(window.until),
            "next": following,
        }
        rows[_INTERACTIONS] = accepted(frame)
        if following:
            newest = datetime.fromisoformat(following["since"]).timestamp()
            reading = replace(reading, newest=int(newest) + spec.watermark.overlap_seconds)
    manifest["agreement"] = agreement
    manifest |= _lists_of(lists, spec)
    if spec.recommenders:
        manifest["recommenders"] = {
            name: _lists_of(of_recommender(lists, name), spec.of_recommender(name))
            for name in spec.recommenders
        }
    if spec.is_measured:
        log(next(progress))
        for name, entry in {"": manifest, **manifest.get("recommenders", {})}.items():
            view = spec.of_recommender(name) if name else spec
            own = of_recommender(rows, name)
            measured = measure(
                runtime, view, own, trained=left[_INTERACTIONS], log=log, reading=reading
            )
            entry.update(measured)
    return manifest


def _write_files(
    runtime: Runtime,
    spec: JobSpec,
    sources: Mapping[str, Source],
    frames: Mapping[str, DataFrame],
    rows: Mapping[str, DataFrame],
    *,
    is_partial: bool,
    log: Callable[[str], None],
    progress: Iterator[str],
) -> tuple[dict[str, Summary], dict[str, dict[str, Any]], tuple[list[dict[str, Any]], EventTypes]]:
    """Write the data sets side by side, then the lists, and beside them compare the accepted rows.

    Returns:
        The summaries of the data sets, the manifest's entries of the lists, and what
        `check_agreement` returns.
    """
    with side_by_side(log=log) as begin:

        def begun(name: str) -> Callable[[], Any]:
            source, frame = sources[name], frames[name]
            may_be_empty = is_partial and name == _INTERACTIONS
            return begin(partial(_write_source, runtime, spec, source, frame, may_be_empty))

        data_sets: dict[str, Summary] = {}
        problems: list[str] = []
        for data_set, end in [(data_set, begun(data_set.type)) for data_set in spec.datasets]:
            log(next(progress))
            try:
                data_sets[data_set.type] = end()
            except EtlError as error:
                problems.extend(error.problems)
        if problems:
            raise EtlError(*problems)
        ends = [(name, begun(name)) for name in sources if name not in data_sets]
        agree = partial(check_agreement, spec, sources, rows, is_partial=is_partial)
        agreed = begin(lambda log: agree(log=log))
        lists: dict[str, dict[str, Any]] = {}
        for name, end in ends:
            log(next(progress))
            lists[name] = end()
        return data_sets, lists, agreed()


def _write_source(
    runtime: Runtime,
    spec: JobSpec,
    source: Source,
    frame: DataFrame,
    may_be_empty: bool,
    log: Callable[[str], None],
) -> Any:
    """Write a data set and return its summary, or a list and return its entry of the manifest."""
    with with_source_title(source, runtime.tables):
        if not source.is_list:
            return write_data_set(runtime, spec, source, frame, log=log, may_be_empty=may_be_empty)
        write = write_batch_input if source.key.endswith("batch_inference") else write_list
        return write(runtime, spec, source, frame, log=log)


def check_agreement(
    spec: JobSpec,
    sources: Mapping[str, Source],
    rows: Mapping[str, DataFrame],
    *,
    log: Callable[[str], None],
    is_partial: bool = False,
) -> tuple[list[dict[str, Any]], EventTypes]:
    """Count what data sets and lists have in common, and log it.

    Args:
        spec: The job's specification.
        sources: What `sources_from_spec` returned.
        rows: Source name → its accepted rows.
        log: Called with each line of the log.
        is_partial: Whether the interactions are not all of them.

    Returns:
        The manifest's entries, `check`, `found`, `of`, `share`, `least` and `warning`; and the
        types of the interactions.

    Raises:
        EtlError: If a share is below its bound, or there are too many types of events.
    """
    entries = []
    found, event_types = shares(spec, rows, is_partial=is_partial)
    if _INTERACTIONS in sources:
        check_event_types(sources[_INTERACTIONS], event_types)
    for share, warning in judge(found, spec.agreement):
        log(f"WARNING: {warning}" if warning else f"── {share}")
        entries.append(
            {
                "check": share.check,
                "found": share.found,
                "of": share.of,
                "share": round(share.value, 4),
                "least": spec.agreement.least(share.key),
                "warning": warning,
            }
        )
    return entries, event_types


def _manifest(
    run: str,
    created_at: datetime,
    sources: Mapping[str, Source],
    data_sets: Mapping[str, Summary],
    event_types: EventTypes,
) -> dict[str, Any]:
    return {
        "version": 1,
        "run": run,
        "createdAt": created_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "datasets": {
            name: {
                "path": sources[name].prefix,
                "rows": counts.rows,
                "rejected": dict(counts.rejected),
                "truncated": dict(counts.truncated),
                "eventTypes": dict(event_types.rows) if name == _INTERACTIONS else {},
                "contentHash": counts.content_hash,
                "newestTimestamp": counts.newest_timestamp,
            }
            for name, counts in data_sets.items()
        },
    }


def _lists_of(lists: Mapping[str, Mapping[str, Any]], spec: JobSpec) -> dict[str, Any]:
    """Return what the manifest says of a recommender's lists."""
    return {
        "batchInput": lists["batchInput"],
        "filter": {name: lists.get(name) for name in ("eligibleItems", "exclusions")},
    }


@contextmanager
def with_source_title(source: Source, tables: Tables) -> Iterator[None]:
    """Raise Spark's errors with the source's title: an expression may fail on a single row."""
    try:
        yield
    except Py4JJavaError as error:
        raise EtlError(f"{source.title}: {tables.error_from_java(error)}") from None
    except PySparkException as error:
        raise EtlError(
            f"{source.title}: Spark: {_spark_message(error)}; check the expressions of {source.key}"
        ) from None


def _spark_message(error: PySparkException) -> str:
    """Return Spark's message without its error class, its preamble and its numbered advice."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[[A-Z_.]+\] (You may get a different result due to .+? 3\.0: )?", "", text)
    return shortened(text.partition(" 1) ")[0].rstrip(" ;."))
