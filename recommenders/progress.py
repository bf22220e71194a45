"""How far a training is, told to whoever asked for it; the way to stop one, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[float], None]
"""Called with a number from 0 to 1, never falling; what it raises ends the work."""


def ignore(_progress: float) -> None:
    """Take a progress between 0 and 1 and do nothing."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """Return a progress whose 0 to 1 is `start` to `end` of another's."""
    return lambda done: progress(start + (end - start) * done)
