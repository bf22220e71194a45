"""Read an execution's history, also while it grows; follow it state by state; find why it failed.

Only reads: GetExecutionHistory and DescribeExecution. `visits` interprets the events.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from workflow.definition.asl import Definition
from workflow.runs.decisions import decision
from workflow.runs.visits import RUNNING, HistoryEvent, Visit, Visits, details, json_object

_PAGE = 1_000  # events in a page of GetExecutionHistory, at most


@dataclass(frozen=True)
class Step:
    """A state that was entered or left, or that waits to be tried again.

    Attributes:
        type: `entered`, `exited` or `waits`.
        visit: The visit of the state.
        reason: Why its last try failed, if it waits; empty otherwise.
    """

    type: Literal["entered", "exited", "waits"]
    visit: Visit
    reason: str = ""

    @property
    def state(self) -> str:
        """The state's name."""
        return self.visit.state

    @property
    def label(self) -> str:
        """The data set of the Map's item, or its recommender's solution; empty outside a Map."""
        return self.visit.label if self.visit.item else ""

    @property
    def at(self) -> datetime:
        """The time at which it was entered or left, or at which a try failed."""
        if self.type == "waits":
            failed: datetime = self.visit.events[-1]["timestamp"]
            return failed
        return self.visit.ended or self.visit.begun if self.type == "exited" else self.visit.begun

    @property
    def seconds(self) -> float | None:
        """The duration of the visit; None before it has ended."""
        return self.visit.seconds(None) if self.type == "exited" else None


@dataclass(frozen=True)
class Failure:
    """Why an execution failed.

    Attributes:
        state: The state in which the failure began; empty if it began in none.
        error: The error's name, for example `States.TaskFailed`.
        cause: The reason in the words of whoever raised it.
        decision: What a Choice decided, and by which values, if that was the failure; empty
            otherwise, and where the definition is not known.
    """

    state: str
    error: str
    cause: str
    decision: str = ""

    @property
    def reason(self) -> str:
        """What is known, in one line: error, state, cause and decision."""
        state = f" in state '{self.state}'" if self.state else ""
        said = "; ".join(filter(None, (self.cause, self.decided)))
        return f"{self.error}{state}{f': {said}' if said else ''}"

    @property
    def decided(self) -> str:
        """The decision as a sentence: `'Good Enough?' led to …`; empty if there is none."""
        return f"'{self.state}' {self.decision}" if self.decision else ""


