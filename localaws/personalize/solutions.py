"""What a solution asks for: recipe, events and search, checked when the solution is created.

``hidden_dimension``, ``eventType``, ``eventValueThreshold``, ``hpoConfig`` and ``autoMLConfig``
change the training. ``bptt``, ``recency_mask`` and the percentiles of history length are checked
and kept, but the model trained here has nothing that corresponds to them; nor is there automatic
training. Whatever else would change the result is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localaws.personalize.recipes import HyperParameter, Recipe, find_recipe, parameter_faults
from localaws.personalize.training import MOST_TRIALS, OBJECTIVE, Search, automl_recipes

METRICS = (
    "coverage",
    "mean_reciprocal_rank_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision_at_5",
    "precision_at_10",
    "precision_at_25",
)
_HONOURED = (
    "eventValueThreshold",
    "hpoConfig",
    "algorithmHyperParameters",
    "featureTransformationParameters",
    "autoMLConfig",
    "autoTrainingConfig",
)


def solution_recipes(request: Mapping[str, Any]) -> tuple[Recipe, ...]:
    """The recipe of a CreateSolution request, or those among which AutoML chooses.

    Raises:
        ValueError: With every fault of recipe and configuration.
    """
    config = request.get("solutionConfig", {})
    faults: list[str] = []
    recipes: list[Recipe] = []
    automl = request.get("performAutoML", False)
    arns = [request["recipeArn"]] if "recipeArn" in request else []
    if automl and arns:
        faults.append("performAutoML chooses the recipe; leave recipeArn out")
    elif automl:
        arns = config.get("autoMLConfig", {}).get("recipeList", [])
    elif not arns:
        faults.append("recipeArn is missing; name a recipe, or set performAutoML")
    for arn in arns:
        try:
            recipes.append(find_recipe(arn))
        except LookupError as error:
            faults.append(str(error))
    faults += [
        f"{recipe.name} is not trained by this local Personalize yet"
        for recipe in recipes
        if not recipe.trained
    ]
    if automl and not arns:
        recipes = list(automl_recipes())
    faults += _config_faults(config, recipes)
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(recipes)


def search(solution: Mapping[str, Any]) -> Search | None:
    """The hyperparameter optimisation that a checked solution asks for."""
    if not solution.get("performHPO", False):
        return None
    config = solution.get("solutionConfig", {}).get("hpoConfig", {})
    wanted = int(config.get("hpoResourceConfig", {}).get("maxNumberOfTrainingJobs", 4))
    ranges = config.get("algorithmHyperParameterRanges", {}).get("integerHyperParameterRanges", [])
    chosen: dict[str, int] = next(
        (one for one in ranges if one.get("name") == "hidden_dimension"), {}
    )
    return Search(
        objective=config.get("hpoObjective", {}).get("metricName", OBJECTIVE),
        n_trials=min(wanted, MOST_TRIALS),
        low=chosen.get("minValue", Search.low),
        high=chosen.get("maxValue", Search.high),
    )


def _config_faults(config: Mapping[str, Any], recipes: list[Recipe]) -> Iterator[str]:
    """What is wrong in solutionConfig."""
    for name in config:
        if name not in _HONOURED:
            yield f"solutionConfig.{name} is not supported by this local Personalize"
    threshold = config.get("eventValueThreshold")
    if threshold is not None and not _is_number(threshold):
        yield f"solutionConfig.eventValueThreshold must be a number, not {threshold!r}"
    for recipe in recipes:
        given = config.get("algorithmHyperParameters", {})
        yield from parameter_faults(given, recipe.parameters, recipe)
        given = config.get("featureTransformationParameters", {})
        yield from parameter_faults(given, recipe.features, recipe)
        yield from _range_faults(config.get("hpoConfig", {}), recipe.parameters)
    hpo = config.get("hpoConfig", {})
    jobs = hpo.get("hpoResourceConfig", {}).get("maxNumberOfTrainingJobs", "1")
    if not jobs.isascii() or not jobs.isdigit() or not 1 <= int(jobs) <= 40:
        yield f"hpoResourceConfig.maxNumberOfTrainingJobs must be in [1, 40], not {jobs!r}"
    for place, metric in (
        ("hpoObjective", hpo.get("hpoObjective", {}).get("metricName", OBJECTIVE)),
        ("autoMLConfig", config.get("autoMLConfig", {}).get("metricName", OBJECTIVE)),
    ):
        if metric not in METRICS:
            yield f"{place}.metricName must be one of {', '.join(METRICS)}, not {metric!r}"


def _range_faults(hpo: Mapping[str, Any], parameters: tuple[HyperParameter, ...]) -> Iterator[str]:
    """Ranges of optimisation beyond those of the hyperparameters."""
    ranges = hpo.get("algorithmHyperParameterRanges", {})
    tunable = {parameter.name: parameter for parameter in parameters if parameter.tunable}
    for kind in ("integerHyperParameterRanges", "continuousHyperParameterRanges"):
        for one in ranges.get(kind, []):
            parameter = tunable.get(one.get("name", ""))
            if parameter is None:
                yield f"{kind}: {one.get('name')!r} is not tunable; {', '.join(tunable)} are"
                continue
            low = one.get("minValue", parameter.low)
            high = one.get("maxValue", parameter.high)
            if not parameter.low <= low <= high <= parameter.high:
                yield (
                    f"{kind}: {parameter.name} [{low:g}, {high:g}] must lie in "
                    f"[{parameter.low:g}, {parameter.high:g}]"
                )


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
