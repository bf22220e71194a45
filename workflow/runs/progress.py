"""The progress of an execution: its history → the status of each state, and transitions taken.

Pure: events in, frozen data out; a view of `visits`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from workflow.definition.asl import Definition
from workflow.runs.endings import Endings
from workflow.runs.history import failed_visit
from workflow.runs.visits import RUNNING, HistoryEvent, Status, Visit, Visits

_WORST_FIRST: tuple[Status, ...] = (
    "running",
    "failed",
    "timed out",
    "aborted",
    "caught",
    "succeeded",
)


ItemPath = tuple[tuple[int, int], ...]
"""The Maps around a visit, each with the index of the item; empty outside a Map."""


class ItemRecord(NamedTuple):
    """The visits of one item of a Map to a state: the last one's status, and their duration."""

    status: Status
    seconds: float | None


@dataclass(frozen=True)
class StateRecord:
    """The status of a state that was reached, and its figures.

    Attributes:
        status: After the last visit, and of the items of a Map the worst.
        visits: Number of times it was entered; a poll loop enters its states many times.
        attempts: Number of tries: one for each visit, and one more for each retry.
        seconds: Duration of its visits together, of the items of a Map the longest; None if it is
            still in its first visit and the time now is unknown.
        running: Number of its visits that are going on now.
        done: Number of items that have passed the Map, or, of a state inside one, that state;
            None outside a Map.
        items: Number of items of the Map; None outside a Map.
        by_item: The visits of each item of a Map; one entry outside a Map.
    """

    status: Status
    visits: int
    attempts: int
    seconds: float | None
    running: int = 0
    done: int | None = None
    items: int | None = None
    by_item: Mapping[ItemPath, ItemRecord] = field(default_factory=dict, compare=False)


class Passage(NamedTuple):
    """A transition from one state to the next; `caught` if an error led there."""

    source: str
    target: str
    caught: bool = False


@dataclass(frozen=True)
class Progress:
    """The progress of an execution.

    Attributes:
        status: `RUNNING`, `SUCCEEDED`, `FAILED`, `ABORTED` or `TIMED_OUT`.
        states: Of the states that were reached, by name, in the order in which they were.
        passages: How often each transition was taken.
        seconds: Since the first event; None if there is no event.
    """

    status: str
    states: Mapping[str, StateRecord]
    passages: Mapping[Passage, int]
    seconds: float | None

    @property
    def ended(self) -> bool:
        """Whether the execution has ended."""
        return self.status != RUNNING

    def together(self, names: Iterable[str], *, counted: str) -> StateRecord | None:
        """Return the record of several states as one, as of a poll loop; None if none was reached.

        Args:
            names: Of the states, which stand in the same scope.
            counted: The one whose visits and attempts count.
        """
        records = [self.states[name] for name in names if name in self.states]
        if not records:
            return None
        merged: defaultdict[ItemPath, list[ItemRecord]] = defaultdict(list)
        for record in records:
            of_items = record.by_item or {(): ItemRecord(record.status, record.seconds)}
            for path, item in of_items.items():
                merged[path].append(item)
        by_item = {path: _merged(group) for path, group in merged.items()}
        items = max((record.items for record in records if record.items is not None), default=None)
        done = sum(item.status != "running" for item in by_item.values())
        counted_record = self.states.get(counted)
        return StateRecord(
            status=_worst(item.status for item in by_item.values()),
            visits=counted_record.visits if counted_record else 0,
            attempts=counted_record.attempts if counted_record else 0,
            seconds=_longest(item.seconds for item in by_item.values()),
            running=sum(record.running for record in records),
            done=None if items is None else done,
            items=items,
            by_item=by_item,
        )


def progress_of(
    events: Iterable[HistoryEvent] | Visits,
    definition: Definition | None = None,
    *,
    now: datetime | None = None,
) -> Progress:
    """Return the progress of an execution.

    Args:
        events: Its history, oldest first, or the visits made of it; timestamps may be
            ISO 8601 texts, as in `history.json`.
        definition: Of the state machine; it says which states lead to a failure.
        now: UTC, for the durations of what still runs; left out, those are None.
    """
    visits = Visits.of(events)
    until = now if visits.end is None else visits.at
    seconds = None
    if visits.began and visits.at:
        seconds = ((until or visits.at) - visits.began).total_seconds()
    status = partial(Endings.of(definition).status, failed=failed_visit(visits))
    by_state: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit in visits.all:
        by_state[visit.state].append(visit)
    return Progress(
        status=visits.status,
        states={name: _record(group, status, until) for name, group in by_state.items()},
        passages={Passage(*key): times for key, times in visits.passages.items()},
        seconds=seconds,
    )


def _record(
    visits: Sequence[Visit], status: Callable[[Visit], Status], until: datetime | None
) -> StateRecord:
    groups: defaultdict[ItemPath, list[Visit]] = defaultdict(list)
    for visit in visits:
        groups[_item_path(visit)].append(visit)
    by_item = {
        path: ItemRecord(status(group[-1]), _sum(visit.seconds(until) for visit in group))
        for path, group in groups.items()
    }
    done, items = _counts(visits, groups.values())
    return StateRecord(
        status=_worst(item.status for item in by_item.values()),
        visits=len(visits),
        attempts=sum(max(1, visit.tries) for visit in visits),
        seconds=_longest(item.seconds for item in by_item.values()),
        running=sum(visit.status == "running" for visit in visits),
        done=done,
        items=items,
        by_item=by_item,
    )


def _merged(items: Sequence[ItemRecord]) -> ItemRecord:
    return ItemRecord(_worst(item.status for item in items), _sum(item.seconds for item in items))


def _worst(found: Iterable[Status]) -> Status:
    there = set(found)
    return next(status for status in _WORST_FIRST if status in there)


def _sum(durations: Iterable[float | None]) -> float | None:
    known = [seconds for seconds in durations if seconds is not None]
    return sum(known) if known else None


def _longest(durations: Iterable[float | None]) -> float | None:
    return max((seconds for seconds in durations if seconds is not None), default=None)


def _counts(
    visits: Sequence[Visit], by_item: Iterable[Sequence[Visit]]
) -> tuple[int | None, int | None]:
    """Return the number of items that left a state, and of all; None for both outside a Map."""
    if visits[0].state_type == "Map":
        return sum(visit.items_done for visit in visits), sum(visit.items for visit in visits)
    around = {item.container for visit in visits if (item := visit.item)}
    if not around:
        return None, None
    through = sum(any(map(_through, group)) for group in by_item)
    return through, sum(container.items for container in around)


def _through(visit: Visit) -> bool:
    return visit.ended is not None or visit.state_type == "Fail"


def _item_path(visit: Visit) -> ItemPath:
    """Return which items of which Maps are around a visit; the same in every try of the Map."""
    maps = (branch for branch in visit.around if branch.container.state_type == "Map")
    return tuple((id(branch.container), branch.index) for branch in maps)
