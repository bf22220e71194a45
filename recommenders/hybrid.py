"""Hybrid: what a user likes (ALS), what usually comes next (transitions), what is met again.

The score of an item is `z(taste) + 0.5 z(transitions)`, each standardised over the catalogue per
user; a softmax makes it a probability. An item that the user knows scores high in both just for
being known. So known items get the rate at which the data say that items are met again after so
many events: where nobody repeats they vanish, where people do they stay. Tastes are folded in from
a history, so users who were never fitted are served alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.linalg.blas import sgemm
from threadpoolctl import threadpool_limits

from recommenders.interactions import Histories, Interactions
from recommenders.recommender import Progress, Recommender, Scores
from recommenders.sequences import DECAY, age_class, repeat_rate, repeat_rates, transitions

TASTE_DECAY, TASTE_FLOOR = 0.9, 0.02
TRANSITION_WEIGHT = 0.5
TRANSITION_EVENTS = 32
"""Newest events that transitions start from; the next one would weigh 0.8^32 < 0.001."""


class Hybrid(Recommender):
    """Rank items by taste, sequence and repeats; the model behind user-personalization.

    The result depends on the data, the parameters and `seed`, not on `threads`.

    Args:
        factors: length of a taste vector.
        regularization: pull of the factors towards 0.
        alpha: confidence of one event; 5 for dense data, 20 where users have few events.
        iterations: rounds of alternating least squares.
        history_length: newest events of a user that make the taste; older ones are left out.
        seed: start of the factors.
        threads: of training and fold-in; 0 means all cores.

    Raises:
        ValueError: if a parameter is out of its range.
    """

    kind: ClassVar[str] = "hybrid"

    def __init__(
        self,
        *,
        factors: int = 64,
        regularization: float = 10.0,
        alpha: float = 5.0,
        iterations: int = 15,
        history_length: int = 500,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        for name, value in (
            ("factors", factors),
            ("iterations", iterations),
            ("history_length", history_length),
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
        self.seed = seed
        self.threads = threads

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        # implicit runs its own threads; BLAS threads beside them would fight for the cores.
        with threadpool_limits(1, "blas"):
            als = self._als()
            als.fit(
                interactions.matrix(),
                show_progress=False,
                callback=lambda done, _seconds, _loss: progress(0.9 * (done + 1) / self.iterations),
            )
        follow = transitions(interactions)
        progress(0.95)
        self._restore(
            {
                "item_factors": als.item_factors,
                "share": (interactions.popularity() / interactions.n_events).astype(np.float32),
                "repeat_rate": np.asarray(repeat_rate(interactions)),
                "repeat_rates": repeat_rates(interactions),
                "transition_values": follow.data,
                "transition_items": follow.indices,
                "transition_offsets": follow.indptr,
            }
        )

    def scores(self, histories: Histories) -> Scores:
        """Return each item's probability to be the next, shape (len(histories), n_items)."""
        # Means are left out of both z: they move a whole row, which the softmax does not see.
        tastes = self._tastes(histories)
        variance = ((tastes @ self._covariance) * tastes).sum(axis=1)
        tastes = _divided(tastes, np.sqrt(variance.clip(min=0.0)))
        follow = self._follow(histories).toarray()
        # follow + tastes @ factors.T, which numpy would do by way of a second block.
        dense: Scores = sgemm(
            1.0, self._centred_factors.T, tastes.T, 1.0, follow.T, trans_a=True, overwrite_c=True
        ).T
        dense -= dense.max(axis=1, keepdims=True)
        np.exp(dense, out=dense)
        self._set_repeats(dense, histories)
        dense[histories.lengths == 0] = self._share
        return dense

    def _tastes(self, histories: Histories) -> NDArray[np.float32]:
        """Return the least-squares taste of recency-weighted events, shape (n, factors)."""
        newest = histories.newest(self.history_length)
        weighted = newest.matrix(TASTE_DECAY**newest.ages + TASTE_FLOOR, len(self._share))
        return np.asarray(self._als_of_items.recalculate_user(np.arange(len(histories)), weighted))

    def _follow(self, histories: Histories) -> sp.csr_matrix:
        """Return 0.5 z of what usually comes after the newest events, CSR (n, n_items)."""
        newest = histories.newest(TRANSITION_EVENTS)
        follow = newest.matrix(DECAY**newest.ages, len(self._share)) @ self._transitions
        squares = sp.csr_matrix((follow.data**2, follow.indices, follow.indptr), follow.shape)
        each = np.full(follow.shape[1], 1.0 / follow.shape[1])
        deviation = np.sqrt((squares @ each - (follow @ each) ** 2).clip(min=0.0))
        scale = _divided(np.full(len(histories), TRANSITION_WEIGHT), deviation)
        follow.data *= np.repeat(scale, np.diff(follow.indptr))
        return follow

    def _set_repeats(self, dense: Scores, histories: Histories) -> None:
        """Give items the user knows their chance of being met again; scale rows to sum 1.

        Among items known equally long the chance goes with the root of the taste: the history
        lifted all of them already.
        """
        latest = histories.latest
        rows, items = histories.rows[latest], histories.items[latest]

        def per_row(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(rows, numbers, len(dense)).astype(np.float64)

        value = np.asarray(dense[rows, items], dtype=np.float64)
        dense[rows, items] = 0.0
        new = dense.sum(axis=1).astype(np.float64)
        root = np.sqrt(value)
        tilt = root * _divided(per_row(np.ones(len(rows))), per_row(root))[rows]
        again: NDArray[np.float64] = self._repeat_rates[age_class(histories.ages[latest])] * tilt
        again = np.where(new[rows] > 0.0, again, value)
        room = np.where(new > 0.0, 1.0 - self._repeat_rate, 0.0)
        total = room + per_row(again)
        dense *= _divided(room / total, new)[:, None]
        dense[rows, items] = again / total[rows]

    def _als(self) -> AlternatingLeastSquares:
        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=self.threads,
        )

    def _parameters(self) -> Mapping[str, Any]:
        return {
            "factors": self.factors,
            "regularization": self.regularization,
            "alpha": self.alpha,
            "iterations": self.iterations,
            "history_length": self.history_length,
            "seed": self.seed,
            "threads": self.threads,
        }

    def _learned(self) -> Mapping[str, NDArray[Any]]:
        return self._arrays

    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = learned
        factors = learned["item_factors"]
        with threadpool_limits(1, "blas"):
            self._als_of_items = self._als()
        self._als_of_items.item_factors = factors
        self._centred_factors = factors - factors.mean(axis=0)
        self._covariance = np.cov(factors.astype(np.float64), rowvar=False, bias=True).reshape(
            self.factors, self.factors
        )
        self._share = learned["share"]
        self._repeat_rate = float(learned["repeat_rate"])
        self._repeat_rates = learned["repeat_rates"]
        self._transitions = sp.csr_matrix(
            (
                learned["transition_values"],
                learned["transition_items"],
                learned["transition_offsets"],
            ),
            shape=(len(factors), len(factors)),
        )


def _divided(numbers: NDArray[Any], by: NDArray[Any]) -> NDArray[np.float32]:
    """Return each row of `numbers` divided by its entry of `by`, 0 where that is 0."""
    inverse = np.divide(1.0, by, out=np.zeros(len(by)), where=by > 0)
    return np.asarray((numbers.T * inverse).T, dtype=np.float32)
