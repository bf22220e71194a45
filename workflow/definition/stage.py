"""A piece of the workflow's graph: one way in, one way out, one way to fail.

The SDK builds graphs of State objects that lead to each other. A `Stage` is a Chain of the SDK
around a few of them that belong together; `reach` reads what a part leads to.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from inspect import isroutine
from itertools import pairwise
from typing import Any, TypeAlias

from workflow.errors import StructureError
from workflow.sdk import Catch, Chain, Fail, State, Succeed

JOB = "$.job"
"""The job that a poll loop waits for: `{arn, status, waitSeconds, expected, Error, Cause}`. A Catch
writes `{Error, Cause}` there too, so that the reason of a failure is found at one path."""

ENDS = frozenset({"Succeed", "Fail"})
"""Types of states that lead nowhere."""

CAN_FAIL = frozenset({"Task", "Map", "Parallel"})
"""Types of states that can end with an error."""

Part: TypeAlias = State | Chain

# What $error is given, D3137, without the whole expression that Step Functions puts before it.
_REASON = (
    "$merge([$states.errorOutput,"
    " {'Cause': $replace($states.errorOutput.Cause, /^.* D3137: /, '')}])"
)


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
        self.following: Part | None = None
        self.must_go_on = must_go_on
        self.own = frozenset(map(id, reach(entry).states))
        self._lead_on = lead_on
        self._lead_failures = lead_failures
        self._failures_are_led = False

    def __iter__(self) -> Iterator[Stage]:
        """Yield itself: a Chain made of it keeps it whole."""
        yield self

    @property
    def is_open(self) -> bool:
        """Whether it does not lead to another part yet."""
        return self.following is None

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
            StructureError: If it leads to another one already.
        """
        if self.following is part:  # a Chain of Chains links their parts a second time
            return part
        if self.following is not None:
            raise StructureError(
                [
                    f"stage '{self.title}' leads to '{self.following.state_id}' already: lead that"
                    " one on, or make a new stage"
                ]
            )
        self.following = part
        self._lead_on(part)
        return part


@dataclass(frozen=True)
class StageStates:
    """The states that a stage has in a graph.

    Attributes:
        title: The stage's.
        entry: The first of them.
        states: All of them, without those inside others and its ends.
    """

    title: str
    entry: str
    states: frozenset[str]


def stage_of(title: str, *tasks: State) -> Stage:
    """Return tasks that run one after the other as a stage."""
    for task, following in pairwise(tasks):
        task.next(following)

    def lead_failures(failure: State) -> None:
        for task in tasks:
            task.add_catch(catch_all(failure, task))

    return Stage(title, tasks[0], lead_on=tasks[-1].next, lead_failures=lead_failures)


def catch_all(state: State, task: State | None = None) -> Catch:
    """Return the catcher that leads every error to a state, with its reason at `JOB`.

    Args:
        state: The state.
        task: The one that fails; in JSONata, a catcher has another field for the reason.
    """
    if task is not None and task.query_language == "JSONata":
        reason = f"{{% {kept_job(_REASON)} %}}"
        return Catch(error_equals=["States.ALL"], output=reason, next_step=state)
    return Catch(error_equals=["States.ALL"], result_path=JOB, next_step=state)


def catches_all(state: State) -> bool:
    """Return whether a state leads every error somewhere."""
    return any("States.ALL" in catch.error_equals for catch in state.catches)


def fail_inside(part: Part, failure: State) -> None:
    """Lead each failure of what a part leads to, but for that inside others, to a state.

    Args:
        part: Stands inside a Map or a Parallel, with what comes after it.
        failure: The state, in there too.
    """
    scope = reach(part)
    for stage in scope.stages:
        stage.fail_to(failure)
    for state in scope.states:
        if state.state_type in CAN_FAIL and not catches_all(state):
            state.add_catch(catch_all(failure, state))


def kept_job(job: str) -> str:
    """Return the expression of JSONata of a state's input with another job at `JOB`.

    Args:
        job: The job's expression.
    """
    return f"$merge([$states.input, {{'job': {job}}}])"


def fail(name: str) -> Fail:
    """Return a state that fails with the reason at `JOB`."""
    return Fail(name, error_path=f"{JOB}.Error", cause_path=f"{JOB}.Cause")


