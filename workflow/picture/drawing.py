"""A laid-out definition → one SVG that stands on its own: no script, no font, nothing fetched.

Types of states differ by outline, icon and words, not by colour alone; so do the statuses of an
execution. The same definition and progress give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from workflow.definition.asl import Definition, Transition
from workflow.definition.folding import DrawnTransition
from workflow.picture.captions import description, note, record_of, tooltip, transition_title
from workflow.picture.labels import Line, Point
from workflow.picture.layout import (
    ICON,
    ICON_GAP,
    PADDING,
    PILL,
    ROUND,
    SLANT,
    STACK,
    Area,
    Box,
    Mark,
    layout,
    room_beside_icon,
)
from workflow.picture.lettering import BOLD, NAME_LINE, NOTE_LINE, NOTE_SIZE, cut
from workflow.picture.style import picture_style
from workflow.runs.progress import Passage, Progress, StateRecord

_AROUND = 18.0
_BEND, _HEAD = 7.0, 7.5

_TILES = {
    "Choice": "M12 0L24 12L12 24L0 12Z",
    "Wait": "M24 12A12 12 0 1 1 0 12A12 12 0 1 1 24 12Z",
    "Succeed": "M24 12A12 12 0 1 1 0 12A12 12 0 1 1 24 12Z",
    "Loop": "M24 12A12 12 0 1 1 0 12A12 12 0 1 1 24 12Z",
    "Fail": "M7 0H17L24 7V17L17 24H7L0 17V7Z",
}
_SQUARE = "M6 0H18A6 6 0 0 1 24 6V18A6 6 0 0 1 18 24H6A6 6 0 0 1 0 18V6A6 6 0 0 1 6 0Z"
_GLYPHS = {
    "Choice": "M12 6.5V11.5M12 11.5L8.5 16M12 11.5L15.5 16",
    "Wait": "M12 6V12L16 14.5",
    "Loop": "M18 11A6 6 0 0 0 7 8.5M6.6 5V8.7H10.3M6 13A6 6 0 0 0 17 15.5M17.4 19V15.3H13.7",
    "Map": "M17.2 9.2A6 6 0 1 0 18 12.6M17.8 5.6V9.4H14",
    "Parallel": "M8.5 6V17M5.8 14.4L8.5 17.2L11.2 14.4M15.5 6V17M12.8 14.4L15.5 17.2L18.2 14.4",
    "Pass": "M6 12H17.5M13 7.5L17.5 12L13 16.5",
    "Succeed": "M7 12.5L10.5 16L17 8.5",
    "Fail": "M8.3 8.3L15.7 15.7M15.7 8.3L8.3 15.7",
}
_BOLT = "M13.6 4.5L6.8 13.4H11.2L10.4 19.5L17.2 10.6H12.8Z"
_BADGES = {
    "succeeded": "M-3.8 .3L-1.2 2.9L3.8 -2.6",
    "failed": "M-3 -3L3 3M3 -3L-3 3",
    "timed out": "M0 -4V0L3 1.8",
    "running": "M-4 0H-3.9M0 0H.1M4 0H4.1",
    "caught": "M0 -4.2V.8M0 4.1V4.2",
    "aborted": "M-3 -3H3V3H-3Z",
}
_AT = {"start": -1.0, "middle": 0.0, "end": 1.0}
# The characters that XML 1.0 may not hold. https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def picture(
    definition: Definition,
    progress: Progress | None = None,
    *,
    title: str = "Workflow",
    unfold: bool = False,
    picture_id: str = "",
) -> str:
    """Return a definition as an SVG; with an execution's progress, the status of each state.

    Args:
        definition: Amazon States Language, as JSON gives it.
        progress: From `progress_of`; the layout does not depend on it.
        title: The picture's, also for those who do not see it.
        unfold: Draw the states of poll loops one by one, not each loop as one box.
        picture_id: The root's id, unique in its page; made from the contents if left out.

    Raises:
        PictureError: If what a definition must have is missing, or a state leads nowhere.
    """
    area = layout(definition, unfold=unfold)
    width, height = area.width + 2 * _AROUND, area.height + 2 * _AROUND
    described = description(area, progress)
    inside = "\n".join(
        (
            f'<rect class="canvas" width="{_n(width)}" height="{_n(height)}" rx="10"/>',
            f'<g transform="translate({_n(_AROUND)} {_n(_AROUND)})">',
            *_area(area, progress, depth=0),
            "</g>",
        )
    )
    seed = "\0".join((title, described, inside)).encode()
    root = picture_id or f"picture-{hashlib.sha256(seed).hexdigest()[:10]}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id={_attribute(root)} role="img"'
        f" aria-labelledby={_attribute(f'{root}-title {root}-desc')}"
        f' width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
        ' style="max-width:100%;height:auto">\n'
        f"<title id={_attribute(f'{root}-title')}>{_text(title)}</title>\n"
        f"<desc id={_attribute(f'{root}-desc')}>{_text(described)}</desc>\n"
        f"<style>\n{picture_style(f'#{root}')}\n</style>\n{inside}\n</svg>\n"
    )


def _area(area: Area, progress: Progress | None, *, depth: int) -> Iterator[str]:
    for line in sorted(area.lines, key=lambda line: _taken(line.transition, progress)):
        yield from _line(line, progress)
    for line in area.lines:
        yield from _label(line, progress)
    for mark in area.marks:
        transitions = [line.transition for line in area.lines if line.transition.type == mark.type]
        reached = progress is None or any(
            _taken(transition, progress) for transition in transitions
        )
        yield from _mark(mark, reached=reached)
    for box in area.boxes:
        yield from _box(box, progress, depth=depth)


def _box(box: Box, progress: Progress | None, *, depth: int) -> Iterator[str]:
    record = record_of(box.node, progress)
    classes = ["state", "group" if box.areas else "leaf"]
    if progress:
        classes.append("reached" if record else "unreached")
    status = f' data-status="{record.status}"' if record else ""
    yield (
        f'<g class="{" ".join(classes)}" data-state={_attribute(box.name)}'
        f" data-type={_attribute(box.type)}{status}>"
    )
    yield f"<title>{_text(tooltip(box.node, progress))}</title>"
    yield from _outline(box)
    yield from _icon(box)
    x = box.x + PADDING + ICON + ICON_GAP + (SLANT / 2 if box.type == "Choice" else 0.0)
    y = box.y + PADDING + NAME_LINE - 4.5
    for line in box.name_lines:
        yield f'<text class="name" x="{_n(x)}" y="{_n(y)}">{_text(line)}</text>'
        y += NAME_LINE
    y += NOTE_LINE - NAME_LINE + 1.0
    shown = cut(
        note(box.node, record), room_beside_icon(box), NOTE_SIZE * (BOLD if record else 1.0)
    )
    yield f'<text class="note" x="{_n(x)}" y="{_n(y)}">{_text(shown)}</text>'
    if record:
        yield from _badge(box, record)
    for inner in box.areas:
        yield f'<g class="area {"odd" if depth % 2 == 0 else "even"}">'
        yield (
            f'<rect class="lane" x="{_n(inner.x)}" y="{_n(inner.y)}" width="{_n(inner.width)}"'
            f' height="{_n(inner.height)}" rx="6"/>'
        )
        yield from _area(inner, progress, depth=depth + 1)
        yield "</g>"
    yield "</g>"


def _outline(box: Box) -> Iterator[str]:
    """Yield the shapes of a box.

    A Choice has pointed sides, a Wait is a pill, a poll loop has a double border, a Map has cards
    behind it.
    """
    if box.type == "Choice":
        left, right, middle = box.x, box.x + box.width, box.y + box.height / 2
        top, bottom = box.y, box.y + box.height
        points = (
            (left, middle),
            (left + SLANT, top),
            (right - SLANT, top),
            (right, middle),
            (right - SLANT, bottom),
            (left + SLANT, bottom),
        )
        drawn = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        yield f'<path class="box" d="M{drawn}Z"/>'
        return
    radius = min(PILL, box.height / 2) if box.type == "Wait" else ROUND
    if box.type in {"Pass", "Fail"}:
        radius = 1.5
    behind = STACK if box.type == "Map" and box.areas else 0.0
    width, height = box.width - behind, box.height - behind
    for offset in (behind, behind / 2, 0.0) if behind else (0.0,):
        yield _rectangle(box.x + offset, box.y + offset, width, height, radius)
    if box.type == "Loop":
        yield _rectangle(box.x + 3.0, box.y + 3.0, width - 6.0, height - 6.0, radius - 3.0)
    if box.type == "Parallel":
        for x in (box.x + 4.0, box.x + width - 4.0):
            yield f'<path class="box" d="M{_n(x)} {_n(box.y)}V{_n(box.y + height)}"/>'


def _rectangle(x: float, y: float, width: float, height: float, radius: float) -> str:
    return (
        f'<rect class="box" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        f' rx="{_n(radius)}"/>'
    )


def _icon(box: Box) -> Iterator[str]:
    x = box.x + PADDING + (SLANT / 2 if box.type == "Choice" else 0.0)
    y = box.y + (box.header or box.height) / 2 - ICON / 2
    at = f'transform="translate({_n(x)} {_n(y)})"'
    yield f'<path class="tile" {at} d="{_TILES.get(box.type, _SQUARE)}"/>'
    if glyph := _GLYPHS.get(box.type):
        yield f'<path class="glyph" {at} d="{glyph}"/>'
    else:
        yield f'<path class="solid" {at} d="{_BOLT}"/>'


def _badge(box: Box, record: StateRecord) -> Iterator[str]:
    behind = STACK if box.type == "Map" and box.areas else 0.0
    x = box.x + box.width - behind - (SLANT + 4.0 if box.type == "Choice" else 12.0)
    at = f'transform="translate({_n(x)} {_n(box.y)})"'
    yield f'<circle class="badge" {at} r="9"/>'
    yield f'<path class="glyph" {at} d="{_BADGES[record.status]}"/>'


def _mark(mark: Mark, *, reached: bool) -> Iterator[str]:
    x, y = _n(mark.x), _n(mark.y)
    yield f'<g class="{mark.type}{"" if reached else " unreached"}">'
    if mark.word:
        left, top = _n(mark.x - 28.25), _n(mark.y - 11.25)
        yield f'<rect class="mark" x="{left}" y="{top}" width="56.5" height="22.5" rx="11.25"/>'
        yield f'<text class="word" x="{x}" y="{_n(mark.y + 4.2)}">{mark.word}</text>'
    else:
        yield f'<circle class="mark" cx="{x}" cy="{y}" r="5.25"/>'
        if mark.type == "end":
            yield f'<circle class="dot" cx="{x}" cy="{y}" r="2.5"/>'
    yield "</g>"


def _line(line: Line, progress: Progress | None) -> Iterator[str]:
    transition = line.transition
    points, tip = _shorten(line.points), line.points[-1]
    # Dashes count from where a line begins: lines that share a lane to its end begin there.
    course = _course(points[::-1] if transition.type == "catch" else points)
    data = (
        f" data-from={_attribute(transition.source)} data-to={_attribute(transition.target)}"
        f' data-type="{transition.type}"'
    )
    classes = _classes("transition", transition, progress)
    yield f'<g class="{classes}"{data}><title>{_text(transition_title(transition))}</title>'
    yield f'<path class="line" d="{course}"/>'
    yield f'<path class="head" d="{_arrow_head(line.points[-2], tip)}"/>'
    yield "</g>"


def _label(line: Line, progress: Progress | None) -> Iterator[str]:
    label = line.label
    if not label:
        return
    transition = line.transition
    classes = _classes("transition-label", transition, progress)
    yield f'<g class="{classes}"><title>{_text(transition_title(transition))}</title>'
    yield (
        f'<rect class="ground" x="{_n(label.x - label.width / 2)}"'
        f' y="{_n(label.y - label.height / 2)}" width="{_n(label.width)}"'
        f' height="{_n(label.height)}" rx="4"/>'
    )
    y = label.y - (len(label.lines) - 1) * NOTE_LINE / 2 + 4.2
    x = label.x + _AT[label.anchor] * (label.width / 2 - 4.0)
    for text in label.lines:
        at = f'x="{_n(x)}" y="{_n(y)}" text-anchor="{label.anchor}"'
        yield f'<text class="label" {at}>{_text(text)}</text>'
        y += NOTE_LINE
    yield "</g>"


def _classes(name: str, transition: DrawnTransition, progress: Progress | None) -> str:
    """Return the CSS classes of a transition's line or label."""
    classes = [name, *(["catch"] if transition.type == "catch" else [])]
    if progress:
        classes.append("taken" if _taken(transition, progress) else "idle")
    return " ".join(classes)


