"""Affinity: the users whose factors are nearest to an item, or to the mean of several items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.ids import ids_at
from recommenders.models.hybrid import Hybrid
from recommenders.recommender import Eligible
from recommenders.results import Scores, Segments
from recommenders.top_k import best_eligible

_USERS_PER_FOLD = 10_000


class Affinity(Hybrid):
    """A model that segments users, for the recipes item-affinity and item-attribute-affinity.

    It is trained as `Hybrid`, with the same parameters. The score of a user for an item is the
    product of the user's recency-weighted factors and the item's factors. Users who have interacted
    with the item score highest for that alone: the distance of such a score to the item's lowest is
    multiplied by the rate at which users interact with items again. (MovieLens-100k, where nobody
    does: 1.26 instead of 0.29 of 9 users are right.)
    """

    model_type: ClassVar[str] = "affinity"
    _cached_user_factors: Scores | None = None
    _cached_counts: sp.csc_matrix | None = None

    def users_of(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Segments]:
        """Yield the likeliest users of each item; see `Recommender.users_of`."""
        item_positions = self.positions(items)

        def block(start: int, stop: int) -> tuple[Scores, NDArray[np.bool_]]:
            known = item_positions[start:stop] >= 0
            columns = np.maximum(item_positions[start:stop], 0)
            scores: Scores = self._als.item_factors[columns] @ self._user_factors().T
            lowest = scores.min(axis=1, keepdims=True)
            repeat_scores = lowest + np.float32(self._repeat_rate) * (scores - lowest)
            has_events = self._event_counts()[:, columns].T.toarray() > 0
            return np.where(has_events, repeat_scores, scores), known

        return self._segments(block, len(items), n, eligible, block_size)

    def users_of_attributes(
        self,
        masks: Sequence[NDArray[np.bool_]],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Segments]:
        """Yield the likeliest users of each set; see `Recommender.users_of_attributes`."""

        def block(start: int, stop: int) -> tuple[Scores, NDArray[np.bool_]]:
            sets = np.stack([np.asarray(mask, dtype=np.bool_) for mask in masks[start:stop]])
            sizes = sets.sum(axis=1)
            sums = sets.astype(np.float32) @ self._als.item_factors
            means = sums / np.maximum(sizes, 1)[:, None].astype(np.float32)
            return means @ self._user_factors().T, sizes > 0

        return self._segments(block, len(masks), n, eligible, block_size)

    def _segments(
        self,
        block: Callable[[int, int], tuple[Scores, NDArray[np.bool_]]],
        n_rows: int,
        n: int,
        eligible: Eligible | None,
        block_size: int,
    ) -> Iterator[Segments]:
        self._check(n=n, block_size=block_size)
        for start in range(0, n_rows, block_size):
            stop = min(start + block_size, n_rows)
            scores, known = block(start, stop)
            mask = np.broadcast_to(known[:, None], scores.shape)
            if eligible:
                mask = mask & eligible(start, stop)
            users, values, counts = best_eligible(scores, mask, n)
            yield Segments(ids_at(self.user_ids, users), values, counts)

    def _user_factors(self) -> Scores:
        """Return the factors of the users of the training, in the order of `user_ids`."""
        factors = self._cached_user_factors
        if factors is None:
            histories = self._histories
            factors = self._cached_user_factors = np.concatenate(
                [
                    self._als.fold_in(
                        histories.block(start, min(start + _USERS_PER_FOLD, len(histories)))
                    )
                    for start in range(0, len(histories), _USERS_PER_FOLD)
                ]
            )
        return factors

    def _event_counts(self) -> sp.csc_matrix:
        """Return the number of events of each user with each item: CSC (n_users, n_items)."""
        counts = self._cached_counts
        if counts is None:
            counts = self._cached_counts = self._histories.matrix(len(self.item_ids)).tocsc()
        return counts

    def _prepare(self) -> None:
        self._cached_user_factors = self._cached_counts = None
        super()._prepare()
