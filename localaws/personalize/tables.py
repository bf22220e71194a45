"""Checked values in columns by a dataset's schema: from CSV files, from single rows, to CSV.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/data-prep-formatting.html
Every fault of a value is named with its file, line and column; reading goes on, so that one
import shows all of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.jobs import JobFailedError
from localaws.personalize.schemas import Field, Schema

_ROWS_PER_BLOCK = 20_000
_FAULTS_SHOWN = 20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d{1,19}")
_RANGES = {"int": 2**31, "long": 2**63}
_MOST_CHARACTERS = {"id": 256, "categorical": 1_000, "textual": 20_000}
# Seconds stay below this for 3,000 years; milliseconds of any day since 1973 do not.
_MILLISECONDS_FROM = 100_000_000_000


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
        columns[column.name], own = _values(column, texts, column.name in schema.dataset.ids)
        faults += [(row, f"entry {row + 1}, {column.name}: {fault}") for row, fault in own]
    if faults:
        raise ValueError("; ".join(text for _, text in sorted(faults)))
    return Table(columns, len(rows))


@dataclass
class _Faults:
    """What is wrong in the files: the first few in full, all of them counted."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.shown) < _FAULTS_SHOWN:
            self.shown.append(text)

    def raise_any(self) -> None:
        if self.count:
            more = (
                f"; and {self.count - len(self.shown)} more" if self.count > _FAULTS_SHOWN else ""
            )
            raise JobFailedError("; ".join(self.shown) + more)


class TableReader:
    """Reads CSV files into one table.

    Args:
        schema: Which columns there are and what they hold. Columns that the schema does not
            name are left out.
    """

    def __init__(self, schema: Schema) -> None:
        self._fields = schema.fields
        self._id_fields = schema.dataset.ids
        self._faults = _Faults()
        self._parts: dict[str, list[NDArray[Any]]] = {field.name: [] for field in schema.fields}
        self._n_rows = 0

    def read(self, name: str, content: BinaryIO, tick: Callable[[], None]) -> None:
        """Take in one file.

        Args:
            name: The file's name in messages.
            content: The file; it is closed.
            tick: Called after each block of rows; what it raises ends the reading.

        Raises:
            JobFailedError: If the file cannot be read as CSV with the schema's columns.
        """
        with content:
            if name.endswith(".gz") or _peek(content).startswith(b"\x1f\x8b"):
                raise JobFailedError(f"{name}: gzip is not supported; unpack the file")
            text = io.TextIOWrapper(content, encoding="utf-8", newline="")
            try:
                positions = self._header(name, text.readline())
                reader = csv.reader(text, strict=True)
                for lines, rows in _blocks(reader):
                    self._take(name, positions, lines, rows)
                    tick()
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                raise JobFailedError(
                    f"{name}: not UTF-8 (byte 0x{byte:02x} {error.reason}); save it as UTF-8"
                ) from error
            except csv.Error as error:
                raise JobFailedError(f"{name}, line {reader.line_num + 1}: {error}") from error

    def table(self) -> Table:
        """All rows read.

        Raises:
            JobFailedError: If any value broke the schema's rules.
        """
        self._faults.raise_any()
        columns = {
            name: np.concatenate(parts) if parts else np.empty(0, object)
            for name, parts in self._parts.items()
        }
        return Table(columns, self._n_rows)

    def _header(self, name: str, line: str) -> list[int]:
        """Where each field stands in the file."""
        if line.startswith("\ufeff"):
            raise JobFailedError(f"{name}: begins with a byte order mark; save it as UTF-8 without")
        if '"' in line:
            raise JobFailedError(f"{name}, line 1: column names must not be quoted")
        header = line.rstrip("\r\n").split(",")
        if twice := sorted({column for column in header if header.count(column) > 1}):
            raise JobFailedError(f"{name}, line 1: {', '.join(twice)} stands there twice")
        missing = [field.name for field in self._fields if field.name not in header]
        if missing:
            raise JobFailedError(
                f"Input CSV is missing the following columns:[{', '.join(missing)}]."
            )
        self._width = len(header)
        return [header.index(field.name) for field in self._fields]

    def _take(
        self, name: str, positions: list[int], lines: list[int], rows: list[list[str]]
    ) -> None:
        """Check a block of rows, each beginning on its line, and append its columns."""
        if set(map(len, rows)) != {self._width}:
            for line, row in zip(lines, rows, strict=True):
                if len(row) != self._width:
                    self._faults.add(
                        f"{name}, line {line}: {len(row)} values, the header has {self._width}"
                    )
            whole = [number for number, row in enumerate(rows) if len(row) == self._width]
            if not whole:
                return
            lines, rows = [lines[n] for n in whole], [rows[n] for n in whole]
        columns = list(zip(*rows, strict=True))
        for position, column in zip(positions, self._fields, strict=True):
            values, faults = _values(column, columns[position], column.name in self._id_fields)
            self._parts[column.name].append(values)
            for number, fault in faults:
                self._faults.add(f"{name}, line {lines[number]}, column {column.name}: {fault}")
        self._n_rows += len(rows)


