"""How far an execution has come: its history → what became of each state, and the ways taken.

Pure: events in, frozen data out. Events are followed from each to the one before it, so that the
items of a Map and the branches of a Parallel, which the history mixes, are told apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from workflow.runs.history import RUNNING, HistoryEvent

Status = Literal["running", "failed", "timed out", "aborted", "caught", "succeeded"]

_WORST_FIRST: tuple[Status, ...] = (
    "running",
    "failed",
    "timed out",
    "aborted",
    "caught",
    "succeeded",
)
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


@dataclass(frozen=True)
class StateRecord:
    """What became of a state that was reached.

    Attributes:
        status: where it stands: after the last visit, and of the items of a Map the worst.
        visits: how often it was entered; a poll loop enters its states many times.
        attempts: how often it was tried: each visit once, and once more for each retry.
        seconds: how long its visits took together, of the items of a Map the longest; None if
            it is still in its first visit and nobody said what time it is.
        running: how many of its visits are going on now.
        done: how many items are through the Map, or, of a state inside one, through that state;
            None outside a Map.
        items: how many items the Map has; None outside a Map.
    """

    status: Status
    visits: int
    attempts: int
    seconds: float | None
    running: int = 0
    done: int | None = None
    items: int | None = None


class Passage(NamedTuple):
    """A way from one state to the next; `caught` if an error led there."""

    source: str
    target: str
    caught: bool = False


@dataclass(frozen=True)
class Progress:
    """How far an execution has come.

    Attributes:
        status: `RUNNING`, `SUCCEEDED`, `FAILED`, `ABORTED` or `TIMED_OUT`.
        states: of the states that were reached, by name, in the order in which they were.
        passages: how often each way was taken.
        seconds: since the first event; None if there is no event.
    """

    status: str
    states: Mapping[str, StateRecord]
    passages: Mapping[Passage, int]
    seconds: float | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status != RUNNING


def progress_of(events: Sequence[HistoryEvent], *, now: datetime | None = None) -> Progress:
    """Return how far an execution has come.

    Args:
        events: its history, oldest first; timestamps may be ISO 8601 texts, as in `history.json`.
        now: UTC, for the durations of what still runs; left out, those are not told.
    """
    told = _History()
    for event in timed(events):
        told.add(event)
    ending = _ENDINGS.get(events[-1]["type"], RUNNING) if events else RUNNING
    until = told.at if ending != RUNNING else now
    seconds = None
    if told.began and told.at:
        seconds = ((until or told.at) - told.began).total_seconds()
    return Progress(
        status=ending,
        states=dict(told.records(ending, until)),
        passages=dict(told.passages),
        seconds=seconds,
    )


def timed(events: Iterable[HistoryEvent]) -> list[dict[str, Any]]:
    """Return events with the time of each as a datetime, also where it was an ISO 8601 text."""
    return [{**event, "timestamp": _time(event["timestamp"])} for event in events]


@dataclass
class _Visit:
    """One stay in a state; `inside` are the visits and items around it, the outermost first."""

    state: str
    state_type: str
    begun: datetime
    inside: tuple[_Place, ...]
    ended: datetime | None = None
    tries: int = 0
    failed: Literal["", "failed", "timed out"] = ""
    lost: bool = False
    aborted: bool = False
    items: int = 0
    items_done: int = 0

    @property
    def closed(self) -> bool:
        return self.ended is not None or self.lost or self.aborted

    def blame(self) -> None:
        self.failed = self.failed or "failed"
        self.lost = True

    def status(self, ending: str) -> Status:
        if self.ended is not None:
            return "caught" if self.failed else "succeeded"
        if self.lost:
            return self.failed or "failed"
        if self.aborted or any(
            isinstance(around, _Visit) and around.closed for around in self.inside
        ):
            return "aborted"
        if ending == RUNNING:
            return "running"
        return self.failed or ("timed out" if ending == "TIMED_OUT" else "aborted")

    def seconds(self, until: datetime | None) -> float | None:
        if self.ended is None and self.state_type == "Fail":
            return 0.0
        around = (place.ended for place in self.inside if isinstance(place, _Visit))
        end = self.ended or next(filter(None, around), until)
        return (end - self.begun).total_seconds() if end else None


class _Item(NamedTuple):
    """An item of a Map: the visit of the Map and the item's index."""

    visit: _Visit
    number: int


