"""Popularity: the items with the most events, for all users."""

from __future__ import annotations

from typing import ClassVar

from recommenders.data.interactions import Interactions
from recommenders.models.unpersonalized import Unpersonalized
from recommenders.progress import Progress


class Popularity(Unpersonalized):
    """A model of each item's share of all events, for the recipe popularity-count."""

    model_type: ClassVar[str] = "popularity"
    _array: ClassVar[str] = "share"

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        self._scores = interactions.shares()
