"""What a recommender answers: lists of items, of related items, of users, and rankings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommenders.data.ids import Ids

Scores: TypeAlias = NDArray[np.float32]
Eligible: TypeAlias = Callable[[int, int], NDArray[np.bool_]]
"""Tells which items (of `users_of`: which users) those asked for from `start` up to `stop` may get.

Bool, shape (stop - start, n_items) or (stop - start, n_users).
"""


class NotSupportedError(Exception):
    """A model was asked for what it does not learn; the text names the model and what it can."""


class Event(NamedTuple):
    """One event since the training.

    Attributes:
        item_id: the item met; one that the model does not know is left out.
        event_type: for example `"click"`, or None; one that the model was not trained on is left
            out.
        timestamp: UTC epoch seconds.
    """

    item_id: str
    event_type: str | None
    timestamp: int


Live: TypeAlias = Mapping[str, Sequence[Event | tuple[str, str | None, int]]]
"""Events since the training by user id, in any order; they count as newer than those trained on."""


@dataclass(frozen=True)
class Exploration:
    """How new items come into the lists of users who would not get them by their score.

    https://docs.aws.amazon.com/personalize/latest/dg/native-recipe-new-item-USER_PERSONALIZATION.html

    Attributes:
        weight: the share of a list's places that go to items younger than the cut-off, 0 to 1.
        age_cut_off: days before the newest event of the training; items created earlier are not
            explored. An item without a creation time counts from its first event, and as new if
            it has none.
        seed: chooses places and items, together with the user.
    """

    weight: float = 0.3
    age_cut_off: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what lies out of range.

        Raises:
            ValueError: if the weight is not in [0, 1] or the cut-off is below 0.
        """
        if not 0.0 <= self.weight <= 1.0:
            raise ValueError(f"exploration: weight={self.weight}; it must be in [0, 1]")
        if not self.age_cut_off >= 0.0:
            raise ValueError(f"exploration: age_cut_off={self.age_cut_off}; it must be at least 0")


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best items of a block of users.

    Attributes:
        users: user ids, in the order asked for.
        items: item ids, shape (len(users), n), best first.
        scores: float32, shape (len(users), n), descending along each row; an explored item has that
            of the item in whose place it is.
        counts: int64, shape (len(users),): how many entries of a row there are. It is below n
            where fewer items are eligible; behind them, ids are empty and scores 0.
        explored: bool, shape (len(users), n): entries that are there by exploration.
    """

    users: tuple[str, ...]
    items: Ids
    scores: Scores
    counts: NDArray[np.int64]
    explored: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Related:
    """The items most related to each of a block of items.

    Attributes:
        asked: the item ids asked for, in that order.
        items: item ids, shape (len(asked), n), nearest first, never the item asked for.
        scores: float32, shape (len(asked), n), descending along each row.
        counts: int64, shape (len(asked),); see `Recommendations`.
    """

    asked: tuple[str, ...]
    items: Ids
    scores: Scores
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Segments:
    """The users most likely to meet each of a block of items, or of sets of items.

    Attributes:
        users: user ids, shape (asked, n), likeliest first.
        scores: float32, shape (asked, n), descending along each row.
        counts: int64, shape (asked,); see `Recommendations`.
    """

    users: Ids
    scores: Scores
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One user's own list of items in the order of the scores.

    Attributes:
        user: the user id.
        items: the list given, best first; equal scores keep the order given.
        scores: float32, shape (len(items),), descending. They sum to 1 over the list; an item that
            the model does not know has 0.
    """

    user: str
    items: tuple[str, ...]
    scores: Scores
