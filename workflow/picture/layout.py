"""A definition → boxes in boxes and the lines between them, in pixels, y downwards.

Pure geometry. The innermost scopes are laid out first; each is then one box in the scope around it,
below the header with the name of its Map or Parallel.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from workflow.definition.asl import Definition, Scope, State
from workflow.definition.folding import DrawnTransition, Node, drawn
from workflow.picture.labels import Label, Line, Point, Size, wrap_label
from workflow.picture.layering import END, START, lay_out_scope, move_line
from workflow.picture.lettering import NAME_LINE, NAME_SIZE, NOTE_LINE, wrap_text
from workflow.picture.transitions import check_drawable

PADDING = 10.0
ICON = 24.0
ICON_GAP = 9.0
STACK = 5.0
"""The visible width of the cards behind a Map's box, to the right and below."""
SLANT = 14.0
"""The width of the pointed sides of a Choice."""
ROUND, PILL = 8.0, 26.0
"""Radii of the corners of a box, and of a Wait's."""

_LEAF_WIDTH = 240.0
_INNER_MARK, _OUTER_MARK = (12.0, 12.0), (58.0, 24.0)
_MARGIN = 14.0
_LOOP = 18.0


@dataclass(frozen=True)
class Mark:
    """The start or the end of a scope; x and y are its middle, `word` is empty inside a state."""

    type: Literal["start", "end"]
    word: str
    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """A state, or a poll loop; x and y are its upper left corner.

    Attributes:
        node: What it stands for.
        name_lines: The name, wrapped.
        areas: The scopes inside a Map or Parallel; empty for any other state.
        header: Height of the room for the name, above the areas.
    """

    node: Node
    name_lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    areas: tuple[Area, ...] = ()
    header: float = 0.0

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def state(self) -> State:
        """The state; of a poll loop its Choice."""
        return self.node.state

    @property
    def type(self) -> str:
        """The state's `Type`, or `Loop`."""
        return "Loop" if self.node.is_loop else str(self.state["Type"])


