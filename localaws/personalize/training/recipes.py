"""Amazon Personalize's recipes: one table of use, parameters, data and models.

Names, defaults and ranges:
https://docs.aws.amazon.com/personalize/latest/dg/working-with-predefined-recipes.html
https://docs.aws.amazon.com/personalize/latest/dg/ECOMMERCE-use-cases.html
https://docs.aws.amazon.com/personalize/latest/dg/VIDEO_ON_DEMAND-use-cases.html

How our models use the hyperparameters:

- `hidden_dimension` is the number of factors, at most the number of users or items. Left out it
  is 64, which was measured best, not AWS's 149.
- `bptt` is the number of newest events from which transitions start; `recency_mask` and
  `apply_recency_bias` say whether newer events of a user weigh more.
- `item_id_hidden_dim` is the number of related items kept for each item.
  `item_metadata_hidden_dim` is checked and kept, but nothing corresponds to it.
- `action_optimization_period` is the window in which an offered action must be taken.
- The percentiles of history lengths and item counts select the events that are learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.errors import suggestion
from localaws.personalize.training.recipe import HyperParameter, MakeModel, Recipe, Value
from recommenders import Actions, Affinity, Cosine, Hybrid, Popularity, Recommender, Trending

PUBLISHED = datetime(2019, 6, 10, tzinfo=UTC)
"""Reported as the creation time of every recipe; the day on which the service opened."""

RETIRED = frozenset({"aws-hrnn", "aws-hrnn-metadata", "aws-hrnn-coldstart"})

FREQUENCIES = {
    "30 minutes": 1_800,
    "1 hour": 3_600,
    "2 hours": 7_200,
    "3 hours": 10_800,
    "1 day": 86_400,
}
"""Seconds of each value of `trend_discovery_frequency`."""

Parameters = Mapping[str, Value]
_FACTORS = 64


def _personal(model: type[Hybrid]) -> MakeModel:
    def make(parameters: Parameters, most_factors: int, seed: int) -> Recommender:
        recency = parameters.get("recency_mask", parameters.get("apply_recency_bias", True))
        return model(
            factors=min(int(parameters.get("hidden_dimension", _FACTORS)), most_factors),
            sequence_length=int(parameters.get("bptt", 32)),
            recency=bool(recency),
            seed=seed,
        )

    return make


def _sims(parameters: Parameters, _most_factors: int, _seed: int) -> Recommender:
    return Cosine(
        popularity_discount=float(parameters.get("popularity_discount_factor", 0.5)),
        min_common_users=int(parameters.get("min_cointeraction_count", 3)),
    )


def _similar_items(parameters: Parameters, _most_factors: int, _seed: int) -> Recommender:
    return Cosine(neighbours=int(parameters.get("item_id_hidden_dim", 100)), metadata=True)


def _semantic(_parameters: Parameters, _most_factors: int, _seed: int) -> Recommender:
    return Cosine(metadata=True, common_users=False)


def _trending(parameters: Parameters, _most_factors: int, _seed: int) -> Recommender:
    frequency = str(parameters.get("trend_discovery_frequency", "2 hours"))
    return Trending(interval=FREQUENCIES[frequency])


def _actions(parameters: Parameters, most_factors: int, seed: int) -> Recommender:
    window = int(parameters.get("action_optimization_period", 14))
    return Actions(window_days=window, factors=min(16, most_factors), seed=seed)


def _popular(_parameters: Parameters, _most_factors: int, _seed: int) -> Recommender:
    return Popularity()


_HIDDEN = (HyperParameter("hidden_dimension", 149, 32, 256),)
_HRNN = (
    HyperParameter("hidden_dimension", 149, 32, 256, tunable=True),
    HyperParameter("bptt", 32, 2, 32, tunable=True),
    HyperParameter("recency_mask", True, tunable=True),
)
_RECENCY = (HyperParameter("apply_recency_bias", True),)
_HISTORY = (
    HyperParameter("min_user_history_length_percentile", 0.0),
    HyperParameter("max_user_history_length_percentile", 0.99),
)
_SIMILAR = (
    HyperParameter("item_id_hidden_dim", 100, 30, 200, tunable=True),
    HyperParameter("item_metadata_hidden_dim", 100, 30, 200, tunable=True),
)
_SIMS = (
    HyperParameter("popularity_discount_factor", 0.5, tunable=True),
    HyperParameter("min_cointeraction_count", 3, 0, 10, tunable=True),
)
_COUNTS = (
    HyperParameter("min_user_history_length_percentile", 0.005),
    HyperParameter("max_user_history_length_percentile", 0.995),
    HyperParameter("min_item_interaction_count_percentile", 0.01),
    HyperParameter("max_item_interaction_count_percentile", 0.9),
)
_PERIOD = (HyperParameter("action_optimization_period", 14, 7, 28),)
_FREQUENCY = (HyperParameter("trend_discovery_frequency", "2 hours", choices=tuple(FREQUENCIES)),)
_USER, _ITEM = ("userId",), ("itemId",)
_PERSONAL, _RANKING, _RELATED = "USER_PERSONALIZATION", "PERSONALIZED_RANKING", "RELATED_ITEMS"
_SEGMENTS, _MOST_POPULAR, _TREND = "USER_SEGMENTATION", "POPULAR_ITEMS", "TRENDING_NOW"
_ITEMS = ("INTERACTIONS", "ITEMS")
_hybrid, _affinity = _personal(Hybrid), _personal(Affinity)
_RECIPES = (
    Recipe("aws-user-personalization-v2", _PERSONAL, _hybrid, _RECENCY, needs=_USER, weighs=True),
    Recipe(
        "aws-user-personalization", _PERSONAL, _hybrid, _HRNN, _HISTORY, needs=_USER, updates=True
    ),
    Recipe("aws-popularity-count", _MOST_POPULAR, _popular),
    Recipe(
        "aws-trending-now",
        _TREND,
        _trending,
        features=_FREQUENCY,
        algorithm="aws-trending-now-custom",
    ),
    Recipe("aws-personalized-ranking-v2", _RANKING, _hybrid, _RECENCY, needs=_USER, weighs=True),
    Recipe("aws-personalized-ranking", _RANKING, _hybrid, _HRNN, _HISTORY, needs=_USER),
    Recipe("aws-similar-items", _RELATED, _similar_items, _SIMILAR, needs=_ITEM),
    Recipe("aws-semantic-similarity", _RELATED, _semantic, datasets=("ITEMS",), needs=_ITEM),
    Recipe("aws-sims", _RELATED, _sims, _SIMS, _COUNTS, needs=_ITEM, transformation="sims"),
    Recipe(
        "aws-next-best-action",
        "PERSONALIZED_ACTIONS",
        _actions,
        features=_PERIOD,
        datasets=("INTERACTIONS", "ACTIONS"),
        needs=_USER,
    ),
    Recipe("aws-item-affinity", _SEGMENTS, _affinity, _HIDDEN, transformation="item-affinity"),
    Recipe(
        "aws-item-attribute-affinity",
        _SEGMENTS,
        _affinity,
        _HIDDEN,
        datasets=_ITEMS,
        transformation="item-attribute-affinity",
    ),
    Recipe(
        "aws-ecomm-customers-who-viewed-x-also-viewed",
        _RELATED,
        _similar_items,
        needs=_USER + _ITEM,
        event_types=("View",),
        hides="Purchase",
    ),
    Recipe(
        "aws-ecomm-frequently-bought-together",
        _RELATED,
        _sims,
        needs=_ITEM,
        event_types=("Purchase",),
    ),
    Recipe(
        "aws-ecomm-popular-items-by-purchases",
        _MOST_POPULAR,
        _popular,
        needs=_USER,
        event_types=("Purchase",),
    ),
    Recipe(
        "aws-ecomm-popular-items-by-views",
        _MOST_POPULAR,
        _popular,
        needs=_USER,
        event_types=("View",),
    ),
    Recipe(
        "aws-ecomm-recommended-for-you",
        _PERSONAL,
        _hybrid,
        needs=_USER,
        event_types=("View", "Purchase"),
        hides="Purchase",
    ),
    Recipe(
        "aws-vod-because-you-watched-x",
        _RELATED,
        _sims,
        needs=_USER + _ITEM,
        event_types=("Watch",),
        hides="Watch",
    ),
    Recipe(
        "aws-vod-more-like-x",
        _RELATED,
        _similar_items,
        datasets=_ITEMS,
        needs=_USER + _ITEM,
        event_types=("Watch", "Click"),
        hides="Watch",
    ),
    Recipe("aws-vod-most-popular", _MOST_POPULAR, _popular, needs=_USER, event_types=("Watch",)),
    Recipe(
        "aws-vod-top-picks",
        _PERSONAL,
        _hybrid,
        datasets=_ITEMS,
        needs=_USER,
        event_types=("Watch", "Click"),
        hides="Watch",
    ),
    Recipe("aws-vod-trending-now", _TREND, _trending, event_types=("Watch",)),
)
RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _RECIPES}


def recipe_arn(recipe: Recipe, partition: str = "aws") -> str:
    """Return the recipe's ARN; recipes belong to no region and no account."""
    return f"arn:{partition}:personalize:::recipe/{recipe.name}"


