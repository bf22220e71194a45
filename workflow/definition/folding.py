"""A scope as it is drawn: a poll loop is one node, and transitions of one type are one.

The SVG and the Mermaid text are views of this module. A poll loop is found by its structure, in any
definition: a cycle of one Wait, one Task that does not wait itself, and the Choice that leads out.
Further Choices and Passes may stand in it, but no second way around without the Wait. Where the
Choice leads back to another Task, which creates the next job, that stays outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workflow.definition.asl import Scope, State, Transition, TransitionType

_TYPES = frozenset({"Wait", "Task", "Choice", "Pass"})
_ENDS_LATER = (".sync", ".sync:2", ".waitForTaskToken")


@dataclass(frozen=True)
class Node:
    """What stands for a state, or for the states of a poll loop.

    Attributes:
        name: The state's; of a loop, that of the Choice by which it is left.
        states: The states by name, those of a loop in the order in which they run.
    """

    name: str
    states: Mapping[str, State] = field(hash=False)

    @property
    def state(self) -> State:
        """The state; of a loop the Choice."""
        return self.states[self.name]

    @property
    def is_loop(self) -> bool:
        """Whether it stands for a poll loop."""
        return len(self.states) > 1

    @property
    def polling(self) -> str:
        """The name of the loop's Task; empty for a single state."""
        tasks = (name for name, state in self.states.items() if state.get("Type") == "Task")
        return next(tasks, "") if self.is_loop else ""

    @property
    def meaning(self) -> str:
        """A loop in words: `poll loop of 3 states`; empty for a single state."""
        return f"poll loop of {len(self.states)} states" if self.is_loop else ""


@dataclass(frozen=True)
class DrawnTransition(Transition):
    """A transition between two nodes, and those of the definition that it stands for."""

    of: tuple[Transition, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """A scope as it is drawn.

    Attributes:
        nodes: By name, in the order of the definition.
        transitions: Between them; those of one type between the same two nodes are one.
    """

    scope: Scope
    nodes: Mapping[str, Node]
    transitions: tuple[DrawnTransition, ...]


def drawn(scope: Scope, *, unfold: bool = False) -> Drawing:
    """Return a scope as it is drawn.

    Args:
        scope: The machine, or a scope inside it; it may be incomplete.
        unfold: Draw the states of poll loops one by one.
    """
    loops = [] if unfold else list(poll_loops(scope))
    loop_of = {name: loop for loop in loops for name in loop.states}
    nodes = [loop_of.get(name) or Node(name, {name: scope.states[name]}) for name in scope.states]
    merged: dict[tuple[str, str, TransitionType], list[Transition]] = {}
    for transition in scope.transitions():
        source, target = (
            loop_of[name].name if name in loop_of else name
            for name in (transition.source, transition.target)
        )
        if source != target or transition.source not in loop_of:
            merged.setdefault((source, target, transition.type), []).append(transition)
    return Drawing(
        scope,
        {node.name: node for node in nodes},
        tuple(
            DrawnTransition(
                source,
                target,
                transition_type,
                _join(transition.label for transition in same),
                _join(transition.detail for transition in same),
                of=tuple(same),
            )
            for (source, target, transition_type), same in merged.items()
        ),
    )


def poll_loops(scope: Scope) -> Iterator[Node]:
    """Yield the poll loops of a scope; a Catch that leads back into a loop is none of its ways."""
    onward: dict[str, list[str]] = {name: [] for name in scope.states}
    for transition in scope.transitions():
        if transition.source and transition.type != "catch" and transition.target in onward:
            onward[transition.source].append(transition.target)
    for name, state in scope.states.items():
        if state.get("Type") == "Wait" and (loop := _loop_around(name, scope, onward)):
            yield loop


def _loop_around(wait: str, scope: Scope, onward: Mapping[str, Sequence[str]]) -> Node | None:
    """Return the poll loop of a Wait; None if it is in none."""
    around = _with_first_task(wait, scope, onward)
    inside = [name for name in _after(wait, around) if wait in _after(name, around)]
    # From the Wait on, as the loop runs.
    states = {name: scope.states[name] for name in [wait, *inside] if name in inside}
    roles = [_role(state) for state in states.values()]
    if not roles or "" in roles or roles.count("Wait") > 1 or roles.count("Task") != 1:
        return None
    exits = [name for name in states if not states.keys() >= set(onward[name])]
    without_wait = {name: [to for to in around[name] if to != wait] for name in scope.states}
    if not exits or any(name in _after(name, without_wait) for name in states):
        return None
    return Node(exits[0], states)


def _with_first_task(
    wait: str, scope: Scope, onward: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    """Return the ways without those through other Tasks than the first one after a Wait."""
    tasks = {name for name, state in scope.states.items() if state.get("Type") == "Task"}
    others = tasks - {next((name for name in _after(wait, onward) if name in tasks), "")}
    return {
        name: [] if name in others else [to for to in targets if to not in others]
        for name, targets in onward.items()
    }


def _role(state: State) -> str:
    """Return the type of a state that a poll loop may have; empty for any other."""
    state_type = str(state.get("Type", ""))
    waits_itself = str(state.get("Resource", "")).endswith(_ENDS_LATER)
    return "" if waits_itself or state_type not in _TYPES else state_type


def _after(name: str, onward: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the states that can come after a state, the nearest first."""
    reached = dict.fromkeys(onward[name])
    waiting = list(reached)
    for after in waiting:
        new = [target for target in onward[after] if target not in reached]
        reached |= dict.fromkeys(new)
        waiting += dict.fromkeys(new)
    return waiting


def _join(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(filter(None, texts)))
