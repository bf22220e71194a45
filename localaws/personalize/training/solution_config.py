"""What a solution asks for: recipe, data and search, checked when the solution is created.

``eventType``, ``eventValueThreshold``, ``eventsConfig``, ``optimizationObjective``,
``algorithmHyperParameters``, ``featureTransformationParameters``, ``trainingDataConfig``,
``hpoConfig`` and ``autoMLConfig`` change the training; `recipes` says what each hyperparameter is
for. Whatever else would change the result is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localaws.personalize.data.schemas import DATASET_TYPES, Schema
from localaws.personalize.training.recipe import HyperParameter, Recipe, parameter_faults
from localaws.personalize.training.recipes import RECIPES, find_recipe
from localaws.personalize.training.search import MOST_TRIALS, OBJECTIVE, TRIALS, Range, Search

AUTOML_RECIPES = ("aws-user-personalization", "aws-popularity-count")
"""Those among which AutoML chooses if the solution names none."""

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
    "trainingDataConfig",
    "eventsConfig",
    "optimizationObjective",
)
SENSITIVITIES = {"OFF": 0.0, "LOW": 0.5, "MEDIUM": 1.0, "HIGH": 2.0}
"""What an objective weighs beside relevance, which weighs 1; AWS calls MEDIUM equal emphasis.

https://docs.aws.amazon.com/personalize/latest/dg/optimizing-solution-for-objective.html
"""


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
        f"{recipe.name} is a use case of {recipe.domain}; create a recommender of it in a dataset "
        "group of this domain"
        for recipe in recipes
        if recipe.domain
    ]
    if request.get("performHPO", False) and not automl:
        faults += [
            f"recipe {recipe.name} has no hyperparameter to optimise; leave performHPO out"
            for recipe in recipes
            if not any(one.tunable for one in recipe.parameters)
        ]
    if automl and not arns:
        recipes = [RECIPES[name] for name in AUTOML_RECIPES]
    faults += _config_faults(config, recipes)
    faults += _event_faults(request, recipes)
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(recipes)


def recommender_recipe(request: Mapping[str, Any], domain: str | None) -> Recipe:
    """The use case of a CreateRecommender request.

    Args:
        request: Its members.
        domain: That of its dataset group, None if it is a custom one.

    Raises:
        ValueError: If it is none, or one of another domain.
    """
    try:
        recipe = find_recipe(request["recipeArn"])
    except LookupError as error:
        raise ValueError(str(error)) from error
    if recipe.domain is None:
        raise ValueError(f"{recipe.name} is no use case of a domain; create a solution of it")
    if recipe.domain != domain:
        kind = f"of the domain {domain}" if domain else "a custom one"
        raise ValueError(
            f"{recipe.name} is a use case of {recipe.domain}; the dataset group is {kind}"
        )
    return recipe


def search(solution: Mapping[str, Any]) -> Search | None:
    """The hyperparameter optimisation that a checked solution asks for.

    AutoML always optimises, over the whole documented ranges, by its own metric.
    """
    config = solution.get("solutionConfig", {})
    if solution.get("performAutoML", False):
        return Search(objective=config.get("autoMLConfig", {}).get("metricName", OBJECTIVE))
    if not solution.get("performHPO", False):
        return None
    hpo = config.get("hpoConfig", {})
    (recipe,) = solution_recipes(solution)
    return Search(
        objective=hpo.get("hpoObjective", {}).get("metricName", OBJECTIVE),
        n_trials=int(hpo.get("hpoResourceConfig", {}).get("maxNumberOfTrainingJobs", TRIALS)),
        ranges={
            one.name: _range(given, one)
            for one, given in _given_ranges(hpo, recipe.parameters)
            if one is not None
        },
    )


def update_faults(mode: str, solution: Mapping[str, Any], previous: str | None) -> Iterator[str]:
    """Why a solution's version cannot be trained in this mode.

    https://docs.aws.amazon.com/personalize/latest/dg/API_CreateSolutionVersion.html

    Args:
        mode: ``trainingMode``.
        solution: The solution's members.
        previous: Its last ACTIVE version of mode FULL, None if there is none.
    """
    if mode == "FULL":
        return
    if mode != "UPDATE":
        yield f"trainingMode {mode} cannot be asked for; use FULL or UPDATE"
        return
    for recipe in solution_recipes(solution):
        if not recipe.updates:
            able = ", ".join(one.name for one in RECIPES.values() if one.updates)
            yield f"trainingMode UPDATE: {recipe.name} can only be trained in full; {able} can"
    if previous is None:
        yield "trainingMode UPDATE needs an ACTIVE version of the solution trained with FULL"


def excluded_columns(
    config: Mapping[str, Any],
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """The columns that ``trainingDataConfig`` excludes, and includes, by type of data set."""
    excluded, included = (
        {kind.upper(): columns for kind, columns in config.get(name, {}).items()}
        for name in ("excludedDatasetColumns", "includedDatasetColumns")
    )
    return excluded, included


def column_faults(config: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Iterator[str]:
    """What is wrong in ``trainingDataConfig`` of a dataset group with these schemas."""
    for member, by_kind in zip(
        ("excludedDatasetColumns", "includedDatasetColumns"), excluded_columns(config), strict=True
    ):
        for kind, columns in by_kind.items():
            schema = schemas.get(kind)
            if schema is None:
                yield f"trainingDataConfig.{member}: there is no data set of type {kind}"
                continue
            names = [one.name for one in schema.fields]
            for column in columns:
                if column not in names:
                    yield f"trainingDataConfig.{member}.{kind}: no column {column!r}"


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
    excluded, _ = excluded_columns(config.get("trainingDataConfig", {}))
    for kind, columns in excluded.items():
        required = DATASET_TYPES[kind].required if kind in DATASET_TYPES else {}
        for column in sorted(set(columns) & set(required)):
            yield f"trainingDataConfig.excludedDatasetColumns.{kind}: {column} cannot be left out"
    hpo = config.get("hpoConfig", {})
    jobs = hpo.get("hpoResourceConfig", {}).get("maxNumberOfTrainingJobs", "1")
    if not jobs.isascii() or not jobs.isdigit() or not 1 <= int(jobs) <= MOST_TRIALS:
        yield (
            f"hpoResourceConfig.maxNumberOfTrainingJobs must be in [1, {MOST_TRIALS}], not {jobs!r}"
        )
    for place, metric in (
        ("hpoObjective", hpo.get("hpoObjective", {}).get("metricName", OBJECTIVE)),
        ("autoMLConfig", config.get("autoMLConfig", {}).get("metricName", OBJECTIVE)),
    ):
        if metric not in METRICS:
            yield f"{place}.metricName must be one of {', '.join(METRICS)}, not {metric!r}"


def _event_faults(request: Mapping[str, Any], recipes: Sequence[Recipe]) -> Iterator[str]:
    """What is wrong in the weights of event types, and in the objective beside relevance.

    https://docs.aws.amazon.com/personalize/latest/dg/optimizing-solution-events-config.html
    """
    config = request.get("solutionConfig", {})
    parameters = config.get("eventsConfig", {}).get("eventParametersList", [])
    types = [one.get("eventType") for one in parameters]
    place = "solutionConfig.eventsConfig"
    if None in types:
        yield f"{place}: each of eventParametersList needs an eventType"
    if twice := sorted({one for one in types if one and types.count(one) > 1}):
        yield f"{place}: {', '.join(twice)} stands there twice"
    if parameters and not any(one.get("weight", 1.0) > 0 for one in parameters):
        yield f"{place}: one weight must be above 0"
    if parameters and "eventType" in request:
        yield f"{place} says which events count; leave eventType out"
    objective = config.get("optimizationObjective", {})
    if objective and "itemAttribute" not in objective:
        yield "solutionConfig.optimizationObjective needs an itemAttribute"
    for recipe in recipes:
        if parameters and not recipe.weighs:
            able = ", ".join(one.name for one in RECIPES.values() if one.weighs)
            yield f"{place}: {recipe.name} weighs no events; {able} do"
        if objective and not recipe.scores_items:
            yield (
                f"solutionConfig.optimizationObjective: {recipe.name} is of type {recipe.type};"
                " an objective needs USER_PERSONALIZATION or PERSONALIZED_RANKING"
            )


def objective_faults(config: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Iterator[str]:
    """Why the objective's column cannot be one, in a dataset group with these schemas."""
    name = config.get("optimizationObjective", {}).get("itemAttribute")
    if name is None:
        return
    place = f"optimizationObjective.itemAttribute: {name}"
    items = schemas.get("ITEMS")
    field = items.by_name.get(name) if items else None
    if field is None:
        listed = ", ".join(items.by_name) if items else "nothing, there is no such data set"
        yield f"{place} is no column of Items; it has {listed}"
    elif field.type in {"string", "boolean"}:
        yield f"{place} is of type {field.type}; it must be a number"
    elif field.nullable:
        yield f"{place} may be null; an objective must never be"