def find_recipe(arn: str) -> Recipe:
    """Return the recipe of an ARN.

    Raises:
        LookupError: If there is none, with the nearest name or all of them.
    """
    name = arn.rpartition("recipe/")[2]
    if name in RETIRED:
        raise LookupError(f"recipe {name} is retired; use aws-user-personalization-v2")
    if name in RECIPES and ":personalize:::recipe/" in arn:
        return RECIPES[name]
    hint = suggestion(
        name,
        RECIPES,
        f"the recipes are {', '.join(RECIPES)}",
        show=lambda near: recipe_arn(RECIPES[near]),
    )
    raise LookupError(f"there is no recipe {arn!r}; {hint}")


def recipe_details(recipe: Recipe, partition: str) -> dict[str, Any]:
    """Return the members of DescribeRecipe and ListRecipes."""
    prefix = f"arn:{partition}:personalize:::"
    transformation = recipe.transformation or recipe.name
    return {
        "name": recipe.name,
        "recipeArn": recipe_arn(recipe, partition),
        "algorithmArn": f"{prefix}algorithm/{recipe.algorithm or recipe.name}",
        "featureTransformationArn": f"{prefix}feature-transformation/{transformation}",
        "status": "ACTIVE",
        "description": recipe.description,
        "recipeType": recipe.type,
        "domain": recipe.domain,
        "creationDateTime": PUBLISHED,
        "lastUpdatedDateTime": PUBLISHED,
    }
