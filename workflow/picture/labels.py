"""The positions of the labels of lines: on their own line, near its source, over nothing else.

The layout engine keeps room for each label, but may put one beside a line or under its arrow; so
positions along the line are weighed against the boxes, the other lines and the other labels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal

from workflow.definition.folding import DrawnTransition
from workflow.picture.lettering import NOTE_LINE, NOTE_SIZE, text_width, wrap_text

Point = tuple[float, float]
Size = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

_WIDE, _NARROW = 178.0, 118.0
_BEFORE_OR = re.compile(r" (?=or )")
_STEP = 6.0
_HEAD_ROOM = 12.0
"""The length of the arrow head at the end of a line."""
_FREE_LINE = 5.0
"""The visible length of a line before and after its label."""
_ASIDE = 4.0
_FARTHEST = 600.0
_ON_BOX, _ON_LABEL, _ON_LINE, _ON_BEND, _FROM_ENGINE = 1_000.0, 600.0, 60.0, 20.0, 90.0
_ANCHORS: dict[int, Anchor] = {-1: "end", 0: "middle", 1: "start"}
_BESIDE, _NARROWER, _ASTRAY = 8.0, 10.0, 400.0
_A_PIXEL_AWAY, _A_PIXEL_SHORT = 0.12, 1.5


@dataclass(frozen=True)
class Label:
    """Text on a line: its lines of text, and the middle and size of the room that it takes.

    Attributes:
        anchor: Whether the texts are aligned to the start, the middle or the end of the room.
    """

    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    anchor: Anchor = "middle"

    @property
    def room(self) -> Room:
        """The rectangle that it covers."""
        across, down = self.width / 2, self.height / 2
        return Room(self.x - across, self.y - down, self.x + across, self.y + down)


@dataclass(frozen=True)
class Line:
    """A transition as it is drawn: from its source to its target, bends between."""

    transition: DrawnTransition
    points: tuple[Point, ...]
    label: Label | None = None

    @property
    def segments(self) -> list[Room]:
        """Its parts between two points, as rectangles without width or height."""
        return [
            Room(min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))
            for (x, y), (to_x, to_y) in pairwise(self.points)
        ]

    @property
    def length(self) -> float:
        """Its length in pixels."""
        return sum(math.dist(start, end) for start, end in pairwise(self.points))


@dataclass(frozen=True)
class Room:
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Room, margin: float = 0.0) -> bool:
        """Return whether two rectangles overlap, one of them `margin` pixels larger."""
        return (
            self.left < other.right + margin
            and other.left < self.right + margin
            and self.top < other.bottom + margin
            and other.top < self.bottom + margin
        )


def wrap_label(
    label: str, *, widest: float = _WIDE, most_lines: int = 3
) -> tuple[tuple[str, ...], Size]:
    """Return a label's lines, and the width and height that it takes.

    Alternatives begin lines, `CREATE FAILED`, `or CREATE STOPPED`, where each fits into one.
    """
    lines: tuple[str, ...] = ()
    for alternative in _BEFORE_OR.split(label):
        longer = f"{lines[-1]} {alternative}" if lines else alternative
        is_short = text_width(longer, NOTE_SIZE) <= widest
        lines = (*lines[:-1], longer) if is_short else (*lines, alternative)
    if any(text_width(line, NOTE_SIZE) > widest for line in lines):
        lines = wrap_text(label, widest, NOTE_SIZE)
    if len(lines) > most_lines:
        lines = (*lines[: most_lines - 1], f"{lines[most_lines - 1]} …")
    width = max(text_width(line, NOTE_SIZE) for line in lines) + 8.0
    return lines, (width, len(lines) * NOTE_LINE + 3.0)


def move_labels(lines: Sequence[Line], boxes: Sequence[Room]) -> list[Line]:
    """Return the lines, their labels where they are read best.

    Args:
        lines: Of one scope; their labels are where the engine put them.
        boxes: Of the states and marks of the scope.
    """
    segments = {line.transition: line.segments for line in lines}
    labels = {line.transition: line.label for line in lines if line.label}
    candidates = {line.transition: sorted(_candidates(line), key=_cost) for line in lines}
    for line in [*sorted(lines, key=lambda line: line.length), *lines]:
        own = line.transition
        if own not in labels:
            continue
        other_lines = [room for other in segments if other != own for room in segments[other]]
        other_labels = [label.room for other, label in labels.items() if other != own]
        least = math.inf
        for candidate in candidates[own]:
            if candidate.cost >= least:
                break
            room = candidate.label.room
            cost = candidate.cost + _hidden(room, boxes, other_labels, other_lines)
            if cost < least:
                labels[own], least = candidate.label, cost
    return [replace(line, label=labels.get(line.transition)) for line in lines]


def faults(lines: Sequence[Line], boxes: Sequence[Room]) -> int:
    """Return the faults of the labels, as a number to compare; 0 if there are none.

    Ten for each label on a box, on another label or away from its line, one for each other line
    that it covers.
    """
    total = 0
    rooms = [(line, line.label.room) for line in lines if line.label]
    for line, room in rooms:
        total += 10 * any(room.meets(box) for box in boxes) + 10 * _is_astray(line, room)
        for other in lines:
            if other is not line:
                total += any(room.meets(segment) for segment in other.segments)
    return total + 10 * sum(
        first.meets(second) for (_, first), (_, second) in combinations(rooms, 2)
    )


@dataclass(frozen=True)
class _Candidate:
    """A possible position of a label, and its cost on its own line."""

    label: Label
    cost: float


def _cost(candidate: _Candidate) -> float:
    return candidate.cost


def _hidden(
    room: Room, boxes: Iterable[Room], labels: Iterable[Room], segments: Iterable[Room]
) -> float:
    """Return the cost of the boxes, labels and lines that a label would cover."""
    return (
        _ON_BOX * sum(room.meets(box, 3.0) for box in boxes)
        + _ON_LABEL * sum(room.meets(label, 4.0) for label in labels)
        + _ON_LINE * sum(room.meets(segment, 2.0) for segment in segments)
    )


def _candidates(line: Line) -> Iterator[_Candidate]:
    if not line.label:
        return
    is_astray = _is_astray(line, line.label.room)
    yield _Candidate(line.label, _ASTRAY if is_astray else _FROM_ENGINE)
    yield from _candidates_along(line, line.label, 0.0)
    lines, (width, height) = wrap_label(line.transition.label, widest=_NARROW)
    if lines != line.label.lines:
        yield from _candidates_along(line, Label(lines, 0.0, 0.0, width, height), _NARROWER)


def _candidates_along(line: Line, label: Label, cost: float) -> Iterator[_Candidate]:
    segments = line.segments
    before = 0.0
    for number, (start, end) in enumerate(pairwise(line.points)):
        length = math.dist(start, end)
        horizontal = abs(end[0] - start[0]) > abs(end[1] - start[1])
        half = (label.width if horizontal else label.height) / 2 + _FREE_LINE
        free = length - (_HEAD_ROOM if number == len(segments) - 1 else 0.0)
        bends = [segment for other, segment in enumerate(segments) if other != number]
        for along in _steps(length):
            if before + along > _FARTHEST:
                return
            short = max(0.0, half - along) + max(0.0, half - (free - along))
            x, y = (a + (b - a) * along / length for a, b in zip(start, end, strict=True))
            away = (before + along) * _A_PIXEL_AWAY
            for side in (0, 1, -1):
                dx = 0.0 if horizontal else side * (label.width / 2 + _ASIDE)
                dy = side * (label.height / 2 + _ASIDE / 2) if horizontal else 0.0
                anchor = _ANCHORS[0 if horizontal else side]
                moved = replace(label, x=x + dx, y=y + dy, anchor=anchor)
                on_bends = sum(moved.room.meets(bend, 4.0) for bend in bends)
                position = on_bends * _ON_BEND + (_BESIDE if side else short * _A_PIXEL_SHORT)
                yield _Candidate(moved, cost + away + position)
        before += length


def _is_astray(line: Line, room: Room) -> bool:
    return not any(room.meets(segment, 2 * _ASIDE) for segment in line.segments)


def _steps(length: float) -> Iterator[float]:
    count = max(1, round(length / _STEP))
    return (length * (number + 0.5) / count for number in range(count)) if length else iter(())
