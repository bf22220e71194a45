"""One scope → the positions of its boxes and lines: the only module that knows graphlay.

graphlay's layered engine puts states into rows from top to bottom, keeps lines off the boxes and
room for their labels, and gives the same figures on every machine. Beside the graph it gets the
weights of the main path, so that it runs straight down, and one lane for the lines of several
Catches with the same target.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from workflow.definition.asl import Scope
from workflow.definition.folding import DrawnTransition
from workflow.picture.labels import (
    Label,
    Line,
    Point,
    Room,
    Size,
    faults,
    move_labels,
    wrap_label,
)
from workflow.picture.transitions import depths, main_path, reached_from

START, END = "\0start", "\0end"
"""The names of a scope's marks among those of its states."""

_SPACING = {
    "layer_gap": 32.0,
    "node_gap": 28.0,
    "dummy_gap": 16.0,
    "port_gap": 12.0,
    "stub": 11.0,
    "edge_label_margin": 8.0,
}
# The first that keeps lines off the boxes and labels readable is taken.
_VARIANTS: tuple[dict[str, Any], ...] = (
    {"spacing": _SPACING},
    {"spacing": {**_SPACING, "layer_gap": 40.0}},
    {"spacing": {**_SPACING, "layer_gap": 50.0}},
    {"spacing": _SPACING, "coords": {"branch_style": "symmetric"}},
    {"spacing": {**_SPACING, "layer_gap": 50.0, "node_gap": 56.0, "dummy_gap": 28.0}},
)
_MAIN, _LANE, _USUAL, _CAUGHT = 100.0, 100.0, 3.0, 0.2
# The first joint would sink towards the target if the lane weighed more than the lines to it.
_TO_LANE = 101.0
_JOINT, _FIRST = 2.0, "\0first"
_NO_MARGIN = dict.fromkeys(("along_neg", "along_pos", "cross_neg", "cross_pos"), 0.0)
_ABOVE_AND_BELOW_LABEL = 12.0

_Rows = list[list[DrawnTransition]]


@dataclass(frozen=True)
class Layering:
    """The positions of everything in a scope; x and y count from its upper left corner.

    Attributes:
        centres: Of the states and marks, by name.
        lines: The transitions, in their order.
        size: Width and height of the whole.
    """

    centres: Mapping[str, Point]
    lines: tuple[Line, ...]
    size: Size


def lay_out_scope(
    scope: Scope,
    transitions: Sequence[DrawnTransition],
    sizes: Mapping[str, Size],
    beside: Mapping[str, float],
) -> Layering:
    """Return the positions of everything in a scope.

    Args:
        scope: The scope.
        transitions: Its transitions, but those from a state to itself.
        sizes: Width and height of its states, and of its marks by `START` and `END`.
        beside: Width of the room to the right of a state for its transitions to itself.
    """
    weights, lanes = _weights(scope, transitions), _lanes(scope, transitions)
    best = _Drawing(sizes, beside, weights, lanes, _VARIANTS[0])
    for options in _VARIANTS[1:]:
        if not best.faults:
            break
        drawing = _Drawing(sizes, beside, weights, lanes, options)
        best = min(best, drawing, key=lambda drawing: drawing.faults)
    return best.layering()


def move_line(line: Line, dx: float, dy: float) -> Line:
    """Return a line shifted by `dx` and `dy`."""
    label = line.label
    return Line(
        line.transition,
        tuple((x + dx, y + dy) for x, y in line.points),
        label and replace(label, x=label.x + dx, y=label.y + dy),
    )


def _weights(scope: Scope, transitions: Sequence[DrawnTransition]) -> dict[DrawnTransition, float]:
    """Return each transition's weight: lines of greater weight are shorter and straighter."""
    main = set(pairwise(["", *main_path(scope, transitions), ""]))
    weights = {}
    for transition in transitions:
        usual = _MAIN if (transition.source, transition.target) in main else _USUAL
        weights[transition] = _CAUGHT if transition.type == "catch" else usual
    return weights


def _lanes(scope: Scope, transitions: Sequence[DrawnTransition]) -> list[_Rows]:
    """Return the lanes that Catches with the same target share: transitions row by row."""
    by_target: defaultdict[str, list[DrawnTransition]] = defaultdict(list)
    for transition in transitions:
        if transition.type == "catch":
            by_target[transition.target].append(transition)
    depth = depths(scope, transitions)
    lanes = []
    for target, caught in by_target.items():
        after = reached_from(target, transitions)
        rows: defaultdict[int, list[DrawnTransition]] = defaultdict(list)
        for transition in caught:
            if transition.source not in after:
                rows[depth[transition.source]].append(transition)
        if len(rows) > 1:
            lanes.append([rows[row] for row in sorted(rows)])
    return lanes