def _written(value: Any) -> str:
    """A value as it stands in CSV."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return np.format_float_positional(value, trim="0")
    return str(value)


def _peek(content: BinaryIO) -> bytes:
    return content.peek(2) if isinstance(content, io.BufferedReader) else b""


def _blocks(reader: Any) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Rows in blocks, with the line of the file on which each begins; blank lines left out."""
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 2
    for row in reader:
        if row:
            rows.append(row)
            lines.append(line)
        line = reader.line_num + 2
        if len(rows) == _ROWS_PER_BLOCK:
            yield lines, rows
            rows, lines = [], []
    if rows:
        yield lines, rows


def _values(
    field_: Field, texts: Sequence[str], is_id: bool
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    """A column's values, and (row, fault) where a text is not one."""
    if field_.type == "string":
        return _strings(field_, texts, is_id)
    if field_.type == "boolean":
        return _parsed(field_, texts, {"true": True, "false": False}.get, object)
    if field_.type in {"int", "long"}:
        digits = "".join(texts)
        safe = 9 if field_.type == "int" else 10
        if (
            digits.isascii()
            and digits.isdigit()
            and "" not in texts
            and max(map(len, texts)) <= safe
        ):
            return np.array(texts, dtype=object).astype(np.int64), []
        return _parsed(field_, texts, _integer_parser(field_), np.int64)
    return _parsed(field_, texts, _float, np.float64)


def _strings(
    field_: Field, texts: Sequence[str], is_id: bool
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    faults: list[tuple[int, str]] = []
    kind = "id" if is_id else "textual" if field_.textual else "categorical"
    most = _MOST_CHARACTERS[kind]
    limited = is_id or field_.textual or field_.categorical or field_.name == "IMPRESSION"
    if limited and max(map(len, texts)) > most:
        faults += [
            (row, f"{len(text)} characters; at most {most:,} are allowed")
            for row, text in enumerate(texts)
            if len(text) > most
        ]
    values = np.array(texts, dtype=object)
    if "" in texts:
        empty = values == ""
        if not field_.nullable:
            faults += [
                (int(row), "is empty, but never null in the schema")
                for row in np.flatnonzero(empty)
            ]
        values[empty] = None
    return values, faults


def _parsed(
    field_: Field, texts: Sequence[str], parse: Callable[[str], Any], dtype: type
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    """Values of a type that is not string; empty texts are null."""
    faults: list[tuple[int, str]] = []
    values: list[Any] = []
    for row, text in enumerate(texts):
        if not text:
            value = None
            if not field_.nullable:
                faults.append((row, "is empty, but never null in the schema"))
        else:
            value = parse(text)
            if value is None:
                faults.append((row, _type_fault(field_, text)))
        values.append(value)
    if faults or None in values:
        dtype = object
    return np.array(values, dtype=dtype), faults


def _float(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _integer_parser(field_: Field) -> Callable[[str], int | None]:
    bound = _RANGES[field_.type]
    seconds = field_.name in {"TIMESTAMP", "CREATION_TIMESTAMP"}

    def parse(text: str) -> int | None:
        if not _INTEGER.fullmatch(text):
            return None
        value = int(text)
        if seconds:
            return value if 0 <= value < _MILLISECONDS_FROM else None
        return value if -bound <= value < bound else None

    return parse


def _type_fault(field_: Field, text: str) -> str:
    if field_.name in {"TIMESTAMP", "CREATION_TIMESTAMP"}:
        hint = "is no time in epoch seconds"
        if _INTEGER.fullmatch(text) and int(text) >= _MILLISECONDS_FROM:
            hint = "is too large for epoch seconds; it looks like milliseconds, divide by 1,000"
        return f"{text!r} {hint}"
    if field_.type == "boolean":
        return f"{text!r} is no boolean; write true or false in lower case"
    return f"{text!r} is no {field_.type}"
