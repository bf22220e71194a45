"""Exploration: new items in some positions of a list, the same for the same user and seed.

Each position of a list is explored with the probability `Exploration.weight`. Its new item is drawn
without replacement, with a probability proportional to the item's score for the user (Gumbel
top-k). Draws are hashes of seed, user and item, so neither blocks nor the order of users change a
result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from recommenders.data.ids import Positions
from recommenders.data.times import SECONDS_PER_DAY
from recommenders.results import Scores

WINDOW = 512
"""Number of new items that one user's draw considers; a hash of the user chooses the first."""


@dataclass(frozen=True)
class Exploration:
    """The settings by which lists get new items that their scores would not put there.

    https://docs.aws.amazon.com/personalize/latest/dg/native-recipe-new-item-USER_PERSONALIZATION.html

    Attributes:
        weight: The share of a list's positions that go to items newer than the cut-off, 0 to 1.
        age_cut_off: Days before the newest event of the training; items created earlier are not
            explored. An item without a creation time has that of its first event, and is new if
            it has no event.
        seed: Seed of the draws, together with the user.
    """

    weight: float = 0.3
    age_cut_off: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If the weight is not in [0, 1] or the cut-off is below 0.
        """
        if not 0.0 <= self.weight <= 1.0:
            raise ValueError(f"exploration: weight={self.weight}; it must be in [0, 1]")
        if not self.age_cut_off >= 0.0:
            raise ValueError(f"exploration: age_cut_off={self.age_cut_off}; it must be at least 0")


class Explorer:
    """A draw of new items into users' lists.

    Args:
        exploration: The settings.
        created: Creation time of each item, UTC epoch seconds, shape (n_items,).
        newest: Time of the newest event, UTC epoch seconds; ages are counted from it.
    """

    def __init__(self, exploration: Exploration, created: NDArray[np.int64], newest: int) -> None:
        self._exploration = exploration
        new = np.flatnonzero(created >= newest - exploration.age_cut_off * SECONDS_PER_DAY)
        self._new = np.random.default_rng(exploration.seed).permutation(new)

    def insert(
        self,
        users: Sequence[str],
        scores: Scores,
        eligible: NDArray[np.bool_] | None,
        items: Positions,
    ) -> NDArray[np.bool_]:
        """Put new items into the users' lists, in place, and return which entries are new.

        Args:
            users: User ids, one a list.
            scores: Every item's score for each user, shape (len(users), n_items).
            eligible: Which items each user may get, same shape; None for all.
            items: The lists, shape (len(users), n), -1 after their end.
        """
        if not len(self._new):
            return np.zeros(items.shape, dtype=np.bool_)
        seeds = self._seeds(users)
        slots = _uniform(seeds, np.arange(items.shape[1]), 1) < self._exploration.weight
        slots &= items >= 0
        candidates = self._candidates(seeds)
        values = np.take_along_axis(scores, candidates, axis=1).astype(np.float64)
        n_items = scores.shape[1]
        rows = np.arange(len(users))[:, None]
        excluded = np.isin(rows * n_items + candidates, (rows * n_items + items)[items >= 0])
        if eligible is not None:
            excluded |= ~np.take_along_axis(eligible, candidates, axis=1)
        draw = -np.log(-np.log(_uniform(seeds, candidates, 2)))
        keys = np.log(np.maximum(values, 0.0) + 1e-30) + draw
        keys[excluded] = -np.inf
        order = np.argsort(-keys, axis=1, kind="stable")[:, : items.shape[1]]
        usable = np.take_along_axis(keys, order, axis=1) > -np.inf
        rank = np.cumsum(slots, axis=1) - 1
        slots &= rank < usable.sum(axis=1)[:, None]
        chosen = np.take_along_axis(order, np.where(slots, rank, 0), axis=1)
        items[slots] = np.take_along_axis(candidates, chosen, axis=1)[slots]
        return slots

    def _candidates(self, seeds: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the new items that each user's draw considers, (len(seeds), up to WINDOW)."""
        starts = (seeds % np.uint64(len(self._new))).astype(np.int64)
        width = min(len(self._new), WINDOW)
        return np.asarray(self._new[(starts[:, None] + np.arange(width)) % len(self._new)])

    def _seeds(self, users: Sequence[str]) -> NDArray[np.uint64]:
        hashes = np.array([crc32(user.encode()) for user in users], dtype=np.uint64)
        return _mix(hashes ^ (np.uint64(self._exploration.seed) << np.uint64(32)))


def _uniform(
    seeds: NDArray[np.uint64], numbers: NDArray[np.integer], stream: int
) -> NDArray[np.float64]:
    """Return draws from (0, 1) for each seed (row) and number (column)."""
    keys = (numbers.astype(np.uint64) << np.uint64(2)) + np.uint64(stream)
    bits = _mix(seeds[:, None] ^ _mix(keys)) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) / 2.0**53


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the numbers mixed by SplitMix64's finaliser.

    https://prng.di.unimi.it/splitmix64.c
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
