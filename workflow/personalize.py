"""What the workflow has to know of Amazon Personalize: statuses, regions, recipes, metrics."""

from __future__ import annotations

from collections.abc import Mapping

FAILED_STATUSES = ("CREATE FAILED", "CREATE STOPPED")
"""The statuses besides ACTIVE that no other follows; only a solution version is ever stopped."""

REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "cn-north-1", "eu-central-1", "eu-west-1", "us-east-1", "us-east-2",
    "us-west-2",
)  # fmt: skip
"""The regions that have it. https://docs.aws.amazon.com/general/latest/gr/personalize.html"""

SEMANTIC = "aws-semantic-similarity"
POPULARITY = "aws-popularity-count"
"""The recipe whose lists are the same for all users: the most popular items."""

RELATED_RECIPES = frozenset({"aws-similar-items", "aws-sims", SEMANTIC})
"""The recipes whose batch inference takes items, and finds others that are related to them."""

EXPLORING_RECIPES = frozenset({"aws-user-personalization", "aws-user-personalization-v2"})
"""The usable recipes that bring new items into lists by exploration.

https://docs.aws.amazon.com/personalize/latest/dg/API_CampaignConfig.html
"""

INFLUENCED_RECIPES = EXPLORING_RECIPES | {SEMANTIC}
"""The usable recipes whose campaigns take a `rankingInfluence`."""

_USABLE = ""
_RANKS = "its batch inference ranks given items, and the workflow's input is ids alone"
_SEGMENTS = "it finds users for items, by batch segment jobs alone"
_NO_BATCH = "it has no batch inference"
_USE_CASE = "it is a use case of domain dataset groups, and is no recipe of a solution"
_RETIRED = "AWS has retired it"

RECIPES: Mapping[str, str] = {
    "aws-user-personalization-v2": _USABLE,
    "aws-user-personalization": _USABLE,
    POPULARITY: _USABLE,
    "aws-trending-now": _NO_BATCH,
    "aws-next-best-action": _NO_BATCH,
    "aws-personalized-ranking-v2": _RANKS,
    "aws-personalized-ranking": _RANKS,
    "aws-similar-items": _USABLE,
    "aws-sims": _USABLE,
    SEMANTIC: _USABLE,
    "aws-item-affinity": _SEGMENTS,
    "aws-item-attribute-affinity": _SEGMENTS,
    "aws-ecomm-customers-who-viewed-x-also-viewed": _USE_CASE,
    "aws-ecomm-frequently-bought-together": _USE_CASE,
    "aws-ecomm-popular-items-by-purchases": _USE_CASE,
    "aws-ecomm-popular-items-by-views": _USE_CASE,
    "aws-ecomm-recommended-for-you": _USE_CASE,
    "aws-vod-because-you-watched-x": _USE_CASE,
    "aws-vod-more-like-x": _USE_CASE,
    "aws-vod-most-popular": _USE_CASE,
    "aws-vod-top-picks": _USE_CASE,
    "aws-vod-trending-now": _USE_CASE,
    "aws-hrnn": _RETIRED,
    "aws-hrnn-metadata": _RETIRED,
    "aws-hrnn-coldstart": _RETIRED,
}
"""A recipe's name → why the workflow cannot use it; empty if it can.

https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html
"""

USABLE_RECIPES = tuple(name for name, why_not in RECIPES.items() if not why_not)

CUTOFFS = (5, 10, 25)
METRICS = (
    "coverage",
    "mean_reciprocal_rank_at_25",
    *(f"normalized_discounted_cumulative_gain_at_{k}" for k in CUTOFFS),
    *(f"precision_at_{k}" for k in CUTOFFS),
)
"""The metrics of GetSolutionMetrics that each usable recipe has.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""
