"""Recommenders on sparse interactions: training, recommendations in blocks, offline metrics.

Data flows so: events and metadata → `Interactions` → `Recommender.fit` → `recommend`, `rank`,
`similar`, `users_of` (results in blocks) or `evaluate` (hold-out metrics under Amazon Personalize's
names). Nothing here knows AWS. Ids are strings in the interface and array positions inside.

PYTEST_DONT_REWRITE
"""

from recommenders.boosting import standardized_ranks
from recommenders.data.action_history import ActionCatalogue, ActionHistory
from recommenders.data.events import Event, LiveEvents
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
from recommenders.progress import Progress, no_progress
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
    "LiveEvents",
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
    "load_recommender",
    "no_progress",
    "ranking_metrics",
    "standardized_ranks",
    "trend_prediction_accuracy",
]
