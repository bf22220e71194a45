"""Texts of a column → checked values, by the field's type and the rules of datasets.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/preparing-training-data.html and
https://docs.aws.amazon.com/personalize/latest/dg/limits.html
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
_LONGEST_ID, _LONGEST_STRING = 256, 1_000
_LONGEST_TEXT, _LONGEST_EAST_ASIAN_TEXT = 20_000, 7_000
_EAST_ASIAN = re.compile(
    "[\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003134f]"
)
_TIMES = {"TIMESTAMP", "CREATION_TIMESTAMP"}
# Seconds stay below this for 3,000 years; milliseconds of any day since 1973 do not.
_MILLISECONDS_FROM = 100_000_000_000
_NULL_FAULT = "is empty, but never null in the schema"


def values_of(
    field: Field, texts: Sequence[str], *, is_id: bool
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    """Return a column's values, and the fault of each text that breaks a rule.

    Args:
        field: The column.
        texts: As they stand in CSV; empty is null.
        is_id: Whether they are the ids of users, items or actions.

    Returns:
        The values, shape (len(texts),), int64, float64, or objects (str, bool, None); and each
        fault with its row.
    """
    if field.type == "string":
        return _strings(field, texts, is_id)
    if field.type == "boolean":
        return _parse(field, texts, {"true": True, "false": False}.get, object)
    if field.type in {"int", "long"}:
        digits = _digits(field, texts)
        if digits is not None:
            return digits, []
        return _parse(field, texts, _integer_parser(field), np.int64)
    return _parse(field, texts, _float_parser(field), np.float64)


def _digits(field: Field, texts: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the integers of texts that are digits and nothing else; None unless all are legal."""
    joined = ",".join(texts).encode()
    if "" in texts or joined.translate(None, b"0123456789,"):
        return None
    values = np.fromstring(joined, np.int64, sep=",")
    # What no int64 holds is read as the largest of them.
    most = min(_end(field), 2**63 - 1)
    return values if len(values) == len(texts) and values.max(initial=0) < most else None


def _end(field: Field) -> int:
    """Return the first number that is too large."""
    return _MILLISECONDS_FROM if field.name in _TIMES else _RANGES[field.type]


def _strings(
    field: Field, texts: Sequence[str], is_id: bool
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    faults: list[tuple[int, str]] = []
    most = _LONGEST_ID if is_id else _LONGEST_STRING
    if field.textual:
        texts = _cut(texts)
    elif max(map(len, texts), default=0) > most:
        faults += [
            (row, f"{len(text)} characters; at most {most:,} are allowed")
            for row, text in enumerate(texts)
            if len(text) > most
        ]
    values = np.array(texts, dtype=object)
    if "" in texts:
        empty = values == ""
        if not field.nullable:
            faults += [(int(row), _NULL_FAULT) for row in np.flatnonzero(empty)]
        values[empty] = None
    return values, faults


def _cut(texts: Sequence[str]) -> Sequence[str]:
    """Return natural language cut to what Personalize keeps of it.

    How Personalize tells the language is not documented: here, what half of the characters are.
    https://docs.aws.amazon.com/personalize/latest/dg/items-datasets.html#text-data
    """
    if max(map(len, texts), default=0) <= _LONGEST_EAST_ASIAN_TEXT:
        return texts
    return [
        text[:_LONGEST_EAST_ASIAN_TEXT]
        if len(text) > _LONGEST_EAST_ASIAN_TEXT and 2 * len(_EAST_ASIAN.findall(text)) >= len(text)
        else text[:_LONGEST_TEXT]
        for text in texts
    ]


def _parse(
    field: Field, texts: Sequence[str], parse: Callable[[str], Any], dtype: type
) -> tuple[NDArray[Any], list[tuple[int, str]]]:
    """Return values of a type that is not string, and faults; `parse` gives None for a fault."""
    faults: list[tuple[int, str]] = []
    values = [parse(text) if text else None for text in texts]
    if None in values:
        dtype = object
        for row, text in enumerate(texts):
            if text and values[row] is None:
                faults.append((row, _type_fault(field, text)))
            elif not text and not field.nullable:
                faults.append((row, _NULL_FAULT))
    return np.array(values, dtype=dtype), faults


def _float_parser(field: Field) -> Callable[[str], float | None]:
    """Return the parser of a number that its type holds; Avro's float has 32 bits."""
    limit = float(np.finfo(np.float32 if field.type == "float" else np.float64).max)

    def parse(text: str) -> float | None:
        value = float(text) if _NUMBER.fullmatch(text) else None
        return value if value is not None and abs(value) <= limit else None

    return parse


def _integer_parser(field: Field) -> Callable[[str], int | None]:
    end = _end(field)
    start = 0 if field.name in _TIMES else -end

    def parse(text: str) -> int | None:
        value = int(text) if _INTEGER.fullmatch(text) else None
        return value if value is not None and start <= value < end else None

    return parse


def _type_fault(field: Field, text: str) -> str:
    if field.name in _TIMES:
        hint = "is no time in epoch seconds"
        if _INTEGER.fullmatch(text) and int(text) >= _MILLISECONDS_FROM:
            hint = "is too large for epoch seconds; it looks like milliseconds, divide by 1,000"
        return f"{text!r} {hint}"
    if field.type == "boolean":
        return f"{text!r} is no boolean; write true or false in lower case"
    return f"{text!r} is no {field.type}"
