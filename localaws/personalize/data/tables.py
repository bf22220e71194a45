"""The rows of data sets, in columns: from single records, joined, chosen, written as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.values import values_of

_ROWS_PER_BLOCK = 20_000


@dataclass(frozen=True)
class Table:
    """The rows of a data set, in columns.

    Args:
        columns: Values by field name, each ``(n_rows,)``: int64, float64, or objects (str, bool,
            and None where the field is null).
        n_rows: How many rows there are.
    """

    columns: Mapping[str, NDArray[Any]]
    n_rows: int

    def __add__(self, other: Table) -> Table:
        """The rows of both tables; in a column that only one of them has, the other's are null."""
        columns = {
            name: np.concatenate([part.column(name) for part in (self, other)])
            for name in {**self.columns, **other.columns}
        }
        return Table(columns, self.n_rows + other.n_rows)

    def column(self, name: str) -> NDArray[Any]:
        """A column's values; all null if there is no such column."""
        values = self.columns.get(name)
        return np.full(self.n_rows, None, dtype=object) if values is None else values

    def take(self, rows: NDArray[Any]) -> Table:
        """The chosen rows: positions, or a mask."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Table(columns, len(next(iter(columns.values()))))

    def keep_last(self, key: str) -> Table:
        """One row per value of the key column, the last one."""
        last = {value: row for row, value in enumerate(self.columns[key])}
        if len(last) == self.n_rows:
            return self
        return self.take(np.fromiter(last.values(), np.int64, len(last)))

    def without_copies(self) -> Table:
        """One row of those that are the same in all columns, the first one."""
        rows = list(zip(*(values.tolist() for values in self.columns.values()), strict=True))
        first = dict(zip(reversed(rows), range(self.n_rows - 1, -1, -1), strict=True))
        if len(first) == self.n_rows:
            return self
        return self.take(np.sort(np.fromiter(first.values(), np.int64, len(first))))

    def csv(self, fields: Sequence[str]) -> Iterator[bytes]:
        """The rows as CSV with a header line, in blocks; null is empty."""
        columns = [self.column(name) for name in fields]
        yield (",".join(fields) + "\n").encode()
        for start in range(0, self.n_rows, _ROWS_PER_BLOCK):
            text = io.StringIO()
            parts = [map(_written, values[start : start + _ROWS_PER_BLOCK]) for values in columns]
            csv.writer(text, lineterminator="\n").writerows(zip(*parts, strict=True))
            yield text.getvalue().encode()


def empty_table(schema: Schema) -> Table:
    """A table without rows."""
    return Table({field.name: np.empty(0, object) for field in schema.fields}, 0)


def table_of(schema: Schema, rows: Sequence[Mapping[str, str]]) -> Table:
    """A table of single rows.

    Args:
        schema: What they must look like.
        rows: Each row's texts by field name, written as in CSV; what is left out is null.

    Raises:
        ValueError: With every value that breaks the schema's rules, its row counted from 1.
    """
    faults: list[tuple[int, str]] = []
    columns: dict[str, NDArray[Any]] = {}
    for column in schema.fields:
        texts = [row.get(column.name, "") for row in rows]
        is_id = column.name in schema.dataset.ids
        columns[column.name], own = values_of(column, texts, is_id=is_id)
        faults += [(row, f"entry {row + 1}, {column.name}: {fault}") for row, fault in own]
    if faults:
        raise ValueError("; ".join(text for _, text in sorted(faults)))
    return Table(columns, len(rows))


def _written(value: Any) -> str:
    """A value as it stands in CSV."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return np.format_float_positional(value, trim="0")
    return str(value)
