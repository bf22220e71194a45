"""The width of texts, and where they break; no font is measured, so it is the same everywhere.

Widths are those of usual sans-serif fonts, or a little more: DejaVu Sans, the widest of them, fits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

BOLD = 1.12
"""The factor by which bold letters are wider."""
NAME_SIZE = 13.0 * BOLD
"""The size by which a name's width is measured: its letters of 13 pixels are bold."""
NAME_LINE = 17.0
NOTE_SIZE = 12.0
NOTE_LINE = 15.0

_WIDTHS = (
    ("ijlI.,:;'|!`", 0.32),
    ('frt()[]{}/\\-° "', 0.4),
    ("mwMW@%—…", 0.96),
)
_CAPITAL, _OTHER = 0.69, 0.6


def text_width(text: str, size: float) -> float:
    """Return the greatest width of a text, in pixels, in letters of `size` pixels."""
    return sum(map(_width, text)) * size


def wrap_text(text: str, width: float, size: float) -> tuple[str, ...]:
    """Return a text in lines of at most `width` pixels; too long a word breaks where it may."""
    lines = [""]
    for piece in _pieces(text, width, size):
        if lines[-1] and text_width(lines[-1] + piece, size) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return tuple(lines)


def cut(text: str, width: float, size: float) -> str:
    """Return a text cut to `width` pixels, with an ellipsis if it was longer."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character):
        return 0.0
    usual = _CAPITAL if character.isupper() else _OTHER
    return next((width for characters, width in _WIDTHS if character in characters), usual)


def _pieces(text: str, width: float, size: float) -> Iterator[str]:
    """Yield the pieces between which a line may break: words, and pieces of too long a word."""
    for word in re.findall(r"\s*\S+", text):
        if text_width(word.lstrip(), size) <= width:
            yield word
            continue
        for part in re.findall(r"\s*[A-Z]*[^A-Z\s_\-./]*[_\-./]?", word):
            yield from _fitting(part, width, size)


def _fitting(part: str, width: float, size: float) -> Iterator[str]:
    while len(part) > 1 and text_width(part, size) > width:
        end = len(part) - 1
        while end > 1 and text_width(part[:end], size) > width:
            end -= 1
        yield part[:end]
        part = part[end:]
    if part:
        yield part