class HistoryReader:
    """A reader of an execution's history, which goes on from where the last read stopped.

    Events are numbered from 1 without gaps: the newest one's id says how many are missing, and
    only those are requested, from the back; a poll without news costs one event. Tokens of pages
    would not do: the last page of a running execution has none, so that it would be read again at
    each poll, and they expire.

    Args:
        client: A boto3 `stepfunctions` client.
        execution_arn: The execution's ARN.
    """

    def __init__(self, client: Any, execution_arn: str) -> None:
        self._client, self._execution_arn = client, execution_arn
        self._events: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Return the events since the last read, oldest first."""
        new = self._newer() if self._events else list(self._pages(_PAGE))
        self._events += new
        return new

    def read_all(self) -> Sequence[dict[str, Any]]:
        """Return all events so far, oldest first; only those since the last read are requested."""
        self.read()
        return self._events

    def has_ended(self) -> bool:
        """Return whether the execution has ended."""
        described = self._client.describe_execution(executionArn=self._execution_arn)
        return bool(described["status"] != RUNNING)

    def _newer(self) -> list[dict[str, Any]]:
        last = self._events[-1]["id"]
        newest = self._client.get_execution_history(
            executionArn=self._execution_arn,
            includeExecutionData=False,
            reverseOrder=True,
            maxResults=1,
        )
        missing = newest["events"][0]["id"] - last
        new: list[dict[str, Any]] = []
        if missing > 0:
            for event in self._pages(min(missing, _PAGE), reverseOrder=True):
                if last < event["id"] < (new[-1]["id"] if new else math.inf):
                    new.append(event)  # a page may repeat events when the history has grown
                if event["id"] <= last + 1:
                    break  # before the next page is requested
        return new[::-1]

    def _pages(self, page_size: int, **request: Any) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._execution_arn,
            includeExecutionData=True,
            PaginationConfig={"PageSize": page_size},
            **request,
        )
        for page in pages:
            yield from page["events"]


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """Return all events of an execution, oldest first."""
    return HistoryReader(client, execution_arn).read()


def follow(
    reader: HistoryReader,
    *,
    poll_seconds: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
    on_poll: Callable[[], None] = lambda: None,
) -> Iterator[Step]:
    """Yield each state as it is entered and left, until the execution ends.

    One that waits longer than a poll to be tried again is yielded too, once for each reason.

    Args:
        reader: Reads the execution's history; `read_all` returns all of it afterwards.
        poll_seconds: Pause between two polls.
        sleep: Waits that long; a parameter for tests.
        on_poll: Called after every poll, for example to redraw a progress bar.
    """
    visits = Visits()
    waiting: dict[tuple[int, str], Visit] = {}
    told: set[tuple[int, str]] = set()
    while True:
        ended = reader.has_ended()
        yield from steps_of(reader.read(), visits)
        on_poll()
        if ended:
            return
        # What is not tried again goes on at once: at the next poll it does not wait any more.
        before = waiting
        waiting = {(id(each), why): each for each in visits.all if (why := _why_it_waits(each))}
        for key in (waiting.keys() & before.keys()) - told:
            told.add(key)
            yield Step("waits", waiting[key], reason=key[1])
        sleep(poll_seconds)


def _why_it_waits(visit: Visit) -> str:
    """Return why the last try of a task failed that goes on; empty if none failed.

    The next try may have begun: what is tried every few seconds is seldom seen between two.
    """
    if visit.state_type != "Task" or visit.status != "running":
        return ""
    failures = (details(each) for each in reversed(visit.events) if _is_failure(each))
    fields = next(failures, {})
    return readable_cause(str(fields.get("cause", ""))) or str(fields.get("error", ""))


def _is_failure(event: HistoryEvent) -> bool:
    """Return whether a try ended with an event, and failed."""
    return str(event["type"]).endswith(("Failed", "TimedOut"))


def steps_of(events: Iterable[HistoryEvent], visits: Visits | None = None) -> Iterator[Step]:
    """Yield the steps of a history, in its order.

    Args:
        events: Of the history, or those that are new.
        visits: Made of the events before; the new events are added to it.
    """
    visits = visits or Visits()
    for event in events:
        if visit := visits.add(event):
            yield Step("entered" if event["type"].endswith("StateEntered") else "exited", visit)


def failure_of(
    events: Iterable[HistoryEvent] | Visits, definition: Definition | None = None
) -> Failure | None:
    """Return why an execution failed, None if it did not fail.

    Args:
        events: Its history, oldest first, or the visits made of it.
        definition: Of the state machine; it says what a Choice compared.
    """
    visits = Visits.of(events)
    if visits.end is None or visits.status == "SUCCEEDED":
        return None
    error, cause = _reason(visits.end)
    visit = failed_visit(visits)
    decided = ""
    if visit and visit.state_type == "Choice" and definition is not None:
        decided = decision(visits, visit, definition)
    return Failure(visit.state if visit else "", error, readable_cause(cause), decided)


def failed_visit(visits: Visits) -> Visit | None:
    """Return the visit in which an execution's failure began; None if it began in no state."""
    if visits.end is None or visits.status == "SUCCEEDED":
        return None
    if visits.status != "FAILED":
        return next((visit for visit in reversed(visits.all) if _was_open(visit)), None)
    return visits.end_visit and _root(visits.end_visit, *_reason(visits.end))


