"""Stages, states and chains of the SDK → one graph: linked, guarded, and every failure led out.

    compose(config, stages.etl(), stages.imports(), LambdaStep("Ask the Editors", …), …)

Each part is led on to the next one, wherever its states have no end of their own. What can fail
leads to `Report Failure`. A Task that has none gets a Retry, a Catch and a time limit;
`ComposedGraph.added` says which. Mistakes are one `StructureError`, before anything is called. The
parts are as they were afterwards, so that a notebook's cell can compose them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

from workflow.config import Config
from workflow.definition.asl import integration
from workflow.definition.polling import (
    BUSY_ERRORS,
    GLUE_ERRORS,
    MINUTE,
    SERVICE_ERRORS,
    SNS_ERRORS,
    retry_service_errors,
    retry_when_busy,
)
from workflow.definition.stage import (
    CAN_FAIL,
    Part,
    Reach,
    Stage,
    StageStates,
    catch_all,
    catches_all,
    entry_of,
    fail,
    part_fault,
    reach,
)
from workflow.definition.structure import structural_faults
from workflow.errors import StructureError
from workflow.sdk import Catch, Chain, Graph, State

# How services begin the names of errors, where it is not their name with a capital letter.
_PREFIXES = {
    "dynamodb": "DynamoDB",
    "ecs": "ECS",
    "eks": "EKS",
    "elasticmapreduce": "ElasticMapReduce",
    "sagemaker": "SageMaker",
    "sqs": "SQS",
    "states": "StepFunctions",
}
_LONGEST_FUNCTION = 900  # seconds that Lambda runs, at most
_CALL = 300  # seconds for a call of AWS that does not wait for a job's end


class ComposedGraph(Graph):  # type: ignore[misc]
    """A graph made by `compose`.

    Attributes:
        added: What was added to states that lacked it, for example
            `'Ask the Editors': Retry, Catch, TimeoutSeconds 960`.
        stages: The stages that it is made of.
    """

    added: tuple[str, ...] = ()
    stages: tuple[StageStates, ...] = ()


def compose(
    config: Config, parts: Sequence[Part], *, begin: Stage, failure: State, comment: str = ""
) -> ComposedGraph:
    """Return the graph of some parts, in their order.

    Args:
        config: Limits the length of a run.
        parts: Stages, and States and Chains of the SDK.
        begin: The stage that is put first, unless it is among the parts or none is a stage.
        failure: The state to which every failure leads.
        comment: The state machine's.

    Raises:
        StructureError: If a part is no State or Chain, is used twice, shares a state's name with
            another one, or has no way to the next one; or the graph breaks a structural rule.
    """
    _check_types(parts)
    scopes, added = _scopes(parts), list[str]()
    titles = {stage.title for scope in scopes for stage in scope.all_stages()}
    if titles and begin.title not in titles:
        parts = [begin, *parts]
        scopes = _scopes(parts)
        added.append(f"'{begin.entry.state_id}': put first, so that one run goes at a time")
    if faults := [*_faults(scopes), *_name_faults([*scopes, reach(failure)])]:
        raise StructureError(faults)
    with _unchanged(scopes):
        _lead_on(scopes)
        added += [line for scope in scopes for line in _guard(config, scope, failure)]
        if faults := list(_name_faults([reach(parts[0])])):  # of states that were added, too
            raise StructureError(faults)
        graph = ComposedGraph(
            _copy_of(entry_of(parts[0])),
            comment=comment,
            timeout_seconds=config.timeout_hours * 3_600,
        )
    if faults := list(structural_faults(graph.to_dict())):
        raise StructureError(faults)
    graph.added = tuple(added)
    graph.stages = tuple({each: None for scope in scopes for each in scope.all_stages()})
    return graph


def linked(parts: Sequence[Part]) -> Chain:
    """Return parts that stand inside a Map or Parallel, each led on to the next one.

    Args:
        parts: Stages, and States and Chains of the SDK, in their order.

    Raises:
        StructureError: If one is none of these, or is used twice or has no way to the next one.
    """
    _check_types(parts)
    scopes = _scopes(parts)
    if faults := list(_faults(scopes)):
        raise StructureError(faults)
    _lead_on(scopes)
    is_chain = isinstance(parts[0], Chain) and not isinstance(parts[0], Stage)
    return parts[0] if is_chain else Chain([parts[0]])


def _scopes(parts: Sequence[Part]) -> list[Reach]:
    entries = {id(entry_of(part)) for part in parts}
    return [reach(part, entries - {id(entry_of(part))}) for part in parts]


@contextmanager
def _unchanged(scopes: Iterable[Reach]) -> Iterator[None]:
    """Put every state and stage back as it was: the graph is a copy, and parts are used again."""
    inside = [scope for outer in scopes for scope in outer.all_scopes()]
    saved = [
        (block, {name: copy(value) if isinstance(value, (list, dict)) else value
                 for name, value in vars(block).items()})
        for scope in inside
        for block in (*scope.states, *scope.stages)
    ]  # fmt: skip
    try:
        yield
    finally:
        for block, attributes in saved:
            vars(block).update(attributes)


def _copy_of(entry: State) -> State:
    """Return a copy of a state, and of all that it leads to.

    `copy.deepcopy` cannot: the SDK's `__getattr__` needs attributes that a copy does not have yet.
    """
    copies: dict[int, Any] = {}
    waiting: list[Any] = []

    def copied(value: Any) -> Any:
        if isinstance(value, list):
            return [copied(each) for each in value]
        if isinstance(value, dict):
            return {name: copied(each) for name, each in value.items()}
        if not isinstance(value, (State, Chain, Catch)):
            return value
        if id(value) not in copies:
            copies[id(value)] = object.__new__(type(value))
            waiting.append(value)
        return copies[id(value)]

    copied(entry)
    while waiting:
        block = waiting.pop()
        vars(copies[id(block)]).update({name: copied(each) for name, each in vars(block).items()})
    return copies[id(entry)]


def _lead_on(scopes: Sequence[Reach]) -> None:
    """Lead what has no end on to the next part, and the last part to an end."""
    following: Part | None
    for scope, following in zip(scopes, [*(each.part for each in scopes[1:]), None], strict=True):
        for stage in scope.open_stages:
            if following is not None:
                stage.next(following)
            else:
                stage.finish()
        for state in scope.open_states:
            if following is not None:
                state.next(following)


def _faults(scopes: Sequence[Reach]) -> Iterator[str]:
    """Yield why parts cannot be led on to each other."""
    faults = [fault for outer in scopes for scope in outer.all_scopes() for fault in scope.faults]
    yield from dict.fromkeys(faults)
    if not faults:
        yield from _inner_faults(scopes)
        yield from _shared_faults(scopes)
        yield from _order_faults(scopes)


def _inner_faults(scopes: Sequence[Reach]) -> Iterator[str]:
    """Yield what stands inside a Map or Parallel, and outside it too."""
    names: dict[int, str] = {}
    places: dict[int, dict[tuple[int, ...], str]] = {}
    for scope in (inner for outer in scopes for inner in outer.all_scopes()):
        address = (*map(id, scope.around), scope.branch)
        for state in scope.states:
            names[id(state)] = state.state_id
            places.setdefault(id(state), {})[address] = str(scope)
    twice = [state for state, each in places.items() if len(each) > 1]
    for state in twice[:1]:
        others = f" ({len(twice) - 1} more states too)" if len(twice) > 1 else ""
        yield (
            f"'{names[state]}' is a state of {' and of '.join(places[state].values())}{others}:"
            " no state leads into a Map or Parallel, or out of it; make a state for each"
        )


def _shared_faults(scopes: Sequence[Reach]) -> Iterator[str]:
    """Yield what several parts lead to, so that nobody knows which part comes after it."""
    parts: dict[int, list[State]] = {}
    names: dict[int, str] = {}
    for scope in scopes:
        for state in scope.open_entries:
            names[id(state)] = state.state_id
            parts.setdefault(id(state), []).append(entry_of(scope.part))
    for state, entries in parts.items():
        if len(entries) > 1:
            reached = " and from ".join(f"'{entry.state_id}'" for entry in entries)
            yield (
                f"'{names[state]}' is reached from {reached}, which are followed by different"
                " parts: say by its next(…) what follows it, end it, or make one for each"
            )


def _order_faults(scopes: Sequence[Reach]) -> Iterator[str]:
    """Yield which part is not led to, and what the last one cannot end with."""
    reached, waiting = {0}, [0]
    while waiting:
        scope = scopes[number := waiting.pop()]
        onward = {other for other, each in enumerate(scopes) if scope.leads_to(entry_of(each.part))}
        if scope.open_entries and number + 1 < len(scopes):
            onward.add(number + 1)
        waiting += onward - reached
        reached |= onward
    for number in range(1, len(scopes)):
        before, entry = scopes[number - 1], entry_of(scopes[number].part)
        if number not in reached and not before.open_entries and not before.leads_to(entry):
            yield (
                f"'{entry_of(before.part).state_id}' does not lead to '{entry.state_id}':"
                " all its states end, or lead elsewhere; leave the last one without a next state"
            )
    for state in scopes[-1].open_states:
        if state.state_type == "Choice":
            yield f"'{state.state_id}' has no default, and no part follows that it could lead to"


def _guard(config: Config, scope: Reach, failure: State | None) -> Iterator[str]:
    """Lead failures out, and add what a Task lacks; yield a line for each state that got some."""
    for stage in scope.stages:
        stage.fail_to(failure or fail(f"{stage.title} Failed"))
        stage.finish()
    for state in scope.states:
        additions: list[str] = []
        if state.state_type == "Task":
            additions += _limits(config, state)
        if failure is not None and state.state_type in CAN_FAIL and not catches_all(state):
            state.add_catch(catch_all(failure, state))
            additions.append("Catch")
        if additions:
            yield f"'{state.state_id}': {', '.join(additions)}"
    for inner in scope.inner:
        yield from _guard(config, inner, None)


def _limits(config: Config, task: State) -> Iterator[str]:
    called = integration({"Resource": task.resource or ""})
    if called is None or called.service == "activity":
        return  # nothing is known of what an activity needs
    service, waits = called.service, called.waits
    if not task.retries:
        task.add_retry(_retries(service))
        yield "Retry"
    if task.timeout_seconds is None and task.timeout_seconds_path is None:
        limit = _LONGEST_FUNCTION + MINUTE if service == "lambda" else _CALL
        task.fields["timeout_seconds"] = config.timeout_hours * 3_600 if waits else limit
        yield f"TimeoutSeconds {task.timeout_seconds}"


def _retries(service: str) -> list[Any]:
    match service:
        case "lambda":
            return [retry_service_errors(SERVICE_ERRORS), retry_when_busy(BUSY_ERRORS)]
        case "glue":
            return [retry_service_errors(GLUE_ERRORS[1:]), retry_when_busy(GLUE_ERRORS[:1])]
        case "sns":
            return [retry_service_errors(SNS_ERRORS)]
    prefix = _PREFIXES.get(service, service.capitalize())
    return [retry_service_errors([f"{prefix}.SdkClientException", f"{prefix}.ThrottlingException"])]


def _check_types(parts: Sequence[Any]) -> None:
    faults = [] if parts else ["no parts: name at least one stage"]
    faults += [
        f"part {number} is {fault}"
        for number, part in enumerate(parts, start=1)
        if (fault := part_fault(part))
    ]
    if not faults:
        entries = {id(entry_of(part)): entry_of(part) for part in parts}
        uses = Counter(id(entry_of(part)) for part in parts)
        faults += [
            f"'{entries[entry].state_id}' is used {count} times: a part has one place in the order"
            for entry, count in uses.items()
            if count > 1
        ]
    if faults:
        raise StructureError(faults)


def _name_faults(scopes: Iterable[Reach]) -> Iterator[str]:
    states = {id(state): state for scope in scopes for state in scope.all_states()}
    counts = Counter(state.state_id for state in states.values())
    if twice := [name for name, count in counts.items() if count > 1]:
        others = f" ({len(twice) - 1} more names too)" if len(twice) > 1 else ""
        yield (
            f"two states are named '{twice[0]}'{others}: names must be unique in the whole"
            " machine; to lead to one stage from two places, keep it in a variable"
        )
