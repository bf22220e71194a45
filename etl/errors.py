"""What the job tells a person when it stops: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class EtlError(Exception):
    """The job cannot go on; its text is one line for a person, naming the place and the fix."""

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(" ".join(problem.split()) for problem in problems)
        numbered = (f"({n}) {problem}" for n, problem in enumerate(self.problems, 1))
        super().__init__(
            self.problems[0]
            if len(self.problems) == 1
            else f"{len(self.problems)} problems: {' '.join(numbered)}"
        )


class TableError(EtlError):
    """One table does not fit; the others of the same database may."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known name nearest to a misspelt one, else `;`.

    Both may be `alias.column` or `column` alone.
    """
    whole = {candidate.lower(): candidate for candidate in reversed(list(known))}
    last = {lower.rpartition(".")[2]: candidate for lower, candidate in whole.items()}
    asked = name.lower()
    for choice, text, cutoff in (
        (whole, asked, 0.8),
        (last, asked, 0.6),
        (last, asked.rpartition(".")[2], 0.6),
    ):
        near = get_close_matches(text, choice, n=1, cutoff=cutoff)
        if near:
            return f"; did you mean '{choice[near[0]]}'?"
    return ";"


def listing(names: Sequence[str], *, at_most: int = 30) -> str:
    """Return names joined by commas, with a count in place of what is too much to read."""
    more = f" … and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