_Place = _Visit | _Item


@dataclass
class _History:
    """The visits that the events so far tell of, and where each event belongs."""

    visits: list[_Visit] = field(default_factory=list)
    passages: Counter[Passage] = field(default_factory=Counter)
    began: datetime | None = None
    at: datetime | None = None
    _inside: dict[int, tuple[_Place, ...]] = field(default_factory=dict)
    _left: dict[int, _Visit] = field(default_factory=dict)
    _last: int = 0

    def add(self, event: HistoryEvent) -> None:
        self.at = event["timestamp"]
        self.began = self.began or self.at
        kind, before = event["type"], event.get("previousEventId", 0)
        # The end of an execution names no event before it where nothing in it is to blame.
        inside = self._inside.get(before or self._last, ())
        if kind.endswith("StateEntered"):
            inside = (*inside, self._entered(event, before, inside))
        elif kind.endswith("StateExited"):
            inside = self._exited(event, inside)
        elif kind.startswith("MapIteration"):
            inside = self._iteration(event, inside)
        elif kind in _TRIES or kind.endswith(("Failed", "TimedOut", "Aborted", "Succeeded")):
            inside = self._tried(kind, event, inside)
        self._inside[event["id"]] = inside
        self._last = event["id"]

    def _entered(self, event: HistoryEvent, before: int, inside: tuple[_Place, ...]) -> _Visit:
        name, kind = event["stateEnteredEventDetails"]["name"], event["type"]
        visit = _Visit(name, kind.removesuffix("StateEntered"), event["timestamp"], inside)
        if visit.state_type == "Fail":
            visit.blame()
        self.visits.append(visit)
        if left := self._left.get(before):
            self.passages[Passage(left.state, name, bool(left.failed))] += 1
        return visit

    def _exited(self, event: HistoryEvent, inside: tuple[_Place, ...]) -> tuple[_Place, ...]:
        name = event["stateExitedEventDetails"]["name"]
        for depth in range(len(inside) - 1, -1, -1):
            place = inside[depth]
            if isinstance(place, _Visit) and place.state == name:
                place.ended = event["timestamp"]
                place.lost = False
                self._left[event["id"]] = place
                return inside[:depth]
        return inside

    def _iteration(self, event: HistoryEvent, inside: tuple[_Place, ...]) -> tuple[_Place, ...]:
        if event["type"] == "MapIterationStarted":
            around = _innermost(inside, "Map")
            index = int(event.get("mapIterationStartedEventDetails", {}).get("index", 0))
            if around is not None:
                around.items = max(around.items, index + 1)
                return (*inside, _Item(around, index))
            return inside
        depth = max((n for n, place in enumerate(inside) if isinstance(place, _Item)), default=None)
        if depth is None:
            return inside
        _end_of_what_runs(event["type"], inside[depth + 1 :])
        item = inside[depth]
        # An interpreter may let the items of a Map that failed run to their end.
        if event["type"] == "MapIterationSucceeded" and isinstance(item, _Item):
            item.visit.items_done += not item.visit.closed
        return inside[:depth]

    def _tried(
        self, kind: str, event: HistoryEvent, inside: tuple[_Place, ...]
    ) -> tuple[_Place, ...]:
        if kind.startswith("Execution"):
            _end_of_what_runs(kind, inside)
            return inside
        if container := next((of for key, of in _CONTAINERS.items() if kind.startswith(key)), None):
            within = _up_to(inside, container, begins=kind in _TRIES)
            _end_of_what_runs(kind, inside[len(within) :])
            inside = within
        if inside and isinstance(visit := inside[-1], _Visit):
            if kind in _TRIES:
                visit.tries += 1
                visit.failed, visit.lost = "", False
            if kind == "MapStateStarted":
                length = event.get("mapStateStartedEventDetails", {}).get("length", 0)
                visit.items = max(visit.items, int(length))
            elif kind.endswith("Aborted"):
                visit.aborted = True
            elif kind.endswith("TimedOut"):
                visit.failed = "timed out"
            elif kind.endswith("Failed"):
                visit.failed = visit.failed or "failed"
        return inside

    def records(self, ending: str, until: datetime | None) -> Iterator[tuple[str, StateRecord]]:
        by_state: defaultdict[str, list[_Visit]] = defaultdict(list)
        for visit in self.visits:
            by_state[visit.state].append(visit)
        for name, visits in by_state.items():
            yield name, _record(visits, ending, until)


