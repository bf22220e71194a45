"""Graph → canonical ASL text, its structural check, and the difference of two definitions.

Rendering is a pure function of the configuration: it makes no client and reads no environment, so
the text under `asl/` is the same bytes on every machine. The structural check knows the rules that
Step Functions, or this project, demands and that the SDK does not check.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from workflow.config import Config
from workflow.definition.asl import Definition, Scope, State, ends, scopes, transitions
from workflow.definition.graph import retraining_graph
from workflow.errors import StructureError

# The order in which people read a state; the language itself has none.
_KEY_ORDER = (
    "Comment", "StartAt", "Type", "Resource", "ErrorEquals", "FunctionName", "JobName", "InputPath",
    "ItemsPath", "MaxConcurrency", "Parameters", "Seconds", "SecondsPath", "Choices", "Variable",
    "StringEquals", "Iterator", "ResultSelector", "ResultPath", "OutputPath", "Error", "ErrorPath",
    "Cause", "CausePath", "TimeoutSeconds", "IntervalSeconds", "BackoffRate", "MaxDelaySeconds",
    "MaxAttempts", "JitterStrategy", "Retry", "Catch", "Default", "Next", "End", "States",
)  # fmt: skip
_RANK = {key: rank for rank, key in enumerate(_KEY_ORDER)}
# Names of states and of data are the author's: their order is kept.
_KEPT_AS_WRITTEN = frozenset({"States", "Parameters", "Payload", "Arguments", "ResultSelector"})


def render(config: Config) -> str:
    """Return the workflow of `config` as canonical ASL text, ending in a line break.

    Raises:
        StructureError: If the graph breaks a structural rule.
    """
    return render_definition(retraining_graph(config).to_dict())


def render_definition(definition: Definition) -> str:
    """Return any definition as canonical ASL text.

    Raises:
        StructureError: If it breaks a structural rule.
    """
    faults = list(structural_faults(definition))
    if faults:
        raise StructureError(faults)
    return json.dumps(_order_keys(definition), ensure_ascii=False, indent=2) + "\n"


def difference(committed: str, rendered: str) -> str:
    """Return the changes from `committed` to `rendered` as a unified diff; empty if none."""
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True),
        rendered.splitlines(keepends=True),
        "committed",
        "rendered",
    )
    return "".join(lines)


def structural_faults(definition: Definition) -> Iterator[str]:
    """Yield every structural rule that a definition breaks, each naming its state."""
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
    onward = [transition for transition in transitions(name, state) if transition.type != "end"]
    for transition in onward:
        if transition.target not in scope.states:
            yield f"'{name}' leads to '{transition.target}', which is no state beside it"
    if not ends(state) and all(transition.type == "catch" for transition in onward):
        yield f"'{name}' neither ends nor leads anywhere"
    yield from _type_faults(scope, name, state)


def _type_faults(scope: Scope, name: str, state: State) -> Iterator[str]:
    match state.get("Type"):
        case "Choice" if "Default" not in state:
            yield f"'{name}' has no Default: an unforeseen value would end the run"
        case "Map" if not scope.inside(name):
            yield f"'{name}' has no ItemProcessor: there is nothing to repeat"
        case "Parallel" if not scope.inside(name):
            yield f"'{name}' has no Branches"
        case "Task":
            for guard in ("TimeoutSeconds", "Retry"):
                if not state.get(guard):
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
    reached: set[str] = set()
    waiting = [scope.start]
    while waiting:
        name = waiting.pop()
        if name in scope.states and name not in reached:
            reached.add(name)
            waiting += [onward.target for onward in transitions(name, scope.states[name])]
    for name in scope.states:
        if name not in reached:
            yield f"'{name}' is never reached"
    if not any(ends(scope.states[name]) for name in reached):
        yield f"{scope} has no end that can be reached"


def _order_keys(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        names = value if key in _KEPT_AS_WRITTEN else sorted(value, key=_rank)
        return {name: _order_keys(value[name], name) for name in names}
    if isinstance(value, list):
        return [_order_keys(item) for item in value]
    return value


def _rank(key: str) -> tuple[int, str]:
    return _RANK.get(key, len(_RANK)), key
