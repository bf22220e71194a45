"""What a proposal consists of, and the questions that are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from etl.datasets import DataSet, Engine, Lookup


@dataclass(frozen=True)
class Question:
    """A question about a guess.

    Attributes:
        text: The question.
        choices: Answer → what it means; the first one is the guess.
    """

    text: str
    choices: Mapping[str, str]

    @property
    def guess(self) -> str:
        """The answer that is likely right."""
        return next(iter(self.choices))


Ask = Callable[[Question], str]
"""Answers a question with one of its choices."""


@dataclass(frozen=True)
class Part:
    """A data set or a list, and what is to be said of it.

    Attributes:
        what: The description, as the job knows it.
        guesses: A sentence for each guess.
        left_out: Column → why it is left out.
        title: The column of a data set by which people know its rows; empty for none.
    """

    what: DataSet | Lookup
    guesses: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True)
class Proposal:
    """A configuration that is proposed.

    Attributes:
        name: Its name.
        engine: The database's engine.
        interactions: The data set of interactions.
        batch_input: The users to recommend for.
        users: The data set of users; None if the database has none, or nothing of them to learn.
        items: The data set of items; None likewise.
        eligible_items: The items that may be recommended; None for all.
        exclusions: Pairs that are never recommended; None for none.
        excluded_types: Types of events after which an item is not recommended again.
    """

    name: str
    engine: Engine
    interactions: Part
    batch_input: Part
    users: Part | None = None
    items: Part | None = None
    eligible_items: Part | None = None
    exclusions: Part | None = None
    excluded_types: tuple[str, ...] = ()

    @property
    def guesses(self) -> tuple[str, ...]:
        """All guesses, in the order of the file."""
        parts = (
            *(self.users, self.items, self.interactions),
            *(self.batch_input, self.eligible_items, self.exclusions),
        )
        return tuple(guess for part in parts if part is not None for guess in part.guesses)
