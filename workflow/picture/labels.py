"""Where the labels of lines stand: on their own line, near its source, over nothing else.

The layout engine keeps room for each label, but may put one beside a line or under its arrow; so
places along the line are weighed against the boxes, the other lines and the other labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal

from workflow.definition.asl import Transition
from workflow.picture.lettering import NOTE_LINE, NOTE_SIZE, text_width, wrapped

Point = tuple[float, float]
Size = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

_WIDE, _NARROW = 178.0, 118.0
_STEP = 6.0
_HEAD_ROOM = 12.0
"""What the arrow head needs for itself at the end of a line."""
_FREE_LINE = 5.0
"""What should be seen of a line before and after its label."""
_ASIDE = 4.0
_FARTHEST = 600.0
_ON_BOX, _ON_LABEL, _ON_LINE, _ON_BEND, _FROM_ENGINE = 1_000.0, 600.0, 60.0, 20.0, 90.0
_ANCHORS: dict[int, Anchor] = {-1: "end", 0: "middle", 1: "start"}
_BESIDE, _NARROWER, _ASTRAY = 8.0, 10.0, 400.0
_A_PIXEL_AWAY, _A_PIXEL_SHORT = 0.12, 1.5


@dataclass(frozen=True)
class Label:
    """Text on a line: its lines, and the middle and size of the room that it takes.

    Attributes:
        anchor: Which part of the text stands at that part of the room.
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

    transition: Transition
    points: tuple[Point, ...]
    label: Label | None = None


@dataclass(frozen=True)
class Room:
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Room, margin: float = 0.0) -> bool:
        """Whether two rectangles, one of them `margin` pixels larger, have a part in common."""
        return (
            self.left < other.right + margin
            and other.left < self.right + margin
            and self.top < other.bottom + margin
            and other.top < self.bottom + margin
        )


def lettered(
    label: str, *, widest: float = _WIDE, most_lines: int = 3
) -> tuple[tuple[str, ...], Size]:
    """Return a label's lines, and the width and height that it takes."""
    lines = wrapped(label, widest, NOTE_SIZE)
    if len(lines) > most_lines:
        lines = (*lines[: most_lines - 1], f"{lines[most_lines - 1]} …")
    width = max(text_width(line, NOTE_SIZE) for line in lines) + 8.0
    return lines, (width, len(lines) * NOTE_LINE + 3.0)


def labelled(lines: Sequence[Line], boxes: Sequence[Room]) -> list[Line]:
    """Return the lines, their labels where they are read best.

    Args:
        lines: Of one scope; labels stand where the engine put them.
        boxes: Of the states and marks of the scope.
    """
    segments = {line.transition: list(map(_segment, *_ends(line))) for line in lines}
    placed = {line.transition: line.label for line in lines if line.label}
    places = {line.transition: sorted(_places(line), key=_cost) for line in lines}
    for line in [*sorted(lines, key=_length), *lines]:
        way = line.transition
        if way not in placed:
            continue
        segments_of_others = [one for other in segments if other != way for one in segments[other]]
        labels = [label.room for other, label in placed.items() if other != way]
        least = math.inf
        for place in places[way]:
            if place.cost >= least:
                break
            cost = place.cost + _hidden(place.label.room, boxes, labels, segments_of_others)
            if cost < least:
                placed[way], least = place.label, cost
    return [replace(line, label=placed.get(line.transition)) for line in lines]


def faults(lines: Sequence[Line], boxes: Sequence[Room]) -> int:
    """Return what is wrong with the labels, as a number to compare; 0 if nothing is.

    Ten for one that stands on a box, on another or away from its line, one for each other line
    that it covers.
    """
    total = 0
    rooms = [(line, line.label.room) for line in lines if line.label]
    for line, room in rooms:
        total += 10 * any(room.meets(box) for box in boxes) + 10 * _astray(line, room)
        for other in lines:
            if other is not line:
                total += any(room.meets(segment) for segment in map(_segment, *_ends(other)))
    return total + 10 * sum(one.meets(other) for (_, one), (_, other) in combinations(rooms, 2))


@dataclass(frozen=True)
class _Place:
    """Where a label could stand, and what speaks against it on its own line."""

    label: Label
    cost: float


def _cost(place: _Place) -> float:
    return place.cost


def _hidden(
    room: Room, boxes: Iterable[Room], labels: Iterable[Room], segments: Iterable[Room]
) -> float:
    """Return what speaks against a place because of what it would stand on."""
    return (
        _ON_BOX * sum(room.meets(box, 3.0) for box in boxes)
        + _ON_LABEL * sum(room.meets(label, 4.0) for label in labels)
        + _ON_LINE * sum(room.meets(segment, 2.0) for segment in segments)
    )


def _places(line: Line) -> Iterator[_Place]:
    if not line.label:
        return
    yield _Place(line.label, _ASTRAY if _astray(line, line.label.room) else _FROM_ENGINE)
    yield from _places_along(line, line.label, 0.0)
    lines, (width, height) = lettered(line.transition.label, widest=_NARROW)
    if lines != line.label.lines:
        yield from _places_along(line, Label(lines, 0.0, 0.0, width, height), _NARROWER)


def _places_along(line: Line, label: Label, cost: float) -> Iterator[_Place]:
    segments = list(map(_segment, *_ends(line)))
    gone = 0.0
    for number, (start, end) in enumerate(pairwise(line.points)):
        length = math.dist(start, end)
        horizontal = abs(end[0] - start[0]) > abs(end[1] - start[1])
        half = (label.width if horizontal else label.height) / 2 + _FREE_LINE
        free = length - (_HEAD_ROOM if number == len(segments) - 1 else 0.0)
        bends = [segment for other, segment in enumerate(segments) if other != number]
        for along in _steps(length):
            if gone + along > _FARTHEST:
                return
            short = max(0.0, half - along) + max(0.0, half - (free - along))
            x, y = (a + (b - a) * along / length for a, b in zip(start, end, strict=True))
            away = (gone + along) * _A_PIXEL_AWAY
            for side in (0, 1, -1):
                dx = 0.0 if horizontal else side * (label.width / 2 + _ASIDE)
                dy = side * (label.height / 2 + _ASIDE / 2) if horizontal else 0.0
                anchor = _ANCHORS[0 if horizontal else side]
                placed = replace(label, x=x + dx, y=y + dy, anchor=anchor)
                on_bends = sum(placed.room.meets(bend, 4.0) for bend in bends)
                against = on_bends * _ON_BEND + (_BESIDE if side else short * _A_PIXEL_SHORT)
                yield _Place(placed, cost + away + against)
        gone += length


def _astray(line: Line, room: Room) -> bool:
    return not any(room.meets(segment, 2 * _ASIDE) for segment in map(_segment, *_ends(line)))


def _steps(length: float) -> Iterator[float]:
    count = max(1, round(length / _STEP))
    return (length * (number + 0.5) / count for number in range(count)) if length else iter(())


def _ends(line: Line) -> tuple[Sequence[Point], Sequence[Point]]:
    return line.points[:-1], line.points[1:]


def _segment(start: Point, end: Point) -> Room:
    (x, y), (to_x, to_y) = start, end
    return Room(min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))


def _length(line: Line) -> float:
    return sum(map(math.dist, *_ends(line)))
