"""The base of models that give every user the same scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recommenders.data.interactions import Histories, Interactions
from recommenders.progress import Progress
from recommenders.recommender import Recommender
from recommenders.results import Scores


class Unpersonalized(Recommender):
    """A model of one vector of scores, which `_train` sets as `_scores`."""

    _array: ClassVar[str]
    """The name of the scores in the saved file."""

    _scores: Scores

    def _retrain(self, interactions: Interactions, progress: Progress) -> None:
        self._train(interactions, progress)

    def scores(self, histories: Histories) -> Scores:
        """Return the scores of all items, once per history."""
        return np.broadcast_to(self._scores, (len(histories), len(self._scores)))

    def _arrays(self) -> Mapping[str, NDArray[Any]]:
        return {self._array: self._scores}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._scores = arrays[self._array]
