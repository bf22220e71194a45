"""The paths, intrinsic functions and JSONata expressions of a state, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.moto_patches.states_language.choices import TYPED
from localaws.moto_patches.states_language.intrinsic_syntax import IntrinsicError, parsed_call
from localaws.moto_patches.states_language.jsonata import ExpressionError, parsed_expression
from localaws.moto_patches.states_language.paths import PathError, is_reference, parsed_path

_PATHS = frozenset(
    {
        "InputPath", "OutputPath", "ItemsPath", "SecondsPath", "TimestampPath",
        "TimeoutSecondsPath", "HeartbeatSecondsPath", "MaxConcurrencyPath", "Variable",
    }
)  # fmt: skip
_PATHS_OR_CALLS = frozenset({"ErrorPath", "CausePath"})
_TEMPLATES = frozenset({"Parameters", "ResultSelector", "ItemSelector", "Assign", "Credentials"})
_COMPARISON = re.compile(r"(String|Numeric|Boolean|Timestamp)[A-Z]\w+?(Path)?")
_WORDS = {"String": "string", "Numeric": "number", "Boolean": "boolean"}
_VARIABLE = re.compile(r"\$(\w+)(.*)", re.DOTALL)
_NESTED = frozenset({"Branches", "ItemProcessor", "Iterator", "Comment", "Result"})


@dataclass(frozen=True)
class Finding:
    """What is wrong with a field of a state.

    Attributes:
        place: E.g. `Parameters/name.$`.
        message: What is wrong.
        warning: AWS's code of a warning; empty of an error.
    """

    place: str
    message: str
    warning: str = ""


def findings(state: Mapping[str, Any], language: str) -> Iterator[Finding]:
    """Yield what is wrong with the expressions of a state, those of machines in it left out."""
    for name, value in state.items():
        if name == "Result" and _is_dynamic(value):
            message = "A Result is static: use Parameters for paths and intrinsic functions"
            yield Finding(name, message, "PASS_RESULT_IS_STATIC")
        if name not in _NESTED:
            of_field = _of_jsonata if language == "JSONata" else _of_field
            yield from of_field(name, value, name)


def _of_field(name: str, value: Any, place: str) -> Iterator[Finding]:
    """Yield what is wrong with a field of a state that uses JSONPath."""
    if name in _TEMPLATES:
        yield from _of_template(value, place)
    elif name == "ResultPath":
        yield from _of_result_path(value, place)
    elif name in _PATHS:
        if value is not None:
            yield from _of_path(value, place)
    elif match := _COMPARISON.fullmatch(name):
        yield from _of_path(value, place) if match[2] else _of_operand(match[1], value, place)
    elif name == "Timestamp":
        yield from _of_operand(name, value, place)
    elif name in _PATHS_OR_CALLS:
        yield from _of_dynamic(value, place)
    elif isinstance(value, dict):
        for inner, member in value.items():
            yield from _of_field(inner, member, f"{place}/{inner}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            if isinstance(member, dict):
                for inner, one in member.items():
                    yield from _of_field(inner, one, f"{place}[{number}]/{inner}")


def _of_template(value: Any, place: str) -> Iterator[Finding]:
    if isinstance(value, list):
        for number, member in enumerate(value):
            yield from _of_template(member, f"{place}[{number}]")
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        here = f"{place}/{name}"
        if name.endswith(".$"):
            yield from _of_dynamic(member, here)
        else:
            if isinstance(member, str) and re.match(r"\$\.|\$\$\.|States\.\w+\(", member):
                message = f"The value {member!r} is a text: name the field '{name}.$' if it is not"
                yield Finding(here, message, "NO_DOLLAR")
            yield from _of_template(member, here)


def _of_dynamic(value: Any, place: str) -> Iterator[Finding]:
    """Yield what is wrong with a path or a call of an intrinsic function."""
    if isinstance(value, str) and value.startswith("States."):
        try:
            parsed_call(value)
        except IntrinsicError as error:
            yield Finding(place, _invalid(place, str(error), "a valid intrinsic function call"))
    elif not isinstance(value, str) or not value.startswith("$"):
        yield Finding(place, _invalid(place, repr(value), "a valid intrinsic function call"))
    else:
        yield from _of_path(value, place)


def _of_path(value: Any, place: str) -> Iterator[Finding]:
    path = value if isinstance(value, str) else ""
    match = _VARIABLE.fullmatch(path)
    try:
        # A variable's name stands where a path has its root.
        parsed_path(
            f"${match[2]}" if match else path.removeprefix("$") if path[:2] == "$$" else path
        )
    except PathError as error:
        yield Finding(place, _invalid(place, str(error), "a variable"))


def _of_operand(kind: str, value: Any, place: str) -> Iterator[Finding]:
    """Yield what is wrong with the value that a comparison or a Wait has."""
    if TYPED[kind](value) is None:
        wanted = (
            "String does not match RFC3339 timestamp"
            if kind == "Timestamp"
            else f"The value must be a {_WORDS[kind]}"
        )
        yield Finding(place, f"{wanted}: {value!r}")


def _of_result_path(value: Any, place: str) -> Iterator[Finding]:
    if value is None:
        return
    if not isinstance(value, str) or not re.match(r"\$(?:$|[.\[])", value):
        yield Finding(place, f"The value {value!r} must be a reference path")
        return
    try:
        if not is_reference(value):
            yield Finding(
                place, f"The value {value!r} must be a reference path, of one place alone"
            )
    except PathError as error:
        yield Finding(place, str(error))


def _invalid(place: str, what: str, alternative: str) -> str:
    name = place.rpartition("/")[2]
    return f"The value for the field '{name}' must be a valid JSONPath or {alternative}: {what}"


def _of_jsonata(name: str, value: Any, place: str) -> Iterator[Finding]:
    """Yield what is wrong with a field of a state that uses JSONata."""
    if isinstance(value, dict):
        for inner, member in value.items():
            yield from _of_jsonata(inner, member, f"{place}/{inner}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _of_jsonata(name, member, f"{place}[{number}]")
    elif name == "Timestamp" and not str(value).startswith("{%"):
        yield from _of_operand(name, value, place)
    elif isinstance(value, str) and value.startswith("{%"):
        if not value.endswith("%}"):
            yield Finding(place, f"A JSONata expression must end with %}}: {value}")
            return
        try:
            parsed_expression(value[2:-2].strip())
        except ExpressionError as error:
            yield Finding(place, f"The JSONata expression {value} cannot be parsed: {error}")


def _is_dynamic(value: Any) -> bool:
    if isinstance(value, dict):
        return any(name.endswith(".$") or _is_dynamic(member) for name, member in value.items())
    return isinstance(value, list) and any(map(_is_dynamic, value))
