"""The size of the sample database; apart from the sample itself, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleSize:
    """The size of the sample data."""

    students: int = 5_000
    postings: int = 800
    events: int = 150_000
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.students:,} students, {self.postings:,} job postings, {self.events:,} events"