class _Drawing:
    """One attempt of the engine at a scope."""

    def __init__(
        self,
        sizes: Mapping[str, Size],
        beside: Mapping[str, float],
        weights: Mapping[DrawnTransition, float],
        lanes: Sequence[_Rows],
        options: Mapping[str, Any],
    ) -> None:
        import graphlay  # noqa: PLC0415 - who draws nothing does not load it

        self._sizes, self._beside = sizes, beside
        self._graph = graphlay.Graph()
        for name, (width, height) in sizes.items():
            margin = {**_NO_MARGIN, "cross_pos": beside.get(name, 0.0)}
            self._graph.node(name, width=width, height=height, margin=margin)
        self._edges: dict[DrawnTransition, list[int]] = {transition: [] for transition in weights}
        joints: dict[DrawnTransition, str] = {}
        for number, rows in enumerate(lanes):
            joints |= self._lane(f"\0lane {number}", rows)
        for transition, weight in weights.items():
            target = joints.get(transition, transition.target or END)
            pull = _TO_LANE if target.endswith(_FIRST) else weight
            first = self._edge(transition.source or START, target, pull, transition.label)
            self._edges[transition].insert(0, first)
        options = {"direction": "topbottom", **options}
        self._layout = graphlay.layout(self._graph, preset="layered", options=options)
        self._centres: dict[str, Point] = self._layout.positions()
        self._boxes = [self._room(name) for name in sizes]
        self._lines = move_labels(
            [self._line(transition, edges) for transition, edges in self._edges.items()],
            self._boxes,
        )
        metrics = self._layout.metrics()
        on_boxes = int(metrics["node_edge_hits"] + metrics["node_overlaps"])
        self.faults = 100 * on_boxes + faults(self._lines, self._boxes)

    def layering(self) -> Layering:
        lines = self._lines
        labels = [line.label.room for line in lines if line.label]
        points = [Room(x, y, x, y) for line in lines for x, y in line.points]
        rooms = [*self._boxes, *labels, *points]
        left, top = min(room.left for room in rooms), min(room.top for room in rooms)
        right, bottom = max(room.right for room in rooms), max(room.bottom for room in rooms)
        return Layering(
            {name: (x - left, y - top) for name, (x, y) in self._centres.items()},
            tuple(move_line(line, -left, -top) for line in lines),
            (right - left, bottom - top),
        )

    def _lane(
        self, name: str, rows: Sequence[Sequence[DrawnTransition]]
    ) -> dict[DrawnTransition, str]:
        """Add a joint for each row, one below the other, on the lane to the target."""
        joints = [name + (f" {row}" if row else _FIRST) for row in range(len(rows))]
        for joint in joints:
            self._graph.node(joint, width=_JOINT, height=_JOINT)
        target = rows[0][0].target
        edges = [self._edge(start, end, _LANE) for start, end in pairwise([*joints, target])]
        joined = {}
        for row, (joint, transitions) in enumerate(zip(joints, rows, strict=True)):
            for transition in transitions:
                joined[transition] = joint
                self._edges[transition] += edges[row:]
        return joined

    def _edge(self, source: str, target: str, weight: float, label: str = "") -> int:
        fields = {}
        if label:
            _, (width, height) = wrap_label(label)
            fields["label_size"] = {"width": width, "height": height + _ABOVE_AND_BELOW_LABEL}
        return int(self._graph.edge(source, target, weight=weight, **fields))

    def _line(self, transition: DrawnTransition, edges: Sequence[int]) -> Line:
        points = [point for number in edges for point in self._points(number)]
        label = None
        if transition.label:
            first = self._layout.edges[edges[0]]
            anchor = first["label_anchor"] or first["points"][0]
            lines, size = wrap_label(transition.label)
            label = Label(lines, anchor["x"], anchor["y"], *size)
        return Line(transition, tuple(_corners(_at_right_angles(points))), label)

    def _points(self, number: int) -> list[Point]:
        """Return an edge's points, where it meets a joint exactly in its middle."""
        points = [(point["x"], point["y"]) for point in self._layout.edges[number]["points"]]
        edge = self._graph.edges[number]
        for end in (edge["source"], edge["target"]):
            name = self._graph.ids[end]
            if name not in self._sizes:
                middle = self._centres[name][0]
                points = [(middle if abs(x - middle) <= _JOINT else x, y) for x, y in points]
        return points

    def _room(self, name: str) -> Room:
        (x, y), (width, height) = self._centres[name], self._sizes[name]
        right = x + width / 2 + self._beside.get(name, 0.0)
        return Room(x - width / 2, y - height / 2, right, y + height / 2)


def _at_right_angles(points: Sequence[Point]) -> list[Point]:
    """Return the points without the steps of a pixel or two that appear as a slanted line.

    From the end on, so that lines that share a lane share it exactly.
    """
    kept = [points[-1]]
    for x, y in reversed(points[:-1]):
        to_x, to_y = kept[-1]
        if abs(x - to_x) < abs(y - to_y):
            kept.append((to_x if abs(x - to_x) <= _JOINT else x, y))
        else:
            kept.append((x, to_y if abs(y - to_y) <= _JOINT else y))
    return kept[::-1]


def _corners(points: Sequence[Point]) -> list[Point]:
    """Return the points at which a line starts, turns and ends."""
    kept: list[Point] = []
    for point in points:
        while len(kept) > 1 and _is_straight(kept[-2], kept[-1], point):
            kept.pop()
        if not kept or math.dist(kept[-1], point) > 0.05:
            kept.append(point)
    return kept


def _is_straight(start: Point, middle: Point, end: Point) -> bool:
    return any(
        abs(start[axis] - middle[axis]) < 0.05 and abs(middle[axis] - end[axis]) < 0.05
        for axis in (0, 1)
    )
