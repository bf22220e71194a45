"""Operations on recipes, their algorithms and feature transformations, which are a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Operations, Request, Response
from localaws.personalize.resources.registry import page_response, select
from localaws.personalize.training.recipe import HyperParameter, Recipe, text_of
from localaws.personalize.training.recipes import (
    PUBLISHED,
    RECIPES,
    find_recipe,
    recipe_details,
)

_SUMMARY = ("name", "recipeArn", "status", "domain", "creationDateTime", "lastUpdatedDateTime")
_TIMES = {"creationDateTime": PUBLISHED, "lastUpdatedDateTime": PUBLISHED}


class Recipes(Operations):
    """Operations on recipes, algorithms and feature transformations."""

    def list_recipes(self, request: Request) -> Response:
        domain, provider = request.get("domain"), request.get("recipeProvider")
        entries = [
            (number, select(recipe_details(recipe, self._registry.partition), _SUMMARY))
            for number, recipe in enumerate(RECIPES.values())
            if domain in {None, recipe.domain}
        ]
        return page_response("recipes", entries, request, scope=f"recipes {domain} {provider}")

    def describe_recipe(self, request: Request) -> Response:
        try:
            recipe = find_recipe(request["recipeArn"])
        except LookupError as error:
            raise ServiceError("ResourceNotFoundException", str(error)) from error
        details = recipe_details(recipe, self._registry.partition)
        del details["domain"]
        return {"recipe": details}

    def describe_algorithm(self, request: Request) -> Response:
        recipe = self._find(request, "algorithmArn")
        return {
            "algorithm": {
                "name": recipe.name,
                "algorithmArn": request["algorithmArn"],
                "defaultHyperParameters": _defaults(recipe.parameters),
                "defaultHyperParameterRanges": _ranges(recipe.parameters),
                "trainingInputMode": "File",
                **_TIMES,
            }
        }

    def describe_feature_transformation(self, request: Request) -> Response:
        recipe = self._find(request, "featureTransformationArn")
        return {
            "featureTransformation": {
                "name": recipe.name,
                "featureTransformationArn": request["featureTransformationArn"],
                "defaultParameters": _defaults(recipe.features),
                "status": "ACTIVE",
                **_TIMES,
            }
        }

    def _find(self, request: Request, member: str) -> Recipe:
        """Return the recipe whose algorithm or feature transformation has the request's ARN."""
        for recipe in RECIPES.values():
            if recipe_details(recipe, self._registry.partition)[member] == request[member]:
                return recipe
        message = f"Resource Arn {request[member]} does not exist."
        raise ServiceError("ResourceNotFoundException", message)


def _defaults(parameters: Sequence[HyperParameter]) -> dict[str, str]:
    return {parameter.name: text_of(parameter.default) for parameter in parameters}


def _ranges(parameters: Sequence[HyperParameter]) -> dict[str, list[dict[str, Any]]]:
    """Return the ranges by their type."""
    ranges: dict[str, list[dict[str, Any]]] = {
        f"{type_}HyperParameterRanges": [] for type_ in ("integer", "continuous", "categorical")
    }
    for parameter in parameters:
        limits: dict[str, Any] = {"values": list(parameter.legal)}
        if parameter.type != "categorical":
            number = int if parameter.type == "integer" else float
            limits = {"minValue": number(parameter.low), "maxValue": number(parameter.high)}
        ranges[f"{parameter.type}HyperParameterRanges"].append(
            {"name": parameter.name, **limits, "isTunable": parameter.tunable}
        )
    return ranges
