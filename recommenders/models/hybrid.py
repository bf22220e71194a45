"""Hybrid: what a user likes (ALS), what usually comes next (transitions), what is met again.

The score of an item is `z(taste) + 0.5 z(transitions)`, each standardised over the catalogue per
user; a softmax makes it a probability. An item that the user knows scores high in both just for
being known. So known items get the rate at which the data say that items are met again after so
many events: where nobody repeats they vanish, where people do they stay. Tastes are folded in from
a history, so users who were never fitted are served alike; users without any history get popular
items, shifted by their metadata (`Strangers`).
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
from recommenders.models.cold_start import Strangers
from recommenders.models.factors import Factorization, Taste
from recommenders.models.transitions import DECAY, age_class, repeat_rate, repeat_rates, transitions
from recommenders.progress import Progress, part
from recommenders.recommender import Recommender
from recommenders.results import Scores
from recommenders.storage import matrix_arrays, matrix_from_arrays

TRANSITION_WEIGHT = 0.5
MOST_SPREAD = np.float32(60.0)
"""How far the logarithms of a user's chances for new items may lie apart."""

_ROWS_IN_CACHE = 8


class Hybrid(Recommender):
    """Rank items by taste, sequence and repeats; the model behind user-personalization.

    The result depends on the data, the parameters and `seed`, not on `threads`.

    Args:
        factors: length of a taste vector.
        regularization: pull of the factors towards 0.
        alpha: confidence of one event; 5 for dense data, 20 where users have few events.
        iterations: rounds of alternating least squares.
        history_length: newest events of a user that make the taste; older ones are left out.
        sequence_length: newest events that transitions start from; the 33rd would weigh 0.0008.
        recency: whether newer events of a user weigh more.
        seed: start of the factors.
        threads: of training and fold-in; 0 means all cores.

    Raises:
        ValueError: if a parameter is out of its range.
    """

    kind: ClassVar[str] = "hybrid"
    _taste: Taste
    _strangers: Strangers
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
        self._taste = Taste.fit(self._factorization(), interactions, part(progress, 0.0, 0.9))
        self._count(interactions)
        progress(0.95)

    def _retrain(self, interactions: Interactions, progress: Progress) -> None:
        old = positions(self.item_ids, interactions.item_ids)
        items = interactions.item_metadata or Metadata.of([])
        self._taste = self._taste.with_items(old, interactions.item_ids, items)
        progress(0.2)
        met_before = np.append(self._share > 0, False)[old]
        self._taste.learn_items(~met_before, interactions)
        progress(0.7)
        self._count(interactions)

    def _count(self, interactions: Interactions) -> None:
        """Learn what takes one pass over the events."""
        self._share = interactions.shares()
        self._repeat_rate = repeat_rate(interactions)
        self._repeat_rates = repeat_rates(interactions)
        self._transitions = transitions(interactions)
        self._strangers = Strangers.learn(interactions, self._share)
        self._prepare()

    def _prepare(self) -> None:
        """Compute what every answer needs of the factors."""
        factors = self._taste.item_factors
        self._centred_factors = np.ascontiguousarray((factors - factors.mean(axis=0)).T)
        self._covariance = np.cov(factors.astype(np.float64), rowvar=False, bias=True).reshape(
            self.factors, self.factors
        )

    def scores(self, histories: Histories) -> Scores:
        """Return each item's probability to be the next, shape (len(histories), n_items)."""
        # Means are left out of both z: they move a whole row, which the softmax does not see.
        tastes = self._taste.fold_in(histories)
        variance = ((tastes @ self._covariance) * tastes).sum(axis=1)
        tastes = _divided(tastes, np.sqrt(variance.clip(min=0.0)))
        dense: Scores = tastes @ self._centred_factors
        _add(dense, self._follow(histories))
        self._to_chances(dense, histories)
        dense[histories.lengths == 0] = self._share
        return dense

    def _scores_of(self, users: Sequence[str], histories: Histories) -> Scores:
        scores = self.scores(histories)
        strangers = np.flatnonzero(histories.lengths == 0)
        if len(strangers):
            self._strangers.shift(scores, users, strangers)
        return scores

    def _follow(self, histories: Histories) -> sp.csr_matrix:
        """Return 0.5 z of what usually comes after the newest events, CSR (n, n_items)."""
        newest = histories.newest(self.sequence_length)
        weights = DECAY**newest.ages if self.recency else None
        follow = newest.matrix(len(self._share), weights) @ self._transitions
        mean = _row_sums(follow.data, follow.indptr) / follow.shape[1]
        square = _row_sums(follow.data**2, follow.indptr) / follow.shape[1]
        deviation = np.sqrt((square - mean**2).clip(min=0.0))
        scale = _divided(np.full(len(histories), TRANSITION_WEIGHT), deviation)
        follow.data *= np.repeat(scale, np.diff(follow.indptr))
        return follow

    def _to_chances(self, dense: Scores, histories: Histories) -> None:
        """Turn z into probabilities, in place: new items by a softmax, known ones by their age.

        Among items known equally long the chance goes with the root of the taste: the history
        lifted all of them already.
        """
        latest = histories.latest
        rows, items = histories.rows[latest], histories.items[latest]

        def per_row(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(rows, numbers, len(dense)).astype(np.float64)

        # Known items may lie so far above all others that one softmax of both would round these
        # to 0; each kind has its own.
        known = np.asarray(dense[rows, items], dtype=np.float64)
        highest = np.full(len(dense), -np.inf)
        np.maximum.at(highest, rows, known)
        value = np.exp(known - highest[rows])
        root, n_known = np.sqrt(value), np.bincount(rows, minlength=len(dense))
        tilt = root * _divided(n_known, per_row(root))[rows]
        again: NDArray[np.float64] = self._repeat_rates[age_class(histories.ages[latest])] * tilt
        knows_all = n_known == dense.shape[1]
        again = np.where(knows_all[rows], value, again)
        room = np.where(knows_all, 0.0, 1.0 - self._repeat_rate)
        total = room + per_row(again)
        _softmax(dense, rows, items, room / total)
        dense[rows, items] = again / total[rows]

    def _factorization(self) -> Factorization:
        return Factorization(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            history_length=self.history_length,
            seed=self.seed,
            threads=self.threads,
            recency=self.recency,
        )

    def _learned(self) -> Mapping[str, NDArray[Any]]:
        return {
            "share": self._share,
            "repeat_rate": np.asarray(self._repeat_rate),
            "repeat_rates": self._repeat_rates,
            **matrix_arrays("transition", self._transitions),
            **self._taste.arrays(),
            **self._strangers.arrays(),
        }

    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        self._taste = Taste.restore(self._factorization(), learned)
        self._share = learned["share"]
        self._repeat_rate = float(learned["repeat_rate"])
        self._repeat_rates = learned["repeat_rates"]
        n_items = len(self._share)
        self._transitions = matrix_from_arrays("transition", learned, (n_items, n_items))
        self._strangers = Strangers.restore(learned, n_items)
        self._prepare()


def _softmax(dense: Scores, rows: Positions, items: Positions, sums: NDArray[np.float64]) -> None:
    """Turn rows into numbers in proportion to their exponentials, in place.

    Entries at `rows` (ascending) and `items` become 0, all others of a row sum to its entry of
    `sums`. A row that spans more than MOST_SPREAD is shrunk to it first: it would end in zeros
    otherwise, and its tail would lose its order.
    """
    starts = np.arange(0, len(dense), _ROWS_IN_CACHE)
    bounds = np.searchsorted(rows, [*starts, len(dense)])
    for number, start in enumerate(starts):
        part = dense[start : start + _ROWS_IN_CACHE]
        lowest = part.min(axis=1)
        left_out = slice(bounds[number], bounds[number + 1])
        part[rows[left_out] - start, items[left_out]] = -np.inf
        top = part.max(axis=1)
        top[np.isneginf(top)] = 0.0
        part -= top[:, None]
        shrink = MOST_SPREAD / np.maximum(top - lowest, MOST_SPREAD)
        if (shrink < 1.0).any():
            part *= shrink[:, None]
        np.exp(part, out=part)
        part *= _divided(sums[start : start + _ROWS_IN_CACHE], part.sum(axis=1))[:, None]


def _add(dense: Scores, sparse: sp.csr_matrix) -> None:
    """Add sparse rows to dense ones, in place."""
    some = np.empty((_ROWS_IN_CACHE, dense.shape[1]), np.float32)
    for start in range(0, len(dense), _ROWS_IN_CACHE):
        part = dense[start : start + _ROWS_IN_CACHE]
        part += sparse[start : start + _ROWS_IN_CACHE].toarray(out=some[: len(part)])


def _row_sums(data: Scores, offsets: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the sums of CSR rows, 0 for empty ones."""
    sums = np.zeros(len(offsets) - 1)
    filled = np.flatnonzero(np.diff(offsets))
    sums[filled] = np.add.reduceat(data, offsets[filled], dtype=np.float64)
    return sums


def _divided(numbers: NDArray[Any], by: NDArray[Any]) -> NDArray[np.float32]:
    """Return each row of `numbers` divided by its entry of `by`, 0 where that is 0."""
    inverse = np.divide(1.0, by, out=np.zeros(len(by)), where=by > 0)
    return np.asarray((numbers.T * inverse).T, dtype=np.float32)
