"""Tastes: alternating least squares, fold-in of histories, factors of items from their metadata.

Items nobody met get the factors that a ridge regression reads from their metadata; the regression
is learned from items that have events, those with many events weighing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.linalg import solve
from threadpoolctl import threadpool_limits

from recommenders.data.interactions import Histories, Interactions
from recommenders.data.metadata import Encoding, Metadata
from recommenders.progress import Progress
from recommenders.results import Scores

RECENCY, FLOOR = 0.9, 0.02
RIDGE = 1.0
_TRUSTED_EVENTS = 10.0


@dataclass(frozen=True)
class Factorization:
    """How tastes are learned; see `Hybrid` for the parameters."""

    factors: int
    regularization: float
    alpha: float
    iterations: int
    history_length: int
    seed: int
    threads: int
    recency: bool = True

    def als(self) -> AlternatingLeastSquares:
        """Return implicit's model with these parameters, not fitted."""
        # implicit runs its own threads; BLAS threads beside them would fight for the cores.
        with threadpool_limits(1, "blas"):
            return AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                num_threads=self.threads,
            )


class Taste:
    """Item factors, and users' tastes folded in from histories.

    Args:
        how: the parameters.
        item_factors: float32, shape (n_items, factors).
        encoding: the features of items' metadata that the regression knows.
        weights: float32, shape (len(encoding) + 1, factors); the last row is the intercept.
    """

    def __init__(
        self,
        how: Factorization,
        item_factors: Scores,
        encoding: Encoding,
        weights: Scores,
    ) -> None:
        self.item_factors = item_factors
        self._how = how
        self._encoding = encoding
        self._weights = weights
        self._als = how.als()
        self._als.item_factors = item_factors

    @classmethod
    def fit(cls, how: Factorization, interactions: Interactions, progress: Progress) -> Self:
        """Return the tastes of all interactions; `progress` is called each round, 0 to 1."""
        als = how.als()
        with threadpool_limits(1, "blas"):
            als.fit(
                interactions.matrix(),
                show_progress=False,
                callback=lambda done, _seconds, _loss: progress((done + 1) / how.iterations),
            )
        factors = als.item_factors
        metadata = interactions.item_metadata
        encoding = Encoding.learn(metadata or Metadata.of([]))
        weights = np.zeros((len(encoding) + 1, how.factors), np.float32)
        if metadata is not None and len(encoding):
            events = interactions.popularity()
            features = _with_intercept(encoding.encode(metadata, interactions.item_ids))
            weights = _regression(features, factors, events / (events + _TRUSTED_EVENTS))
            cold = events == 0
            factors[cold] = features[cold] @ weights
        return cls(how, factors, encoding, weights)

    def fold_in(self, histories: Histories) -> Scores:
        """Return the least-squares taste of recency-weighted events, shape (n, factors)."""
        newest = histories.newest(self._how.history_length)
        ages = newest.ages
        weights = RECENCY**ages + FLOOR if self._how.recency else None
        matrix = newest.matrix(len(self.item_factors), weights)
        tastes: Scores = self._als.recalculate_user(np.arange(len(histories)), matrix)
        return tastes

    def of_metadata(self, items: Metadata, ids: NDArray[np.str_]) -> Scores:
        """Return the factors that the items' metadata suggest; zeros where nothing is known."""
        features = self._encoding.encode(items, ids)
        known = np.diff(features.indptr) > 0
        factors: Scores = _with_intercept(features) @ self._weights
        return np.where(known[:, None], factors, np.float32(0.0))

    def with_items(self, old: NDArray[np.int64], ids: NDArray[np.str_], items: Metadata) -> Taste:
        """Return the tastes with another catalogue; `old` are present positions, -1 for new."""
        factors = np.where(
            (old >= 0)[:, None], self.item_factors[old], self.of_metadata(items, ids)
        )
        return Taste(self._how, factors.astype(np.float32), self._encoding, self._weights)

    def learn_items(self, new: NDArray[np.bool_], interactions: Interactions) -> None:
        """Solve for the factors of new items with events, all others staying as they are."""
        counts = interactions.matrix()
        met = np.flatnonzero(new & (interactions.popularity() > 0))
        if not len(met):
            return
        known = counts.copy()
        known.data[np.isin(known.indices, met)] = 0.0
        known.eliminate_zeros()
        als = self._how.als()
        als.item_factors = self.item_factors
        als.user_factors = als.recalculate_user(np.arange(known.shape[0]), known)
        self.item_factors[met] = als.recalculate_item(met, counts.T.tocsr()[met])
        self._als = self._how.als()
        self._als.item_factors = self.item_factors

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `restore` takes."""
        return {
            "item_factors": self.item_factors,
            "metadata_weights": self._weights,
            **self._encoding.arrays("item"),
        }

    @classmethod
    def restore(cls, how: Factorization, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the tastes that `arrays` gave."""
        encoding = Encoding.restore(arrays, "item")
        return cls(how, arrays["item_factors"], encoding, arrays["metadata_weights"])


def _with_intercept(features: sp.csr_matrix) -> sp.csr_matrix:
    ones = sp.csr_matrix(np.ones((features.shape[0], 1), np.float32))
    return sp.hstack([features, ones], format="csr")


def _regression(features: sp.csr_matrix, factors: Scores, trust: NDArray[np.float64]) -> Scores:
    """Return the weights of the ridge regression of factors on features."""
    weighted = features.multiply(trust[:, None]).tocsr()
    system = (features.T @ weighted).toarray().astype(np.float64)
    system[np.diag_indices_from(system)] += RIDGE
    weights = solve(system, weighted.T @ factors.astype(np.float64), assume_a="pos")
    return np.asarray(weights, dtype=np.float32)
