"""CSV files → the rows of a dataset, checked by its schema.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/preparing-training-data.html and
https://docs.aws.amazon.com/personalize/latest/dg/items-datasets.html#text-data: each record stands
on one line, and a backslash escapes quotes and backslashes. What AWS does to a file that breaks
these two rules is not documented; here it is refused.
Every fault of a value is named with its file, line and column; reading goes on, so that one
import shows all of them.

Lines without quotes and backslashes that have as many values as the header are split at commas, a
block at once; everything else goes through the csv module, row by row.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.data.values import values_of
from localaws.personalize.errors import JobFailedError

_BYTES_PER_BLOCK = 1 << 20
_ROWS_PER_BLOCK = 20_000
_FAULTS_SHOWN = 20
_SHOWN_PER_COLUMN = 3
_PLAIN = bytes(set(range(256)) - set(b',\n\r"\\'))
"""The bytes that neither separate values or lines nor need the csv module."""
_QUOTED_START = r'"[^"\\]*(?:\\["\\][^"\\]*)*'
_UNQUOTED = r'[^",\\]*(?:\\["\\][^",\\]*)*'
_FIELD = f'(?:{_QUOTED_START}"|{_UNQUOTED})'
_RECORD = re.compile(f"{_FIELD}(?:,{_FIELD})*")
_FIELDS = re.compile(f"(?:{_FIELD},)*")
_FIELD_START = re.compile(f"{_QUOTED_START}|{_UNQUOTED}")


class _Header(NamedTuple):
    """A file's header: its number of values, and the position of each field of the schema."""

    width: int
    positions: Sequence[int]


class TableReader:
    """Reads CSV files into one table.

    Args:
        schema: The columns and what they hold. Columns that it does not name are left out.
    """

    def __init__(self, schema: Schema) -> None:
        self._fields = schema.fields
        self._names = {field.name.upper(): field.name for field in schema.fields}
        self._names |= {field.name: field.name for field in schema.fields}
        self._id_fields = schema.dataset.ids
        self._values: dict[str, list[NDArray[Any]]] = {field.name: [] for field in schema.fields}
        # The first few faults of each column are shown, all of them counted; "" is whole lines.
        self._faults: list[str] = []
        self._faults_of: Counter[str] = Counter()

    def read(self, name: str, content: BinaryIO, tick: Callable[[], None]) -> None:
        """Read one file.

        Args:
            name: The file's name in messages.
            content: The file; it is closed.
            tick: Called after each block of rows; what it raises ends the reading.

        Raises:
            JobFailedError: If the file cannot be read as CSV with the schema's columns.
        """
        with content:
            start = content.peek(2) if isinstance(content, io.BufferedReader) else b""
            if name.endswith(".gz") or start.startswith(b"\x1f\x8b"):
                raise JobFailedError(f"{name}: gzip is not supported; unpack the file")
            header = self._header(name, _decode(name, 1, content.readline()))
            line = 2
            for block in iter(lambda: content.read(_BYTES_PER_BLOCK) + content.readline(), b""):
                if columns := _split(block, header):
                    lines = range(line, line + len(columns[0]))
                    self._add(name, lines, columns)
                    line = lines.stop
                    tick()
                    continue
                records = block.splitlines()
                rows = _rows(name, line, records)
                while some := list(islice(rows, _ROWS_PER_BLOCK)):
                    self._add_rows(name, header, some)
                    tick()
                line += len(records)

    def table(self) -> Table:
        """Return all rows read.

        Raises:
            JobFailedError: If any value broke the schema's rules.
        """
        if self._faults:
            left = self._faults_of.total() - len(self._faults)
            more = [f"and {left} more"] if left else []
            raise JobFailedError("; ".join([*self._faults, *more]))
        return Table(
            {
                name: np.concatenate(blocks) if blocks else np.empty(0, object)
                for name, blocks in self._values.items()
            }
        )

    def _header(self, name: str, line: str) -> _Header:
        if line.startswith("\ufeff"):
            raise JobFailedError(f"{name}: begins with a byte order mark; save it as UTF-8 without")
        if '"' in line:
            raise JobFailedError(f"{name}, line 1: column names must not be quoted")
        header = [self._field_name(column) for column in line.rstrip("\r\n").split(",")]
        if twice := sorted({column for column in header if header.count(column) > 1}):
            raise JobFailedError(f"{name}, line 1: {', '.join(twice)} stands there twice")
        missing = [field.name for field in self._fields if field.name not in header]
        if missing:
            raise JobFailedError(
                f"Input CSV is missing the following columns:[{', '.join(missing)}]."
            )
        return _Header(len(header), [header.index(field.name) for field in self._fields])

    def _field_name(self, column: str) -> str:
        """Return the field that a column fills; their names may differ in case."""
        return self._names.get(column) or self._names.get(column.upper(), column)

    def _add_rows(self, name: str, header: _Header, rows: Sequence[tuple[int, list[str]]]) -> None:
        """Add the rows that are as wide as the header, each beginning on its line."""
        faults = [
            (line, "", f": {len(row)} values, the header has {header.width}")
            for line, row in rows
            if len(row) != header.width
        ]
        whole = [(line, row) for line, row in rows if len(row) == header.width]
        columns = [[row[position] for _, row in whole] for position in header.positions]
        self._add(name, [line for line, _ in whole], columns, faults)

    def _add(
        self,
        name: str,
        lines: Sequence[int],
        columns: Sequence[Sequence[str]],
        faults: Sequence[tuple[int, str, str]] = (),
    ) -> None:
        """Check the texts of rows that begin on these lines, by field, and add their values.

        `faults` are those of other rows: line, column, text.
        """
        faults = list(faults)
        for field, texts in zip(self._fields, columns, strict=True):
            values, own = values_of(field, texts, is_id=field.name in self._id_fields)
            self._values[field.name].append(values)
            faults += [
                (lines[row], field.name, f", column {field.name}: {fault}") for row, fault in own
            ]
        for line, column, fault in sorted(faults, key=itemgetter(0)):
            self._faults_of[column] += 1
            is_shown = self._faults_of[column] <= _SHOWN_PER_COLUMN
            if is_shown and len(self._faults) < _FAULTS_SHOWN:
                self._faults.append(f"{name}, line {line}{fault}")


