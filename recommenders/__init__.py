"""Recommenders on sparse interactions: training, scoring in blocks, offline metrics.

The way of the data: events → `Interactions` → `Recommender.fit` → `recommend` (blocks of
`Recommendations`) or `evaluate` (the hold-out metrics under Amazon Personalize's names). Nothing
here knows AWS; ids are strings at the border and array positions inside.
"""

from recommenders.evaluation import evaluate, ranking_metrics
from recommenders.hybrid import Hybrid
from recommenders.interactions import Histories, Interactions
from recommenders.loading import load_recommender
from recommenders.popularity import Popularity
from recommenders.recommender import Eligible, Progress, Recommendations, Recommender, ignore

__all__ = [
    "Eligible",
    "Histories",
    "Hybrid",
    "Interactions",
    "Popularity",
    "Progress",
    "Recommendations",
    "Recommender",
    "evaluate",
    "ignore",
    "load_recommender",
    "ranking_metrics",
]
