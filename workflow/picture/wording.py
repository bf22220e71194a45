"""A definition's conditions, errors and services, and durations, in the few words a picture has.

Pure: parts of a definition in, text out. What is cut short here stands in full in a tooltip.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

State = Mapping[str, Any]

OTHERWISE = "otherwise"

_NOT_A_TEST = frozenset({"Variable", "Next", "Comment", "Assign", "Output"})
_COMPARISON = re.compile(
    r"(?:String|Numeric|Boolean|Timestamp)"
    r"(Equals|LessThanEquals|LessThan|GreaterThanEquals|GreaterThan|Matches)(Path)?"
)
_COMPARED = {
    "Equals": "is",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "matches",
}
_CHECKED = {
    "IsPresent": ("is present", "is absent"),
    "IsNull": ("is null", "is not null"),
    "IsString": ("is a string", "is no string"),
    "IsNumeric": ("is a number", "is no number"),
    "IsBoolean": ("is a boolean", "is no boolean"),
    "IsTimestamp": ("is a timestamp", "is no timestamp"),
}
_SERVICE_NAMES = {
    "aws-sdk": "SDK",
    "batch": "Batch",
    "dynamodb": "DynamoDB",
    "eventbridge": "EventBridge",
    "events": "EventBridge",
    "glue": "Glue",
    "lambda": "Lambda",
    "personalize": "Personalize",
    "sagemaker": "SageMaker",
    "states": "Step Functions",
}
_PATTERNS = {
    ".sync": "wait for it",
    ".sync:2": "wait for it",
    ".waitForTaskToken": "wait for token",
}


def subject(state: State) -> str:
    """Return the variable that every rule of a Choice tests; empty if they test several."""
    tested = {rule.get("Variable", "") for rule in state.get("Choices", ())}
    return str(tested.pop()) if len(tested) == 1 else ""


def condition(rule: State, *, about: str = "", full: bool = False) -> str:
    """Return a rule of a Choice as a person says it: `status is ACTIVE`.

    Args:
        rule: one of `Choices`, or a part of one.
        about: the variable that need not be told, because the Choice tells it: `ACTIVE`.
        full: variables by their whole path and texts in quotes: `$.job.status is "ACTIVE"`.
    """
    if about and rule.get("Variable") == about:
        return condition({**rule, "Variable": ""}).removeprefix("is ")
    for joined, word in (("And", " and "), ("Or", " or ")):
        if joined in rule:
            return word.join(_part(part, full=full) for part in rule[joined])
    if "Not" in rule:
        return f"not {_part(rule['Not'], full=full)}"
    if "Condition" in rule:
        return expression(rule["Condition"])
    tests = [key for key in rule if key not in _NOT_A_TEST]
    name = _variable(str(rule.get("Variable", "")), full=full)
    return " and ".join(f"{name} {_test(key, rule[key], full=full)}".strip() for key in tests)


def expression(value: Any) -> str:
    """Return a value as it is written, but on one line, and JSONata without its `{% %}`."""
    if not isinstance(value, str):
        return _json(value)
    return " ".join(re.sub(r"^\{%(.*)%\}$", r"\1", value, flags=re.DOTALL).split())


def errors(names: Sequence[str]) -> str:
    """Return the errors that a Catch takes; empty for `States.ALL`, which a dashed line says."""
    return "" if "States.ALL" in names else " or ".join(names)


def doing(state: State) -> str:
    """Return what a state does beside its name: `Lambda labbase-get-status`, `Wait 600 s`."""
    kind = str(state.get("Type", ""))
    if kind == "Task":
        return _task(str(state.get("Resource", "")), state)
    if kind == "Choice":
        return f"Choice on {about}" if (about := subject(state)) else "Choice"
    if kind == "Wait":
        return f"Wait {_waited_for(state)}".strip()
    if kind == "Map":
        return _repetition(state)
    if kind == "Parallel":
        branches = len(state.get("Branches", ()))
        return "one branch" if branches == 1 else f"{branches} branches at the same time"
    if kind == "Fail" and isinstance(state.get("Error"), str):
        return f"Fail: {expression(state['Error'])}"
    return kind


def duration(seconds: float) -> str:
    """Return a duration as a person says it: `7 ms`, `1.2 s`, `48 s`, `2 min 5 s`, `2 h 13 min`."""
    if seconds < 0.0995:
        return f"{round(seconds * 1_000)} ms"
    if 0 < seconds < 9.95 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _part(rule: State, *, full: bool) -> str:
    told = condition(rule, full=full)
    return f"({told})" if "And" in rule or "Or" in rule else told


def _variable(path: str, *, full: bool) -> str:
    return path if full else path.rpartition(".")[2] or path


def _test(operator: str, value: Any, *, full: bool) -> str:
    if operator in _CHECKED:
        yes, no = _CHECKED[operator]
        return yes if value else no
    if found := _COMPARISON.fullmatch(operator):
        comparison, by_path = found.groups()
        if by_path:
            return f"{_COMPARED[comparison]} {_variable(str(value), full=full)}"
        shown = value if isinstance(value, str) and not full else _json(value)
        return f"{_COMPARED[comparison]} {shown}"
    return f"{operator} {_json(value)}"


def _task(resource: str, state: State) -> str:
    service, _, action = resource.partition(":::")
    if not action:
        *before, name = resource.split(":") if resource else [""]
        if "function" in before:
            return f"Lambda {name}"
        return f"Activity {name}" if "activity" in before else f"Task {name}".strip()
    service, _, action = action.removeprefix("aws-sdk:").partition(":")
    pattern = next((known for known in _PATTERNS if action.endswith(known)), "")
    action = action.removesuffix(pattern)
    named = _SERVICE_NAMES.get(service, service.upper() if len(service) < 5 else service.title())
    called = state.get("Parameters") or state.get("Arguments") or {}
    if service == "lambda" and isinstance(called, Mapping):
        action = str(called.get("FunctionName", called.get("FunctionName.$", action)))
        action = re.sub(r"^arn:.*:function:", "", expression(action))
    return f"{named} {action}{', wait for token' if pattern == '.waitForTaskToken' else ''}"


def _waited_for(state: State) -> str:
    if "Seconds" in state:
        seconds = state["Seconds"]
        return duration(seconds) if isinstance(seconds, int | float) else expression(seconds)
    if "SecondsPath" in state:
        return str(state["SecondsPath"])
    until = state.get("Timestamp", state.get("TimestampPath"))
    return f"until {expression(until)}" if until is not None else ""


def _repetition(state: State) -> str:
    items = state.get("Items", state.get("ItemsPath"))
    told = f"for each of {expression(items)}" if items is not None else "for each item"
    at_a_time = state.get("MaxConcurrency")
    processor = state.get("ItemProcessor", {}).get("ProcessorConfig", {})
    apart = " (distributed)" if processor.get("Mode") == "DISTRIBUTED" else ""
    return f"{told}, {at_a_time} at a time{apart}" if at_a_time else f"{told}{apart}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
