"""What else ranks items besides a user's chance to meet them: their price, popularity, freshness.

For each user the logarithms of the chances get `v` standard deviations of their own for each
standard deviation by which an item stands above the others: with `v` = 1 both weigh the same,
whatever the unit of the one and the spread of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from recommenders.results import Scores


def standing(values: ArrayLike) -> NDArray[np.float32]:
    """Return how each value stands among all: its rank with mean 0 and deviation 1.

    Equal values stand equally, and all of them at 0 if they are the same; NaN is the lowest.
    """
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=-np.inf)
    ranks = rankdata(numbers)
    deviation = ranks.std()
    return np.asarray((ranks - ranks.mean()) / (deviation or 1.0), dtype=np.float32)


def tilted(scores: Scores, tilt: NDArray[np.float32]) -> Scores:
    """Return scores that prefer items which stand high; rows sum to 1 again.

    Args:
        scores: chances, shape (n, n_items); 0 stays 0.
        tilt: the sum of each item's standings times their weights `v`, shape (n_items,).
    """
    possible = scores > 0.0
    logs = np.log(scores, where=possible, out=np.zeros_like(scores))
    count = np.maximum(possible.sum(axis=1, keepdims=True), 1)
    mean = logs.sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(possible, logs - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
    # Equal chances have no spread; then one standing above another still decides.
    logs += np.where(spread > 0.0, spread, 1.0) * tilt
    logs[~possible] = -np.inf
    top = logs.max(axis=1, keepdims=True)
    chances = np.exp(logs - np.where(np.isneginf(top), 0.0, top))
    sums = chances.sum(axis=1, keepdims=True)
    return np.asarray(chances / np.where(sums > 0.0, sums, 1.0), dtype=np.float32)
