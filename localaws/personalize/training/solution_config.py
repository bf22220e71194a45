"""The configuration of solutions: recipe, data and search, checked when a solution is created.

`eventType`, `eventValueThreshold`, `eventsConfig`, `optimizationObjective`,
`algorithmHyperParameters`, `featureTransformationParameters`, `trainingDataConfig`, `hpoConfig` and
`autoMLConfig` change the training; `recipes` says what each hyperparameter is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localaws.personalize.data.dataset_types import DATASET_TYPES
from localaws.personalize.data.schemas import Schema
from localaws.personalize.training.data import selected_columns
from localaws.personalize.training.recipe import Recipe, parameter_faults
from localaws.personalize.training.recipes import RECIPES, find_recipe
from localaws.personalize.training.search import MOST_TRIALS, OBJECTIVE, TRIALS, Range, Search
from recommenders.evaluation.names import METRICS

AUTOML_RECIPES = ("aws-user-personalization", "aws-popularity-count")
"""The recipes among which AutoML chooses if the solution names none."""

SENSITIVITIES = {"OFF": 0.0, "LOW": 0.5, "MEDIUM": 1.0, "HIGH": 2.0}
"""The weight of an objective beside relevance, which weighs 1; AWS calls MEDIUM equal emphasis.

https://docs.aws.amazon.com/personalize/latest/dg/optimizing-solution-for-objective.html
"""


def solution_recipes(request: Mapping[str, Any]) -> tuple[Recipe, ...]:
    """Return the recipe of a CreateSolution request, or those among which AutoML chooses.

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
            if not any(parameter.tunable for parameter in recipe.parameters)
        ]
    if automl and not arns:
        recipes = [RECIPES[name] for name in AUTOML_RECIPES]
    faults += _config_faults(config, recipes)
    faults += _event_faults(request, recipes)
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(recipes)


def recommender_recipe(request: Mapping[str, Any], domain: str | None) -> Recipe:
    """Return the use case of a CreateRecommender request.

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
        group = f"of the domain {domain}" if domain else "a custom one"
        raise ValueError(
            f"{recipe.name} is a use case of {recipe.domain}; the dataset group is {group}"
        )
    return recipe


def hyperparameter_search(solution: Mapping[str, Any], recipe: Recipe) -> Search | None:
    """Return the hyperparameter optimisation of a checked solution, None without one.

    AutoML always optimises, over the whole documented ranges, by its own metric.
    """
    config = solution.get("solutionConfig", {})
    if solution.get("performAutoML", False):
        return Search(objective=config.get("autoMLConfig", {}).get("metricName", OBJECTIVE))
    if not solution.get("performHPO", False):
        return None
    hpo = config.get("hpoConfig", {})
    return Search(
        objective=hpo.get("hpoObjective", {}).get("metricName", OBJECTIVE),
        n_trials=int(hpo.get("hpoResourceConfig", {}).get("maxNumberOfTrainingJobs", TRIALS)),
        ranges={range_.parameter.name: range_ for _, range_ in _ranges(hpo, recipe) if range_},
    )


def update_faults(mode: str, solution: Mapping[str, Any], *, has_full: bool) -> Iterator[str]:
    """Yield why a solution's version cannot be trained in a `trainingMode` other than FULL.

    https://docs.aws.amazon.com/personalize/latest/dg/API_CreateSolutionVersion.html

    Args:
        mode: `trainingMode`.
        solution: The solution's members.
        has_full: Whether it has an ACTIVE version of mode FULL.
    """
    if mode != "UPDATE":
        yield f"trainingMode {mode} is not supported; use FULL or UPDATE"
        return
    for recipe in solution_recipes(solution):
        if not recipe.updates:
            able = ", ".join(each.name for each in RECIPES.values() if each.updates)
            yield f"trainingMode UPDATE: {recipe.name} can only be trained in full; {able} can"
    if not has_full:
        yield "trainingMode UPDATE needs an ACTIVE version of the solution trained with FULL"


def data_faults(solution: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Iterator[str]:
    """Yield why a solution does not fit the schemas of its dataset group."""
    config = solution.get("solutionConfig", {})
    parameters = config.get("eventsConfig", {}).get("eventParametersList", [])
    has_threshold = any("eventValueThreshold" in entry for entry in (config, *parameters))
    for member, is_used, column in (
        ("eventType", "eventType" in solution, "EVENT_TYPE"),
        ("eventsConfig", parameters, "EVENT_TYPE"),
        ("eventValueThreshold", has_threshold, "EVENT_VALUE"),
    ):
        if is_used and column not in schemas["INTERACTIONS"].by_name:
            group = solution["datasetGroupArn"]
            yield f"{member} needs a column {column} in the Interactions of {group}"
    selections = selected_columns(config.get("trainingDataConfig", {}))
    for selection, member in zip(
        selections, ("excludedDatasetColumns", "includedDatasetColumns"), strict=True
    ):
        for type_, columns in selection.items():
            if type_ not in schemas:
                yield f"trainingDataConfig.{member}: there is no data set of type {type_}"
                continue
            for column in columns:
                if column not in schemas[type_].by_name:
                    yield f"trainingDataConfig.{member}.{type_}: no column {column!r}"
    if name := config.get("optimizationObjective", {}).get("itemAttribute"):
        yield from _objective_faults(name, schemas.get("ITEMS"))


def _objective_faults(name: str, items: Schema | None) -> Iterator[str]:
    """Yield why this column of Items cannot be an objective."""
    path = f"optimizationObjective.itemAttribute: {name}"
    field = items.by_name.get(name) if items else None
    if field is None:
        listed = ", ".join(items.by_name) if items else "nothing, there is no such data set"
        yield f"{path} is no column of Items; it has {listed}"
    elif field.type in {"string", "boolean"}:
        yield f"{path} is of type {field.type}; it must be a number"
    elif field.nullable:
        yield f"{path} may be null; an objective must never be"


def _config_faults(config: Mapping[str, Any], recipes: list[Recipe]) -> Iterator[str]:
    """Yield the faults of `solutionConfig`."""
    threshold = config.get("eventValueThreshold")
    if threshold is not None and not _is_number(threshold):
        yield f"solutionConfig.eventValueThreshold must be a number, not {threshold!r}"
    hpo = config.get("hpoConfig", {})
    for recipe in recipes:
        texts = config.get("algorithmHyperParameters", {})
        yield from parameter_faults(texts, recipe.parameters, recipe)
        texts = config.get("featureTransformationParameters", {})
        yield from parameter_faults(texts, recipe.features, recipe)
        yield from _range_faults(hpo, recipe)
    excluded, _ = selected_columns(config.get("trainingDataConfig", {}))
    for type_, columns in excluded.items():
        required = DATASET_TYPES[type_].required if type_ in DATASET_TYPES else {}
        for column in sorted(set(columns) & set(required)):
            yield f"trainingDataConfig.excludedDatasetColumns.{type_}: {column} cannot be left out"
    jobs = hpo.get("hpoResourceConfig", {}).get("maxNumberOfTrainingJobs", "1")
    if not jobs.isascii() or not jobs.isdigit() or not 1 <= int(jobs) <= MOST_TRIALS:
        yield (
            f"hpoResourceConfig.maxNumberOfTrainingJobs must be in [1, {MOST_TRIALS}], not {jobs!r}"
        )
    for member, structure in (("hpoObjective", hpo), ("autoMLConfig", config)):
        metric = structure.get(member, {}).get("metricName", OBJECTIVE)
        if metric not in METRICS:
            yield f"{member}.metricName must be one of {', '.join(METRICS)}, not {metric!r}"


def _event_faults(request: Mapping[str, Any], recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield the faults of the weights of event types, and of the objective.

    https://docs.aws.amazon.com/personalize/latest/dg/optimizing-solution-events-config.html
    """
    config = request.get("solutionConfig", {})
    parameters = config.get("eventsConfig", {}).get("eventParametersList", [])
    types = [entry.get("eventType") for entry in parameters]
    path = "solutionConfig.eventsConfig"
    if None in types:
        yield f"{path}: each of eventParametersList needs an eventType"
    if twice := sorted({type_ for type_ in types if type_ and types.count(type_) > 1}):
        yield f"{path}: {', '.join(twice)} stands there twice"
    if parameters and not any(entry.get("weight", 1.0) > 0 for entry in parameters):
        yield f"{path}: one weight must be above 0"
    if parameters and "eventType" in request:
        yield f"{path} says which events count; leave eventType out"
    objective = config.get("optimizationObjective", {})
    if objective and "itemAttribute" not in objective:
        yield "solutionConfig.optimizationObjective needs an itemAttribute"
    for recipe in recipes:
        if parameters and not recipe.weighs:
            able = ", ".join(each.name for each in RECIPES.values() if each.weighs)
            yield f"{path}: {recipe.name} weighs no events; {able} do"
        if objective and not recipe.scores_items:
            yield (
                f"solutionConfig.optimizationObjective: {recipe.name} is of type {recipe.type};"
                " an objective needs USER_PERSONALIZATION or PERSONALIZED_RANKING"
            )


