"""Stages, states and chains of the SDK → one graph: linked, guarded, and every failure led out.

    compose(config, stages.etl(), stages.imports(), LambdaStep("Ask the Editors", …), …)

Each part is led on to the next one, wherever its states have no end of their own. What can fail
leads to `Report Failure`. A Task that has none gets a Retry, a Catch and a time limit;
`ComposedGraph.added` says which. Mistakes are one `StructureError`, before anything is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
from workflow.definition.stage import ENDS, Part, Reach, catch_all, entry_of, fail, reach
from workflow.errors import StructureError
from workflow.sdk import Chain, Graph, State

_CAN_FAIL = frozenset({"Task", "Map", "Parallel"})
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
    """

    added: tuple[str, ...] = ()


def compose(
    config: Config, parts: Sequence[Part], *, failure: State, comment: str = ""
) -> ComposedGraph:
    """Return the graph of some parts, in their order.

    Args:
        config: Limits the length of a run.
        parts: Stages, and States and Chains of the SDK.
        failure: The state to which every failure leads.
        comment: The state machine's.

    Raises:
        StructureError: If a part is no State or Chain, is used twice, shares a state's name with
            another one, or has no way to the next one.
    """
    _check_types(parts)
    entries = {id(entry_of(part)) for part in parts}
    scopes = [reach(part, entries - {id(entry_of(part))}) for part in parts]
    following: Part | None
    faults: list[str] = []
    for scope, following in zip(scopes, [*parts[1:], None], strict=True):
        faults += _lead_on(scope, following)
    if faults:
        raise StructureError(faults)
    added = [line for scope in scopes for line in _guard(config, scope, failure)]
    _check_names([*scopes, reach(failure)])
    graph = ComposedGraph(
        entry_of(parts[0]), comment=comment, timeout_seconds=config.timeout_hours * 3_600
    )
    graph.added = tuple(added)
    return graph


def _lead_on(scope: Reach, following: Part | None) -> Iterator[str]:
    """Lead what has no end on to the next part; yield why it cannot be."""
    open_stages = [stage for stage in scope.stages if stage.is_open]
    own = frozenset[int]().union(*(stage.own for stage in scope.stages))
    open_states = [
        state
        for state in scope.states
        if id(state) not in own
        and state.next_step is None
        and state.state_type not in ENDS
        and not (state.state_type == "Choice" and state.default is not None)
    ]
    if following is not None and not (open_stages or open_states):
        yield (
            f"'{entry_of(scope.part).state_id}' does not lead to '{entry_of(following).state_id}':"
            " all its states end, or lead elsewhere; leave the last one without a next state"
        )
    for stage in open_stages:
        if following is not None:
            stage.next(following)
        else:
            stage.finish()
    for state in open_states:
        if following is not None:
            state.next(following)
        elif state.state_type == "Choice":
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
        if failure is not None and state.state_type in _CAN_FAIL:
            caught = {error for catch in state.catches for error in catch.error_equals}
            if "States.ALL" not in caught:
                state.add_catch(catch_all(failure))
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
    for number, part in enumerate(parts, start=1):
        if not isinstance(part, (State, Chain)):
            faults.append(
                f"part {number} is {part!r}; a part is a stage, or a State or Chain of the SDK"
            )
        elif isinstance(part, Chain) and not part.steps:
            faults.append(f"part {number} is an empty Chain")
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


def _check_names(scopes: Iterable[Reach]) -> None:
    states = {id(state): state for scope in scopes for state in scope.all_states()}
    counts = Counter(state.state_id for state in states.values())
    if twice := [name for name, count in counts.items() if count > 1]:
        others = f" ({len(twice) - 1} more names too)" if len(twice) > 1 else ""
        raise StructureError(
            [
                f"two states are named '{twice[0]}'{others}: names must be unique in the whole"
                " machine; to lead to one stage from two places, keep it in a variable"
            ]
        )
