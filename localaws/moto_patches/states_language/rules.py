"""The rules of a Choice state: what is wrong with them before it runs.

https://states-language.net/#choice-state
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from localaws.moto_patches.states_language.expressions import Finding

_TYPED = {
    "String": ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals"),
    "Numeric": ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals"),
    "Timestamp": ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals"),
    "Boolean": ("Equals",),
}
_TESTS = frozenset(
    f"Is{what}" for what in ("Null", "Present", "Numeric", "String", "Boolean", "Timestamp")
)
COMPARISONS = (
    frozenset(
        f"{kind}{how}{path}"
        for kind, comparisons in _TYPED.items()
        for how in comparisons
        for path in ("", "Path")
    )
    | {"StringMatches"}
    | _TESTS
)
"""The fields that compare a Variable."""
_BOOLEANS = ("And", "Or", "Not")
_OUTER = frozenset({"Next", "Assign", "Comment"})


def of_rules(rules: Any, language: str) -> Iterator[Finding]:
    """Yield what is wrong with the rules of a Choice state."""
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if not isinstance(rule, dict):
            continue
        place = f"Choices[{number}]"
        if "Next" not in rule:
            yield Finding(place, "These fields are required: [Next]")
        inner = {name: value for name, value in rule.items() if name not in _OUTER}
        if language == "JSONata":
            yield from _of_condition(inner, place)
        else:
            yield from _of_rule(inner, place)


def _of_condition(rule: Mapping[str, Any], place: str) -> Iterator[Finding]:
    if "Condition" not in rule:
        yield Finding(place, "These fields are required: [Condition]")
    for name in rule:
        if name not in {"Condition", "Output"}:
            message = f"The field '{name}' is not supported in a rule that uses JSONata"
            yield Finding(f"{place}/{name}", message)
    condition = rule.get("Condition", True)
    if not isinstance(condition, bool) and not re.match(r"\{%.*%\}$", str(condition), re.DOTALL):
        message = f"The value must be a JSONata expression, not {condition!r}"
        yield Finding(f"{place}/Condition", message)


def _of_rule(rule: Mapping[str, Any], place: str) -> Iterator[Finding]:
    """Yield what is wrong with a rule, without what only outer ones have."""
    operators = [name for name in rule if name in COMPARISONS or name in _BOOLEANS]
    is_comparison = "Variable" in rule or any(name in COMPARISONS for name in operators)
    for name in rule:
        if name == "Comment" or name in operators or (name == "Variable" and is_comparison):
            continue
        owner = "a nested rule" if name in _OUTER else "a rule"
        yield Finding(f"{place}/{name}", f"The field '{name}' is not supported in {owner}")
    if is_comparison and "Variable" not in rule:
        yield Finding(place, "These fields are required: [Variable]")
    if len(operators) != 1:
        shown = ", ".join(operators) or "none"
        yield Finding(place, f"A rule must have one comparison, And, Or or Not, and has {shown}")
        return
    (name,) = operators
    value = rule[name]
    if name in _TESTS and not isinstance(value, bool):
        yield Finding(f"{place}/{name}", f"The value must be a boolean: {value!r}")
    elif name == "Not":
        yield from _of_nested([value], place, "Not", numbered=False)
    elif name in _BOOLEANS:
        if not isinstance(value, list) or not value:
            message = "The value must be an array of one rule or more"
            yield Finding(f"{place}/{name}", message)
            return
        yield from _of_nested(value, place, name, numbered=True)


def _of_nested(rules: list[Any], place: str, name: str, *, numbered: bool) -> Iterator[Finding]:
    for number, rule in enumerate(rules):
        here = f"{place}/{name}[{number}]" if numbered else f"{place}/{name}"
        if isinstance(rule, dict):
            yield from _of_rule(rule, here)
        else:
            yield Finding(here, f"The value must be a rule, an object, not {rule!r}")
