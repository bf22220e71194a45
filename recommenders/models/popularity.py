"""Popularity: everybody gets the items with the most events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recommenders.data.interactions import Histories, Interactions
from recommenders.progress import Progress
from recommenders.recommender import Recommender
from recommenders.results import Scores


class Popularity(Recommender):
    """Rank items by their share of all events, the same for every user."""

    kind: ClassVar[str] = "popularity"
    _share: Scores

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        self._share = interactions.shares()

    def _retrain(self, interactions: Interactions, progress: Progress) -> None:
        self._train(interactions, progress)

    def scores(self, histories: Histories) -> Scores:
        """Return each item's share of the events, once per history."""
        return np.broadcast_to(self._share, (len(histories), len(self._share)))

    def parameters(self) -> Mapping[str, Any]:
        """Return the arguments of the constructor, as JSON."""
        return {}

    def _learned(self) -> Mapping[str, NDArray[Any]]:
        return {"share": self._share}

    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        self._share = learned["share"]
