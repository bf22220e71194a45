"""Amazon Personalize's recipes: one table of what each is for, takes, needs and trains.

Names, defaults and ranges:
https://docs.aws.amazon.com/personalize/latest/dg/working-with-predefined-recipes.html
https://docs.aws.amazon.com/personalize/latest/dg/ECOMMERCE-use-cases.html
https://docs.aws.amazon.com/personalize/latest/dg/VIDEO_ON_DEMAND-use-cases.html

What our models make of the hyperparameters:

- ``hidden_dimension`` is the length of the taste vectors, at most the number of users or items.
  Left out it is 64, which was measured best, not AWS's 149.
- ``bptt`` is the number of newest events from which transitions start; ``recency_mask`` and
  ``apply_recency_bias`` say whether newer events of a user weigh more.
- ``item_id_hidden_dim`` is the number of related items kept for each item.
  ``item_metadata_hidden_dim`` is checked and kept, but nothing corresponds to it.
- ``action_optimization_period`` is the window in which an offered action must be taken.
- The percentiles of history lengths and item counts choose the events that are learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.errors import suggestion
from localaws.personalize.training.recipe import HyperParameter, Recipe, Settings
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
"""Seconds of each value of ``trend_discovery_frequency``."""

_FACTORS = 64


def _tastes(model: type[Hybrid]) -> Callable[[Settings], Recommender]:
    def make(settings: Settings) -> Recommender:
        given = settings.given
        # More factors than items or users carry nothing.
        wanted = int(given.get("hidden_dimension", _FACTORS))
        recency = given.get("recency_mask", given.get("apply_recency_bias", True))
        return model(
            factors=max(1, min(wanted, settings.n_items, settings.n_users)),
            sequence_length=int(given.get("bptt", 32)),
            recency=bool(recency),
            seed=settings.seed,
        )

    return make


def _sims(settings: Settings) -> Recommender:
    return Cosine(
        popularity_discount=float(settings.given.get("popularity_discount_factor", 0.5)),
        min_common_users=int(settings.given.get("min_cointeraction_count", 3)),
    )


def _similar_items(settings: Settings) -> Recommender:
    return Cosine(neighbours=int(settings.given.get("item_id_hidden_dim", 100)), metadata=True)


def _trending(settings: Settings) -> Recommender:
    frequency = str(settings.given.get("trend_discovery_frequency", "2 hours"))
    return Trending(interval=FREQUENCIES[frequency])


def _actions(settings: Settings) -> Recommender:
    window = int(settings.given.get("action_optimization_period", 14))
    factors = max(1, min(16, settings.n_items, settings.n_users))
    return Actions(window_days=window, factors=factors, seed=settings.seed)


def _popular(_settings: Settings) -> Recommender:
    return Popularity()


_HIDDEN = HyperParameter("hidden_dimension", 149, 32, 256)
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
_PERSONAL = "Items that a user will interact with next, from the order of all users' interactions."
_POPULAR = "The items with the most interactions, the same for every user."
_RANKING = "A given list of items in the order of a user's interest."
_RELATED = "Items similar to a given item."
_SEGMENT = "Users who are likely to interact with a given item or attribute."
_TRENDING = "Items whose interactions grow fastest."
_ITEMS = ("INTERACTIONS", "ITEMS")
_USER, _USER_AND_ITEM = ("userId",), ("userId", "itemId")

_CUSTOM = (
    Recipe(
        "aws-user-personalization-v2",
        "USER_PERSONALIZATION",
        _PERSONAL,
        _tastes(Hybrid),
        _RECENCY,
        needs=_USER,
        batch=True,
        weighs=True,
        explores=True,
        live=True,
    ),
    Recipe(
        "aws-user-personalization",
        "USER_PERSONALIZATION",
        _PERSONAL,
        _tastes(Hybrid),
        _HRNN,
        _HISTORY,
        needs=_USER,
        batch=True,
        updates=True,
        explores=True,
        live=True,
    ),
    Recipe("aws-popularity-count", "POPULAR_ITEMS", _POPULAR, _popular, batch=True),
    Recipe(
        "aws-trending-now",
        "TRENDING_NOW",
        _TRENDING,
        _trending,
        features=_FREQUENCY,
        algorithm="aws-trending-now-custom",
    ),
    Recipe(
        "aws-personalized-ranking-v2",
        "PERSONALIZED_RANKING",
        _RANKING,
        _tastes(Hybrid),
        _RECENCY,
        needs=_USER,
        batch=True,
        weighs=True,
        live=True,
    ),
    Recipe(
        "aws-personalized-ranking",
        "PERSONALIZED_RANKING",
        _RANKING,
        _tastes(Hybrid),
        _HRNN,
        _HISTORY,
        needs=_USER,
        batch=True,
        live=True,
    ),
    Recipe(
        "aws-similar-items",
        "RELATED_ITEMS",
        _RELATED,
        _similar_items,
        _SIMILAR,
        needs=("itemId",),
        batch=True,
    ),
    Recipe(
        "aws-sims",
        "RELATED_ITEMS",
        _RELATED,
        _sims,
        _SIMS,
        _COUNTS,
        needs=("itemId",),
        batch=True,
        transformation="sims",
    ),
    Recipe(
        "aws-next-best-action",
        "PERSONALIZED_ACTIONS",
        "Actions that a user will take.",
        _actions,
        features=_PERIOD,
        datasets=("INTERACTIONS", "ACTIONS"),
        needs=_USER,
        explores=True,
        live=True,
    ),
    Recipe(
        "aws-item-affinity",
        "USER_SEGMENTATION",
        _SEGMENT,
        _tastes(Affinity),
        (_HIDDEN,),
        segments=True,
        transformation="item-affinity",
    ),
    Recipe(
        "aws-item-attribute-affinity",
        "USER_SEGMENTATION",
        _SEGMENT,
        _tastes(Affinity),
        (_HIDDEN,),
        datasets=_ITEMS,
        segments=True,
        transformation="item-attribute-affinity",
    ),
)


def _use_case(
    domain: str,
    name: str,
    type_: str,
    make: Callable[[Settings], Recommender],
    event_types: tuple[str, ...],
    needs: tuple[str, ...] = _USER,
    **more: Any,
) -> Recipe:
    prefix = {"ECOMMERCE": "aws-ecomm", "VIDEO_ON_DEMAND": "aws-vod"}[domain]
    description = f"A use case of a domain dataset group: {name.replace('-', ' ')}."
    personal = type_ == "USER_PERSONALIZATION"
    return Recipe(
        f"{prefix}-{name}",
        type_,
        description,
        make,
        domain=domain,
        event_types=event_types,
        needs=needs,
        explores=personal,
        live=personal,
        **more,
    )


_SHOP, _VIDEO = "ECOMMERCE", "VIDEO_ON_DEMAND"
_DOMAIN = (
    _use_case(
        _SHOP,
        "customers-who-viewed-x-also-viewed",
        "RELATED_ITEMS",
        _similar_items,
        ("View",),
        _USER_AND_ITEM,
        hides="Purchase",
    ),
    _use_case(
        _SHOP,
        "frequently-bought-together",
        "RELATED_ITEMS",
        _sims,
        ("Purchase",),
        ("itemId",),
    ),
    _use_case(_SHOP, "popular-items-by-purchases", "POPULAR_ITEMS", _popular, ("Purchase",)),
    _use_case(_SHOP, "popular-items-by-views", "POPULAR_ITEMS", _popular, ("View",)),
    _use_case(
        _SHOP,
        "recommended-for-you",
        "USER_PERSONALIZATION",
        _tastes(Hybrid),
        ("View", "Purchase"),
        hides="Purchase",
    ),
    _use_case(
        _VIDEO,
        "because-you-watched-x",
        "RELATED_ITEMS",
        _sims,
        ("Watch",),
        _USER_AND_ITEM,
        hides="Watch",
    ),
    _use_case(
        _VIDEO,
        "more-like-x",
        "RELATED_ITEMS",
        _similar_items,
        ("Watch", "Click"),
        _USER_AND_ITEM,
        datasets=_ITEMS,
        hides="Watch",
    ),
    _use_case(_VIDEO, "most-popular", "POPULAR_ITEMS", _popular, ("Watch",)),
    _use_case(
        _VIDEO,
        "top-picks",
        "USER_PERSONALIZATION",
        _tastes(Hybrid),
        ("Watch", "Click"),
        datasets=_ITEMS,
        hides="Watch",
    ),
    _use_case(_VIDEO, "trending-now", "TRENDING_NOW", _trending, ("Watch",), ()),
)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (*_CUSTOM, *_DOMAIN)}


def recipe_arn(recipe: Recipe, partition: str = "aws") -> str:
    """The recipe's ARN; recipes belong to no region and no account."""
    return f"arn:{partition}:personalize:::recipe/{recipe.name}"


def find_recipe(arn: str) -> Recipe:
    """The recipe of an ARN.

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


def described(recipe: Recipe, partition: str) -> dict[str, Any]:
    """The members of DescribeRecipe."""
    prefix = f"arn:{partition}:personalize:::"
    return {
        "name": recipe.name,
        "recipeArn": recipe_arn(recipe, partition),
        "algorithmArn": f"{prefix}algorithm/{recipe.algorithm or recipe.name}",
        "featureTransformationArn": (
            f"{prefix}feature-transformation/{recipe.transformation or recipe.name}"
        ),
        "status": "ACTIVE",
        "description": recipe.description,
        "recipeType": recipe.type,
        "creationDateTime": PUBLISHED,
        "lastUpdatedDateTime": PUBLISHED,
    }


def summarised(recipe: Recipe, partition: str) -> dict[str, Any]:
    """The members of one entry of ListRecipes."""
    keep = ("name", "recipeArn", "status", "creationDateTime", "lastUpdatedDateTime")
    details = described(recipe, partition)
    return {name: details[name] for name in keep} | {"domain": recipe.domain}
