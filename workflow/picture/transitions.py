"""The ways in a scope of a definition: the machine, what a Map repeats, a branch of a Parallel.

Pure. No transition leads out of a scope, so each is a graph of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workflow.errors import WorkflowError
from workflow.picture import wording

Definition = Mapping[str, Any]
Kind = Literal["start", "next", "choice", "default", "catch", "end"]


class PictureError(WorkflowError, ValueError):
    """A definition that cannot be drawn; says which state and why."""


@dataclass(frozen=True)
class Transition:
    """A way between two states of a scope.

    Attributes:
        source: the state it leaves; empty for the start of the scope.
        target: the state it leads to; empty for the end of the scope.
        kind: why it is taken.
        label: when, in few words; empty where there is nothing to say.
        detail: when, in full.
    """

    source: str
    target: str
    kind: Kind
    label: str = ""
    detail: str = ""


def scopes_in(state: Definition) -> list[Definition]:
    """Return what a Map repeats, or the branches of a Parallel; none for any other state."""
    repeated = [state[key] for key in ("ItemProcessor", "Iterator") if key in state]
    return [*repeated[:1], *state.get("Branches", ())]


def transitions(scope: Definition, place: str) -> tuple[Transition, ...]:
    """Return the ways in a scope; those of one kind between the same two states are one.

    Args:
        scope: with `StartAt` and `States`.
        place: what the scope is called in an error.

    Raises:
        PictureError: what a definition must have is missing, or a state leads to one that is not
            beside it.
    """
    states = scope.get("States")
    if not states or "StartAt" not in scope:
        raise PictureError(f"{place} has no {'StartAt' if states else 'States'} to draw")
    for name, state in states.items():
        if "Type" not in state:
            raise PictureError(f"'{name}' has no Type, so nobody knows how to draw it")
    told: dict[tuple[str, str, Kind], list[tuple[str, str]]] = {}
    for source, target, kind, label, detail in _ways(scope):
        if target not in states and kind != "end":
            led = f"'{source}' leads to" if source else f"{place} starts at"
            beside = ", ".join(f"'{name}'" for name in states)
            raise PictureError(f"{led} '{target}', which is no state of {place}: it has {beside}")
        told.setdefault((source, target, kind), []).append((label, detail))
    return tuple(
        Transition(*way, *(_joined(texts) for texts in zip(*reasons, strict=True)))
        for way, reasons in told.items()
    )


def main_way(scope: Definition, ways: Iterable[Transition]) -> tuple[str, ...]:
    """Return the states of the longest way that ends well, from the start; loops are not walked.

    Args:
        scope: with `StartAt` and `States`.
        ways: its transitions.
    """
    forward = _forward(scope["StartAt"], [way for way in ways if way.kind != "catch"])
    best: dict[str, tuple[bool, int, str]] = {}
    for name in reversed(forward):
        state = scope["States"][name]
        well = bool(state.get("End")) or state["Type"] == "Succeed"
        onward = [(best[to][0], best[to][1] + 1, to) for to in forward[name]]
        best[name] = max(onward, key=lambda found: found[:2], default=(well, 0, ""))
    path, name = [], scope["StartAt"]
    while name:
        path.append(name)
        name = best[name][2]
    return tuple(path)


def depths(scope: Definition, ways: Iterable[Transition]) -> dict[str, int]:
    """Return how many transitions lead to each state at most, loops not walked."""
    forward = _forward(scope["StartAt"], ways)
    found = dict.fromkeys(scope["States"], 0)
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


def _ways(scope: Definition) -> Iterator[tuple[str, str, Kind, str, str]]:
    yield "", scope["StartAt"], "start", "", ""
    for name, state in scope["States"].items():
        for rule in state.get("Choices", ()):
            told = wording.condition(rule, about=wording.subject(state))
            yield name, rule["Next"], "choice", told, wording.condition(rule, full=True)
        if "Default" in state:
            yield name, state["Default"], "default", wording.OTHERWISE, wording.OTHERWISE
        if "Next" in state:
            yield name, state["Next"], "next", "", ""
        for caught in state.get("Catch", ()):
            names = caught.get("ErrorEquals", ())
            yield name, caught["Next"], "catch", wording.errors(names), " or ".join(names)
        if state.get("End"):
            yield name, "", "end", "", ""


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