def _range_faults(hpo: Mapping[str, Any], recipe: Recipe) -> Iterator[str]:
    """Yield the faults of the ranges of `hpoConfig`."""
    for name, range_ in _ranges(hpo, recipe):
        if range_ is None:
            tunable = ", ".join(
                parameter.name for parameter in recipe.parameters if parameter.tunable
            )
            yield f"hpoConfig: {name!r} is not tunable; {tunable} are"
            continue
        parameter = range_.parameter
        if not parameter.low <= range_.low <= range_.high <= parameter.high:
            yield (
                f"hpoConfig: {parameter.name} [{range_.low:g}, {range_.high:g}] must lie in "
                f"[{parameter.low:g}, {parameter.high:g}]"
            )
        for value in range_.choices:
            if value not in parameter.legal:
                legal = ", ".join(parameter.legal)
                yield f"hpoConfig: {parameter.name} must be one of {legal}, not {value!r}"


def _ranges(hpo: Mapping[str, Any], recipe: Recipe) -> Iterator[tuple[str | None, Range | None]]:
    """Yield each range of `hpoConfig` behind its name, None if no such parameter is tunable.

    The names have a prefix in AWS's own responses, e.g. `training.bptt`.
    """
    for type_ in ("integer", "continuous", "categorical"):
        tunable = {
            parameter.name: parameter
            for parameter in recipe.parameters
            if parameter.tunable and parameter.type == type_
        }
        ranges = hpo.get("algorithmHyperParameterRanges", {})
        for entry in ranges.get(f"{type_}HyperParameterRanges", []):
            name = entry.get("name")
            parameter = tunable.get((name or "").rpartition(".")[2])
            if parameter is None:
                yield name, None
                continue
            choices = entry.get("values", parameter.legal)
            if isinstance(parameter.default, bool):
                choices = map(str.lower, choices)
            low, high = entry.get("minValue", parameter.low), entry.get("maxValue", parameter.high)
            yield name, Range(parameter, low, high, tuple(choices))


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
