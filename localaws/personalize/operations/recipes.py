"""Operations on recipes, their algorithms and feature transformations: a table, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Answer, Parts, Request
from localaws.personalize.resources.registry import paged
from localaws.personalize.training.recipe import HyperParameter, Recipe, text_of
from localaws.personalize.training.recipes import (
    PUBLISHED,
    RECIPES,
    described,
    find_recipe,
    summarised,
)


class Recipes:
    """Operations on recipes, algorithms and feature transformations.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._registry = parts.registry

    def list_recipes(self, request: Request) -> Answer:
        domain, provider = request.get("domain"), request.get("recipeProvider")
        entries = [
            (number, summarised(recipe, self._registry.partition))
            for number, recipe in enumerate(RECIPES.values())
            if domain in {None, recipe.domain}
        ]
        scope = f"recipes {domain} {provider}"
        return paged("recipes", entries, request, scope=scope)

    def describe_recipe(self, request: Request) -> Answer:
        return {"recipe": described(_found(request["recipeArn"]), self._registry.partition)}

    def describe_algorithm(self, request: Request) -> Answer:
        recipe = self._behind(request["algorithmArn"], "algorithmArn")
        return {
            "algorithm": {
                "name": recipe.name,
                "algorithmArn": request["algorithmArn"],
                "defaultHyperParameters": _defaults(recipe.parameters),
                "defaultHyperParameterRanges": _ranges(recipe.parameters),
                "trainingInputMode": "File",
                "creationDateTime": PUBLISHED,
                "lastUpdatedDateTime": PUBLISHED,
            }
        }

    def describe_feature_transformation(self, request: Request) -> Answer:
        recipe = self._behind(request["featureTransformationArn"], "featureTransformationArn")
        return {
            "featureTransformation": {
                "name": recipe.name,
                "featureTransformationArn": request["featureTransformationArn"],
                "defaultParameters": _defaults(recipe.features),
                "status": "ACTIVE",
                "creationDateTime": PUBLISHED,
                "lastUpdatedDateTime": PUBLISHED,
            }
        }

    def _behind(self, arn: str, member: str) -> Recipe:
        """The recipe whose algorithm or feature transformation has this ARN."""
        for recipe in RECIPES.values():
            if described(recipe, self._registry.partition)[member] == arn:
                return recipe
        raise ServiceError("ResourceNotFoundException", f"Resource Arn {arn} does not exist.")


def _found(arn: str) -> Recipe:
    try:
        return find_recipe(arn)
    except LookupError as error:
        raise ServiceError("ResourceNotFoundException", str(error)) from error


def _defaults(parameters: Sequence[HyperParameter]) -> dict[str, str]:
    return {one.name: text_of(one.default) for one in parameters}


def _ranges(parameters: Sequence[HyperParameter]) -> dict[str, list[dict[str, Any]]]:
    """The ranges by their kind."""
    ranges: dict[str, list[dict[str, Any]]] = {
        f"{kind}HyperParameterRanges": [] for kind in ("integer", "continuous", "categorical")
    }
    for one in parameters:
        if one.kind == "categorical":
            limits: dict[str, Any] = {"values": list(one.choices or ("true", "false"))}
        else:
            number = int if one.kind == "integer" else float
            limits = {"minValue": number(one.low), "maxValue": number(one.high)}
        ranges[f"{one.kind}HyperParameterRanges"].append(
            {"name": one.name, **limits, "isTunable": one.tunable}
        )
    return ranges
