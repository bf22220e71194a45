"""Texts of a column → checked values, by the field's type and the rules of data sets.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/data-prep-formatting.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Field

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_RANGES = {"int": 2**31, "long": 2**63}
_MOST_CHARACTERS = {"id": 256, "categorical": 1_000, "textual": 20_000}
_TIMES = {"TIMESTAMP", "CREATION_TIMESTAMP"}
# Seconds stay below this for 3,000 years; milliseconds of any day since 1973 do not.
_MILLISECONDS_FROM = 100_000_000_000


def values_of(
    field_: Field, texts: Sequence[str], *, is_id: bool
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    """A column's values, and what is wrong where a text is none.

    Args:
        field_: What they must be.
        texts: As they stand in CSV; empty is null.
        is_id: Whether they are the ids of users, items or actions.

    Returns:
        The values, shape (len(texts),), int64, float64, or objects (str, bool, None); and each
        fault with its row.
    """
    if field_.type == "string":
        return _strings(field_, texts, is_id)
    if field_.type == "boolean":
        return _parsed(field_, texts, {"true": True, "false": False}.get, object)
    if field_.type in {"int", "long"}:
        digits = _digits(field_, texts)
        if digits is not None:
            return digits, []
        return _parsed(field_, texts, _integer_parser(field_), np.int64)
    return _parsed(field_, texts, _float, np.float64)


def _digits(field_: Field, texts: Sequence[str]) -> NDArray[np.int64] | None:
    """The integers of texts that are digits and nothing else, if all are and all are in range."""
    joined = ",".join(texts).encode()
    if "" in texts or joined.translate(None, b"0123456789,"):
        return None
    values = np.fromstring(joined, np.int64, sep=",")
    # What no int64 holds is read as the largest of them.
    most = min(_end(field_), 2**63 - 1)
    are_all = len(values) == len(texts) and values.max(initial=0) < most
    return values if are_all else None


def _end(field_: Field) -> int:
    """The first number that is too large."""
    return _MILLISECONDS_FROM if field_.name in _TIMES else _RANGES[field_.type]


def _strings(
    field_: Field, texts: Sequence[str], is_id: bool
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    faults: list[tuple[int, str]] = []
    kind = "id" if is_id else "textual" if field_.textual else "categorical"
    most = _MOST_CHARACTERS[kind]
    limited = is_id or field_.textual or field_.categorical or field_.name == "IMPRESSION"
    if limited and max(map(len, texts), default=0) > most:
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
    end = _end(field_)
    start = 0 if field_.name in _TIMES else -end

    def parse(text: str) -> int | None:
        value = int(text) if _INTEGER.fullmatch(text) else None
        return value if value is not None and start <= value < end else None

    return parse


def _type_fault(field_: Field, text: str) -> str:
    if field_.name in _TIMES:
        hint = "is no time in epoch seconds"
        if _INTEGER.fullmatch(text) and int(text) >= _MILLISECONDS_FROM:
            hint = "is too large for epoch seconds; it looks like milliseconds, divide by 1,000"
        return f"{text!r} {hint}"
    if field_.type == "boolean":
        return f"{text!r} is no boolean; write true or false in lower case"
    return f"{text!r} is no {field_.type}"
