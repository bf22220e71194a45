"""Follow a running execution state by state, and say why one failed in words a person knows.

Only reads: GetExecutionHistory and DescribeExecution.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

HistoryEvent = Mapping[str, Any]

RUNNING = "RUNNING"
_TERMINAL_EVENTS = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)
_CUT_SHORT = frozenset({"ExecutionAborted", "ExecutionTimedOut"})
_FAILURES = ("Failed", "TimedOut")


@dataclass(frozen=True)
class Step:
    """A state that was entered or left.

    Attributes:
        kind: `entered` or `exited`.
        state: the state's name.
        state_type: `Task`, `Wait`, `Map`, ….
        iteration: which item of a Map it belongs to, counted from 0; None outside a Map.
        label: what the item of the Map is, for example `USERS`; empty outside a Map.
        at: when.
        seconds: how long it ran; None when entered.
    """

    kind: Literal["entered", "exited"]
    state: str
    state_type: str
    iteration: int | None
    label: str
    at: datetime
    seconds: float | None


@dataclass(frozen=True)
class Failure:
    """Why an execution failed.

    Attributes:
        state: the state in which it began; empty if no state is to blame.
        error: the error's name, for example `States.TaskFailed`.
        cause: the reason in the words of whoever raised it.
    """

    state: str
    error: str
    cause: str


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """Return all events of an execution, oldest first."""
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, includeExecutionData=True
    )
    return [event for page in pages for event in page["events"]]


def follow(
    client: Any,
    execution_arn: str,
    *,
    poll_seconds: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
    on_poll: Callable[[], None] = lambda: None,
) -> Iterator[Step]:
    """Yield each state as it is entered and left, until the execution ends.

    Args:
        client: a boto3 `stepfunctions` client.
        execution_arn: the execution to follow.
        poll_seconds: pause between two looks at the history.
        sleep: waits that long; a parameter for tests.
        on_poll: called after every look, for example to redraw a progress bar.
    """
    told = 0
    while True:
        ended = client.describe_execution(executionArn=execution_arn)["status"] != RUNNING
        steps = list(steps_of(history(client, execution_arn)))
        yield from steps[told:]
        told = len(steps)
        on_poll()
        if ended:
            return
        sleep(poll_seconds)


def steps_of(events: list[dict[str, Any]]) -> Iterator[Step]:
    """Yield the steps that a history tells of, in its order."""
    by_id = {event["id"]: event for event in events}
    entered: dict[int, Step] = {}
    for event in events:
        if event["type"].endswith("StateEntered"):
            details = event["stateEnteredEventDetails"]
            iteration = _iteration(event, by_id)
            step = Step(
                kind="entered",
                state=details["name"],
                state_type=event["type"].removesuffix("StateEntered"),
                iteration=iteration,
                label="" if iteration is None else _label(details.get("input", "")),
                at=event["timestamp"],
                seconds=None,
            )
            entered[event["id"]] = step
            yield step
        elif event["type"].endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            before = (entered.get(ancestor["id"]) for ancestor in _ancestors(event, by_id))
            begun = next(step for step in before if step is not None and step.state == name)
            seconds = (event["timestamp"] - begun.at).total_seconds()
            yield replace(begun, kind="exited", at=event["timestamp"], seconds=seconds)


def failure_of(events: list[dict[str, Any]]) -> Failure | None:
    """Return why an execution failed, None if it did not fail.

    The root is the first failed event whose cause the end of the execution repeats; the end itself
    only repeats what a Catch handed on.
    """
    last = events[-1] if events else {"type": ""}
    if last["type"] not in _TERMINAL_EVENTS - {"ExecutionSucceeded"}:
        return None
    details = _details(last)
    error, cause = details.get("error", last["type"]), details.get("cause", "")
    if last["type"] in _CUT_SHORT:
        return Failure(_open_state(events), error, readable_cause(cause))
    by_id = {event["id"]: event for event in events}
    state = ""
    for event in events[:-1]:
        told = _details(event)
        if told.get("cause") == cause and event["type"].endswith(_FAILURES):
            state = _state_of(event, by_id)
            break
    else:
        state = _last_task(events)
    return Failure(state, error, readable_cause(cause))


def entered_event(event: HistoryEvent, by_id: Mapping[int, HistoryEvent]) -> HistoryEvent | None:
    """Return the event by which the state was entered that an event belongs to; None outside.

    Args:
        event: of a history.
        by_id: the history's events by their ids.
    """
    chain = itertools.chain([event], _ancestors(event, by_id))
    return next((found for found in chain if "stateEnteredEventDetails" in found), None)


def json_object(text: Any) -> dict[str, Any]:
    """Return the JSON object that a text holds; an empty one for any other text."""
    try:
        told = json.loads(text or "null")
    except (TypeError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def readable_cause(cause: str) -> str:
    """Return the sentence inside a cause: Lambda and Glue wrap theirs in JSON."""
    told = json_object(cause)
    for key in ("errorMessage", "ErrorMessage", "Cause", "Message"):
        if told.get(key):
            return readable_cause(str(told[key]))
    return cause


def _details(event: HistoryEvent) -> Mapping[str, Any]:
    key = next((key for key in event if key.endswith("EventDetails")), "")
    details: Mapping[str, Any] = event.get(key, {})
    return details


def _ancestors(event: HistoryEvent, by_id: Mapping[int, HistoryEvent]) -> Iterator[HistoryEvent]:
    while (event := by_id.get(event.get("previousEventId", 0), {})) and event:
        yield event


def _state_of(event: HistoryEvent, by_id: Mapping[int, HistoryEvent]) -> str:
    for ancestor in _ancestors(event, by_id):
        if "stateEnteredEventDetails" in ancestor:
            return str(ancestor["stateEnteredEventDetails"]["name"])
    return ""


def _open_state(events: list[dict[str, Any]]) -> str:
    """Return the state that was entered last and not left when the execution was cut short."""
    inside: list[tuple[str, int | None]] = []
    for step in steps_of(events):
        place = (step.state, step.iteration)
        if step.kind == "entered":
            inside.append(place)
        else:
            inside.remove(place)
    return inside[-1][0] if inside else ""


def _last_task(events: list[dict[str, Any]]) -> str:
    """Return the task that ran last before the report: it looked at a job which had failed."""
    tasks = [
        event["stateEnteredEventDetails"]["name"]
        for event in events
        if event["type"] == "TaskStateEntered"
    ]
    return str(tasks[-2]) if len(tasks) > 1 else ""


def _iteration(event: HistoryEvent, by_id: Mapping[int, HistoryEvent]) -> int | None:
    """Return which item of a Map an event belongs to; a chain that left the Map is outside it."""
    for ancestor in _ancestors(event, by_id):
        if ancestor["type"].startswith(("MapStateExited", "MapStateSucceeded", "MapStateFailed")):
            return None
        if ancestor["type"] == "MapIterationStarted":
            return int(ancestor["mapIterationStartedEventDetails"].get("index", 0))
    return None


def _label(state_input: str) -> str:
    """Return which data set an iteration is about."""
    return str(json_object(state_input).get("datasetType", ""))
