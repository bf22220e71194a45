"""The states that an execution visited: its history's events → visits with their status.

Pure: events in, one by one as they are read. An event belongs to the item, branch or state of the
event before it (`previousEventId`), so that the items of a Map and the branches of a Parallel,
which a history mixes, are kept apart. Event types that are unknown here change nothing.

Recorded histories of AWS show that this chain alone is not enough:

- An item of a Map that had to wait follows the last event of the item before it.
- Items and states that a failure cuts off (`MapIterationAborted`, `TaskStateAborted`, …) follow the
  event that failed; only the former say which item they are.
- A Map or Parallel that is tried again starts behind the event that failed inside it.
- `EvaluationFailed` follows the event before its state was entered, and names the state.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

HistoryEvent = Mapping[str, Any]
Status = Literal["running", "failed", "timed out", "aborted", "caught", "succeeded"]

SIGNS: Mapping[Status, str] = {
    "succeeded": "✓",
    "running": "…",
    "caught": "!",
    "failed": "✗",
    "timed out": "◷",
    "aborted": "□",
}
"""A sign for each status, in the order in which legends list them."""

RUNNING = "RUNNING"
_ENDINGS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
_TRIES = frozenset(
    {
        "TaskScheduled",
        "LambdaFunctionScheduled",
        "ActivityScheduled",
        "MapStateStarted",
        "ParallelStateStarted",
    }
)
_CONTAINERS = {"MapState": "Map", "ParallelState": "Parallel"}


@dataclass(eq=False)
class Branch:
    """An item of a Map, or a branch of a Parallel.

    Attributes:
        container: The visit of the Map or Parallel.
        index: Of the item, counted from 0; of a branch, by the order in which they began.
        label: The item's data set, for example `USERS`, its recommender's solution, or its name;
            empty if its input has none of them.
        aborted: Whether it was cut off.
    """

    container: Visit
    index: int
    label: str = ""
    aborted: bool = False

    @property
    def closed(self) -> bool:
        """Whether nothing more can happen in it."""
        outer = self.container.branch
        return self.aborted or self.container.closed or (outer is not None and outer.closed)


@dataclass(eq=False)
class Visit:
    """One visit of a state, from entering to leaving it.

    Attributes:
        state: The state's name.
        state_type: `Task`, `Wait`, `Map`, ….
        begun: When the state was entered.
        branch: The item of a Map or the branch of a Parallel that it belongs to; None outside.
        before: The visit that led to it, in the same branch; None if it is the first there.
        events: Its own, the oldest first, without those of states inside it.
        ended: When the state was left; None if it was not.
        stopped: When the execution ended without the state being left.
        tries: How often it was tried; 0 for a state that is not tried, such as a Choice.
        items: How many items the Map has.
        items_done: How many of them have succeeded.
        culprit: The visit in which the failure of the Map or Parallel began.
        failed: Whether its last try failed, and how.
        lost: Whether that failure went further than this state.
        aborted: Whether it was cut off.
        cut: How it ended, if it ended with the execution.
        branches: The items or branches of its last try.
    """

    state: str
    state_type: str
    begun: datetime
    branch: Branch | None = None
    before: Visit | None = None
    events: list[HistoryEvent] = field(default_factory=list)
    ended: datetime | None = None
    stopped: datetime | None = None
    tries: int = 0
    items: int = 0
    items_done: int = 0
    culprit: Visit | None = None
    failed: Literal["", "failed", "timed out"] = ""
    lost: bool = False
    aborted: bool = False
    cut: Literal["", "aborted", "timed out"] = ""
    branches: list[Branch] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        """Whether it has ended by itself, not by the end of its Map or Parallel."""
        return self.ended is not None or self.lost or self.aborted

    @property
    def status(self) -> Status:
        """Its status now."""
        if self.ended is not None:
            return "caught" if self.failed else "succeeded"
        if self.lost:
            return self.failed or "failed"
        if self.aborted or (self.branch is not None and self.branch.closed):
            return "aborted"
        if self.cut:
            return self.failed or self.cut
        return "running"

    @property
    def error(self) -> str:
        """The name of the error of its last try that failed; empty if there is none."""
        errors = (details(event).get("error") for event in reversed(self.events))
        return str(next(filter(None, errors), ""))

    @property
    def around(self) -> Iterator[Branch]:
        """The branches around it, the innermost first."""
        branch = self.branch
        while branch is not None:
            yield branch
            branch = branch.container.branch

    @property
    def item(self) -> Branch | None:
        """The item of the innermost Map around it; None outside a Map."""
        return next((each for each in self.around if each.container.state_type == "Map"), None)

    @property
    def label(self) -> str:
        """The data set, recommender or name in its own input or its item's; empty if none."""
        own = json_object(details(self.events[0]).get("input")) if self.events else {}
        recommender = own.get("recommender")
        solution = recommender.get("solutionName") if isinstance(recommender, dict) else None
        name = own.get("name") if self.item else None
        labels = (
            own.get("datasetType"),
            solution,
            name if isinstance(name, str) else None,
            *(branch.label for branch in self.around),
        )
        return str(next(filter(None, labels), ""))

    @property
    def scheduled(self) -> HistoryEvent | None:
        """The event by which its last call to AWS was scheduled; None if it made none."""
        scheduled = (event for event in reversed(self.events) if event["type"] == "TaskScheduled")
        return next(scheduled, None)

    @property
    def request(self) -> Mapping[str, Any]:
        """The request of its last call; empty if it called nothing."""
        return json_object(details(self.scheduled).get("parameters")) if self.scheduled else {}

    @property
    def target(self) -> str:
        """The function or Glue job of its last call; empty if it called none."""
        return str(self.request.get("FunctionName") or self.request.get("JobName") or "")

    def seconds(self, until: datetime | None) -> float | None:
        """Return its duration, so far if it goes on; None if it goes on and `until` is None."""
        if self.ended is None and self.state_type == "Fail":
            return 0.0
        containers = (branch.container.ended for branch in self.around)
        end = self.ended or next(filter(None, containers), self.stopped or until)
        return (end - self.begun).total_seconds() if end else None

    def failed_with(self, error: str, cause: str) -> bool:
        """Return whether a try failed with this cause, or with this error if there is no cause."""
        key, expected = ("cause", cause) if cause else ("error", error)
        return any(
            details(event).get(key) == expected
            for event in self.events
            if event["type"].endswith(("Failed", "TimedOut"))
        )

    def blame(self) -> None:
        """Mark that its failure spread beyond it."""
        self.failed = self.failed or "failed"
        self.lost = True

    def reopen(self) -> None:
        """Mark that it is tried again."""
        self.failed, self.cut = "", ""
        self.lost = self.aborted = False
        self.culprit = self.stopped = None


