"""The data of every dataset: what was imported in bulk, and what came in one by one since.

Single records (PutEvents, PutItems, PutUsers, …) are kept apart from bulk data, so that a FULL
import, which replaces the bulk data, leaves them:
https://docs.aws.amazon.com/personalize/latest/dg/updating-datasets.html
Of rows with the same id, the one that came last counts, however it came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.tables import Table


@dataclass(frozen=True)
class Part:
    """Rows and when each of them came.

    Args:
        table: The rows.
        arrivals: Numbers that grow with each change of the store, shape (n_rows,).
    """

    table: Table
    arrivals: NDArray[np.int64]

    def __add__(self, other: Part) -> Part:
        """The rows of both."""
        arrivals = np.concatenate([self.arrivals, other.arrivals])
        return Part(self.table + other.table, arrivals)

    def take(self, rows: NDArray[np.bool_]) -> Part:
        """The rows of a mask."""
        return Part(self.table.take(rows), self.arrivals[rows])


@dataclass(frozen=True)
class _Data:
    """The data of one dataset.

    Args:
        key: The column that identifies a row; None where rows are events.
        bulk: What import jobs brought.
        streamed: What came in single records, oldest first, not yet joined.
        all: Everything as it counts; None until somebody asks.
    """

    key: str | None
    bulk: Part | None = None
    streamed: tuple[Part, ...] = ()
    all: Table | None = field(default=None, compare=False)

    def in_one_stream(self) -> _Data:
        """The same with the single records in one part."""
        streamed = _sum(self.streamed)
        return replace(self, streamed=(streamed,)) if streamed else self

    def joined(self) -> _Data:
        """The same with the single records in one part, and everything as it counts."""
        data = self.in_one_stream()
        together = _sum((*((data.bulk,) if data.bulk else ()), *data.streamed))
        if together is None:
            return data
        table = together.table
        if self.key:
            order = np.argsort(together.arrivals, kind="stable")
            if not np.array_equal(order, np.arange(len(order))):
                table = table.take(order)
            table = table.keep_last(self.key)
        return replace(data, all=table)


def _sum(parts: tuple[Part, ...]) -> Part | None:
    """All parts in one; none if there is none."""
    if not parts:
        return None
    while len(parts) > 1:
        # Pairwise, so that many small parts do not copy the first one again and again.
        pairs = [parts[n : n + 2] for n in range(0, len(parts), 2)]
        parts = tuple(pair[0] + pair[1] if len(pair) > 1 else pair[0] for pair in pairs)
    return parts[0]


class KeptParts(Protocol):
    """Where the parts of each dataset's data outlive the process."""

    def load(self) -> Iterator[tuple[str, str | None, Part | None, tuple[Part, ...]]]:
        """Yield each dataset: its ARN, key column, bulk rows, single records oldest first."""

    def save_bulk(self, arn: str, key: str | None, part: Part | None) -> None:
        """Put a dataset's bulk rows in place of those of before."""

    def add_streamed(self, arn: str, key: str | None, part: Part) -> None:
        """Keep single records besides those of before."""

    def save_streamed(self, arn: str, key: str | None, parts: tuple[Part, ...]) -> None:
        """Put single records in place of those of before."""

    def drop(self, arn: str) -> None:
        """Forget a dataset."""


class Store:
    """The data of every dataset, by dataset ARN; safe to use from many threads.

    Tables are never changed, only replaced: who reads one keeps it while another is imported.

    Args:
        files: Where the data are kept, and taken from; in memory alone without it.
    """

    def __init__(self, files: KeptParts | None = None) -> None:
        self._lock = threading.Lock()
        self._files = files
        self._data: dict[str, _Data] = {}
        self._changes = 0
        for arn, key, bulk, streamed in files.load() if files else ():
            self._data[arn] = _Data(key, bulk, streamed)
            parts = (*((bulk,) if bulk else ()), *streamed)
            newest = (int(part.arrivals[-1]) for part in parts if len(part.arrivals))
            self._changes = max(self._changes, *newest, 0)

    def get(self, arn: str) -> Table | None:
        """Everything in a dataset; None if nothing ever came. The same object until it changes."""
        with self._lock:
            return self._joined(arn).all

    def bulk(self, arn: str) -> Table | None:
        """What import jobs brought, or None."""
        with self._lock:
            part = self._of(arn).bulk
            return part.table if part else None

    def streamed(self, arn: str, *, after: int = 0) -> Table | None:
        """What came in single records, or None.

        Args:
            arn: The dataset.
            after: Leave out what had come when `changes` had this value.
        """
        with self._lock:
            data = self._of(arn)
            if len(data.streamed) > 1:
                data = self._data[arn] = data.in_one_stream()
            if not data.streamed:
                return None
            (part,) = data.streamed
            return part.take(part.arrivals > after).table if after else part.table

    @property
    def changes(self) -> int:
        """How often data came, into whatever dataset."""
        return self._changes

    def replace(self, arn: str, table: Table, key: str | None) -> None:
        """Forget all bulk rows and take in others."""
        with self._lock:
            self._data[arn] = replace(self._of(arn), key=key, bulk=self._part(table), all=None)
            self._keep_bulk(arn)

    def upsert(self, arn: str, table: Table, key: str | None) -> None:
        """Append bulk rows; where `key` names a column, they replace the rows of the same key."""
        with self._lock:
            data, part = self._of(arn), self._part(table)
            bulk = data.bulk + part if data.bulk else part
            self._data[arn] = replace(data, key=key, bulk=bulk, all=None)
            self._keep_bulk(arn)

    def append(self, arn: str, table: Table, key: str | None) -> None:
        """Take in single records."""
        with self._lock:
            data = self._of(arn)
            part = self._part(table)
            if self._files and table.n_rows:
                self._files.add_streamed(arn, key, part)
            self._data[arn] = replace(data, key=key, streamed=(*data.streamed, part), all=None)

    def keep(self, arn: str, wanted: Callable[[Table], NDArray[np.bool_]]) -> int:
        """Forget the rows that a mask leaves out; returns how many they were."""
        with self._lock:
            data = self._joined(arn)
            before = sum(part.table.n_rows for part in (data.bulk, *data.streamed) if part)
            bulk = data.bulk.take(wanted(data.bulk.table)) if data.bulk else None
            streamed = tuple(part.take(wanted(part.table)) for part in data.streamed)
            after = sum(part.table.n_rows for part in (bulk, *streamed) if part)
            if after < before:
                self._data[arn] = replace(data, bulk=bulk, streamed=streamed, all=None)
                self._keep_bulk(arn)
                if self._files:
                    there = tuple(part for part in streamed if part.table.n_rows)
                    self._files.save_streamed(arn, data.key, there)
            return before - after

    def drop(self, arn: str) -> None:
        """Forget a dataset."""
        with self._lock:
            self._data.pop(arn, None)
            if self._files:
                self._files.drop(arn)

    def _keep_bulk(self, arn: str) -> None:
        data = self._data[arn]
        if self._files:
            self._files.save_bulk(arn, data.key, data.bulk)

    def _of(self, arn: str) -> _Data:
        return self._data.get(arn, _Data(None))

    def _joined(self, arn: str) -> _Data:
        data = self._of(arn)
        if data.all is None and (data.bulk or data.streamed):
            data = self._data[arn] = data.joined()
        return data

    def _part(self, table: Table) -> Part:
        self._changes += 1
        return Part(table, np.full(table.n_rows, self._changes, np.int64))