class Reach:
    """What a part leads to.

    Attributes:
        part: Where it begins.
        around: The Maps and Parallels around it, the innermost last.
        branch: Which branch of a Parallel it is, counted from 1; 0 for any other.
        stages: The stages.
        states: The states, those of stages too.
        inner: The same of what each Map repeats, and of each branch of a Parallel.
        faults: What leads to something that is no part.
    """

    def __init__(self, part: Part, around: Sequence[State] = (), branch: int = 0) -> None:
        self.part = part
        self.around = tuple(around)
        self.branch = branch
        self.stages: list[Stage] = []
        self.states: list[State] = []
        self.inner: list[Reach] = []
        self.faults: list[str] = []

    def __str__(self) -> str:
        """Return the scope's name in messages: `the machine`, `'Each'`, `branch 2 of 'Both'`."""
        if not self.around:
            return "the machine"
        branch = f"branch {self.branch} of " if self.branch else ""
        return f"{branch}'{self.around[-1].state_id}'"

    @property
    def open_stages(self) -> list[Stage]:
        """The stages that do not lead on yet."""
        return [stage for stage in self.stages if stage.is_open]

    @property
    def open_states(self) -> list[State]:
        """The states outside stages that neither end nor lead on yet."""
        own = frozenset[int]().union(*(stage.own for stage in self.stages))
        return [
            state
            for state in self.states
            if id(state) not in own
            and state.next_step is None
            and state.state_type not in ENDS
            and not (state.state_type == "Choice" and state.default is not None)
        ]

    @property
    def open_entries(self) -> list[State]:
        """The first states of the open stages, and the open states."""
        return [*(stage.entry for stage in self.open_stages), *self.open_states]

    def all_stages(self) -> Iterator[StageStates]:
        """Yield the stages with their states, those inside others too."""
        for scope in self.all_scopes():
            for stage in scope.stages:
                own = (state.state_id for state in scope.states if id(state) in stage.own)
                yield StageStates(stage.title, stage.entry.state_id, frozenset(own))

    def leads_to(self, state: State) -> bool:
        """Return whether one of the states leads to a state."""
        targets = (target for each in self.states for target in _targets(each))
        return any(entry_of(target) is state for target in targets)

    def all_scopes(self) -> Iterator[Reach]:
        """Yield itself, and what is inside it."""
        yield self
        for inner in self.inner:
            yield from inner.all_scopes()

    def all_states(self) -> Iterator[State]:
        """Yield the states, those inside others too."""
        for scope in self.all_scopes():
            yield from scope.states


def reach(
    part: Part, others: Set[int] = frozenset(), *, around: Sequence[State] = (), branch: int = 0
) -> Reach:
    """Read what a part leads to, as far as the entries of other parts, which are named by `id`."""
    scope, waiting, seen = Reach(part, around, branch), [part], set[int]()
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
        if any(state is outer for outer in around):
            continue  # it is inside itself, which `composition` refuses
        for target in _targets(state):
            if fault := part_fault(target):
                scope.faults.append(f"'{state.state_id}' leads to {fault}")
            else:
                waiting.append(target)
        for number, inner in _branches(state):
            if inner is None:
                scope.faults.append(
                    f"'{state.state_id}' has no iterator: there is nothing to repeat"
                )
            elif fault := part_fault(inner):
                scope.faults.append(f"'{state.state_id}' contains {fault}")
            else:
                scope.inner.append(reach(inner, around=[*around, state], branch=number))
    return scope


def part_fault(value: Any) -> str:
    """Return why a value is no part, to be read after `leads to`; empty if it is one."""
    if isinstance(value, State):
        return ""
    if isinstance(value, Chain):
        return part_fault(value.steps[0]) if value.steps else "an empty Chain"
    if isinstance(value, str):
        return f"the text {value!r}: give the State itself, not its name"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__}: give its members one by one, or a Chain of them"
    if isroutine(value):
        return f"{described(value)}, which is not called: write {value.__name__}()"
    return f"{described(value)}; a part is a stage, or a State or Chain of the SDK"


def described(value: Any) -> str:
    """Return a value in few words, whatever it holds: `the stage 'ETL'`, `a list`, `3`."""
    match value:
        case Stage():
            return f"the stage '{value.title}'"
        case State():
            return f"the state '{value.state_id}'"
        case Chain() | list() | tuple() | dict():
            return f"a {type(value).__name__}"
    if isroutine(value):
        return f"the function {value.__name__}"
    text = reprlib.repr(value)
    return f"a {type(value).__name__}" if text.startswith("<") else text


def _targets(state: State) -> Iterator[Part]:
    targets = [state.next_step, *(catch.next_step for catch in state.catches)]
    if state.state_type == "Choice":
        targets += [state.default, *(target for _, target in state.choices)]
    yield from (target for target in targets if target is not None)


def _branches(state: State) -> list[tuple[int, Any]]:
    if state.state_type == "Map":
        return [(0, state.iterator)]
    return list(enumerate(state.branches, start=1)) if state.state_type == "Parallel" else []


def entry_of(part: Part) -> State:
    """Return the first state of a part."""
    while isinstance(part, Chain):
        part = part.steps[0]
    return part
