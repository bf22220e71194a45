"""The rows of datasets, in columns: from single records, joined, selected, written as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.values import values_of

_ROWS_PER_BLOCK = 20_000
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_SPECIAL = re.compile(r'[",\\]')
_ESCAPED = re.compile(r'["\\]')


@dataclass(frozen=True)
class Table:
    """The rows of a dataset, in columns.

    Attributes:
        columns: Values by field name, each of shape (n_rows,): int64, float64, or objects (str,
            bool, and None where the field is null).
    """

    columns: Mapping[str, NDArray[Any]]

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def __add__(self, other: Table) -> Table:
        """Return the rows of both; a column that only one of them has is null in the other's."""
        return Table(
            {
                name: np.concatenate([table.column(name) for table in (self, other)])
                for name in {**self.columns, **other.columns}
            }
        )

    def column(self, name: str) -> NDArray[Any]:
        """Return a column's values; all null if there is no such column."""
        values = self.columns.get(name)
        return np.full(self.n_rows, None, dtype=object) if values is None else values

    def take(self, rows: NDArray[Any]) -> Table:
        """Return the rows at these positions, or of this mask."""
        return Table({name: values[rows] for name, values in self.columns.items()})

    def keep_last(self, key: str) -> Table:
        """Return the last row of each value of the key column."""
        last = {value: row for row, value in enumerate(self.columns[key])}
        if len(last) == self.n_rows:
            return self
        return self.take(np.fromiter(last.values(), np.int64, len(last)))

    def among(self, other: Table) -> NDArray[np.bool_]:
        """Return which rows are in another table too, alike in all columns."""
        names = list({**self.columns, **other.columns})
        known = set(other._rows(names))
        return np.fromiter((row in known for row in self._rows(names)), np.bool_, self.n_rows)

    def _rows(self, names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        return zip(*(self.column(name).tolist() for name in names), strict=True)

    def without_copies(self) -> Table:
        """Return the rows without those that repeat an earlier one in all columns."""
        rows = self._rows(self.columns)
        first: dict[Any, int] = {}
        for number, row in enumerate(rows):
            first.setdefault(row, number)
        return self.take(np.fromiter(first.values(), np.int64, len(first)))

    def csv(self, fields: Sequence[str]) -> Iterator[bytes]:
        """Yield the rows as CSV that can be imported again, in blocks; null is empty."""
        columns = [self.column(name) for name in fields]
        yield (",".join(fields) + "\n").encode()
        for start in range(0, self.n_rows, _ROWS_PER_BLOCK):
            block = [map(_csv_text, values[start : start + _ROWS_PER_BLOCK]) for values in columns]
            yield "".join(f"{','.join(row)}\n" for row in zip(*block, strict=True)).encode()


def table_of(schema: Schema, rows: Sequence[Mapping[str, str]]) -> Table:
    """Return a table of single rows.

    Args:
        schema: Their fields.
        rows: Each row's texts by field name, written as in CSV; what is left out is null.

    Raises:
        ValueError: With every value that breaks the schema's rules, its row counted from 1.
    """
    faults: list[tuple[int, str]] = []
    columns: dict[str, NDArray[Any]] = {}
    for field in schema.fields:
        texts = [row.get(field.name, "") for row in rows]
        is_id = field.name in schema.dataset.ids
        columns[field.name], column_faults = values_of(field, texts, is_id=is_id)
        faults += [(row, f"entry {row + 1}, {field.name}: {fault}") for row, fault in column_faults]
    if faults:
        raise ValueError("; ".join(text for _, text in sorted(faults)))
    return Table(columns)


def _csv_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return np.format_float_positional(value, trim="0")
    text = _LINE_BREAK.sub(" ", str(value))
    if not _SPECIAL.search(text):
        return text
    escaped = _ESCAPED.sub(r"\\\g<0>", text)
    return f'"{escaped}"'
