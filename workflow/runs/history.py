"""Read an execution's history, also while it grows; follow it state by state; say why it failed.

Only reads: GetExecutionHistory and DescribeExecution. What the events mean is in `visits`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from workflow.runs.visits import RUNNING, HistoryEvent, Visit, Visits, details, json_object

_PAGE = 1_000  # events in a page of GetExecutionHistory, at most


@dataclass(frozen=True)
class Step:
    """A state that was entered or left.

    Attributes:
        kind: `entered` or `exited`.
        visit: The stay in the state.
    """

    kind: Literal["entered", "exited"]
    visit: Visit

    @property
    def state(self) -> str:
        """The state's name."""
        return self.visit.state

    @property
    def label(self) -> str:
        """What the item of the Map is, for example `USERS`; empty outside a Map."""
        return self.visit.label if self.visit.item else ""

    @property
    def at(self) -> datetime:
        """When it was entered or left."""
        return self.visit.ended or self.visit.begun if self.kind == "exited" else self.visit.begun

    @property
    def seconds(self) -> float | None:
        """How long the stay was; None when entered."""
        return self.visit.seconds(None) if self.kind == "exited" else None


@dataclass(frozen=True)
class Failure:
    """Why an execution failed.

    Attributes:
        state: The state in which it began; empty if no state is to blame.
        error: The error's name, for example `States.TaskFailed`.
        cause: The reason in the words of whoever raised it.
    """

    state: str
    error: str
    cause: str


class HistoryReader:
    """Reads an execution's history on from where the last read stopped.

    Events are numbered from 1 without gaps: the newest one's id says how many are missing, and
    only those are asked for, from the back; a poll that finds nothing new costs one event. Tokens
    of pages would not do: the last page of a running execution has none, so that it would be read
    again at each poll, and they expire.

    Args:
        client: A boto3 `stepfunctions` client.
        execution_arn: Whose history.
    """

    def __init__(self, client: Any, execution_arn: str) -> None:
        self._client, self._execution_arn = client, execution_arn
        self._events: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Return the events since the last read, oldest first."""
        new = self._newer() if self._events else list(self._ask(_PAGE))
        self._events += new
        return new

    def read_all(self) -> Sequence[dict[str, Any]]:
        """Return all events so far, oldest first; only those since the last read are asked for."""
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
            for event in self._ask(min(missing, _PAGE), reverseOrder=True):
                if event["id"] > last:
                    new.append(event)
                if event["id"] <= last + 1:
                    break  # before the next page is asked for
        return new[::-1]

    def _ask(self, page_size: int, **more: Any) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._execution_arn,
            includeExecutionData=True,
            PaginationConfig={"PageSize": page_size},
            **more,
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

    Args:
        reader: Reads the execution's history; `read_all` returns all of it afterwards.
        poll_seconds: Pause between two polls.
        sleep: Waits that long; a parameter for tests.
        on_poll: Called after every poll, for example to redraw a progress bar.
    """
    visits = Visits()
    while True:
        ended = reader.has_ended()
        yield from _steps(visits, reader.read())
        on_poll()
        if ended:
            return
        sleep(poll_seconds)


def steps_of(events: Iterable[HistoryEvent]) -> Iterator[Step]:
    """Yield the steps of a history, in its order."""
    return _steps(Visits(), events)


def failure_of(events: Iterable[HistoryEvent] | Visits) -> Failure | None:
    """Return why an execution failed, None if it did not fail.

    Args:
        events: Its history, oldest first, or the visits made of it.
    """
    visits = Visits.of(events)
    if visits.end is None or visits.status == "SUCCEEDED":
        return None
    error, cause = _reason(visits.end)
    visit = failed_visit(visits)
    return Failure(visit.state if visit else "", error, readable_cause(cause))


def failed_visit(visits: Visits) -> Visit | None:
    """Return the visit in which an execution's failure began; None if no state is to blame."""
    if visits.end is None or visits.status == "SUCCEEDED":
        return None
    if visits.status != "FAILED":
        return next((visit for visit in reversed(visits.all) if _was_open(visit)), None)
    return visits.end_visit and _root(visits.end_visit, *_reason(visits.end))


def readable_cause(cause: str) -> str:
    """Return the sentence inside a cause: Lambda and Glue wrap theirs in JSON."""
    wrapped = json_object(cause)
    for key in ("errorMessage", "ErrorMessage", "Cause", "Message"):
        if wrapped.get(key):
            return readable_cause(str(wrapped[key]))
    return cause


def _steps(visits: Visits, events: Iterable[HistoryEvent]) -> Iterator[Step]:
    for event in events:
        if visit := visits.add(event):
            entered = event["type"].endswith("StateEntered")
            yield Step("entered" if entered else "exited", visit)


def _reason(end: HistoryEvent) -> tuple[str, str]:
    fields = details(end)
    return fields.get("error", end["type"]), fields.get("cause", "")


def _was_open(visit: Visit) -> bool:
    """Return whether an execution that was cut short was in this state."""
    containers = (branch.container for branch in visit.around)
    return not any(one.ended or one.lost for one in (visit, *containers))


def _root(visit: Visit, error: str, cause: str) -> Visit:
    """Return the visit in which the failure began that ended with this one.

    Args:
        visit: Where it ended.
        error: The error's name.
        cause: The reason.
    """
    if visit.culprit is not None:
        return _root(visit.culprit, error, cause)
    if visit.ended is None and visit.state_type != "Fail":
        return visit
    way = list(_way_back(visit))
    turn = next((one for one in way if one.failed_with(error, cause)), None) or _turn(way)
    if turn is None:
        tasks = [one for one in way if one.state_type == "Task"]
        return tasks[1] if len(tasks) > 1 else visit  # the last task reported the failure
    if turn.state_type == "Choice":
        # It found that a job had failed; the task before it had looked at the job.
        before = _way_back(turn)
        return next((one for one in before if one.state_type == "Task"), visit)
    return turn if turn.culprit is None else _root(turn.culprit, error, cause)


def _way_back(visit: Visit | None) -> Iterator[Visit]:
    """Yield a visit and those that led to it, the nearest first."""
    while visit is not None:
        yield visit
        visit = visit.before


def _turn(way: Sequence[Visit]) -> Visit | None:
    """Return the visit behind which the way led to a failure: a Choice, or one that was caught."""
    turns = [n for n, one in enumerate(way) if one.state_type == "Choice" or one.status == "caught"]
    if not turns:
        return None
    found = turns[0]
    # The state that reports a failure may have failed itself.
    if way[found].state_type == "Task" and found + 1 in turns:
        found += 1
    return way[found]