def _record(visits: Sequence[_Visit], ending: str, until: datetime | None) -> StateRecord:
    places: defaultdict[tuple[tuple[int, int], ...], list[_Visit]] = defaultdict(list)
    for visit in visits:
        places[_item_path(visit)].append(visit)
    last = {stays[-1].status(ending) for stays in places.values()}
    took = [
        seconds
        for seconds in (_together(stays, until) for stays in places.values())
        if seconds is not None
    ]
    done, items = _counts(visits, places.values())
    return StateRecord(
        status=next(status for status in _WORST_FIRST if status in last),
        visits=len(visits),
        attempts=sum(max(1, visit.tries) for visit in visits),
        seconds=max(took, default=None),
        running=sum(visit.status(ending) == "running" for visit in visits),
        done=done,
        items=items,
    )


def _together(stays: Iterable[_Visit], until: datetime | None) -> float | None:
    seconds = [told for told in (stay.seconds(until) for stay in stays) if told is not None]
    return sum(seconds) if seconds else None


def _counts(
    visits: Sequence[_Visit], places: Iterable[Sequence[_Visit]]
) -> tuple[int | None, int | None]:
    """Return how many items are through a state, and of how many; None for both outside a Map."""
    if visits[0].state_type == "Map":
        return sum(visit.items_done for visit in visits), sum(visit.items for visit in visits)
    around = {id(item.visit): item.visit for visit in visits for item in _items(visit)[-1:]}
    if not around:
        return None, None
    through = sum(any(map(_through, stays)) for stays in places)
    return through, sum(visit.items for visit in around.values())


def _through(visit: _Visit) -> bool:
    return visit.ended is not None or visit.state_type == "Fail"


def _items(visit: _Visit) -> list[_Item]:
    return [place for place in visit.inside if isinstance(place, _Item)]


def _item_path(visit: _Visit) -> tuple[tuple[int, int], ...]:
    return tuple((id(item.visit), item.number) for item in _items(visit))


def _innermost(inside: Sequence[_Place], state_type: str) -> _Visit | None:
    visits = (place for place in reversed(inside) if isinstance(place, _Visit))
    return next((visit for visit in visits if visit.state_type == state_type), None)


def _up_to(inside: tuple[_Place, ...], state_type: str, *, begins: bool) -> tuple[_Place, ...]:
    """Return what is around an event of a Map or Parallel, that one last.

    An event that tells of an end belongs to the innermost that has not failed yet.
    """
    for depth in range(len(inside) - 1, -1, -1):
        place = inside[depth]
        if (
            isinstance(place, _Visit)
            and place.state_type == state_type
            and (begins or not place.failed)
        ):
            return inside[: depth + 1]
    return inside


def _end_of_what_runs(kind: str, inside: Iterable[_Place]) -> None:
    """Mark the visits in which a Map, an item of it or the execution failed or was cut short."""
    for place in inside:
        if not isinstance(place, _Visit) or place.closed:
            continue
        if kind.endswith("Failed"):
            place.blame()
        elif kind.endswith("Aborted") and not kind.startswith("Execution"):
            place.aborted = True


def _time(timestamp: Any) -> datetime:
    return timestamp if isinstance(timestamp, datetime) else datetime.fromisoformat(timestamp)