def _split(block: bytes, header: _Header) -> list[list[str]] | None:
    """Return the texts of each field; None unless all lines are plain and have all values."""
    if not block.endswith(b"\n"):
        block += b"\n"
    block = block.replace(b"\r\n", b"\n")
    expected = (b"," * (header.width - 1) + b"\n") * block.count(b"\n")
    if block.translate(None, _PLAIN) != expected:
        return None
    try:
        texts = block.decode().replace("\n", ",").split(",")
    except UnicodeDecodeError:
        return None
    return [texts[position : -1 : header.width] for position in header.positions]


def _rows(name: str, line: int, records: Sequence[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield rows by the csv module, each with its line of the file.

    Blank lines are left out. The first record is that of this line.

    Raises:
        JobFailedError: If a record is not written as the developer guide says.
    """
    texts = []
    for number, record in enumerate(records, start=line):
        text = _decode(name, number, record)
        if not _RECORD.fullmatch(text):
            raise JobFailedError(f"{name}, line {number}: {_record_fault(text)}")
        texts.append(text)
    reader = csv.reader(texts, doublequote=False, escapechar="\\", strict=True)
    try:
        for number, row in enumerate(reader, start=line):
            if row:
                yield number, row
    except csv.Error as error:
        raise JobFailedError(f"{name}, line {line + reader.line_num - 1}: {error}") from error


def _record_fault(text: str) -> str:
    """Return what is wrong with a line that is no record."""
    fields = _FIELDS.match(text)
    rest = text[fields.end() :] if fields else text
    start = _FIELD_START.match(rest)
    found = rest[start.end() :] if start else rest
    if found.startswith("\\"):
        return 'a backslash stands alone; write \\\\ for it, and \\" for a quote'
    if found:
        return 'a quote stands inside a value; put the value in double quotes and write \\" for it'
    return (
        "a quoted value does not end on its line; each record stands on one line, so replace line"
        " breaks by spaces"
    )


def _decode(name: str, line: int, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise JobFailedError(
            f"{name}, line {line}: not UTF-8 (byte 0x{text[error.start]:02x} {error.reason});"
            " save it as UTF-8"
        ) from error
