"""What a run reads of the interactions: all of them, or those that were written in a window.

The database selects the rows of a window by the watermark's column. Where Personalize would not
take them as an INCREMENTAL import, all are read in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.arguments import BEGINNING, END, UNKNOWN
from etl.datasets import Watermark
from etl.errors import EtlError
from etl.output import PLAUSIBLE_FROM
from etl.projection import Table, quote_name
from etl.sources import Source, read_window, resolve_frame
from etl.tables import Tables
from etl.validation import WATERMARK, accepted, summary

# An INCREMENTAL import of interactions has as many rows at least, and as many bytes at most.
# https://docs.aws.amazon.com/personalize/latest/dg/updating-existing-bulk-data.html
# https://docs.aws.amazon.com/personalize/latest/dg/limits.html
LEAST_ROWS = 1_000
MOST_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Window:
    """The interactions that are read, by the watermark, in UTC epoch seconds.

    Attributes:
        since: The first moment; None for all interactions.
        until: The moment after the last one; None for no end.
        unchanged: The content hash of what is read if there is nothing new; empty if unknown.
        after: The run whose import they follow; empty if unknown.
    """

    since: int | None = None
    until: int | None = None
    unchanged: str = ""
    after: str = ""

    @classmethod
    def of(cls, since: str, until: str, unchanged: str, after: str = UNKNOWN) -> Window:
        """Read the job's arguments.

        Args:
            since: `beginning`, or a time such as `2024-06-01T04:00:00Z`.
            until: `end`, or a time.
            unchanged: A content hash, or `unknown`.
            after: A run, or `unknown`.

        Raises:
            EtlError: If one is no time, or the window is empty.
        """
        first = None if since == BEGINNING else _seconds("--since", since)
        last = None if until == END else _seconds("--until", until)
        if first is not None and last is not None and first >= last:
            raise EtlError(f"--since {since} is not before --until {until}; exchange the two")
        unchanged, after = ("" if each == UNKNOWN else each for each in (unchanged, after))
        return cls(first, last, unchanged, after)


ALL = Window()


def _seconds(option: str, text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise EtlError(f"{option} {text}: write a time such as 2024-06-01T04:00:00Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def time_text(seconds: int | None) -> str | None:
    """Return UTC epoch seconds as `2024-06-01T04:00:00Z`; None of None."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_increment(
    tables: Tables,
    source: Source,
    known: Mapping[str, Table],
    window: Window,
    *,
    log: Callable[[str], None],
) -> DataFrame | None:
    """Run a Spark job: read the interactions of a window, and count them.

    Args:
        tables: The database's.
        source: The interactions.
        known: What `read_tables` returned.
        window: Where they lie.
        log: Called with each line of the log.

    Returns:
        What `resolve_frame` returns, kept in memory; None if all interactions have to be read,
        because Personalize takes no increment as small or as large.

    Raises:
        EtlError: If the database cannot be reached.
    """
    if window.since is None:
        return None
    table = read_window(tables, source, known, since=window.since, until=window.until)
    frame = resolve_frame(source, known, first=table).persist()
    content = summary(frame, source.columns)
    words = f"{content.rows:,} interactions since {time_text(window.since)}"
    if window.until is not None:
        words += f" until {time_text(window.until)}"
    log(f"── {words}")
    if content.content_hash == window.unchanged:
        return frame
    reason = ""
    if content.rows < LEAST_ROWS:
        reason = f"fewer than the {LEAST_ROWS:,}"
    elif _bytes(frame, source) > MOST_BYTES:
        reason = "more than the GB"
    if not reason:
        return frame
    frame.unpersist()
    log(f"── {reason} of an incremental import: all interactions are read")
    return None


def _bytes(frame: DataFrame, source: Source) -> int:
    """Run a Spark job: return about how many bytes the rows have as CSV."""
    values = [F.col(quote_name(column.name)) for column in source.columns]
    line = F.octet_length(F.concat_ws(",", *values)) + 1
    return int(accepted(frame).agg(F.sum(line)).collect()[0][0] or 0)


def continuation(
    frame: DataFrame, source: Source, watermark: Watermark, *, begun: datetime
) -> dict[str, Any] | None:
    """Run two Spark jobs: return where the next run begins to read, and what it finds if unchanged.

    Args:
        frame: The interactions that were read, as `resolve_frame` returns them; best in memory.
        source: The interactions.
        watermark: Its column, and the overlap.
        begun: When the database began to be read. A row with a later time must not make the
            next run begin in the future.

    Returns:
        `since`, and `rows` and `contentHash` of what was written from then on; None if nothing was
        read.

    Raises:
        EtlError: If the column's values are no times when rows were written.
    """
    rows = accepted(frame)
    count, newest = rows.agg(F.count(F.lit(1)), F.max(WATERMARK)).collect()[0]
    if not count:
        return None
    if newest is None or newest < PLAUSIBLE_FROM:
        value = "none of its values is a time"
        if newest is not None:
            value = f"its newest value is {newest}, that is {time_text(newest)}"
        raise EtlError(
            f"increments.watermark: column '{watermark.column}' of table"
            f" '{source.relation.table}' does not say when a row was written: {value}; name a"
            " column that is a date, a timestamp or epoch seconds"
        )
    since = max(min(newest, int(begun.timestamp())) - watermark.overlap_seconds, 0)
    tail = summary(frame.filter(F.col(WATERMARK) >= since), source.columns)
    return {
        "since": time_text(since),
        "rows": tail.rows,
        "contentHash": tail.content_hash,
    }
