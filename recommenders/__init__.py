"""Recommenders on sparse interactions: training, answers in blocks, offline metrics.

The way of the data: events and metadata → `Interactions` → `Recommender.fit` → `recommend`, `rank`,
`similar`, `users_of` (blocks of answers) or `evaluate` (the hold-out metrics under Amazon
Personalize's names). Nothing here knows AWS; ids are strings at the border and array positions
inside.
"""

from recommenders.action_history import ActionCatalogue, ActionHistory
from recommenders.actions import Actions
from recommenders.affinity import Affinity
from recommenders.answers import (
    Eligible,
    Event,
    Exploration,
    Live,
    NotSupportedError,
    Ranking,
    Recommendations,
    Related,
    Segments,
)
from recommenders.cosine import Cosine
from recommenders.evaluation import LearnFrom, evaluate, ranking_metrics
from recommenders.evaluation_actions import evaluate_actions
from recommenders.evaluation_segments import evaluate_segments, trend_prediction_accuracy
from recommenders.hybrid import Hybrid
from recommenders.influence import standing
from recommenders.interactions import Histories, Interactions
from recommenders.loading import load_recommender
from recommenders.metadata import Metadata
from recommenders.popularity import Popularity
from recommenders.progress import Progress, ignore
from recommenders.recommender import Recommender
from recommenders.trending import Trending

__all__ = [
    "ActionCatalogue",
    "ActionHistory",
    "Actions",
    "Affinity",
    "Cosine",
    "Eligible",
    "Event",
    "Exploration",
    "Histories",
    "Hybrid",
    "Interactions",
    "LearnFrom",
    "Live",
    "Metadata",
    "NotSupportedError",
    "Popularity",
    "Progress",
    "Ranking",
    "Recommendations",
    "Recommender",
    "Related",
    "Segments",
    "Trending",
    "evaluate",
    "evaluate_actions",
    "evaluate_segments",
    "ignore",
    "load_recommender",
    "ranking_metrics",
    "standing",
    "trend_prediction_accuracy",
]