@dataclass(frozen=True)
class Area:
    """A scope and everything in it; x and y are its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]

    def all_boxes(self) -> Iterator[Box]:
        """Yield every box, also those inside others, each after the one around it."""
        for box in self.boxes:
            yield box
            for area in box.areas:
                yield from area.all_boxes()


def layout(definition: Definition, *, unfold: bool = False) -> Area:
    """Return a machine laid out, its upper left corner at 0, 0.

    Args:
        definition: Amazon States Language, as JSON gives it.
        unfold: Draw the states of poll loops one by one.

    Raises:
        PictureError: If what a definition must have is missing, or a state leads nowhere.
    """
    return _area(Scope(definition), words=("Start", "End"), unfold=unfold)


def room_beside_icon(box: Box) -> float:
    """Return the greatest width of a line of text in a box, in pixels."""
    return _text_room(box.width - (STACK if box.type == "Map" and box.areas else 0.0), box.type)


def _text_room(width: float, state_type: str) -> float:
    return width - 2 * PADDING - ICON - ICON_GAP - (SLANT if state_type == "Choice" else 0.0)


def _area(scope: Scope, *, words: tuple[str, str], unfold: bool) -> Area:
    check_drawable(scope)
    drawing = drawn(scope, unfold=unfold)
    boxes = {
        name: _box(
            node,
            [_area(inner, words=("", ""), unfold=unfold) for inner in scope.inside(name)],
        )
        for name, node in drawing.nodes.items()
    }
    sizes: dict[str, Size] = {START: _OUTER_MARK if words[0] else _INNER_MARK}
    sizes |= {name: (box.width, box.height) for name, box in boxes.items()}
    if any(transition.type == "end" for transition in drawing.transitions):
        sizes[END] = sizes[START]
    onward, loops = [], defaultdict[str, list[DrawnTransition]](list)
    for transition in drawing.transitions:
        if transition.source == transition.target:
            loops[transition.source].append(transition)
        else:
            onward.append(transition)
    beside = {name: _loops_width(transitions) for name, transitions in loops.items()}
    layering = lay_out_scope(scope, onward, sizes, beside)
    placed = {}
    for name, box in boxes.items():
        x, y = layering.centres[name]
        placed[name] = _move_box(box, x - box.width / 2, y - box.height / 2)
    marks = [Mark("start", words[0], *layering.centres[START])]
    if END in sizes:
        marks.append(Mark("end", words[1], *layering.centres[END]))
    outlines = {
        name: _outline(layering.centres[name], sizes[name], boxes.get(name)) for name in sizes
    }
    lines = [_to_outlines(line, outlines) for line in layering.lines]
    for name, transitions in loops.items():
        lines += _loop_lines(transitions, placed[name], outlines[name])
    return Area(0.0, 0.0, *layering.size, tuple(placed.values()), tuple(lines), tuple(marks))


def _loops_width(loops: Sequence[DrawnTransition]) -> float:
    """Return the width of the transitions from a state to itself, beside its box."""
    labels = (wrap_label(loop.label, most_lines=1) for loop in loops if loop.label)
    return _LOOP + max((width for _, (width, _) in labels), default=0.0)


def _loop_lines(loops: Sequence[DrawnTransition], box: Box, outline: _Outline) -> Iterator[Line]:
    """Yield the lines from a state to itself, one below the other, to the right of its box."""
    right, share = box.x + box.width, box.height / len(loops)
    for number, transition in enumerate(loops):
        top, bottom = (box.y + share * (number + part) for part in (0.25, 0.75))
        points = [(right, top), (right + _LOOP, top), (right + _LOOP, bottom), (right, bottom)]
        label = None
        if transition.label:
            lines, (width, height) = wrap_label(transition.label, most_lines=1)
            label = Label(lines, right + _LOOP + width / 2, (top + bottom) / 2, width, height)
        yield _to_outlines(Line(transition, tuple(points), label), {box.name: outline})


def _box(node: Node, areas: Sequence[Area]) -> Box:
    if areas:
        return _container(node, areas)
    box = Box(node, (), 0.0, 0.0, _LEAF_WIDTH, 0.0)
    lines = wrap_text(node.name, room_beside_icon(box), NAME_SIZE)
    return replace(box, name_lines=lines, height=_header_height(lines))


def _container(node: Node, areas: Sequence[Area]) -> Box:
    """Return the box of a Map or Parallel: its areas side by side, each with a margin around."""
    deepest = max(area.height for area in areas)
    across = sum(area.width + 2 * _MARGIN for area in areas) + (len(areas) - 1) * _MARGIN
    width = max(across + 2 * _MARGIN, _LEAF_WIDTH)
    lines = wrap_text(node.name, _text_room(width, node.state["Type"]), NAME_SIZE)
    header = _header_height(lines)
    x, placed = (width - across) / 2, []
    for area in areas:
        inside = _move_area(area, x + _MARGIN, header + _MARGIN)
        lane = (area.width + 2 * _MARGIN, deepest + 2 * _MARGIN)
        placed.append(replace(inside, x=x, y=header, width=lane[0], height=lane[1]))
        x += lane[0] + _MARGIN
    height = header + deepest + 3 * _MARGIN
    stack = STACK if node.state["Type"] == "Map" else 0.0
    return Box(node, lines, 0.0, 0.0, width + stack, height + stack, tuple(placed), header)


def _header_height(name_lines: Sequence[str]) -> float:
    return 2 * PADDING + len(name_lines) * NAME_LINE + NOTE_LINE


def _move_box(box: Box, dx: float, dy: float) -> Box:
    areas = tuple(_move_area(area, dx, dy) for area in box.areas)
    return replace(box, x=box.x + dx, y=box.y + dy, areas=areas)


def _move_area(area: Area, dx: float, dy: float) -> Area:
    return replace(
        area,
        x=area.x + dx,
        y=area.y + dy,
        boxes=tuple(_move_box(box, dx, dy) for box in area.boxes),
        lines=tuple(move_line(line, dx, dy) for line in area.lines),
        marks=tuple(replace(mark, x=mark.x + dx, y=mark.y + dy) for mark in area.marks),
    )


@dataclass(frozen=True)
class _Outline:
    """The shape of a box or mark, whose corners are cut: round, or slanted to a point."""

    left: float
    top: float
    right: float
    bottom: float
    radius: float
    slant: float

    def meets(self, point: Point) -> Point:
        """Return where a line that ends on the rectangle around this outline meets the outline."""
        x, y = point
        aside, below = min(x - self.left, self.right - x), min(y - self.top, self.bottom - y)
        if below <= aside:
            inset = self._inset(aside, self.slant, (self.bottom - self.top) / 2)
            return x, y + (inset if y < (self.top + self.bottom) / 2 else -inset)
        inset = self._inset(below, (self.bottom - self.top) / 2, self.slant)
        return x + (inset if x < (self.left + self.right) / 2 else -inset), y

    def _inset(self, along: float, slant_along: float, slant_across: float) -> float:
        if self.slant:
            return max(0.0, slant_across * (1 - along / slant_along))
        missing = max(0.0, self.radius - max(0.0, along))
        return self.radius - math.sqrt(self.radius**2 - missing**2)


def _outline(centre: Point, size: Size, box: Box | None) -> _Outline:
    (x, y), (width, height) = centre, size
    radius = ROUND if box else height / 2
    if box and box.type == "Wait":
        radius = min(PILL, height / 2)
    slant = SLANT if box and box.type == "Choice" else 0.0
    left, top = x - width / 2, y - height / 2
    return _Outline(left, top, left + width, top + height, radius, slant)


def _to_outlines(line: Line, outlines: Mapping[str, _Outline]) -> Line:
    transition = line.transition
    first = outlines[transition.source or START].meets(line.points[0])
    last = outlines[transition.target or END].meets(line.points[-1])
    return replace(line, points=(first, *line.points[1:-1], last))