_Position = Visit | Branch | None


class Visits:
    """The visits of an execution, from the events of its history so far.

    Attributes:
        all: In the order in which they began.
        passages: How often each transition was taken: from a state to the next, and whether an
            error led there.
        status: Of the execution: `RUNNING`, `SUCCEEDED`, `FAILED`, `ABORTED` or `TIMED_OUT`.
        began: Time of the first event; None if there is none.
        at: Time of the last event.
        end: The event that ended the execution; None while it runs.
        end_visit: The last visit before it, or the one in which it happened.

    Args:
        events: Of a history, oldest first; timestamps may be ISO 8601 texts, as in `history.json`.
    """

    def __init__(self, events: Iterable[HistoryEvent] = ()) -> None:
        self.all: list[Visit] = []
        self.passages: Counter[tuple[str, str, bool]] = Counter()
        self.status = RUNNING
        self.began: datetime | None = None
        self.at: datetime | None = None
        self.end: HistoryEvent | None = None
        self.end_visit: Visit | None = None
        self._positions: dict[int, _Position] = {}
        self._left: dict[int, Visit] = {}
        self._last = 0
        self._redriven = False
        for event in events:
            self.add(event)

    @classmethod
    def of(cls, events: Iterable[HistoryEvent] | Visits) -> Visits:
        """Return the visits of a history; visits as they are."""
        return events if isinstance(events, Visits) else cls(events)

    def add(self, event: HistoryEvent) -> Visit | None:
        """Add the next event; return the visit that it begins or ends, None if neither."""
        at = _time(event["timestamp"])
        self.at, self.began = at, self.began or at
        # An execution's end names no event before it if no state caused it.
        before = event.get("previousEventId") or self._last
        position, changed, event_type = self._positions.get(before), None, event["type"]
        if event_type.startswith("Execution"):
            self._execution(event, before, position, at)
        elif event_type.endswith("StateEntered"):
            position = changed = self._enter(event, before, position, at)
        elif event_type.endswith("StateExited"):
            changed = self._exit(event, position, at)
            position = position if changed is None else changed.branch
        elif event_type.startswith("MapIteration"):
            position = self._iteration(event, position)
        elif visit := self._visit_of(event, position):
            self._try(visit, event, position)
            position = visit
        self._positions[event["id"]] = position
        self._last = event["id"]
        return changed

    def _enter(self, event: HistoryEvent, before: int, position: _Position, at: datetime) -> Visit:
        if not isinstance(position, Visit):
            branch = position
        elif position.state_type == "Parallel":
            branch = Branch(position, len(position.branches))
            position.branches.append(branch)
        else:
            branch = position.branch
        if self._redriven:
            _reopen(branch)
        left = self._left.get(before)
        name, event_type = event["stateEnteredEventDetails"]["name"], event["type"]
        visit = Visit(name, event_type.removesuffix("StateEntered"), at, branch, left, [event])
        if branch is not None and not branch.label:
            branch.label = visit.label
        if visit.state_type == "Fail":
            visit.blame()
        if left:
            self.passages[left.state, name, bool(left.failed)] += 1
        self.all.append(visit)
        return visit

    def _exit(self, event: HistoryEvent, position: _Position, at: datetime) -> Visit | None:
        name = event["stateExitedEventDetails"]["name"]
        visit = next((each for each in _outwards(position) if each.state == name), None)
        if visit is not None:
            visit.ended, visit.lost = at, False
            visit.events.append(event)
            self._left[event["id"]] = visit
        return visit

    def _iteration(self, event: HistoryEvent, position: _Position) -> _Position:
        event_type, fields = event["type"], details(event)
        name, index = fields.get("name"), int(fields.get("index", 0))
        maps = (visit for visit in _outwards(position) if visit.state_type == "Map")
        container = next((visit for visit in maps if name in {None, visit.state}), None)
        if container is None:
            return position
        if event_type == "MapIterationStarted":
            container.items = max(container.items, index + 1)
            container.branches.append(Branch(container, index))
            return container.branches[-1]
        if event_type == "MapIterationSucceeded":
            # An interpreter may let the items of a Map that failed run to their end.
            container.items_done += not container.closed
        elif event_type == "MapIterationFailed":
            items = reversed(container.branches)
            item = next((each for each in items if each.index == index), None)
            self._failed_inside(container, position, item)
        elif event_type == "MapIterationAborted":
            for branch in container.branches:
                branch.aborted = branch.aborted or branch.index == index
        return container

    def _visit_of(self, event: HistoryEvent, position: _Position) -> Visit | None:
        """Return the visit of an event that neither begins nor ends one."""
        event_type, named = event["type"], details(event).get("state")
        if named is not None:  # EvaluationFailed
            branch = position.branch if isinstance(position, Visit) else position
            matches = [visit for visit in reversed(self.all) if visit.state == named]
            same_branch = (visit for visit in matches if visit.branch is branch)
            return next(same_branch, next(iter(matches), None))
        if event_type.endswith("StateAborted") and isinstance(position, Visit) and position.failed:
            return None  # another state, which that failure cut off
        types = (type_ for key, type_ in _CONTAINERS.items() if event_type.startswith(key))
        container_type = next(types, None)
        if container_type is None:
            return position if isinstance(position, Visit) else None
        # A start is that of the innermost which goes on, an end that of the innermost which has
        # not failed yet.
        around = (each for each in _outwards(position) if each.state_type == container_type)
        if event_type in _TRIES:
            return next((each for each in around if self._redriven or not each.lost), None)
        return next((each for each in around if not each.failed), None)

    def _try(self, visit: Visit, event: HistoryEvent, position: _Position) -> None:
        """Record the begin or the end of a try of a state."""
        event_type = event["type"]
        visit.events.append(event)
        if event_type in _TRIES:
            for branch in visit.branches:
                branch.aborted = True
            visit.branches, visit.items_done = [], 0
            visit.tries += 1
            visit.reopen()
            if self._redriven:
                _reopen(visit.branch)
        if event_type == "MapStateStarted":
            visit.items = max(visit.items, int(details(event).get("length", 0)))
        elif event_type.endswith("Aborted"):
            visit.aborted = True
        elif event_type.endswith("TimedOut"):
            visit.failed = "timed out"
        elif event_type.endswith("Failed"):
            visit.failed = visit.failed or "failed"
            if event_type == "ParallelStateFailed":
                self._failed_inside(visit, position)

    def _failed_inside(
        self, container: Visit, position: _Position, item: Branch | None = None
    ) -> None:
        """Record in which visit inside a Map or Parallel its failure began.

        An interpreter may follow the item or branch in which the last event was: of a Map the
        failed `item` is known, of a Parallel the branch with a failure.
        """
        outwards = _outwards(position)
        inside = list(itertools.takewhile(lambda visit: visit is not container, outwards))
        is_its = inside[-1:] and (inside[-1].branch is item if item else inside[0].failed)
        if not is_its:
            going_on = [
                visit
                for visit in self.all
                if visit.ended is None
                and visit.branch
                and (visit.branch is item if item else visit.branch.container is container)
            ]
            failed = [visit for visit in going_on if visit.failed]
            inside = (failed or (going_on[-1:] if item else inside))[:1]
        for visit in inside:
            visit.blame()
        container.culprit = container.culprit or next(iter(inside), None)

    def _execution(
        self, event: HistoryEvent, before: int, position: _Position, at: datetime
    ) -> None:
        event_type = event["type"]
        if event_type == "ExecutionRedriven":
            self.status, self.end, self.end_visit, self._redriven = RUNNING, None, None, True
        if event_type not in _ENDINGS:
            return
        self.status, self.end = _ENDINGS[event_type], event
        self.end_visit = position if isinstance(position, Visit) else self._left.get(before)
        if event_type == "ExecutionFailed":
            for visit in _outwards(position):
                visit.blame()
        for visit in self.all:
            if visit.ended is None:
                visit.stopped = at
                if visit.status == "running":
                    visit.cut = "timed out" if event_type == "ExecutionTimedOut" else "aborted"


def details(event: HistoryEvent) -> Mapping[str, Any]:
    """Return the `…EventDetails` of an event; empty if it has none."""
    key = next((key for key in event if key.endswith("EventDetails")), "")
    fields: Mapping[str, Any] = event.get(key) or {}
    return fields


def json_object(text: Any) -> dict[str, Any]:
    """Return the JSON object that a text holds; an empty one for any other text."""
    try:
        value = json.loads(text or "null")
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _outwards(position: _Position) -> Iterator[Visit]:
    """Yield the visits around a position, the innermost first."""
    while position is not None:
        if isinstance(position, Visit):
            yield position
            position = position.branch
        else:
            position = position.container


def _reopen(branch: Branch | None) -> None:
    """Mark that the Maps and Parallels around go on: the execution was redriven."""
    while branch is not None:
        branch.aborted = False
        branch.container.reopen()
        branch = branch.container.branch


def _time(timestamp: Any) -> datetime:
    return timestamp if isinstance(timestamp, datetime) else datetime.fromisoformat(timestamp)
