"""Saved recommenders, loaded by the kind that they were saved as."""

from __future__ import annotations

import json
from pathlib import Path

from recommenders.models.actions import Actions
from recommenders.models.affinity import Affinity
from recommenders.models.cosine import Cosine
from recommenders.models.hybrid import Hybrid
from recommenders.models.popularity import Popularity
from recommenders.models.trending import Trending
from recommenders.recommender import Recommender
from recommenders.storage import DESCRIPTION

KINDS: dict[str, type[Recommender]] = {
    model.kind: model for model in (Popularity, Trending, Cosine, Hybrid, Affinity, Actions)
}


def load_recommender(directory: Path) -> Recommender:
    """Return the recommender saved in `directory`, of whatever kind.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if its kind is unknown.
    """
    kind = json.loads((directory / DESCRIPTION).read_text("utf-8"))["kind"]
    if kind not in KINDS:
        raise ValueError(
            f"{directory / DESCRIPTION}: unknown kind {kind!r}; known are {', '.join(KINDS)}"
        )
    return KINDS[kind].load(directory)