def _taken(drawn: DrawnTransition, progress: Progress | None) -> bool:
    return progress is not None and any(_is_taken(each, progress) for each in drawn.of)


def _is_taken(transition: Transition, progress: Progress) -> bool:
    if transition.type == "start":
        return transition.target in progress.states
    if transition.type == "end":
        record = progress.states.get(transition.source)
        return record is not None and record.status == "succeeded"
    passage = Passage(transition.source, transition.target, transition.type == "catch")
    return passage in progress.passages


def _shorten(points: Sequence[Point]) -> list[Point]:
    """Return a line's points, the last one inside the arrow head instead of at its tip."""
    (x, y), (tip_x, tip_y) = points[-2:]
    length = math.hypot(tip_x - x, tip_y - y) or 1.0
    part = max(0.0, length - _HEAD + 1.0) / length
    return [*points[:-1], (x + (tip_x - x) * part, y + (tip_y - y) * part)]


def _course(points: Sequence[Point]) -> str:
    """Return a path through points, its bends round."""
    first, last = points[0], points[-1]
    drawn = [f"M{_n(first[0])} {_n(first[1])}"]
    for before, bend, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_BEND, math.dist(before, bend) / 2, math.dist(bend, after) / 2)
        enters, leaves = _towards(bend, before, radius), _towards(bend, after, radius)
        drawn.append(
            f"L{_n(enters[0])} {_n(enters[1])}"
            f"Q{_n(bend[0])} {_n(bend[1])} {_n(leaves[0])} {_n(leaves[1])}"
        )
    return "".join((*drawn, f"L{_n(last[0])} {_n(last[1])}"))


def _towards(start: Point, end: Point, length: float) -> Point:
    part = length / (math.dist(start, end) or 1.0)
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _arrow_head(before: Point, tip: Point) -> str:
    back = _towards(tip, before, _HEAD)
    across_x, across_y = (tip[1] - back[1]) / 2.1, (back[0] - tip[0]) / 2.1
    corners = (
        tip,
        (back[0] + across_x, back[1] + across_y),
        (back[0] - across_x, back[1] - across_y),
    )
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in corners) + "Z"


def _n(value: float) -> str:
    """Return a number as SVG has it, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def _text(text: str) -> str:
    return escape(_NOT_IN_XML.sub("�", text))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("�", text))
