"""The intrinsic functions of the States Language.

https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
"""

import base64
import hashlib
import json
import math
import random
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.stepfunctions.parser.asl.component.intrinsic.function.statesfunction.generic import (
    string_format,
)

from localaws.moto_patches.states_language.texts import json_text, json_value

_LONGEST_TEXT = 10_000  # characters that Base64Encode, Base64Decode and Hash take
_LONGEST_RANGE = 1_000
_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")


class Text(str):
    r"""A text between apostrophes, without the backslashes that escape `'`, `{`, `}` and `\`.

    Attributes:
        written: As it is written.
    """

    written: str
    __slots__ = ("written",)

    def __new__(cls, written: str) -> "Text":
        """Unescape what is written between the apostrophes."""
        text = super().__new__(cls, re.sub(r"\\(.)", r"\1", written, flags=re.DOTALL))
        text.written = written
        return text


def _format(template: str, *values: Any) -> str:
    _expect(template, str)
    # Only what a definition itself writes is escaped.
    written = template.written if isinstance(template, Text) else template.replace("\\", r"\\")
    parts = re.split(r"(\\.|\{\})", written, flags=re.DOTALL)
    if parts.count("{}") != len(values):
        raise ValueError("the number of arguments does not match the occurrences of {}")
    remaining = iter(values)
    return "".join(
        string_format.StringFormat._to_str_repr(next(remaining))
        if part == "{}"
        else part[1:]
        if part.startswith("\\")
        else part
        for part in parts
    )


def _string_to_json(text: str | None) -> Any:
    if text is None or not _expect(text, str).strip():
        return None
    return json_value(text)


def _array_partition(array: list[Any], size: float) -> list[list[Any]]:
    step = _nearest(size)
    if step < 1:
        raise ValueError(f"the size of a part must be 1 or more, got {size}")
    _expect(array, list)
    return [array[start : start + step] for start in range(0, len(array), step)]


def _array_contains(array: list[Any], value: Any) -> bool:
    return _as_json(value) in map(_as_json, _expect(array, list))


def _array_range(first: float, last: float, step: float) -> list[int]:
    start, end, by = _nearest(first), _nearest(last), _nearest(step)
    if by == 0:
        raise ValueError("the step must not be 0")
    values = range(start, end + (1 if by > 0 else -1), by)
    if len(values) > _LONGEST_RANGE:
        raise ValueError(f"a range has at most {_LONGEST_RANGE} items, this one {len(values)}")
    return list(values)


def _array_get_item(array: list[Any], index: int) -> Any:
    _expect(array, list)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(array):
        raise ValueError(f"the array has {len(array)} items and no index {index}")
    return array[index]


def _array_unique(array: list[Any]) -> list[Any]:
    return list({_as_json(item): item for item in reversed(_expect(array, list))}.values())[::-1]


def _base64_encode(text: str) -> str:
    return base64.b64encode(_short(text).encode()).decode()


def _base64_decode(text: str) -> str:
    return base64.b64decode(_short(text), validate=True).decode()


def _hash(text: str, algorithm: str) -> str:
    if algorithm not in _HASHES:
        raise ValueError(f"there is no algorithm {algorithm}, but {', '.join(_HASHES)}")
    name = algorithm.replace("-", "").lower()
    return hashlib.new(name, _short(text).encode(), usedforsecurity=False).hexdigest()


def _json_merge(first: dict[str, Any], second: dict[str, Any], deep: bool) -> dict[str, Any]:
    if deep is not False:
        raise ValueError("only the shallow merge is supported: write false")
    merged: dict[str, Any] = _expect(first, dict) | _expect(second, dict)
    return merged


def _math_random(start: float, end: float, seed: float | None = None) -> int:
    generator = random.Random(None if seed is None else _nearest(seed))
    return generator.randrange(_nearest(start), _nearest(end))


def _string_split(text: str, separators: str) -> list[str]:
    _expect(text, str)
    if not _expect(separators, str):
        return [text]
    return [part for part in re.split(f"[{re.escape(separators)}]", text) if part]


def _nearest(number: float) -> int:
    """Return the integer that is nearest, the greater one of two: Java's Math.round."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"a number is expected, got {json_text(number)}")
    return number if isinstance(number, int) else math.floor(number + 0.5)


def _short(text: str) -> str:
    if len(_expect(text, str)) > _LONGEST_TEXT:
        raise ValueError(f"the text has {len(text)} characters, more than {_LONGEST_TEXT}")
    return text


def _expect(value: Any, of: type) -> Any:
    if not isinstance(value, of):
        words: dict[type, str] = {str: "a text", list: "an array", dict: "an object"}
        raise TypeError(f"{words[of]} is expected, got {json_text(value)}")
    return value


def _as_json(value: Any) -> str:
    """Return a text that two values share if they are equal: 1 and true are not."""
    return json.dumps(value, sort_keys=True)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Array": lambda *values: list(values),
    "ArrayContains": _array_contains,
    "ArrayGetItem": _array_get_item,
    "ArrayLength": lambda array: len(_expect(array, list)),
    "ArrayPartition": _array_partition,
    "ArrayRange": _array_range,
    "ArrayUnique": _array_unique,
    "Base64Decode": _base64_decode,
    "Base64Encode": _base64_encode,
    "Format": _format,
    "Hash": _hash,
    "JsonMerge": _json_merge,
    "JsonToString": json_text,
    "MathAdd": lambda first, second: _nearest(first) + _nearest(second),
    "MathRandom": _math_random,
    "StringSplit": _string_split,
    "StringToJson": _string_to_json,
    "UUID": lambda: str(uuid.uuid4()),
}
"""By their names without `States.`."""
