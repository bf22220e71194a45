"""The progress of an execution: its history → the status of each state, and transitions taken.

Pure: events in, frozen data out; a view of `visits`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from workflow.runs.visits import RUNNING, HistoryEvent, Status, Visit, Visits

_WORST_FIRST: tuple[Status, ...] = (
    "running",
    "failed",
    "timed out",
    "aborted",
    "caught",
    "succeeded",
)


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
    """

    status: Status
    visits: int
    attempts: int
    seconds: float | None
    running: int = 0
    done: int | None = None
    items: int | None = None


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


def progress_of(
    events: Iterable[HistoryEvent] | Visits, *, now: datetime | None = None
) -> Progress:
    """Return the progress of an execution.

    Args:
        events: Its history, oldest first, or the visits made of it; timestamps may be
            ISO 8601 texts, as in `history.json`.
        now: UTC, for the durations of what still runs; left out, those are None.
    """
    visits = Visits.of(events)
    until = now if visits.end is None else visits.at
    seconds = None
    if visits.began and visits.at:
        seconds = ((until or visits.at) - visits.began).total_seconds()
    by_state: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit in visits.all:
        by_state[visit.state].append(visit)
    return Progress(
        status=visits.status,
        states={name: _record(group, until) for name, group in by_state.items()},
        passages={Passage(*key): times for key, times in visits.passages.items()},
        seconds=seconds,
    )


def _record(visits: Sequence[Visit], until: datetime | None) -> StateRecord:
    by_item: defaultdict[tuple[tuple[int, int], ...], list[Visit]] = defaultdict(list)
    for visit in visits:
        by_item[_item_path(visit)].append(visit)
    last = {group[-1].status for group in by_item.values()}
    durations = (_together(group, until) for group in by_item.values())
    done, items = _counts(visits, by_item.values())
    return StateRecord(
        status=next(status for status in _WORST_FIRST if status in last),
        visits=len(visits),
        attempts=sum(max(1, visit.tries) for visit in visits),
        seconds=max((seconds for seconds in durations if seconds is not None), default=None),
        running=sum(visit.status == "running" for visit in visits),
        done=done,
        items=items,
    )


def _together(group: Iterable[Visit], until: datetime | None) -> float | None:
    seconds = [each for each in (visit.seconds(until) for visit in group) if each is not None]
    return sum(seconds) if seconds else None


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


def _item_path(visit: Visit) -> tuple[tuple[int, int], ...]:
    """Return which items of which Maps are around a visit; the same in every try of the Map."""
    maps = (branch for branch in visit.around if branch.container.state_type == "Map")
    return tuple((id(branch.container), branch.index) for branch in maps)
