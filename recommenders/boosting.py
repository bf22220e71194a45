"""Boosts: rank items by more than a user's probabilities, by their price, popularity or freshness.

For each user the logarithms of the probabilities get `v` standard deviations of their own for each
standard deviation by which an item's rank lies above the mean: with `v` = 1 both weigh the same,
whatever the unit of the one and the spread of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommenders.results import Scores


def standardized_ranks(values: ArrayLike) -> NDArray[np.float32]:
    """Return each value's rank among all, with mean 0 and standard deviation 1.

    Equal values have equal ranks, 0 if all are equal; NaN is the lowest.
    """
    from scipy.stats import rankdata  # noqa: PLC0415  takes half a second

    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=-np.inf)
    ranks = rankdata(numbers)
    deviation = ranks.std()
    return np.asarray((ranks - ranks.mean()) / (deviation or 1.0), dtype=np.float32)


def boosted_scores(scores: Scores, boosts: NDArray[np.float32]) -> Scores:
    """Return scores that prefer items with high boosts; rows sum to 1 again.

    Args:
        scores: Probabilities, shape (n, n_items); 0 stays 0.
        boosts: Sum of each item's standardized ranks times their weights `v`, shape (n_items,).
    """
    possible = scores > 0.0
    logs = np.log(scores, where=possible, out=np.zeros_like(scores))
    count = np.maximum(possible.sum(axis=1, keepdims=True), 1)
    mean = logs.sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(possible, logs - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
    # Equal probabilities have no spread; then the boosts alone decide.
    logs += np.where(spread > 0.0, spread, 1.0) * boosts
    logs[~possible] = -np.inf
    top = logs.max(axis=1, keepdims=True)
    values = np.exp(logs - np.where(np.isneginf(top), 0.0, top))
    sums = values.sum(axis=1, keepdims=True)
    return np.asarray(values / np.where(sums > 0.0, sums, 1.0), dtype=np.float32)
