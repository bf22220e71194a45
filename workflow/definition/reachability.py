"""Which states a run can reach, from its start or from a state.

A run leaves a Map or a Parallel without an error only if it can end each scope inside it.
"""

from __future__ import annotations

from collections.abc import Iterable

from workflow.definition.asl import Scope, ends, transitions


def reached(names: Iterable[str], ways: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names, and those to which ways lead from them."""
    onward: dict[str, list[str]] = {}
    for source, target in ways:
        onward.setdefault(source, []).append(target)
    found, waiting = set[str](), [*names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += onward.get(name, ())
    return found


def from_start(scope: Scope) -> set[str]:
    """Return the states that a run can reach from the start of a scope, those inside them too.

    Args:
        scope: The scope.
    """
    return _walk(scope, [scope.start])[0]


def after(scope: Scope, name: str) -> set[str]:
    """Return the states that a run can reach once it has left a state without an error.

    Args:
        scope: The scope of the state.
        name: The state.
    """
    state = scope.states[name]
    onward = (way.target for way in transitions(name, state) if way.type != "catch")
    names, is_ended = _walk(scope, onward)
    if scope.parent and (is_ended or ends(state)):
        names |= after(scope.parent, scope.container)
    return names


def beside(scope: Scope) -> set[str]:
    """Return the states of other branches, which run at the same time as a scope."""
    names = set[str]()
    while scope.parent:
        for other in scope.parent.inside(scope.container):
            if other.branch != scope.branch:
                names |= from_start(other)
        scope = scope.parent
    return names


def _walk(scope: Scope, names: Iterable[str]) -> tuple[set[str], bool]:
    """Return what is reached from states of a scope, and whether its end is, without an error."""
    inside = {
        name: [_walk(inner, [inner.start]) for inner in scope.inside(name)] for name in scope.states
    }
    left = {name for name, scopes in inside.items() if all(is_ended for _, is_ended in scopes)}
    found = reached(
        names,
        (
            (way.source, way.target)
            for way in scope.transitions()
            if way.source in left or way.type == "catch"
        ),
    )
    found &= scope.states.keys()
    is_ended = any(
        ends(scope.states[name]) and scope.states[name].get("Type") != "Fail"
        for name in found & left
    )
    return found.union(*(inner for name in found for inner, _ in inside[name])), is_ended
