"""The job's errors and the wording that they share: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class EtlError(Exception):
    """An error that stops the job; its message is one line that says where and what to do."""

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(" ".join(problem.split()) for problem in problems)
        numbered = (f"({n}) {problem}" for n, problem in enumerate(self.problems, 1))
        super().__init__(
            self.problems[0]
            if len(self.problems) == 1
            else f"{len(self.problems)} problems: {' '.join(numbered)}"
        )


class PassingError(EtlError):
    """An error that may pass by itself: the database restarts, or somebody has a lock."""


class TableError(EtlError):
    """An error of one table; the others of the same database may still fit."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known name nearest to a misspelt one, else `;`.

    Both may be `alias.column` or `column` alone.
    """
    by_name = {candidate.lower(): candidate for candidate in reversed(list(known))}
    by_column = {lower.rpartition(".")[2]: candidate for lower, candidate in by_name.items()}
    lower_name = name.lower()
    for candidates, text, cutoff in (
        (by_name, lower_name, 0.8),
        (by_column, lower_name, 0.6),
        (by_column, lower_name.rpartition(".")[2], 0.6),
    ):
        matches = get_close_matches(text, candidates, n=1, cutoff=cutoff)
        if matches:
            return f"; did you mean '{candidates[matches[0]]}'?"
    return ";"


def listing(names: Sequence[str], *, at_most: int = 30) -> str:
    """Return names joined by commas, and a count of those beyond `at_most`."""
    more = f" … and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def shortened(text: str, *, at_most: int = 400) -> str:
    """Return a text, or its beginning and `…` if it is longer."""
    return text if len(text) <= at_most else f"{text[:at_most]}…"
