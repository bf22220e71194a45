"""The order of a scope's nodes that follows from its transitions, and whether it can be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workflow.definition.asl import Scope, Transition, ends
from workflow.errors import WorkflowError


class PictureError(WorkflowError, ValueError):
    """A definition that cannot be drawn; says which state and why."""


def check_drawable(scope: Scope) -> None:
    """Refuse a scope that cannot be drawn.

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
    for transition in scope.transitions():
        if transition.target not in scope.states and transition.type != "end":
            source = (
                f"'{transition.source}' leads to" if transition.source else f"{scope} starts at"
            )
            known = ", ".join(f"'{name}'" for name in scope.states)
            raise PictureError(
                f"{source} '{transition.target}', which is no state of {scope}: it has {known}"
            )


def main_path(scope: Scope, transitions: Sequence[Transition]) -> tuple[str, ...]:
    """Return the nodes of the longest path from the start to a success, without loops."""
    start = first(transitions)
    without_errors = [transition for transition in transitions if transition.type != "catch"]
    forward = _forward(start, without_errors)
    best: dict[str, tuple[bool, int, str]] = {}
    for name in reversed(forward):
        state = scope.states[name]
        succeeds = ends(state) and state["Type"] != "Fail"
        onward = [(best[to][0], best[to][1] + 1, to) for to in forward[name]]
        best[name] = max(onward, key=lambda path: path[:2], default=(succeeds, 0, ""))
    path, name = [], start
    while name:
        path.append(name)
        name = best[name][2]
    return tuple(path)


def first(transitions: Iterable[Transition]) -> str:
    """Return the node to which the start leads."""
    return next(transition.target for transition in transitions if transition.type == "start")


def depths(scope: Scope, transitions: Sequence[Transition]) -> dict[str, int]:
    """Return the greatest number of transitions from the start to each node, without loops."""
    depth = dict.fromkeys(scope.states, 0)
    for name, targets in _forward(first(transitions), transitions).items():
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
