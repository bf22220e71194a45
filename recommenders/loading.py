"""Saved recommenders, loaded by the kind that they were saved as."""

from __future__ import annotations

import json
from pathlib import Path

from recommenders.hybrid import Hybrid
from recommenders.popularity import Popularity
from recommenders.recommender import DESCRIPTION, Recommender

KINDS: dict[str, type[Recommender]] = {model.kind: model for model in (Popularity, Hybrid)}


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
