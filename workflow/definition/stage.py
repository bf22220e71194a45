"""A piece of the workflow's graph: one way in, one way out, one way to fail.

The SDK builds graphs of State objects that lead to each other. A `Stage` is a Chain of the SDK
around a few of them that belong together; `reach` reads what a part leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import pairwise
from typing import Any, TypeAlias

from workflow.errors import StructureError
from workflow.sdk import Catch, Chain, Fail, State, Succeed

JOB = "$.job"
"""The job that a poll loop waits for: `{arn, status, waitSeconds, Error, Cause}`. A Catch writes
`{Error, Cause}` there too, so that the reason of a failure is found at one path."""

ENDS = frozenset({"Succeed", "Fail"})
"""Types of states that lead nowhere."""

Part: TypeAlias = State | Chain


class Stage(Chain):  # type: ignore[misc]
    """A piece of the graph with one way in, one way out, and one way to fail.

    It stands wherever the SDK takes a State or a Chain: in a `Chain`, as the target of a Choice
    rule, as a branch of a Parallel.

    Args:
        title: Names the states that end it inside a Map or Parallel.
        entry: Its first state.
        lead_on: Leads its last state to another one.
        lead_failures: Leads each failure of its states to another state.
        must_go_on: Whether its last state cannot be the end, as a Choice cannot.
    """

    def __init__(
        self,
        title: str,
        entry: State,
        *,
        lead_on: Callable[[Part], Any],
        lead_failures: Callable[[State], Any],
        must_go_on: bool = False,
    ) -> None:
        super().__init__([entry])
        self.title = title
        self.entry = entry
        self.is_open = True
        self.must_go_on = must_go_on
        self.own = frozenset(map(id, reach(entry).states))
        self._lead_on = lead_on
        self._lead_failures = lead_failures
        self._failures_are_led = False

    def __iter__(self) -> Iterator[Stage]:
        """Yield itself: a Chain made of it keeps it whole."""
        yield self

    def fail_to(self, state: State) -> None:
        """Lead each failure of the stage to a state, unless they are led to another one."""
        if not self._failures_are_led:
            self._failures_are_led = True
            self._lead_failures(state)

    def finish(self) -> None:
        """Lead an open stage whose last state cannot be the end to an end of its own."""
        if self.is_open and self.must_go_on:
            self.next(Succeed(f"{self.title} Complete"))

    def next(self, part: Part) -> Part:
        """Lead the stage on to another part, which is returned.

        Raises:
            StructureError: If it leads somewhere already.
        """
        if not self.is_open:
            raise StructureError([f"stage '{self.title}' leads to another part already"])
        self.is_open = False
        self._lead_on(part)
        return part


def stage_of(title: str, *tasks: State) -> Stage:
    """Return tasks that run one after the other as a stage."""
    for task, following in pairwise(tasks):
        task.next(following)

    def lead_failures(failure: State) -> None:
        for task in tasks:
            task.add_catch(catch_all(failure))

    return Stage(title, tasks[0], lead_on=tasks[-1].next, lead_failures=lead_failures)


def catch_all(state: State) -> Catch:
    """Return the catcher that leads every error to a state, with its reason at `JOB`."""
    return Catch(error_equals=["States.ALL"], result_path=JOB, next_step=state)


def fail(name: str) -> Fail:
    """Return a state that fails with the reason at `JOB`."""
    return Fail(name, error_path=f"{JOB}.Error", cause_path=f"{JOB}.Cause")


class Reach:
    """What a part leads to.

    Attributes:
        part: Where it begins.
        stages: The stages.
        states: The states, those of stages too.
        inner: The same of what each Map repeats, and of each branch of a Parallel.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.stages: list[Stage] = []
        self.states: list[State] = []
        self.inner: list[Reach] = []

    def all_states(self) -> Iterator[State]:
        """Yield the states, those inside others too."""
        yield from self.states
        for inner in self.inner:
            yield from inner.all_states()


def reach(part: Part, others: Set[int] = frozenset()) -> Reach:
    """Read what a part leads to, as far as the entries of other parts, which are named by `id`."""
    scope, waiting, seen = Reach(part), [part], set[int]()
    while waiting:
        step = waiting.pop(0)
        if isinstance(step, Chain) and not isinstance(step, Stage):
            waiting[:0] = step.steps[:1]
            continue
        state = entry_of(step)
        if id(state) in others or id(state) in seen:
            continue
        if isinstance(step, Stage):
            scope.stages.append(step)
        seen.add(id(state))
        scope.states.append(state)
        waiting += _targets(state)
        scope.inner += [reach(branch) for branch in _branches(state)]
    return scope


def _targets(state: State) -> Iterator[Part]:
    targets = [state.next_step, *(catch.next_step for catch in state.catches)]
    if state.state_type == "Choice":
        targets += [state.default, *(target for _, target in state.choices)]
    yield from (target for target in targets if target is not None)


def _branches(state: State) -> list[Part]:
    if state.state_type == "Map":
        return [state.iterator]
    return list(state.branches) if state.state_type == "Parallel" else []


def entry_of(part: Part) -> State:
    """Return the first state of a part."""
    while isinstance(part, Chain):
        part = part.steps[0]
    return part
