"""The filter as a Spark job: from batch output to the CSV that the function publishes.

    filter_lists(runtime, keep=…, log=…)

    lines of batch output ─ the first of each user ─ joined with the user's excluded pairs
      ─ sorted as they were
      ─ rows of each partition, by the function's own code ─ one CSV

Spark reads, joins and sorts. What makes rows of lines is `lambdas.recommendations`, which the
function runs too: Spark's own functions write numbers, quotes and odd JSON otherwise. One upload
makes the CSV, so that a reader sees all of it or nothing. Publishing it is the function's: what was
filtered is in the run's `record/filter.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from pyspark import RDD, Broadcast, StorageLevel
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.arguments import OUTPUT
from etl.batch_files import FIELDS, ORDER, output_paths, requested
from etl.errors import EtlError
from etl.runtime import Runtime
from lambdas.errors import IncompleteInput, NoRecommendations
from lambdas.recommendations import (
    Counts,
    Lists,
    csv_chunks,
    fault_of_user,
    header_of,
    raise_if_incomplete,
    raise_if_useless,
    user_of,
)

LIST = "recommendations/recommendations.csv"
ERRORS = "recommendations/errors.jsonl"
RECORD = "record/filter.json"

_ROWS, _ERRORS, _COUNTS = "rows", "errors", "counts"
_Part = tuple[str, Any]
_Value = TypeVar("_Value")


def filter_lists(
    runtime: Runtime, *, keep: int, log: Callable[[str], None], output: str = OUTPUT
) -> dict[str, Any]:
    """Write `recommendations.csv`, `errors.jsonl` and the record of both.

    Args:
        runtime: The job's runtime; its folder is the run's.
        keep: Most items per user.
        log: Called with each line of the log.
        output: Prefix of the batch output below the run's.

    Returns:
        The record: S3 URIs of both files (`csv`, `errors`), the `lines` of the output, and the
        counts as in `latest.json`. If there is no recommendation, no CSV is written; the function
        says why, and whether the list may be published.

    Raises:
        EtlError: If there is no manifest that can be read, or no batch output, or if a filter file
            has other rows than the manifest says.
    """
    folder = runtime.folder
    manifest = folder.manifest()
    outputs = output_paths(folder, output)
    log(f"progress 0/2 filtering {len(outputs)} files")
    parts = _parts(runtime, manifest, outputs, keep).persist(StorageLevel.DISK_ONLY)
    try:
        counts = Counts()
        for following in _of_type(parts, _COUNTS).collect():
            counts.add(following)
        log("progress 1/2 writing the list")
        errors = folder.upload(ERRORS, _of_type(parts, _ERRORS).toLocalIterator())
        record = {"csv": "", "errors": errors, "lines": counts.lines, **counts.published()}
        try:
            raise_if_useless(counts, least_different=0.0)
        except NoRecommendations as error:
            log(f"WARNING: {error}")
        else:
            rows = _of_type(parts, _ROWS).toLocalIterator(prefetchPartitions=True)
            record["csv"] = folder.upload(LIST, _with_header(manifest, rows))
    finally:
        parts.unpersist()
    log(f"── {counts.recommendations:,} recommendations to {counts.users:,} users")
    runtime.commit(json.dumps(record, ensure_ascii=False, indent=2) + "\n", path=RECORD)
    log("progress 2/2 done")
    return record


def _parts(
    runtime: Runtime, manifest: Mapping[str, Any], outputs: list[str], keep: int
) -> RDD[_Part]:
    """Return chunks of the CSV and of the error lines in their order, and counts.

    Args:
        runtime: Reads the files.
        manifest: Names the filter files.
        outputs: The paths of the batch output.
        keep: Most items per user.
    """
    lines = runtime.read_lines(outputs)
    files = manifest.get("filter") or {}
    eligible = None
    if entry := files.get("eligibleItems"):
        items = _list(runtime, entry, "ITEM_ID string")
        ids = frozenset(row.ITEM_ID for row in items.toLocalIterator()) if items else frozenset()
        eligible = lines.sparkSession.sparkContext.broadcast(ids)
    pairs = _list(runtime, files.get("exclusions"), "USER_ID string, ITEM_ID string")
    lines = _with_users(lines, _requested(runtime, manifest))
    lines = _with_excluded(lines, pairs) if pairs else lines.withColumn("excluded", F.lit(None))
    # A total order: the partitions of the result follow each other as the lines do.
    ordered = lines.orderBy(*ORDER).select("line", "excluded", "is_requested", "is_first")
    return ordered.rdd.mapPartitions(partial(_filtered, eligible=eligible, keep=keep))


def _list(runtime: Runtime, entry: Mapping[str, Any] | None, schema: str) -> DataFrame | None:
    """Return the rows of a filter file; None if there are none, and so perhaps no file."""
    if not entry or not entry["rows"]:
        return None
    where = runtime.folder.uri(entry["path"])
    rows = runtime.read_csv(where, schema, escape="\\")
    try:
        raise_if_incomplete(rows.dropna().count(), entry["rows"], where)
    except IncompleteInput as error:
        raise EtlError(str(error)) from None
    return rows


def _requested(runtime: Runtime, manifest: Mapping[str, Any]) -> DataFrame | None:
    """Return `requested`, each user of the batch input once; None if it is not there."""
    entry = manifest.get("batchInput") or {}
    paths = runtime.folder.paths(entry["path"]) if "path" in entry else []
    if not paths:
        return None
    ids = F.coalesce(*FIELDS).alias("requested")
    return requested(runtime, paths).select(ids).distinct()


def _with_users(lines: DataFrame, asked_for: DataFrame | None) -> DataFrame:
    """Return lines with their `user`, and whether they are asked for, and the user's first.

    Args:
        lines: The column `line`, and those of `ORDER`.
        asked_for: The column `requested`; None if all are asked for.

    Returns:
        The same, and `user`, `is_requested` and `is_first`.
    """
    # Only the function's own reading finds the user of every line for which it finds one.
    users = lines.withColumn("user", F.udf(user_of, "string")(F.col("line")))
    # Lines without a user are each alone, so that not all of them come into one partition.
    of_user = Window.partitionBy("user", F.when(F.col("user").isNull(), F.struct(*ORDER)))
    users = users.withColumn("is_first", F.row_number().over(of_user.orderBy(*ORDER)) == 1)
    if asked_for is None:
        return users.withColumn("is_requested", F.lit(True))
    joined = users.join(asked_for, F.col("user") == F.col("requested"), "left")
    return joined.withColumn("is_requested", F.col("requested").isNotNull()).drop("requested")


def _with_excluded(lines: DataFrame, pairs: DataFrame) -> DataFrame:
    """Return lines with the items that are excluded for their user, `excluded`; null for none.

    Args:
        lines: The column `user`, and others.
        pairs: USER_ID, ITEM_ID.
    """
    excluded = pairs.groupBy("USER_ID").agg(F.collect_set("ITEM_ID").alias("excluded"))
    return lines.join(excluded, F.col("user") == F.col("USER_ID"), "left")


def _filtered(
    rows: Iterable[Row], *, eligible: Broadcast[frozenset[str]] | None, keep: int
) -> Iterator[_Part]:
    """Yield what becomes of a partition's lines, in a worker of Spark."""
    errors: list[str] = []
    lists = Lists(eligible=eligible.value if eligible else None, keep=keep, on_error=errors.append)
    recommended = (
        recommendation
        for line, excluded, is_requested, is_first in rows
        for recommendation in lists.rows(
            line,
            _of_any_user(frozenset(excluded or ())),
            partial(fault_of_user, is_requested=is_requested, is_first=is_first),
        )
    )
    for chunk in csv_chunks(recommended, header=()):
        yield _ROWS, chunk
        if errors:
            yield _ERRORS, "".join(errors).encode()
            errors.clear()
    yield _COUNTS, lists.counts


def _of_any_user(value: _Value) -> Callable[[str], _Value]:
    return lambda _: value


def _of_type(parts: RDD[_Part], part_type: str) -> RDD[Any]:
    return parts.filter(lambda part: part[0] == part_type).values()


def _with_header(manifest: Mapping[str, Any], rows: Iterator[bytes]) -> Iterator[bytes]:
    yield from csv_chunks((), header_of(manifest))
    yield from rows
