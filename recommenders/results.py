"""What a recommender answers: lists of items, of related items, of users, and rankings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommenders.data.ids import Ids

Scores: TypeAlias = NDArray[np.float32]


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
