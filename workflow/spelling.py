"""Wordings: "did you mean" for misspelt names, and numbers with their noun."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to a misspelt one, None if none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def suggestion(name: str, known: Iterable[str], *, otherwise: str, quote: str = "") -> str:
    """Return `did you mean NAME?` for the known name nearest to a misspelt one.

    Args:
        name: As the user wrote it.
        known: The names that exist.
        otherwise: What is returned if none of them is near.
        quote: Stands before and after the name.
    """
    near = nearest(name, known)
    return otherwise if near is None else f"did you mean {quote}{near}{quote}?"


def counted(number: float, noun: str, spec: str = ",") -> str:
    """Return a number with its noun: `1 run`, `1,200 runs`."""
    return f"{number:{spec}} {noun}{'' if number == 1 else 's'}"
