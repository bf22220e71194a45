"""The transitions of a scope as they are drawn, and the order of its states that follows from them.

Pure. A definition that cannot be drawn is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from workflow.definition.asl import Scope, Transition, TransitionType, ends
from workflow.errors import WorkflowError


class PictureError(WorkflowError, ValueError):
    """A definition that cannot be drawn; says which state and why."""


def drawn_transitions(scope: Scope) -> tuple[Transition, ...]:
    """Return the transitions of a scope; those of one type between the same two states are one.

    Raises:
        PictureError: If what a definition must have is missing, or a state leads to one that is not
            beside it.
    """
    if not scope.states or "StartAt" not in scope.definition:
        missing = "StartAt" if scope.states else "States"
        raise PictureError(f"{scope} has no {missing} to draw")
    for name, state in scope.states.items():
        if "Type" not in state:
            raise PictureError(f"'{name}' has no Type, so nobody knows how to draw it")
    merged: dict[tuple[str, str, TransitionType], list[Transition]] = {}
    for transition in scope.transitions():
        if transition.target not in scope.states and transition.type != "end":
            source = (
                f"'{transition.source}' leads to" if transition.source else f"{scope} starts at"
            )
            known = ", ".join(f"'{name}'" for name in scope.states)
            raise PictureError(
                f"{source} '{transition.target}', which is no state of {scope}: it has {known}"
            )
        key = transition.source, transition.target, transition.type
        merged.setdefault(key, []).append(transition)
    return tuple(
        replace(
            same[0],
            label=_join(transition.label for transition in same),
            detail=_join(transition.detail for transition in same),
            rule={},
        )
        for same in merged.values()
    )


def main_path(scope: Scope, transitions: Iterable[Transition]) -> tuple[str, ...]:
    """Return the states of the longest path from the start to a success, without loops."""
    without_errors = [transition for transition in transitions if transition.type != "catch"]
    forward = _forward(scope.start, without_errors)
    best: dict[str, tuple[bool, int, str]] = {}
    for name in reversed(forward):
        state = scope.states[name]
        succeeds = ends(state) and state["Type"] != "Fail"
        onward = [(best[to][0], best[to][1] + 1, to) for to in forward[name]]
        best[name] = max(onward, key=lambda path: path[:2], default=(succeeds, 0, ""))
    path, name = [], scope.start
    while name:
        path.append(name)
        name = best[name][2]
    return tuple(path)


def depths(scope: Scope, transitions: Iterable[Transition]) -> dict[str, int]:
    """Return the greatest number of transitions from the start to each state, without loops."""
    depth = dict.fromkeys(scope.states, 0)
    for name, targets in _forward(scope.start, transitions).items():
        for target in targets:
            depth[target] = max(depth[target], depth[name] + 1)
    return depth


def reached_from(name: str, transitions: Iterable[Transition]) -> set[str]:
    """Return the states that can come after a state, and itself."""
    onward = _by_source(transitions)
    reached, waiting = {name}, [name]
    while waiting:
        new = set(onward.get(waiting.pop(), ())) - reached
        reached |= new
        waiting.extend(new)
    return reached


def _join(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(filter(None, texts)))


def _by_source(transitions: Iterable[Transition]) -> dict[str, list[str]]:
    onward: dict[str, list[str]] = {}
    for transition in transitions:
        if transition.source and transition.target:
            onward.setdefault(transition.source, []).append(transition.target)
    return onward


def _forward(start: str, transitions: Iterable[Transition]) -> dict[str, list[str]]:
    """Return the states that can be reached, each before its targets, without transitions back."""
    onward = _by_source(transitions)
    forward: dict[str, list[str]] = {}
    left: list[str] = []
    open_: set[str] = set()

    def enter(name: str) -> tuple[str, Iterator[str]]:
        open_.add(name)
        forward[name] = []
        return name, iter(onward.get(name, ()))

    path = [enter(start)]
    while path:
        name, targets = path[-1]
        target = next(targets, None)
        if target is None:
            path.pop()
            open_.discard(name)
            left.append(name)
        elif target not in open_:
            forward[name].append(target)
            if target not in forward:
                path.append(enter(target))
    return {name: forward[name] for name in reversed(left)}
