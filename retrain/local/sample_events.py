"""The events of the sample database: who, when, and with which posting; in numpy alone.

Students prefer some fields of work and have tastes of their own, and within a visit interest drifts
from one posting to a related one. A student who viewed a posting may favourite it, and then apply.
Many students take their steps together, so that the time grows with the events, and not with
students times postings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ANONYMOUS_SHARE = 0.0015
"""Share of the views that are made without a login, of those that lead to no favourite."""
REPEAT_SHARE = 0.12
DRIFT_SHARE = 0.45
"""Share of the events after the first that are with a related posting, unless repeated."""
FUNNEL = (("view", 0.15), ("favourite", 0.3), ("apply", 0.0))
"""Event types, each with the probability that the next one follows at once."""
EVENTS_PER_VISIT = 6
LONGEST_VISIT = 7_200  # seconds
_DAY = 86_400
_WEEK = 7 * _DAY  # after which new postings are noticed
_NOVEL = 14 * _DAY
_REMEMBERED = 5  # postings that a student returns to
_LOOKED_AT = 16  # postings of which a student opens one
_TASTES = 1 << 16
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
# Together, so that their arrays stay near the processor and the memory is bounded:
_STUDENTS = 10_000
_BLOCK = 50_000  # events whose postings are drawn


@dataclass(frozen=True)
class Postings:
    """Field of work, popularity and publication (UTC epoch seconds) of each posting."""

    field: NDArray[np.int64]
    popularity: NDArray[np.float64]
    published: NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Arrays of equal length, oldest first; students and postings from 0.

    Attributes:
        student: Whose event it is; -1 if nobody was logged in.
        posting: With which posting.
        stage: Position of its type in `FUNNEL`.
        at: UTC epoch seconds.
    """

    student: NDArray[np.int32]
    posting: NDArray[np.int32]
    stage: NDArray[np.int32]
    at: NDArray[np.int64]


def draw_events(
    random: np.random.Generator,
    preferences: NDArray[np.float64],
    postings: Postings,
    count: int,
    period: tuple[int, int],
) -> Events:
    """Draw events.

    Args:
        random: Draws them.
        preferences: Of each student for each field of work, (students, fields).
        postings: What there is; some are published before the period.
        count: Number of events.
        period: Its begin and end, UTC epoch seconds.
    """
    per_student = _activity(random, len(preferences), count)
    shelves = _Shelves.of(postings, *period)
    histories = [
        _histories(random, first, per_student[block], preferences[block], shelves, period)
        for first in range(0, len(preferences), _STUDENTS)
        for block in [slice(first, first + _STUDENTS)]
    ]
    at = np.concatenate([events.at for events in histories])
    order = np.argsort(at, kind="stable")
    return Events(
        student=np.concatenate([events.student for events in histories])[order],
        posting=np.concatenate([events.posting for events in histories])[order],
        stage=np.concatenate([events.stage for events in histories])[order],
        at=at[order],
    )


def _histories(
    random: np.random.Generator,
    first: int,
    per_student: NDArray[np.int64],
    preferences: NDArray[np.float64],
    shelves: _Shelves,
    period: tuple[int, int],
) -> Events:
    """Return the events of some students, one student's after the other's, each's oldest first.

    Args:
        random: Draws them.
        first: Number of the first of these students.
        per_student: Number of events of each.
        preferences: Of each for each field of work, (students, fields).
        shelves: What there is in each week.
        period: Its begin and end, UTC epoch seconds.
    """
    count = int(per_student.sum())
    student = np.repeat(np.arange(len(per_student)), per_student)
    begins = np.cumsum(per_student) - per_student
    position = np.arange(count) - begins[student]
    at = _times(random, per_student, student, position, period)
    week = (at - period[0]) // _WEEK

    onward, repeat, drift = random.random((3, count))
    is_new = (position == 0) | ((repeat >= REPEAT_SHARE) & (drift >= DRIFT_SHARE))
    posting = np.zeros(count, dtype=np.int64)
    new, tastes = np.flatnonzero(is_new), random.gamma(0.6, size=_TASTES)
    for start in range(0, len(new), _BLOCK):
        block = new[start : start + _BLOCK]
        who, preferred = first + student[block], preferences[student[block]]
        posting[block] = shelves.opened(random, who, week[block], preferred, tastes)
    back = 1 + (random.random(count) * np.minimum(_REMEMBERED, position)).astype(np.int64)
    onto = 1 + random.geometric(0.6, count)

    # Step by step: what a student does depends on what the student did before.
    probabilities = np.array([probability for _, probability in FUNNEL])
    stage = np.zeros(count, dtype=np.int64)
    busiest = np.argsort(-per_student, kind="stable")
    begun, lengths = begins[busiest], per_student[busiest]
    for step in range(1, int(lengths[0])):
        now = begun[: np.searchsorted(-lengths, -step)] + step
        follows = onward[now] < probabilities[stage[now - 1]]
        stage[now] = np.where(follows, stage[now - 1] + 1, 0)
        again = now[~follows & (repeat[now] < REPEAT_SHARE)]
        beside = now[~follows & (repeat[now] >= REPEAT_SHARE) & (drift[now] < DRIFT_SHARE)]
        posting[now[follows]] = posting[now[follows] - 1]
        posting[again] = posting[again - back[again]]
        posting[beside] = shelves.beside(posting[beside - 1], week[beside], onto[beside])
    is_followed = np.append(stage[1:], 0) > stage
    is_anonymous = (random.random(count) < ANONYMOUS_SHARE) & (stage == 0) & ~is_followed
    return Events(
        student=np.where(is_anonymous, -1, first + student).astype(np.int32),
        posting=posting.astype(np.int32),
        stage=stage.astype(np.int32),
        at=at,
    )


