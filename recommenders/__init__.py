"""Recommenders on sparse interactions: training, answers in blocks, offline metrics.

The way of the data: events and metadata → `Interactions` → `Recommender.fit` → `recommend`, `rank`,
`similar`, `users_of` (blocks of answers) or `evaluate` (the hold-out metrics under Amazon
Personalize's names). Nothing here knows AWS; ids are strings at the border and array positions
inside.
"""

from recommenders.boosting import standing
from recommenders.data.action_history import ActionCatalogue, ActionHistory
from recommenders.data.events import Event, Live
from recommenders.data.interactions import Histories, Interactions
from recommenders.data.metadata import Metadata
from recommenders.evaluation.actions import evaluate_actions
from recommenders.evaluation.items import LearnFrom, evaluate, ranking_metrics
from recommenders.evaluation.segments import evaluate_segments
from recommenders.evaluation.trends import trend_prediction_accuracy
from recommenders.exploration import Exploration
from recommenders.loading import load_recommender
from recommenders.models.actions import Actions
from recommenders.models.affinity import Affinity
from recommenders.models.cosine import Cosine
from recommenders.models.hybrid import Hybrid
from recommenders.models.popularity import Popularity
from recommenders.models.trending import Trending
from recommenders.progress import Progress, ignore
from recommenders.recommender import Eligible, NotSupportedError, Recommender
from recommenders.results import Ranking, Recommendations, Related, Segments

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
