"""Trending: the items whose events increase most from one interval to the next, for all users."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from recommenders.data.interactions import Interactions
from recommenders.models.unpersonalized import Unpersonalized
from recommenders.progress import Progress


class Trending(Unpersonalized):
    """A model of the increase of events, then of popularity, for the recipe trending-now.

    With `r` events in the newest interval and `b` in the one before, the increase is
    `(r - b) / sqrt(r + b + 1)`: its distance from what chance does to two equal rates (the
    deviation of the difference of two Poisson counts is the root of their sum). So one event after
    none does not beat 60 after 30.

    Args:
        interval: Length of each of the two intervals, seconds; the newest ends with the newest
            event.

    Raises:
        ValueError: If the interval is below 1.
    """

    model_type: ClassVar[str] = "trending"
    _array: ClassVar[str] = "trend"

    def __init__(self, *, interval: int = 7_200) -> None:
        if interval < 1:
            raise ValueError(f"trending: interval={interval}; it must be at least 1 second")
        self.interval = interval

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        share = interactions.popularity() / interactions.n_events
        rising = np.maximum(increase(interactions, self.interval), 0.0)
        if rising.any():
            rising /= rising.sum()
            # Less than half of the least increase, so that popularity decides only the rest.
            rest = 0.5 * float(rising[rising > 0.0].min())
            share = (1.0 - rest) * rising + rest * share
        self._scores = share.astype(np.float32)


def increase(interactions: Interactions, interval: int) -> NDArray[np.float64]:
    """Return the increase of each item's events in the newest interval, shape (n_items,).

    `interval` is in seconds.
    """
    ago = (interactions.timestamps.max() - interactions.timestamps) // interval
    recent, before = (
        np.bincount(interactions.items[ago == number], minlength=interactions.n_items)
        for number in (0, 1)
    )
    return np.asarray((recent - before) / np.sqrt(recent + before + 1.0))
