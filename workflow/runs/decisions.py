"""What a Choice decided in an execution, and by which values: its visit and the definition → words.

Rules are not evaluated: the history says where the Choice led, the definition by which rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from workflow.definition.asl import Definition, Rule, condition, states, transitions
from workflow.runs.visits import Visit, Visits, details, json_object

_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\['(?P<quoted>[^']+)'\]|\[(?P<index>\d+)\]")
_LONGEST = 60  # characters of a value that was compared


def decision(visits: Visits, choice: Visit, definition: Definition) -> str:
    """Return where a Choice led, why, and what was compared; empty if that is not known.

    Args:
        visits: Of the execution.
        choice: The visit of the Choice.
        definition: Of the state machine.

    Returns:
        For example `led to 'Not Good Enough', as no rule held ($.metric ≥ 0.5); $.metric was 0.12`.
    """
    target = next((visit.state for visit in visits.all if visit.before is choice), "")
    state = next((state for _, name, state in states(definition) if name == choice.state), {})
    ways = [way for way in transitions(choice.state, state) if way.type in {"choice", "default"}]
    taken = [way for way in ways if way.target == target]
    if not taken:
        return ""  # another definition than that of the execution
    by_rule = [way.detail for way in taken if way.type == "choice"]
    rules = [condition(way.rule, full=True) for way in ways if way.type == "choice"]
    if len(by_rule) == len(taken):
        reason = f"as {' or '.join(by_rule)}"
    elif by_rule:
        reason = f"as {' or '.join(by_rule)}, or as no rule held"
    else:
        reason = f"as no rule held ({'; '.join(rules)})"
    data = json_object(details(choice.events[0]).get("input"))
    data = _at(data, state.get("InputPath", "$"))
    tested = dict.fromkeys(path for way in ways for path in _paths(way.rule))
    values = [f"{path} was {_value(_at(data, path))}" for path in tested]
    return f"led to '{target}', {'; '.join([reason, *values])}"


def _paths(rule: Rule) -> Iterator[str]:
    """Yield the paths that a rule compares, in its inner rules too."""
    if "Variable" in rule:
        yield str(rule["Variable"])
        yield from (
            str(path)
            for operator, path in rule.items()
            if operator.endswith("Path") and isinstance(path, str)
        )
    for inner in (*rule.get("And", ()), *rule.get("Or", ()), *filter(None, [rule.get("Not")])):
        yield from _paths(inner)


class _Absent:
    """What a path that leads nowhere refers to."""


_ABSENT = _Absent()


def _at(data: Any, path: str) -> Any:
    """Return what a reference path refers to; `_ABSENT` if there is nothing, or it is no such."""
    steps = list(_STEP.finditer(path))
    if f"${''.join(step[0] for step in steps)}" != path:
        return _ABSENT  # the context object, a variable, a filter
    for step in steps:
        key = int(step["index"]) if step["index"] else step["name"] or step["quoted"]
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return data


def _value(value: Any) -> str:
    if isinstance(value, _Absent):
        return "not in the Choice's input"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
