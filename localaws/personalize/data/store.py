"""The rows of every dataset: those imported in bulk, and those that arrived one by one since.

Single records (PutEvents, PutItems, PutUsers, …) are kept apart from bulk data, so that a FULL
import, which replaces the bulk data, leaves them:
https://docs.aws.amazon.com/personalize/latest/dg/updating-datasets.html
Of rows with the same id, the one that arrived last counts, however it arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.files import Chunk, Files
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import DamagedRowsError


@dataclass(frozen=True)
class _Data:
    """The rows of one dataset.

    Attributes:
        key: The column that identifies a row; None where rows are events.
        bulk: The rows of import jobs.
        streamed: Single records, oldest first, not yet joined.
        all: All rows that count; None until they are needed.
    """

    key: str | None
    bulk: Chunk | None = None
    streamed: tuple[Chunk, ...] = ()
    all: Table | None = field(default=None, compare=False)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks, the bulk rows first."""
        return (self.bulk, *self.streamed) if self.bulk else self.streamed

    def join_streamed(self) -> _Data:
        """Return the same data with the single records in one chunk."""
        return replace(self, streamed=(_join(self.streamed),)) if self.streamed else self

    def join_all(self) -> _Data:
        """Return the same data with the single records in one chunk, and all rows that count."""
        data = self.join_streamed()
        joined = _join(data.chunks)
        table = joined.table
        if self.key:
            order = np.argsort(joined.arrivals, kind="stable")
            if not np.array_equal(order, np.arange(len(order))):
                table = table.take(order)
            table = table.keep_last(self.key)
        return replace(data, all=table)


def _join(chunks: tuple[Chunk, ...]) -> Chunk:
    """Return the rows of all chunks, of which there is at least one."""
    while len(chunks) > 1:
        # Pairwise, so that many small chunks do not copy the first one again and again.
        pairs = [chunks[n : n + 2] for n in range(0, len(chunks), 2)]
        chunks = tuple(reduce(lambda first, second: first + second, pair) for pair in pairs)
    return chunks[0]


class Store:
    """The rows of every dataset, by dataset ARN; safe to use from many threads.

    Tables are never changed, only replaced: a reader keeps its table while another is imported.

    Args:
        files: Where the rows are kept and read from; they are in memory alone without it.

    Raises:
        DamagedRowsError: By everything but `replace` and `drop`, of a dataset that is damaged.
    """

    def __init__(self, files: Files | None = None) -> None:
        self._lock = threading.Lock()
        self._files = files
        self._data: dict[str, _Data] = {}
        self._changes = 0
        self._damage: dict[str, str] = {}
        for arn, rows in files.load() if files else ():
            if rows.damage:
                self._damage[arn] = f"{rows.damage}; import all of the dataset again"
                continue
            data = self._data[arn] = _Data(rows.key, rows.bulk, rows.streamed)
            newest = (int(chunk.arrivals[-1]) for chunk in data.chunks if len(chunk.arrivals))
            self._changes = max(self._changes, *newest, 0)

    def get(self, arn: str) -> Table | None:
        """Return all rows of a dataset, the same object until they change; None without any."""
        with self._lock:
            data = self._get(arn)
            if data.all is None and data.chunks:
                data = self._data[arn] = data.join_all()
            return data.all

    def bulk(self, arn: str) -> Table | None:
        """Return the rows of import jobs, or None."""
        with self._lock:
            chunk = self._get(arn).bulk
            return chunk.table if chunk else None

    def streamed(self, arn: str, *, after: int = 0) -> Table | None:
        """Return the single records, or None.

        Args:
            arn: The dataset.
            after: Leave out the records that had arrived when `changes` had this value.
        """
        with self._lock:
            data = self._get(arn)
            if len(data.streamed) > 1:
                data = self._data[arn] = data.join_streamed()
            if not data.streamed:
                return None
            (chunk,) = data.streamed
            return chunk.take(chunk.arrivals > after).table if after else chunk.table

    @property
    def damage(self) -> dict[str, str]:
        """Why the rows of some datasets, by ARN, cannot be read; `replace` mends a dataset."""
        return dict(self._damage)

    @property
    def changes(self) -> int:
        """The number of arrivals of rows, in all datasets."""
        return self._changes

    def replace(self, arn: str, table: Table, key: str | None) -> None:
        """Replace all bulk rows; `key` is the column that identifies a row."""
        with self._lock:
            if self._damage.pop(arn, "") and self._files:
                self._files.set_aside(arn)
            self._set_bulk(arn, replace(self._get(arn), key=key, bulk=self._chunk(table), all=None))

    def upsert(self, arn: str, table: Table, key: str | None) -> None:
        """Append bulk rows; where `key` names a column, they replace the rows of the same key.

        Of events that are alike in all columns one is kept:
        https://docs.aws.amazon.com/personalize/latest/dg/import-data.html
        """
        with self._lock:
            data = self._get(arn)
            if key is None and data.bulk:
                table = table.take(~table.among(data.bulk.table))
            chunk = self._chunk(table)
            bulk = data.bulk + chunk if data.bulk else chunk
            self._set_bulk(arn, replace(data, key=key, bulk=bulk, all=None))

    def append(self, arn: str, table: Table, key: str | None) -> None:
        """Add single records."""
        with self._lock:
            data = self._get(arn)
            chunk = self._chunk(table)
            if self._files and table.n_rows:
                self._files.add_streamed(arn, key, chunk)
            self._data[arn] = replace(data, key=key, streamed=(*data.streamed, chunk), all=None)

    def keep(self, arn: str, is_kept: Callable[[Table], NDArray[np.bool_]]) -> int:
        """Delete the rows that a mask leaves out, and return how many they were."""
        with self._lock:
            before = self._get(arn)
            chunks = [chunk.take(is_kept(chunk.table)) for chunk in before.chunks]
            bulk = chunks.pop(0) if before.bulk else None
            data = replace(before, bulk=bulk, streamed=tuple(chunks), all=None)
            n_before, n_after = (
                sum(chunk.table.n_rows for chunk in state.chunks) for state in (before, data)
            )
            if n_after < n_before:
                self._set_bulk(arn, data)
                if self._files:
                    streamed = tuple(chunk for chunk in data.streamed if chunk.table.n_rows)
                    self._files.save_streamed(arn, data.key, streamed)
            return n_before - n_after

    def drop(self, arn: str) -> None:
        """Delete a dataset's rows."""
        with self._lock:
            self._data.pop(arn, None)
            self._damage.pop(arn, None)
            if self._files:
                self._files.drop(arn)

    def _set_bulk(self, arn: str, data: _Data) -> None:
        self._data[arn] = data
        if self._files:
            self._files.save_bulk(arn, data.key, data.bulk)

    def _get(self, arn: str) -> _Data:
        if arn in self._damage:
            raise DamagedRowsError(self._damage[arn])
        return self._data.get(arn, _Data(None))

    def _chunk(self, table: Table) -> Chunk:
        """Return rows with the number of the change by which they arrive."""
        self._changes += 1
        return Chunk(table, np.full(table.n_rows, self._changes, np.int64))
