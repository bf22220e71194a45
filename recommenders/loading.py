"""Loading of saved recommenders by the model type that they were saved with."""

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

MODELS: dict[str, type[Recommender]] = {
    model.model_type: model for model in (Popularity, Trending, Cosine, Hybrid, Affinity, Actions)
}


def load_recommender(directory: Path) -> Recommender:
    """Return the recommender saved in `directory`, whatever its model type.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its model type is unknown.
    """
    model_type = json.loads((directory / DESCRIPTION).read_text("utf-8"))["kind"]
    if model_type not in MODELS:
        raise ValueError(
            f"{directory / DESCRIPTION}: unknown model type {model_type!r};"
            f" known are {', '.join(MODELS)}"
        )
    return MODELS[model_type].load(directory)
