"""Amazon Personalize's recipes: what each is for, its hyperparameters, and which we train.

Names, defaults and ranges:
https://docs.aws.amazon.com/personalize/latest/dg/working-with-predefined-recipes.html
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PUBLISHED = datetime(2019, 6, 10, tzinfo=UTC)
"""Reported as the creation time of every recipe; the day on which the service opened."""


@dataclass(frozen=True)
class HyperParameter:
    """One hyperparameter; over the wire its value is a string.

    Args:
        name: E.g. ``hidden_dimension``.
        default: AWS's default.
        low: Smallest value.
        high: Largest value.
        tunable: Whether hyperparameter optimisation may vary it.
    """

    name: str
    default: int | float | bool
    low: float = 0.0
    high: float = 1.0
    tunable: bool = False

    def parse(self, text: str) -> int | float | bool:
        """The value that the string stands for.

        Raises:
            ValueError: If it is of another type or outside of the range.
        """
        if isinstance(self.default, bool):
            if text.lower() not in {"true", "false"}:
                raise ValueError(f"{self.name} must be true or false, not {text!r}")
            return text.lower() == "true"
        kind = type(self.default)
        try:
            value = kind(text)
        except ValueError:
            expected = "an integer" if kind is int else "a number"
            raise ValueError(f"{self.name} must be {expected}, not {text!r}") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must be in [{self.low:g}, {self.high:g}], not {text!r}")
        return value


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Args:
        name: E.g. ``aws-user-personalization``.
        type: AWS's recipe type, e.g. ``USER_PERSONALIZATION``.
        description: One sentence.
        parameters: Hyperparameters of the algorithm.
        features: Parameters of the feature transformation.
        domain: ``ECOMMERCE`` or ``VIDEO_ON_DEMAND`` for use cases of domain dataset groups.
        trained: Whether the local Personalize trains it.
    """

    name: str
    type: str
    description: str
    parameters: tuple[HyperParameter, ...] = ()
    features: tuple[HyperParameter, ...] = ()
    domain: str | None = None
    trained: bool = False


_HIDDEN = HyperParameter("hidden_dimension", 149, 32, 256, tunable=True)
_HRNN = (
    _HIDDEN,
    HyperParameter("bptt", 32, 2, 32, tunable=True),
    HyperParameter("recency_mask", True, tunable=True),
)
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
_PERSONAL = "Items that a user will interact with next, from the order of all users' interactions."
_POPULAR = "The items with the most interactions, the same for every user."
_RANKING = "A given list of items in the order of a user's interest."
_RELATED = "Items similar to a given item."
_SEGMENT = "Users who are likely to interact with a given item or attribute."
_TRENDING = "Items whose interactions grow fastest."
_DOMAIN = "A use case of a domain dataset group."

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "aws-user-personalization-v2",
            "USER_PERSONALIZATION",
            _PERSONAL,
            trained=True,
            parameters=(_HIDDEN,),
        ),
        Recipe(
            "aws-user-personalization",
            "USER_PERSONALIZATION",
            _PERSONAL,
            _HRNN,
            _HISTORY,
            trained=True,
        ),
        Recipe("aws-popularity-count", "POPULAR_ITEMS", _POPULAR, trained=True),
        Recipe("aws-trending-now", "TRENDING_NOW", _TRENDING),
        Recipe("aws-personalized-ranking-v2", "PERSONALIZED_RANKING", _RANKING),
        Recipe("aws-personalized-ranking", "PERSONALIZED_RANKING", _RANKING, _HRNN, _HISTORY),
        Recipe("aws-similar-items", "RELATED_ITEMS", _RELATED, _SIMILAR),
        Recipe("aws-sims", "RELATED_ITEMS", _RELATED, _SIMS),
        Recipe("aws-next-best-action", "PERSONALIZED_ACTIONS", "Actions that a user will take."),
        Recipe("aws-item-affinity", "USER_SEGMENTATION", _SEGMENT, (_HIDDEN,)),
        Recipe("aws-item-attribute-affinity", "USER_SEGMENTATION", _SEGMENT),
        *(
            Recipe(f"aws-ecomm-{name}", kind, _DOMAIN, domain="ECOMMERCE")
            for name, kind in (
                ("customers-who-viewed-x-also-viewed", "RELATED_ITEMS"),
                ("frequently-bought-together", "RELATED_ITEMS"),
                ("popular-items-by-purchases", "POPULAR_ITEMS"),
                ("popular-items-by-views", "POPULAR_ITEMS"),
                ("recommended-for-you", "USER_PERSONALIZATION"),
            )
        ),
        *(
            Recipe(f"aws-vod-{name}", kind, _DOMAIN, domain="VIDEO_ON_DEMAND")
            for name, kind in (
                ("because-you-watched-x", "RELATED_ITEMS"),
                ("more-like-x", "RELATED_ITEMS"),
                ("most-popular", "POPULAR_ITEMS"),
                ("top-picks", "USER_PERSONALIZATION"),
                ("trending-now", "TRENDING_NOW"),
            )
        ),
    )
}
RETIRED = frozenset({"aws-hrnn", "aws-hrnn-metadata", "aws-hrnn-coldstart"})


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
    near = difflib.get_close_matches(name, RECIPES, 1)
    hint = (
        f"did you mean {recipe_arn(RECIPES[near[0]])}?"
        if near
        else f"the recipes are {', '.join(RECIPES)}"
    )
    raise LookupError(f"there is no recipe {arn!r}; {hint}")


def parameter_faults(
    given: Mapping[str, str], known: tuple[HyperParameter, ...], recipe: Recipe
) -> Iterator[str]:
    """Each given parameter that the recipe does not have or whose value it refuses."""
    by_name = {parameter.name: parameter for parameter in known}
    for name, text in given.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(by_name) or 'none'}"
            yield f"recipe {recipe.name} has no parameter {name!r}; {hint}"
            continue
        try:
            by_name[name].parse(text)
        except ValueError as fault:
            yield f"recipe {recipe.name}: {fault}"


def described(recipe: Recipe, partition: str) -> dict[str, Any]:
    """The members of DescribeRecipe."""
    return {
        "name": recipe.name,
        "recipeArn": recipe_arn(recipe, partition),
        "algorithmArn": f"arn:{partition}:personalize:::algorithm/{recipe.name}",
        "featureTransformationArn": (
            f"arn:{partition}:personalize:::feature-transformation/{recipe.name}"
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
