"""The structural check of a definition: rules that Step Functions, or this project, demands.

The SDK checks none of them. `compose` tells them when a graph is made, and `render` of every other
definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workflow.definition.asl import (
    Definition,
    Scope,
    State,
    Transition,
    ends,
    scopes,
    transitions,
)
from workflow.definition.reachability import reached

LONGEST_NAME = 80
"""Unicode characters.
https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html"""

_INSIDE = frozenset({"ItemProcessor", "Iterator", "Branches"})
"""Fields of a state that contain other states."""


def structural_faults(definition: Definition) -> Iterator[str]:
    """Yield every structural rule that a definition breaks, each naming its state."""
    if faults := list(_json_faults(definition)):
        yield from faults  # the other rules read a definition that has none
        return
    seen: dict[str, Scope] = {}
    if "TimeoutSeconds" not in definition:
        yield "the machine has no TimeoutSeconds: a run that hangs would never end"
    for scope in scopes(definition):
        for name, state in scope.states.items():
            if name in seen:
                yield f"'{name}' is a state of {seen[name]} and of {scope}: names must be unique"
            seen.setdefault(name, scope)
            yield from _state_faults(scope, name, state)
        yield from _scope_faults(scope)


def _state_faults(scope: Scope, name: str, state: State) -> Iterator[str]:
    if "Type" not in state:
        yield f"'{name}' has no Type"
    if len(name) > LONGEST_NAME:
        yield f"'{name}' has {len(name)} characters; the name of a state has {LONGEST_NAME} at most"
    onward = [transition for transition in transitions(name, state) if transition.type != "end"]
    for transition in onward:
        if transition.target not in scope.states:
            yield f"'{name}' leads to '{transition.target}', which is no state beside it"
    if not ends(state) and all(transition.type == "catch" for transition in onward):
        yield f"'{name}' neither ends nor leads anywhere"
    yield from _any_error_faults(name, state)
    yield from _type_faults(scope, name, state)


def _any_error_faults(name: str, state: State) -> Iterator[str]:
    """Yield where `States.ALL` hides what comes after it.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    for key in ("Retry", "Catch"):
        rules = [rule.get("ErrorEquals") or [] for rule in state.get(key) or []]
        for number, errors in enumerate(rules, start=1):
            if "States.ALL" not in errors:
                continue
            if len(errors) > 1:
                yield f"'{name}': States.ALL stands alone in the ErrorEquals of a {key}"
            if number < len(rules):
                yield f"'{name}': the {key} of States.ALL has to be the last; others follow it"
                break


def _type_faults(scope: Scope, name: str, state: State) -> Iterator[str]:
    match state.get("Type"):
        case "Choice":
            if not state.get("Choices"):
                yield f"'{name}' has no rules: add one by add_choice(…), or leave the Choice out"
            if "Default" not in state:
                yield f"'{name}' has no Default: an unforeseen value would end the run"
        case "Map" if not scope.inside(name):
            yield f"'{name}' has no ItemProcessor: there is nothing to repeat"
        case "Parallel" if not scope.inside(name):
            yield f"'{name}' has no Branches"
        case "Task":
            for guard in ("TimeoutSeconds", "Retry"):
                if not (state.get(guard) or state.get(f"{guard}Path")):
                    yield f"'{name}' has no {guard}"
            if not _is_caught(scope, state):
                yield f"'{name}' has no Catch, and nothing around it has one"


def _is_caught(scope: Scope, state: State) -> bool:
    """Return whether a state, or a Map or Parallel around it, has a Catch."""
    around = scope.parent.states[scope.container] if scope.parent else None
    return bool(state.get("Catch")) or bool(
        scope.parent and around and _is_caught(scope.parent, around)
    )


def _scope_faults(scope: Scope) -> Iterator[str]:
    if not scope.states:
        yield f"{scope} has no States"
        return
    if scope.start not in scope.states:
        yield f"{scope} starts at '{scope.start}', which is no state of it"
        return
    ways = [way for way in scope.transitions() if way.source and way.target in scope.states]
    found = reached([scope.start], ((way.source, way.target) for way in ways))
    for name in scope.states:
        if name not in found:
            yield f"'{name}' is never reached"
    yield from _loop_faults(scope, ways)


def _loop_faults(scope: Scope, ways: Sequence[Transition]) -> Iterator[str]:
    """Yield which states lead in a loop that only an error ends, and that no error ends well."""
    failing = {name for name, state in scope.states.items() if state.get("Type") == "Fail"}
    succeeding = {name for name, state in scope.states.items() if ends(state)} - failing
    meant = [(way.source, way.target) for way in ways if way.type != "catch"]
    leaving = reached(succeeding, ((way.target, way.source) for way in ways))
    leaving |= reached(failing, ((target, source) for source, target in meant))
    loop = [
        f"'{name}'"
        for name in scope.states
        if name not in leaving
        and name in reached((to for source, to in meant if source == name), meant)
    ]
    if loop:
        yield (
            f"{', '.join(loop)}: a loop without an exit, which runs until the machine's"
            " TimeoutSeconds; lead out of it by a Choice, or end it"
        )


def _json_faults(definition: Definition) -> Iterator[str]:
    """Yield what stands in a definition and JSON does not have."""
    for scope in scopes(definition):
        fields = {key: value for key, value in scope.definition.items() if key != "States"}
        yield from _value_faults(fields, str(scope), ": ")
        for name, state in scope.states.items():
            yield from ["a state has no name"] if name == "" else ()
            yield from _text_faults(name, "the name of a state")
            fields = {key: value for key, value in state.items() if key not in _INSIDE}
            yield from _value_faults(fields, f"'{name}'", ": ")


def _value_faults(value: Any, where: str, separator: str = ".") -> Iterator[str]:
    match value:
        case Mapping():
            for name, member in value.items():
                yield from _text_faults(name, f"{where}: a name")
                yield from _value_faults(member, f"{where}{separator}{name}")
        case list() | tuple():
            for number, member in enumerate(value):
                yield from _value_faults(member, f"{where}[{number}]")
        case str():
            yield from _text_faults(value, where)
        case float() if not math.isfinite(value):
            yield f"{where} is {value}, and JSON has no such number: give another, or None"
        case None | bool() | int() | float():
            pass
        case _:
            yield (
                f"{where} is a {type(value).__name__}, which JSON does not have: give a text, a"
                " number, a boolean, a list or a dict"
            )


def _text_faults(text: Any, where: str) -> Iterator[str]:
    if not isinstance(text, str):
        yield f"{where} is {text!r}: give a text"
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        yield f"{where} has {half}, half of a surrogate pair, which no file can hold: leave it out"