def _range_faults(hpo: Mapping[str, Any], parameters: tuple[HyperParameter, ...]) -> Iterator[str]:
    """Ranges of optimisation beyond those of the hyperparameters."""
    tunable = [one.name for one in parameters if one.tunable]
    for parameter, given in _given_ranges(hpo, parameters):
        if parameter is None:
            yield f"hpoConfig: {given.get('name')!r} is not tunable; {', '.join(tunable)} are"
            continue
        one = _range(given, parameter)
        legal = Range.of(parameter)
        if not parameter.low <= one.low <= one.high <= parameter.high:
            yield (
                f"hpoConfig: {parameter.name} [{one.low:g}, {one.high:g}] must lie in "
                f"[{parameter.low:g}, {parameter.high:g}]"
            )
        for value in one.choices:
            if value not in legal.choices:
                yield (
                    f"hpoConfig: {parameter.name} must be one of {', '.join(legal.choices)}, "
                    f"not {value!r}"
                )


def _given_ranges(
    hpo: Mapping[str, Any], parameters: tuple[HyperParameter, ...]
) -> Iterator[tuple[HyperParameter | None, Mapping[str, Any]]]:
    """Each range of the request with the hyperparameter that it is of; None if that is not one.

    The names have a prefix in AWS's own answers, e.g. ``training.bptt``.
    """
    ranges = hpo.get("algorithmHyperParameterRanges", {})
    for kind in ("integer", "continuous", "categorical"):
        known = {one.name: one for one in parameters if one.tunable and one.kind == kind}
        for given in ranges.get(f"{kind}HyperParameterRanges", []):
            yield known.get(given.get("name", "").rpartition(".")[2]), given


def _range(given: Mapping[str, Any], parameter: HyperParameter) -> Range:
    legal = Range.of(parameter)
    return Range(
        parameter,
        given.get("minValue", legal.low),
        given.get("maxValue", legal.high),
        tuple(
            value.lower() if isinstance(parameter.default, bool) else value
            for value in given.get("values", legal.choices)
        ),
    )


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
