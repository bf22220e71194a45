"""Hybrid: matrix factorization (ALS), item-to-item transitions and rates of repeated items.

The score of an item is `z(ALS) + 0.5 z(transitions)`, each standardized over the catalogue per
user; a softmax makes it a probability. An item of the user's history ("known") scores high in both
for that alone. So known items get the rate at which items are repeated after so many events: in
data without repeats they vanish, in others they stay. User factors are folded in from a history, so
users outside the training data are treated alike; users without a history get popular items,
adjusted by their metadata (`ColdStart`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.ids import Positions, positions
from recommenders.data.interactions import Histories, Interactions
from recommenders.data.metadata import Metadata
from recommenders.models.cold_start import ColdStart
from recommenders.models.factors import AlsModel, AlsParameters
from recommenders.models.transitions import DECAY, age_class, repeat_rate, repeat_rates, transitions
from recommenders.progress import Progress, sub_progress
from recommenders.recommender import Recommender
from recommenders.results import Scores
from recommenders.storage import matrix_arrays, matrix_from_arrays

TRANSITION_WEIGHT = 0.5
MOST_SPREAD = np.float32(60.0)
"""Largest difference between the logarithms of a user's probabilities of new items."""

_ROWS_IN_CACHE = 8


class Hybrid(Recommender):
    """A model of factors, transitions and repeats, for the recipe user-personalization.

    The result depends on the data, the parameters and `seed`, not on `threads`.

    Args:
        factors: Number of factors.
        regularization: Regularization of the factors.
        alpha: Confidence of one event; 5 for dense data, 20 if users have few events.
        iterations: Iterations of alternating least squares.
        history_length: Newest events of a user from which factors are computed.
        sequence_length: Newest events that transitions start from; the 33rd would weigh 0.0008.
        recency: True if newer events of a user weigh more.
        seed: Seed of the factors.
        threads: Threads of training and fold-in; 0 means all cores.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    model_type: ClassVar[str] = "hybrid"
    _als: AlsModel
    _cold_start: ColdStart
    _share: Scores
    _transitions: sp.csr_matrix

    def __init__(
        self,
        *,
        factors: int = 64,
        regularization: float = 10.0,
        alpha: float = 5.0,
        iterations: int = 15,
        history_length: int = 500,
        sequence_length: int = 32,
        recency: bool = True,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        for name, value in (
            ("factors", factors),
            ("iterations", iterations),
            ("history_length", history_length),
            ("sequence_length", sequence_length),
        ):
            if value < 1:
                raise ValueError(f"hybrid: {name}={value}; it must be at least 1")
        if regularization <= 0 or alpha <= 0:
            raise ValueError(
                f"hybrid: regularization={regularization}, alpha={alpha}; both must be above 0"
            )
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.history_length = history_length
        self.sequence_length = sequence_length
        self.recency = recency
        self.seed = seed
        self.threads = threads

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        self._als = AlsModel.fit(
            self._als_parameters(), interactions, sub_progress(progress, 0.0, 0.9)
        )
        self._learn_statistics(interactions)
        progress(0.95)

    def _retrain(self, interactions: Interactions, progress: Progress) -> None:
        old = positions(self.item_ids, interactions.item_ids)
        items = interactions.item_metadata or Metadata.of([])
        self._als = self._als.with_items(old, interactions.item_ids, items)
        progress(0.2)
        had_events = np.append(self._share > 0, False)[old]
        self._als.learn_items(~had_events, interactions)
        progress(0.7)
        self._learn_statistics(interactions)

    def _learn_statistics(self, interactions: Interactions) -> None:
        """Learn shares, repeats, transitions and cold start, each by one pass over the events."""
        self._share = interactions.shares()
        self._repeat_rate = repeat_rate(interactions)
        self._repeat_rates = repeat_rates(interactions)
        self._transitions = transitions(interactions)
        self._cold_start = ColdStart.learn(interactions, self._share)
        self._prepare()

    def _prepare(self) -> None:
        """Compute the statistics of the factors that `scores` needs."""
        factors = self._als.item_factors
        self._centred_factors = np.ascontiguousarray((factors - factors.mean(axis=0)).T)
        self._covariance = np.cov(factors.astype(np.float64), rowvar=False, bias=True).reshape(
            self.factors, self.factors
        )

    def scores(self, histories: Histories) -> Scores:
        """Return the probability of each item to be the next, shape (len(histories), n_items)."""
        # Means are left out of both z: they shift a whole row, which the softmax ignores.
        factors = self._als.fold_in(histories)
        variance = ((factors @ self._covariance) * factors).sum(axis=1)
        factors = _divide_rows(factors, np.sqrt(variance.clip(min=0.0)))
        dense: Scores = factors @ self._centred_factors
        _add(dense, self._transition_scores(histories))
        self._to_probabilities(dense, histories)
        dense[histories.lengths == 0] = self._share
        return dense

    def _scores_for_users(self, users: Sequence[str], histories: Histories) -> Scores:
        scores = self.scores(histories)
        cold = np.flatnonzero(histories.lengths == 0)
        if len(cold):
            self._cold_start.adjust(scores, users, cold)
        return scores

    def _transition_scores(self, histories: Histories) -> sp.csr_matrix:
        """Return 0.5 z of the transitions from the newest events, CSR (n, n_items)."""
        newest = histories.newest(self.sequence_length)
        weights = DECAY**newest.ages if self.recency else None
        scores = newest.matrix(len(self._share), weights) @ self._transitions
        mean = _row_sums(scores.data, scores.indptr) / scores.shape[1]
        square = _row_sums(scores.data**2, scores.indptr) / scores.shape[1]
        deviation = np.sqrt((square - mean**2).clip(min=0.0))
        scale = _divide_rows(np.full(len(histories), TRANSITION_WEIGHT), deviation)
        scores.data *= np.repeat(scale, np.diff(scores.indptr))
        return scores

    def _to_probabilities(self, dense: Scores, histories: Histories) -> None:
        """Turn z into probabilities, in place: new items by a softmax, known ones by their age.

        Known items of the same age share their probability by the root of the exponential of z:
        the history has raised all of them already.
        """
        latest = histories.latest
        rows, items = histories.rows[latest], histories.items[latest]

        def per_row(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(rows, numbers, len(dense)).astype(np.float64)

        # Known items may score so far above the new ones that one softmax of both would round the
        # new ones to 0; each group has its own.
        known = np.asarray(dense[rows, items], dtype=np.float64)
        highest = np.full(len(dense), -np.inf)
        np.maximum.at(highest, rows, known)
        exponential = np.exp(known - highest[rows])
        root, n_known = np.sqrt(exponential), np.bincount(rows, minlength=len(dense))
        relative = root * _divide_rows(n_known, per_row(root))[rows]
        repeats: NDArray[np.float64] = (
            self._repeat_rates[age_class(histories.ages[latest])] * relative
        )
        knows_all = n_known == dense.shape[1]
        repeats = np.where(knows_all[rows], exponential, repeats)
        new_weight = np.where(knows_all, 0.0, 1.0 - self._repeat_rate)
        total = new_weight + per_row(repeats)
        _softmax(dense, rows, items, new_weight / total)
        dense[rows, items] = repeats / total[rows]

    def _als_parameters(self) -> AlsParameters:
        return AlsParameters(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            history_length=self.history_length,
            seed=self.seed,
            threads=self.threads,
            recency=self.recency,
        )

    def _arrays(self) -> Mapping[str, NDArray[Any]]:
        return {
            "share": self._share,
            "repeat_rate": np.asarray(self._repeat_rate),
            "repeat_rates": self._repeat_rates,
            **matrix_arrays("transition", self._transitions),
            **self._als.arrays(),
            **self._cold_start.arrays(),
        }

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._als = AlsModel.restore(self._als_parameters(), arrays)
        self._share = arrays["share"]
        self._repeat_rate = float(arrays["repeat_rate"])
        self._repeat_rates = arrays["repeat_rates"]
        n_items = len(self._share)
        self._transitions = matrix_from_arrays("transition", arrays, (n_items, n_items))
        self._cold_start = ColdStart.restore(arrays, n_items)
        self._prepare()


def _softmax(dense: Scores, rows: Positions, items: Positions, sums: NDArray[np.float64]) -> None:
    """Replace rows by numbers in proportion to their exponentials, in place.

    Entries at `rows` (ascending) and `items` become 0; all others of a row sum to its entry of
    `sums`. A row that spans more than MOST_SPREAD is scaled to it first: otherwise its lowest
    entries would become 0 and lose their order.
    """
    starts = np.arange(0, len(dense), _ROWS_IN_CACHE)
    bounds = np.searchsorted(rows, [*starts, len(dense)])
    for number, start in enumerate(starts):
        block = dense[start : start + _ROWS_IN_CACHE]
        lowest = block.min(axis=1)
        excluded = slice(bounds[number], bounds[number + 1])
        block[rows[excluded] - start, items[excluded]] = -np.inf
        top = block.max(axis=1)
        top[np.isneginf(top)] = 0.0
        block -= top[:, None]
        scale = MOST_SPREAD / np.maximum(top - lowest, MOST_SPREAD)
        if (scale < 1.0).any():
            block *= scale[:, None]
        np.exp(block, out=block)
        block *= _divide_rows(sums[start : start + _ROWS_IN_CACHE], block.sum(axis=1))[:, None]


def _add(dense: Scores, sparse: sp.csr_matrix) -> None:
    """Add sparse rows to dense ones, in place."""
    buffer = np.empty((_ROWS_IN_CACHE, dense.shape[1]), np.float32)
    for start in range(0, len(dense), _ROWS_IN_CACHE):
        block = dense[start : start + _ROWS_IN_CACHE]
        block += sparse[start : start + _ROWS_IN_CACHE].toarray(out=buffer[: len(block)])


def _row_sums(data: Scores, offsets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the sums of CSR rows, 0 for empty ones."""
    sums = np.zeros(len(offsets) - 1)
    filled = np.flatnonzero(np.diff(offsets))
    sums[filled] = np.add.reduceat(data, offsets[filled], dtype=np.float64)
    return sums


def _divide_rows(numbers: NDArray[Any], divisors: NDArray[Any]) -> NDArray[np.float32]:
    """Return each row of `numbers` divided by its entry of `divisors`, 0 if that is 0."""
    inverse = np.divide(1.0, divisors, out=np.zeros(len(divisors)), where=divisors > 0)
    return np.asarray((numbers.T * inverse).T, dtype=np.float32)
