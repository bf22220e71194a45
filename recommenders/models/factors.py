"""Factors: alternating least squares, fold-in of histories, factors of items from metadata.

Items without events get the factors that a ridge regression predicts from their metadata. The
regression is fitted on items with events; those with many events weigh more.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import solve
from threadpoolctl import threadpool_limits

from recommenders.data.interactions import Histories, Interactions
from recommenders.data.metadata import Encoding, Metadata
from recommenders.progress import Progress
from recommenders.results import Scores

if TYPE_CHECKING:
    from implicit.cpu.als import AlternatingLeastSquares

RECENCY, FLOOR = 0.9, 0.02
RIDGE = 1.0
_TRUSTED_EVENTS = 10.0


@dataclass(frozen=True)
class AlsParameters:
    """The parameters of the factorization, as those of `Hybrid`."""

    factors: int
    regularization: float
    alpha: float
    iterations: int
    history_length: int
    seed: int
    threads: int
    recency: bool = True

    def solver(self) -> AlternatingLeastSquares:
        """Return implicit's model with these parameters, not fitted."""
        # What only reads metrics' names need not load it, nor show its warnings.
        with warnings.catch_warnings():
            # In a notebook without ipywidgets, its progress bars warn; none is shown.
            warnings.filterwarnings("ignore", message="IProgress not found")
            from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415

        # implicit runs its own threads; BLAS threads beside them would compete for the cores.
        with threadpool_limits(1, "blas"):
            return AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                num_threads=self.threads,
            )


class AlsModel:
    """Item factors, from which user factors are computed by folding in histories.

    Args:
        parameters: The parameters.
        item_factors: `float32`, shape (n_items, factors).
        encoding: Features of items' metadata that the regression knows.
        weights: Weights of the regression, `float32`, shape (len(encoding) + 1, factors); the
            last row is the intercept.
    """

    def __init__(
        self,
        parameters: AlsParameters,
        item_factors: Scores,
        encoding: Encoding,
        weights: Scores,
    ) -> None:
        self.item_factors = item_factors
        self._parameters = parameters
        self._encoding = encoding
        self._weights = weights
        self._solver = parameters.solver()
        self._solver.item_factors = item_factors

    @classmethod
    def fit(cls, parameters: AlsParameters, interactions: Interactions, progress: Progress) -> Self:
        """Return the model of all interactions; `progress` is called each iteration, 0 to 1."""
        solver = parameters.solver()
        with threadpool_limits(1, "blas"):
            solver.fit(
                interactions.matrix(),
                show_progress=False,
                callback=lambda done, _seconds, _loss: progress((done + 1) / parameters.iterations),
            )
        factors = solver.item_factors
        metadata = interactions.item_metadata
        encoding = Encoding.learn(metadata or Metadata.of([]))
        weights = np.zeros((len(encoding) + 1, parameters.factors), np.float32)
        if metadata is not None and len(encoding):
            events = interactions.popularity()
            features = _with_intercept(encoding.encode(metadata, interactions.item_ids))
            weights = _regression(features, factors, events / (events + _TRUSTED_EVENTS))
            cold = events == 0
            factors[cold] = features[cold] @ weights
        return cls(parameters, factors, encoding, weights)

    def fold_in(self, histories: Histories) -> Scores:
        """Return the least-squares factors of recency-weighted events, shape (n, factors)."""
        newest = histories.newest(self._parameters.history_length)
        ages = newest.ages
        weights = RECENCY**ages + FLOOR if self._parameters.recency else None
        matrix = newest.matrix(len(self.item_factors), weights)
        user_factors: Scores = self._solver.recalculate_user(np.arange(len(histories)), matrix)
        return user_factors

    def factors_of_metadata(self, items: Metadata, ids: NDArray[np.str_]) -> Scores:
        """Return the factors that the metadata predict, shape (len(ids), factors); else zeros."""
        features = self._encoding.encode(items, ids)
        known = np.diff(features.indptr) > 0
        factors: Scores = _with_intercept(features) @ self._weights
        return np.where(known[:, None], factors, np.float32(0.0))

    def with_items(
        self, old: NDArray[np.int64], ids: NDArray[np.str_], items: Metadata
    ) -> AlsModel:
        """Return the model of another catalogue.

        Args:
            old: Position of each of `ids` in the present catalogue, -1 for a new item.
            ids: Item ids of the new catalogue.
            items: Their metadata.
        """
        factors = np.where(
            (old >= 0)[:, None], self.item_factors[old], self.factors_of_metadata(items, ids)
        )
        return AlsModel(self._parameters, factors.astype(np.float32), self._encoding, self._weights)

    def learn_items(self, new: NDArray[np.bool_], interactions: Interactions) -> None:
        """Solve for the factors of new items with events; all other factors stay.

        Args:
            new: Mask of the new items, shape (n_items,).
            interactions: All present data.
        """
        counts = interactions.matrix()
        items = np.flatnonzero(new & (interactions.popularity() > 0))
        if not len(items):
            return
        known = counts.copy()
        known.data[np.isin(known.indices, items)] = 0.0
        known.eliminate_zeros()
        solver = self._parameters.solver()
        solver.item_factors = self.item_factors
        solver.user_factors = solver.recalculate_user(np.arange(known.shape[0]), known)
        self.item_factors[items] = solver.recalculate_item(items, counts.T.tocsr()[items])
        self._solver = self._parameters.solver()
        self._solver.item_factors = self.item_factors

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the model as arrays to save."""
        return {
            "item_factors": self.item_factors,
            "metadata_weights": self._weights,
            **self._encoding.arrays("item"),
        }

    @classmethod
    def restore(cls, parameters: AlsParameters, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the model of the arrays that `arrays` returned."""
        encoding = Encoding.restore(arrays, "item")
        return cls(parameters, arrays["item_factors"], encoding, arrays["metadata_weights"])


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