SAGEMAKER_JOBS = ("Training", "Transform", "Processing")
"""The jobs of SageMaker that a state waits for."""


def readable_cause(cause: str) -> str:
    """Return the sentence inside a cause: Lambda, Glue and SageMaker wrap theirs in JSON."""
    wrapped = json_object(cause)
    for key in ("errorMessage", "ErrorMessage", "FailureReason", "Cause", "Message"):
        if wrapped.get(key):
            return readable_cause(str(wrapped[key]))
    return _stopped_job(wrapped) or _readable_causes(cause)


def _stopped_job(job: Mapping[str, Any]) -> str:
    """Return how a job of SageMaker ended that has no reason: it was stopped; empty if it is none.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
    """
    for kind in SAGEMAKER_JOBS:
        if status := job.get(f"{kind}JobStatus"):
            secondary = job.get("SecondaryStatus", status)
            more = f" ({secondary})" if secondary != status else ""
            return f"{kind.lower()} job '{job.get(f'{kind}JobName')}' is {status}{more}"
    return ""


def _readable_causes(cause: str) -> str:
    """Return the cause of several failures, which ends with a JSON list of them, as a sentence."""
    before, bracket, rest = cause.partition("[{")
    try:
        failures = json.loads(bracket + rest)
        said = [
            f"{each['failed']}: {each['Error']}: {readable_cause(each['Cause'])}"
            for each in failures
        ]
    except (ValueError, KeyError, TypeError):
        return cause
    return before + "; ".join(said)


def _reason(end: HistoryEvent) -> tuple[str, str]:
    fields = details(end)
    return fields.get("error", end["type"]), fields.get("cause", "")


def _was_open(visit: Visit) -> bool:
    """Return whether an execution that was cut short was in this state."""
    containers = (branch.container for branch in visit.around)
    return not any(each.ended or each.lost for each in (visit, *containers))


def _root(visit: Visit, error: str, cause: str) -> Visit:
    """Return the visit in which the failure began that ended with this visit.

    Args:
        visit: The visit with which it ended.
        error: The error's name.
        cause: The reason.
    """
    if visit.culprit is not None:
        return _root(visit.culprit, error, cause)
    if visit.ended is None and visit.state_type != "Fail":
        return visit
    path = list(_path_back(visit))
    failed = next((step for step in path if step.failed_with(error, cause)), None)
    branching = failed or _branching(path)
    if branching is None:
        tasks = [step for step in path if step.state_type == "Task"]
        return tasks[1] if len(tasks) > 1 else visit  # the last task reported the failure
    if branching.state_type == "Choice":
        # Either the task before it had polled a job and read why that failed, or it decided itself.
        before = next((step for step in _path_back(branching) if step.state_type == "Task"), None)
        return before if before and _told(before, error, cause) else branching
    return branching if branching.culprit is None else _root(branching.culprit, error, cause)


def _told(task: Visit, error: str, cause: str) -> bool:
    """Return whether the output of a task holds the reason of the failure: `{Error, Cause}`."""
    waiting: list[Any] = [json_object(details(event).get("output")) for event in task.events[-1:]]
    for value in waiting:
        if isinstance(value, dict):
            if cause and (value.get("Error"), value.get("Cause")) == (error, cause):
                return True
            waiting += value.values()
    return False


def _path_back(visit: Visit | None) -> Iterator[Visit]:
    """Yield a visit and those that led to it, the nearest first."""
    while visit is not None:
        yield visit
        visit = visit.before


def _branching(path: Sequence[Visit]) -> Visit | None:
    """Return the visit after which the path led to a failure: a Choice, or a caught error."""
    positions = [
        position
        for position, visit in enumerate(path)
        if visit.state_type == "Choice" or visit.status == "caught"
    ]
    if not positions:
        return None
    first = positions[0]
    # The state that reports a failure may have failed itself.
    if path[first].state_type == "Task" and first + 1 in positions:
        first += 1
    return path[first]
