"""Results of a recommender: recommended items, related items, segments of users, rankings."""

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
        users: User ids, in the order of the request.
        items: Item ids, shape (len(users), n), best first.
        scores: `float32`, shape (len(users), n), descending along each row; an explored item has
            the score of the item that it replaces.
        counts: `int64`, shape (len(users),), number of entries of each row, below n if fewer items
            are eligible; after the last entry, ids are empty and scores 0.
        explored: `bool`, shape (len(users), n), True for entries that exploration put in.
    """

    users: tuple[str, ...]
    items: Ids
    scores: Scores
    counts: NDArray[np.int64]
    explored: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Related:
    """The items most related to each of a block of items, one row an item of the request.

    Attributes:
        items: Item ids, shape (n_rows, n), nearest first, never the item of the request.
        scores: `float32`, shape (n_rows, n), descending along each row.
        counts: `int64`, shape (n_rows,), as in `Recommendations`.
    """

    items: Ids
    scores: Scores
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Segments:
    """The users most likely to interact with each of a block of items, or of sets of items.

    Attributes:
        users: User ids, shape (n_rows, n), likeliest first; one row an item or set of the request.
        scores: `float32`, shape (n_rows, n), descending along each row.
        counts: `int64`, shape (n_rows,), as in `Recommendations`.
    """

    users: Ids
    scores: Scores
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One user's own list of items in the order of the scores.

    Attributes:
        user: The user id.
        items: The list of the request, best first; equal scores keep their order.
        scores: `float32`, shape (len(items),), descending. They sum to 1 over the list; an item
            that the model does not know has 0.
    """

    user: str
    items: tuple[str, ...]
    scores: Scores