def _activity(random: np.random.Generator, students: int, events: int) -> NDArray[np.int64]:
    """Return the number of events of each student: many for a few, few for most, none for some."""
    weight = random.lognormal(0.0, 0.8, students)
    weight[random.random(students) < 0.02] = 0.0
    if not weight.any():
        weight[:] = 1.0
    expected = weight / weight.sum() * events
    count: NDArray[np.int64] = np.floor(expected).astype(np.int64)
    rest = np.argsort(count - expected, kind="stable")[: events - int(count.sum())]
    count[rest] += 1
    return count


def _times(
    random: np.random.Generator,
    per_student: NDArray[np.int64],
    student: NDArray[np.int64],
    position: NDArray[np.int64],
    period: tuple[int, int],
) -> NDArray[np.int64]:
    """Return rising times: a few visits, and within each one event every few minutes."""
    begin, end = period
    visits = 1 + per_student // EVENTS_PER_VISIT
    latest = np.repeat(end - LONGEST_VISIT - per_student, visits)
    starts = random.integers(begin, latest)
    visit = (np.cumsum(visits) - visits)[student] + random.integers(0, visits[student])
    pauses = np.minimum(random.exponential(600.0, len(student)), LONGEST_VISIT).astype(np.int64)
    # Each student's times lie in a range of their own, so that one sort sorts those of each.
    apart = student * (2 * (end - begin))
    times = np.sort(starts[visit] + pauses + apart)
    # No two in the same second, so that what follows in the funnel also comes later.
    return np.asarray(np.maximum.accumulate(times - position) + position - apart, dtype=np.int64)


@dataclass(frozen=True)
class _Shelves:
    """The postings that are there in each week, by field of work and then by number.

    Attributes:
        order: The postings by field.
        place: Where each posting is in `order`.
        field: Field of each posting.
        begins: Where each field begins in `order`, and its end: (fields + 1).
        cumulative: Attraction, added up over all weeks and in each over `order`, from 0.
        before: Number of visible postings before each place of `order`, (weeks, postings + 1).
        visible: For each week the places of `order` that are visible, in rising order.
    """

    order: NDArray[np.int64]
    place: NDArray[np.int64]
    field: NDArray[np.int64]
    begins: NDArray[np.int64]
    cumulative: NDArray[np.float64]
    before: NDArray[np.int64]
    visible: NDArray[np.int64]

    @classmethod
    def of(cls, postings: Postings, begin: int, end: int) -> _Shelves:
        """Return the shelves of a period."""
        order = np.argsort(postings.field, kind="stable")
        weeks = begin + _WEEK * np.arange(1 + (end - begin) // _WEEK)
        age = weeks[:, None] - postings.published[order]
        is_visible = age >= 0
        novelty = 1.0 + 3.0 * np.exp(-np.maximum(age, 0) / _NOVEL)
        attraction = np.where(is_visible, postings.popularity[order] * novelty, 0.0)
        before = np.zeros((len(weeks), len(order) + 1), dtype=np.int64)
        np.cumsum(is_visible, axis=1, out=before[:, 1:])
        return cls(
            order=order,
            place=np.argsort(order, kind="stable"),
            field=postings.field,
            begins=np.searchsorted(postings.field[order], np.arange(postings.field.max() + 2)),
            cumulative=np.concatenate([[0.0], np.cumsum(attraction)]),
            before=before,
            visible=np.argsort(~is_visible, axis=1, kind="stable"),
        )

    def opened(
        self,
        random: np.random.Generator,
        student: NDArray[np.int64],
        week: NDArray[np.int64],
        preferred: NDArray[np.float64],
        tastes: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Return the posting that each student opens, of some in a field that each prefers.

        Args:
            random: Draws them.
            student: The students.
            week: Of each event.
            preferred: Preference of each student for each field, (students, fields).
            tastes: A student's taste for a posting is one of them, which a hash of both names.
        """
        begins = week[:, None] * len(self.order) + self.begins
        attractive = preferred * np.diff(self.cumulative[begins], axis=1)
        field = _drawn(random, attractive)
        rows = np.arange(len(week))
        low = self.cumulative[begins[rows, field]][:, None]
        high = self.cumulative[begins[rows, field + 1]][:, None]
        draws = low + random.random((len(week), _LOOKED_AT)) * (high - low)
        found = np.searchsorted(
            self.cumulative, np.minimum(draws, np.nextafter(high, low)), "right"
        )
        places = found - 1 - week[:, None] * len(self.order)
        looked_at = self.order[places]
        mixed = student[:, None].astype(np.uint64) * _MIX[0] ^ looked_at.astype(np.uint64) * _MIX[1]
        mixed = (mixed ^ (mixed >> np.uint64(31))) * _MIX[2] >> np.uint64(48)
        return np.asarray(looked_at[rows, _drawn(random, tastes[mixed])])

    def beside(
        self, last: NDArray[np.int64], week: NDArray[np.int64], onto: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return postings that are shown beside the last ones: same field, further in its list."""
        field = self.field[last]
        begin = self.before[week, self.begins[field]]
        count = self.before[week, self.begins[field + 1]] - begin
        number = (self.before[week, self.place[last]] - begin + onto) % count
        return np.asarray(self.order[self.visible[week, begin + number]])


def _drawn(random: np.random.Generator, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw a column of each row by weight."""
    cumulative = np.cumsum(weights, axis=1)
    drawn = random.random((len(weights), 1)) * cumulative[:, -1:]
    return np.asarray((drawn >= cumulative[:, :-1]).sum(axis=1), dtype=np.int64)
