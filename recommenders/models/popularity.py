"""Popularity: everybody gets the items with the most events."""

from __future__ import annotations

from typing import ClassVar

from recommenders.data.interactions import Interactions
from recommenders.models.unpersonalized import Unpersonalized
from recommenders.progress import Progress


class Popularity(Unpersonalized):
    """Rank items by their share of all events."""

    kind: ClassVar[str] = "popularity"
    _array: ClassVar[str] = "share"

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        self._scores = interactions.shares()
