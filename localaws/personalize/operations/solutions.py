"""Operations on solutions and their versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Backend, Operations, Request, Response, arn_response
from localaws.personalize.data.dataset_types import DATASET_TYPES
from localaws.personalize.errors import JobFailedError, invalid
from localaws.personalize.resources.jobs import Report
from localaws.personalize.resources.registry import Resource, select
from localaws.personalize.resources.types import (
    DATASET,
    DATASET_IMPORT_JOB,
    PENDING,
    SOLUTION,
    SOLUTION_VERSION,
)
from localaws.personalize.training.data import TrainingData
from localaws.personalize.training.recipe import Recipe
from localaws.personalize.training.recipes import recipe_arn
from localaws.personalize.training.solution_config import (
    data_faults,
    solution_recipes,
    update_faults,
)
from localaws.personalize.training.solution_version import Training

_SCHEDULE = re.compile(r"rate\((\d+) days?\)")
_DAYS = (1, 30)
_DEFAULT_DAYS = 7
"""https://docs.aws.amazon.com/personalize/latest/dg/solution-config-auto-training.html"""

_COPIED = ("performHPO", "performAutoML", "recipeArn", "eventType", "datasetGroupArn")
"""The members of a solution that its versions have too."""


class Solutions(Operations):
    """Operations on solutions and their versions.

    Args:
        on_trained: Called with each version that became ACTIVE.
    """

    def __init__(self, backend: Backend, on_trained: Callable[[Resource], None]) -> None:
        super().__init__(backend)
        self._on_trained = on_trained

    def train_due(self) -> list[str]:
        """Begin the automatic trainings that are due, and return the new versions' ARNs.

        The first one is due at once, and then whenever the days of the schedule have passed since
        the last version: https://docs.aws.amazon.com/personalize/latest/dg/solution-config-auto-training.html
        """
        arns = []
        for solution in self._registry.find(SOLUTION, performAutoTraining=True, status="ACTIVE"):
            days = _days(solution.details.get("solutionConfig", {})) or _DEFAULT_DAYS
            versions = self._registry.find(SOLUTION_VERSION, solutionArn=solution.arn)
            newest = versions[-1].details["creationDateTime"] if versions else None
            if newest is None or self._backend.clock() - newest >= timedelta(days=days):
                try:
                    version = self._train({"solutionArn": solution.arn}, "AUTOMATIC")
                except ServiceError:
                    # No data yet, or too many trainings: the next check tries again.
                    continue
                arns.append(version.arn)
        return arns

    def create_solution(self, request: Request) -> Response:
        _check_solution(request)
        defaults = {"performAutoML": False, "performHPO": False, "performAutoTraining": True}
        solution = self._registry.create(SOLUTION, request["name"], {**defaults, **request})
        # No work is needed, and published code creates a version in the next line.
        self._registry.update(solution.arn, status="ACTIVE")
        return arn_response(solution)

    def describe_solution(self, request: Request) -> Response:
        """Return the solution with its latest version's summary."""
        arn = request["solutionArn"]
        response = self._registry.describe(SOLUTION, arn)
        if versions := self._registry.find(SOLUTION_VERSION, solutionArn=arn):
            latest = select(versions[-1].details, SOLUTION_VERSION.summarized)
            response["solution"]["latestSolutionVersion"] = latest
        return response

    def update_solution(self, request: Request) -> Response:
        """Change training and events; the update has a status of its own."""
        config = request.get("solutionUpdateConfig", {})
        with self._registry.lock:
            solution = self._registry.active(request["solutionArn"], SOLUTION)
            if "performAutoTraining" not in request and not config:
                raise invalid(
                    "nothing to update; give performAutoTraining, or autoTrainingConfig or"
                    " eventsConfig in solutionUpdateConfig"
                )
            auto = request.get("performAutoTraining", solution.details["performAutoTraining"])
            merged = {**solution.details.get("solutionConfig", {}), **config}
            _check_solution({**solution.details, **request, "solutionConfig": merged})
            self._backend.workers.update(
                solution.arn,
                "latestSolutionUpdate",
                {"performAutoTraining": auto, "solutionUpdateConfig": config},
                performAutoTraining=auto,
                solutionConfig=merged,
            )
        return arn_response(solution)

    def create_solution_version(self, request: Request) -> Response:
        return arn_response(self._train(request, "MANUAL"))

    def _train(self, request: Request, training_type: str) -> Resource:
        """Create a version and submit its training."""
        mode = request.get("trainingMode", "FULL")
        with self._registry.lock:
            solution = self._registry.active(request["solutionArn"], SOLUTION)
            name = request.get("name")
            others = self._registry.find(SOLUTION_VERSION, solutionArn=solution.arn, name=name)
            if name is not None and others:
                raise ServiceError(
                    "ResourceAlreadyExistsException",
                    f"Another solution version of {solution.arn} has the name {name}:"
                    f" {others[0].arn}.",
                )
            previous = self._previous(solution, mode)
            # Events that arrive in the meantime count twice rather than not at all.
            snapshot = self._backend.store.changes
            recipes = solution_recipes(solution.details)
            data = self._data(solution.details, recipes)
            version = self._registry.create(
                SOLUTION_VERSION,
                f"{solution.details['name']}/{self._registry.new_id(solution.arn)[:8]}",
                request,
                trainingMode=mode,
                trainingType=training_type,
                trainedUpTo=snapshot,
                solutionConfig=solution.details.get("solutionConfig", {}),
                **select(solution.details, _COPIED),
            )
        training = Training(
            solution.details,
            recipes,
            data,
            directory=self._backend.models.directory_of(version.arn),
            seed=self._backend.seed,
            previous=previous,
        )
        self._backend.workers.submit(
            version,
            "training",
            partial(self._run, solution.arn, training),
            partial(self._on_trained, version),
        )
        return version

    def _previous(self, solution: Resource, mode: str) -> Path | None:
        """Return the directory of the model that a training updates; None for a full one.

        Raises:
            ServiceError: If the recipe has no such training, or there is no model to update.
        """
        if mode == "FULL":
            return None
        full = self._registry.find(
            SOLUTION_VERSION, solutionArn=solution.arn, trainingMode="FULL", status="ACTIVE"
        )
        if faults := list(update_faults(mode, solution.details, has_full=bool(full))):
            raise invalid("; ".join(faults))
        return self._backend.models.directory_of(full[-1].arn)

    def _data(self, solution: Mapping[str, Any], recipes: tuple[Recipe, ...]) -> TrainingData:
        """Return the data on which a solution or recommender is trained.

        Raises:
            ServiceError: If data that it needs are missing.
        """
        group_arn, config = solution["datasetGroupArn"], solution.get("solutionConfig", {})
        tables = self._backend.groups.tables(group_arn)
        schemas = self._backend.groups.schemas(group_arn)
        needed = dict.fromkeys(type_ for recipe in recipes for type_ in recipe.datasets)
        for type_ in needed:
            if type_ not in tables:
                raise self._missing(group_arn, type_)
        if faults := list(data_faults(solution, schemas)):
            raise invalid("; ".join(faults))
        if any(recipe.is_semantic for recipe in recipes):
            fields = schemas["ITEMS"].fields
            if not any(one.textual for one in fields) or not any(one.item_name for one in fields):
                raise invalid(
                    "aws-semantic-similarity needs two fields of Items: the item's name, with"
                    ' "itemName": true, and its description, with "textual": true'
                )
        if "optimizationObjective" in config and "ITEMS" not in tables:
            raise self._missing(group_arn, "ITEMS")
        return TrainingData(tables, schemas, config.get("trainingDataConfig", {}))

    def _missing(self, group_arn: str, type_: str) -> ServiceError:
        """Return the error of a dataset group without data of a type."""
        for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn, datasetType=type_):
            imports = self._registry.find(DATASET_IMPORT_JOB, datasetArn=dataset.arn)
            if any(job.status in PENDING for job in imports):
                return ServiceError(
                    "ResourceInUseException",
                    f"The import into {dataset.arn} is not ACTIVE yet; wait for it.",
                )
        return invalid(f"{group_arn} has no {DATASET_TYPES[type_].name} data; import some first")

    def _run(self, solution_arn: str, training: Training, report: Report) -> Response:
        """Train a version, and return the members that its resource gets."""
        start = self._backend.clock()
        outcome = training.run(report)
        hours = (self._backend.clock() - start).total_seconds() / 3600
        members: dict[str, Any] = {
            "trainingHours": max(round(hours, 4), 0.0001),
            "metrics": dict(outcome.metrics),
        }
        if outcome.tuned:
            members["tunedHPOParams"] = {"algorithmHyperParameters": dict(outcome.tuned)}
        if self._registry.get(solution_arn).details["performAutoML"]:
            best = recipe_arn(outcome.recipe, self._registry.partition)
            self._registry.update(solution_arn, autoMLResult={"bestRecipeArn": best})
            members["recipeArn"] = best
        return members

    def train_recommender(self, recommender: Resource, recipe: Recipe, report: Report) -> Response:
        """Train the model of a recommender, and return the members that its resource gets."""
        config = recommender.details["recommenderConfig"]
        solution = {
            "datasetGroupArn": recommender.details["datasetGroupArn"],
            "solutionConfig": select(config, ("trainingDataConfig",)),
        }
        try:
            data = self._data(solution, (recipe,))
        except ServiceError as error:
            raise JobFailedError(error.message) from error
        directory = self._backend.models.directory_of(recommender.arn)
        training = Training(solution, (recipe,), data, directory, self._backend.seed)
        return {"modelMetrics": dict(training.run(report).metrics)}

    def stop_solution_version_creation(self, request: Request) -> None:
        version = self._registry.get(request["solutionVersionArn"], SOLUTION_VERSION)
        if version.status not in PENDING:
            raise ServiceError(
                "ResourceInUseException",
                f"{version.arn} is {version.status}; only a version in creation can be stopped.",
            )
        self._backend.workers.stop(version.arn)

    def get_solution_metrics(self, request: Request) -> Response:
        version = self._registry.active(request["solutionVersionArn"], SOLUTION_VERSION)
        return {"solutionVersionArn": version.arn, "metrics": version.details["metrics"]}


def _check_solution(solution: Mapping[str, Any]) -> None:
    """Refuse a solution whose recipe, schedule or configuration is at fault."""
    _days(solution.get("solutionConfig", {}))
    try:
        recipes = solution_recipes(solution)
    except ValueError as error:
        raise invalid(str(error)) from error
    if solution.get("performIncrementalUpdate") and not all(one.is_semantic for one in recipes):
        raise invalid(
            "performIncrementalUpdate is supported only for solutions that use the"
            " semantic-similarity recipe; leave it out"
        )


def _days(config: Mapping[str, Any]) -> int | None:
    """Return the days between two automatic trainings, if a schedule is configured.

    Raises:
        ServiceError: If they are not in [1, 30].
    """
    text = config.get("autoTrainingConfig", {}).get("schedulingExpression")
    if text is None:
        return None
    match = _SCHEDULE.fullmatch(text)
    low, high = _DAYS
    if not match or not low <= int(match[1]) <= high:
        raise invalid(
            f"autoTrainingConfig.schedulingExpression: {text!r}; write rate(N days), N from {low}"
            f" to {high}"
        )
    return int(match[1])
