"""Progress of a training, as a callback, which can also stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[float], None]
"""Called with a number from 0 to 1, never falling; an exception that it raises stops the work."""


def no_progress(_progress: float) -> None:
    """Do nothing: the default callback."""


def sub_progress(progress: Progress, start: float, end: float) -> Progress:
    """Return a callback whose 0 to 1 are reported to `progress` as `start` to `end`."""
    return lambda done: progress(start + (end - start) * done)
