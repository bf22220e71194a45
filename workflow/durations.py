"""Durations in words: the one wording for pictures, tables, reports and documentation."""

from __future__ import annotations


def duration(seconds: float, *, whole: bool = False) -> str:
    """Return a duration as people write it: `7 ms`, `1.2 s`, `48 s`, `2 min 5 s`, `2 h 13 min`.

    Args:
        seconds: The duration.
        whole: In whole seconds at least: `0 s`, `1 s`.
    """
    if not whole and seconds < 0.0995:
        return f"{round(seconds * 1_000)} ms"
    if not whole and seconds < 9.95 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3_600:
        minutes, rest = divmod(rounded, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
