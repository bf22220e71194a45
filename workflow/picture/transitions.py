"""The transitions of a scope as they are drawn, and the order that they give its states.

Pure. A definition that cannot be drawn is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from workflow.definition.asl import Kind, Scope, Transition, ends
from workflow.errors import WorkflowError


class PictureError(WorkflowError, ValueError):
    """A definition that cannot be drawn; says which state and why."""


def drawn_transitions(scope: Scope) -> tuple[Transition, ...]:
    """Return the transitions of a scope; those of one kind between the same two states are one.

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
    merged: dict[tuple[str, str, Kind], list[Transition]] = {}
    for way in scope.transitions():
        if way.target not in scope.states and way.kind != "end":
            led = f"'{way.source}' leads to" if way.source else f"{scope} starts at"
            beside = ", ".join(f"'{name}'" for name in scope.states)
            raise PictureError(
                f"{led} '{way.target}', which is no state of {scope}: it has {beside}"
            )
        merged.setdefault((way.source, way.target, way.kind), []).append(way)
    return tuple(
        replace(
            ways[0],
            label=_joined(way.label for way in ways),
            detail=_joined(way.detail for way in ways),
            rule={},
        )
        for ways in merged.values()
    )


def main_way(scope: Scope, ways: Iterable[Transition]) -> tuple[str, ...]:
    """Return the states of the longest way that ends well, from the start; loops are not walked."""
    forward = _forward(scope.start, [way for way in ways if way.kind != "catch"])
    best: dict[str, tuple[bool, int, str]] = {}
    for name in reversed(forward):
        state = scope.states[name]
        well = ends(state) and state["Type"] != "Fail"
        onward = [(best[to][0], best[to][1] + 1, to) for to in forward[name]]
        best[name] = max(onward, key=lambda found: found[:2], default=(well, 0, ""))
    path, name = [], scope.start
    while name:
        path.append(name)
        name = best[name][2]
    return tuple(path)


def depths(scope: Scope, ways: Iterable[Transition]) -> dict[str, int]:
    """Return how many transitions lead to each state at most, loops not walked."""
    forward = _forward(scope.start, ways)
    found = dict.fromkeys(scope.states, 0)
    for name, targets in forward.items():
        for target in targets:
            found[target] = max(found[target], found[name] + 1)
    return found


def reached_from(name: str, ways: Iterable[Transition]) -> set[str]:
    """Return the states that can come after a state, and itself."""
    onward = _by_source(ways)
    reached, waiting = {name}, [name]
    while waiting:
        new = set(onward.get(waiting.pop(), ())) - reached
        reached |= new
        waiting.extend(new)
    return reached


def _joined(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(filter(None, texts)))


def _by_source(ways: Iterable[Transition]) -> dict[str, list[str]]:
    onward: dict[str, list[str]] = {}
    for way in ways:
        if way.source and way.target:
            onward.setdefault(way.source, []).append(way.target)
    return onward


def _forward(start: str, ways: Iterable[Transition]) -> dict[str, list[str]]:
    """Return the states that can be reached, each before those after it, without ways back."""
    onward = _by_source(ways)
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
