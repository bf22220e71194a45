"""The fields of a state: which ones its type has, and what their values are.

https://states-language.net/#state-types and, for the numbers,
https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localaws.errors import suggestion
from localaws.moto_patches.states_language.expressions import Finding
from localaws.moto_patches.states_language.rules import of_rules

LONGEST_VARIABLE = 80
"""Characters. https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html"""
LONGEST_TIME = 99_999_999
"""Seconds of a Wait and of a time limit."""

_ANY = "Type Comment QueryLanguage"
_PATHS = "InputPath OutputPath"
_FLOW = "Next End Assign"
_HANDLED = f"{_ANY} {_FLOW} Retry Catch"
_RESULT = "Parameters ResultSelector ResultPath"
_MAP = (
    f"{_HANDLED} ItemProcessor Iterator ItemSelector MaxConcurrency Label ItemReader ItemBatcher"
    " ResultWriter ToleratedFailureCount ToleratedFailurePercentage"
)
_TASK = f"{_HANDLED} Resource TimeoutSeconds HeartbeatSeconds Credentials"
_FIELDS = {
    ("Task", "JSONPath"): f"{_TASK} {_PATHS} {_RESULT} TimeoutSecondsPath HeartbeatSecondsPath",
    ("Task", "JSONata"): f"{_TASK} Arguments Output",
    ("Parallel", "JSONPath"): f"{_HANDLED} {_PATHS} {_RESULT} Branches",
    ("Parallel", "JSONata"): f"{_HANDLED} Arguments Output Branches",
    ("Map", "JSONPath"): (
        f"{_MAP} {_PATHS} {_RESULT} ItemsPath MaxConcurrencyPath ToleratedFailureCountPath"
        " ToleratedFailurePercentagePath"
    ),
    ("Map", "JSONata"): f"{_MAP} Items Output",
    ("Pass", "JSONPath"): f"{_ANY} {_FLOW} {_PATHS} Parameters Result ResultPath",
    ("Pass", "JSONata"): f"{_ANY} {_FLOW} Output",
    ("Wait", "JSONPath"): (
        f"{_ANY} {_FLOW} {_PATHS} Seconds SecondsPath Timestamp TimestampPath"
    ),
    ("Wait", "JSONata"): f"{_ANY} {_FLOW} Output Seconds Timestamp",
    ("Choice", "JSONPath"): f"{_ANY} {_PATHS} Choices Default Assign",
    ("Choice", "JSONata"): f"{_ANY} Output Choices Default Assign",
    ("Succeed", "JSONPath"): f"{_ANY} {_PATHS}",
    ("Succeed", "JSONata"): f"{_ANY} Output",
    ("Fail", "JSONPath"): f"{_ANY} Error ErrorPath Cause CausePath",
    ("Fail", "JSONata"): f"{_ANY} Error Cause",
}  # fmt: skip
FIELDS: Mapping[tuple[str, str], frozenset[str]] = {
    key: frozenset(names.split()) for key, names in _FIELDS.items()
}
"""The fields of a state, by its type and query language."""

_REQUIRED = {
    "Task": ("Resource",),
    "Choice": ("Choices",),
    "Wait": ("Seconds or SecondsPath or Timestamp or TimestampPath",),
    "Parallel": ("Branches",),
    "Map": ("ItemProcessor or Iterator",),
}
_EXCLUSIVE = (
    ("Seconds", "SecondsPath", "Timestamp", "TimestampPath"),
    ("TimeoutSeconds", "TimeoutSecondsPath"),
    ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ("MaxConcurrency", "MaxConcurrencyPath"),
    ("Error", "ErrorPath"),
    ("Cause", "CausePath"),
    ("ItemSelector", "Parameters"),
    ("ItemProcessor", "Iterator"),
)
_NUMBERS: Mapping[str, tuple[int, int]] = {
    "TimeoutSeconds": (1, LONGEST_TIME),
    "HeartbeatSeconds": (1, LONGEST_TIME),
    "Seconds": (0, LONGEST_TIME),
    "MaxConcurrency": (0, 2**31 - 1),
    "IntervalSeconds": (1, LONGEST_TIME),
    "MaxAttempts": (0, LONGEST_TIME),
    "MaxDelaySeconds": (1, 31_622_399),
}
_TEXTS = frozenset({"Comment", "Error", "Cause", "Resource", "Label", "Version"})
_TEMPLATES = frozenset({"Arguments", "Output", "Assign", "ItemSelector", "Items"})
_RETRIER = frozenset(
    [
        "ErrorEquals",
        "IntervalSeconds",
        "MaxAttempts",
        "BackoffRate",
        "MaxDelaySeconds",
        "JitterStrategy",
        "Comment",
    ]
)
_CATCHER = {
    "JSONPath": frozenset(["ErrorEquals", "Next", "ResultPath", "Assign", "Comment"]),
    "JSONata": frozenset(["ErrorEquals", "Next", "Output", "Assign", "Comment"]),
}
_MACHINE = frozenset(["Comment", "StartAt", "States", "QueryLanguage"])


def of_machine_fields(machine: Mapping[str, Any], where: str) -> Iterator[Finding]:
    """Yield what is wrong with the fields of a machine.

    Args:
        machine: The whole one, or one of a Parallel or a Map.
        where: Its field in the state that has it, e.g. `Branches[0]`; empty of the whole one.
    """
    own = {"Version", "TimeoutSeconds"} if not where else set()
    own |= {"ProcessorConfig"} if where == "ItemProcessor" else set()
    name = "a state machine" if not where else f"a machine in {where.partition('[')[0]}"
    yield from _unknown(machine, _MACHINE | own, name)
    yield from _of_values(machine, "")
    if machine.get("QueryLanguage", "JSONata") not in {"JSONPath", "JSONata"}:
        yield _of_enum("QueryLanguage", ("JSONPath", "JSONata"))


def of_state_fields(state: Mapping[str, Any], language: str) -> Iterator[Finding]:
    """Yield what is wrong with the fields of a state, those of machines in it left out."""
    kind = state["Type"]
    if language not in {"JSONPath", "JSONata"}:
        yield _of_enum("QueryLanguage", ("JSONPath", "JSONata"))
        return
    suffix = " that uses JSONata" if language == "JSONata" else ""
    yield from _unknown(state, FIELDS[kind, language], f"a {kind} state{suffix}")
    for names in _REQUIRED.get(kind, ()):
        if not any(name in state for name in names.split(" or ")):
            yield Finding("", f"These fields are required: [{names}]")
    for names_ in _EXCLUSIVE:
        given = [name for name in names_ if state.get(name) not in (None, False)]
        if len(given) > 1 and all(name in FIELDS[kind, language] for name in given):
            yield Finding(given[1], f"The fields {' and '.join(given)} exclude each other")
    yield from _of_values(state, language)
    yield from _of_limits(state)
    if "Branches" in state:
        yield from _of_list(state["Branches"], "Branches")
    yield from _of_handlers(state, language)
    if kind == "Choice" and "Choices" in state:
        yield from _of_list(state["Choices"], "Choices")
        yield from of_rules(state["Choices"], language)
    yield from _of_assigns(state)
    if language == "JSONata":
        for name in _TEMPLATES & state.keys():
            yield from _of_jsonata_names(state[name], name)


def _unknown(given: Mapping[str, Any], known: frozenset[str], owner: str) -> Iterator[Finding]:
    for name in given:
        if name not in known:
            hint = suggestion(name, known)
            message = f"The field '{name}' is not supported in {owner}{hint and '; '}{hint}"
            yield Finding(name, message)


def _of_values(fields: Mapping[str, Any], language: str) -> Iterator[Finding]:
    """Yield the fields whose value is of another type than theirs, or out of their range."""
    for name, value in fields.items():
        if language == "JSONata" and isinstance(value, str) and value.startswith("{%"):
            continue
        if name in _NUMBERS:
            least, most = _NUMBERS[name]
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if not is_number or not least <= value <= most:
                message = f"The value must be an integer from {least} to {most}, not {value!r}"
                yield Finding(name, message)
        elif name in _TEXTS and not isinstance(value, str):
            yield Finding(name, f"The value must be a text, not {value!r}")
        elif name == "End" and not isinstance(value, bool):
            yield Finding(name, f"The value must be true, not {value!r}")


def _of_limits(state: Mapping[str, Any]) -> Iterator[Finding]:
    limit, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
    if isinstance(limit, int) and isinstance(heartbeat, int) and heartbeat >= limit:
        message = f"HeartbeatSeconds must be smaller than TimeoutSeconds, {limit}, not {heartbeat}"
        yield Finding("HeartbeatSeconds", message)


def _of_list(value: Any, name: str) -> Iterator[Finding]:
    if not isinstance(value, list):
        yield Finding(name, f"The value must be an array, not {value!r}")
    elif not value:
        yield Finding(name, "Value cannot be empty")
    else:
        for number, member in enumerate(value):
            if not isinstance(member, dict):
                yield Finding(f"{name}[{number}]", f"The value must be an object, not {member!r}")


def _of_handlers(state: Mapping[str, Any], language: str) -> Iterator[Finding]:
    """Yield what is wrong with Retry and Catch."""
    known = {"Retry": _RETRIER, "Catch": _CATCHER[language]}
    for field in known.keys() & state.keys():
        handlers = state[field]
        if handlers != []:
            yield from _of_list(handlers, field)
        for number, handler in enumerate(handlers if isinstance(handlers, list) else ()):
            if not isinstance(handler, dict):
                continue
            place = f"{field}[{number}]"
            owner = f"{field} of a state{' that uses JSONata' if language == 'JSONata' else ''}"
            is_last = number == len(handlers) - 1
            found = [
                *_unknown(handler, known[field], owner),
                *_of_values(handler, ""),
                *_of_names(handler, is_last=is_last),
            ]
            if field == "Catch" and "Next" not in handler:
                found.append(Finding("", "These fields are required: [Next]"))
            rate = handler.get("BackoffRate", 1)
            if not isinstance(rate, int | float) or isinstance(rate, bool) or rate < 1:
                message = f"The value must be a number of 1.0 or more, not {rate!r}"
                found.append(Finding("BackoffRate", message))
            if handler.get("JitterStrategy", "FULL") not in ("FULL", "NONE"):
                found.append(_of_enum("JitterStrategy", ("FULL", "NONE")))
            for one in found:
                yield Finding(f"{place}/{one.place}".rstrip("/"), one.message)


def _of_names(handler: Mapping[str, Any], *, is_last: bool) -> Iterator[Finding]:
    """Yield what is wrong with the errors that a Retry or Catch names."""
    names = handler.get("ErrorEquals")
    if "ErrorEquals" not in handler:
        yield Finding("", "These fields are required: [ErrorEquals]")
    elif not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        message = f"The value must be an array of one error's name or more, not {names!r}"
        yield Finding("ErrorEquals", message)
    elif "States.ALL" in names and (len(names) > 1 or not is_last):
        # It hides what follows it.
        message = "States.ALL must appear alone, and in the last element"
        yield Finding("ErrorEquals", message)


def _of_assigns(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the variables with names that none can have, in the state and what it decides by."""
    owners: list[tuple[str, Any]] = [("", state)]
    for field in ("Catch", "Choices"):
        value = state.get(field)
        members = value if isinstance(value, list) else []
        owners += [(f"{field}[{number}]/", member) for number, member in enumerate(members)]
    for place, owner in owners:
        if not isinstance(owner, dict) or "Assign" not in owner:
            continue
        assigned = owner["Assign"]
        if not isinstance(assigned, dict):
            yield Finding(f"{place}Assign", f"The value must be an object, not {assigned!r}")
            continue
        for field in assigned:
            name = field.removesuffix(".$")
            if len(name) > LONGEST_VARIABLE:
                message = f"The variable's name has {len(name)} characters, not {LONGEST_VARIABLE}"
            elif name == "states":
                message = "The variable's name 'states' is reserved"
            elif not name.isidentifier():
                message = (
                    f"{name!r} is no name of a variable: it begins with a letter, and goes on with"
                    " letters, digits and _"
                )
            else:
                continue
            yield Finding(f"{place}Assign/{field}", message)


def _of_jsonata_names(value: Any, place: str) -> Iterator[Finding]:
    """Yield the fields of a JSONata state that are written as JSONPath writes dynamic ones."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name.endswith(".$"):
                message = f"The field '{name}' is JSONPath's: write {{% … %}} in JSONata"
                yield Finding(f"{place}/{name}", message)
            yield from _of_jsonata_names(member, f"{place}/{name}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _of_jsonata_names(member, f"{place}[{number}]")


def _of_enum(name: str, values: tuple[str, ...]) -> Finding:
    return Finding(
        name, f"The field '{name}' should have one of these values: [{', '.join(values)}]"
    )
