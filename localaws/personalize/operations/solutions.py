"""Operations on solutions and their versions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Answer, Parts, Request, created, invalid
from localaws.personalize.data.schemas import DATASET_TYPES, Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import JobFailedError, Report
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import (
    DATASET,
    DATASET_IMPORT_JOB,
    PENDING,
    SOLUTION,
    SOLUTION_VERSION,
)
from localaws.personalize.training.data import TrainingData
from localaws.personalize.training.recipe import Recipe
from localaws.personalize.training.recipes import find_recipe, recipe_arn
from localaws.personalize.training.search import OBJECTIVE
from localaws.personalize.training.solution_config import (
    column_faults,
    excluded_columns,
    objective_faults,
    solution_recipes,
    update_faults,
)
from localaws.personalize.training.solution_version import Training

_SCHEDULE = re.compile(r"rate\((\d+) days?\)")
_DAYS = (1, 30)
_DEFAULT_DAYS = 7
"""https://docs.aws.amazon.com/personalize/latest/dg/solution-config-auto-training.html"""


class Solutions:
    """Operations on solutions and their versions.

    Args:
        parts: What all operations share.
        trained: Told of each version that became ACTIVE.
    """

    def __init__(self, parts: Parts, trained: Callable[[Resource], None]) -> None:
        self._parts = parts
        self._registry = parts.registry
        self._trained = trained

    def train_due(self) -> list[str]:
        """Begin the automatic trainings that are due; returns the new versions' ARNs.

        The first one is due at once, and then whenever the days of the schedule have passed since
        the last version: https://docs.aws.amazon.com/personalize/latest/dg/solution-config-auto-training.html
        """
        begun = []
        for solution in self._registry.find(SOLUTION, performAutoTraining=True, status="ACTIVE"):
            config = solution.details.get("solutionConfig", {}).get("autoTrainingConfig", {})
            days = _days(config) or _DEFAULT_DAYS
            versions = self._registry.find(SOLUTION_VERSION, solutionArn=solution.arn)
            newest = versions[-1].details["creationDateTime"] if versions else None
            if newest is None or self._parts.clock() - newest >= timedelta(days=days):
                try:
                    version = self._begin(solution.arn, {"solutionArn": solution.arn}, "AUTOMATIC")
                except ServiceError:
                    # No data yet, or too much is going on: the next look at the schedule tells.
                    continue
                begun.append(version.arn)
        return begun

    def create_solution(self, request: Request) -> Answer:
        _refuse_incremental(request)
        config = request.get("solutionConfig", {})
        _days(config.get("autoTrainingConfig", {}))
        try:
            solution_recipes(request)
        except ValueError as error:
            raise invalid(str(error)) from error
        defaults = {"performAutoML": False, "performHPO": False, "performAutoTraining": True}
        solution = self._registry.create(SOLUTION, request["name"], {**defaults, **request})
        # Nothing has to be made, and published code creates a version in the next line.
        self._registry.update(solution.arn, status="ACTIVE")
        return created(solution)

    def describe_solution(self, request: Request) -> Answer:
        """The solution with its latest version's summary."""
        arn = request["solutionArn"]
        answer = self._registry.describe(SOLUTION, arn)
        if versions := self._registry.find(SOLUTION_VERSION, solutionArn=arn):
            answer["solution"]["latestSolutionVersion"] = self._registry.summary(versions[-1])
        return answer

    def update_solution(self, request: Request) -> Answer:
        """Change training and events; the update has a life cycle of its own."""
        _refuse_incremental(request)
        config = request.get("solutionUpdateConfig", {})
        _days(config.get("autoTrainingConfig", {}))
        with self._registry.lock:
            solution = self._registry.active(request["solutionArn"], SOLUTION)
            if "performAutoTraining" not in request and not config:
                raise invalid(
                    "nothing to update; give performAutoTraining, or autoTrainingConfig or"
                    " eventsConfig in solutionUpdateConfig"
                )
            auto = request.get("performAutoTraining", solution.details["performAutoTraining"])
            merged = {**solution.details.get("solutionConfig", {}), **config}
            try:
                solution_recipes({**solution.details, "solutionConfig": merged})
            except ValueError as error:
                raise invalid(str(error)) from error
            update = self._parts.update_begun(performAutoTraining=auto, solutionUpdateConfig=config)
            self._registry.update(solution.arn, latestSolutionUpdate=update)
            self._parts.workers.activate_update(
                solution.arn,
                "latestSolutionUpdate",
                performAutoTraining=auto,
                solutionConfig=merged,
            )
        return created(solution)

    def create_solution_version(self, request: Request) -> Answer:
        return created(self._begin(request["solutionArn"], request, "MANUAL"))

    def _begin(self, arn: str, request: Request, training_type: str) -> Resource:
        """Enter a version and hand its training over."""
        mode = request.get("trainingMode", "FULL")
        with self._registry.lock:
            solution = self._registry.active(arn, SOLUTION)
            self._check_version_name(solution, request.get("name"))
            previous = self._previous(solution, mode)
            # Events that come in the meantime count twice rather than not at all.
            snapshot = self._parts.store.changes
            tables, schemas = self._data(solution.details)
            copied = ("performHPO", "performAutoML", "recipeArn", "eventType", "datasetGroupArn")
            number = hashlib.sha256(f"{solution.arn} {self._registry.created}".encode()).hexdigest()
            version = self._registry.create(
                SOLUTION_VERSION,
                f"{solution.details['name']}/{number[:8]}",
                request,
                trainingMode=mode,
                trainingType=training_type,
                trainedUpTo=snapshot,
                **{name: solution.details[name] for name in copied if name in solution.details},
                solutionConfig=solution.details.get("solutionConfig", {}),
            )
        directory, seed = self._parts.models.directory_of(version.arn), self._parts.seed
        training = Training.of(
            solution.details, tables, schemas, directory=directory, seed=seed, previous=previous
        )
        work = partial(self._train, solution.arn, training)
        done = partial(self._trained, version)
        self._parts.workers.submit(version.arn, "training", work, done)
        return version

    def _previous(self, solution: Resource, mode: str) -> Path | None:
        """The model that a training updates; None for a full one.

        Raises:
            ServiceError: If the recipe has no such training, or there is no model to update.
        """
        full = self._registry.find(
            SOLUTION_VERSION, solutionArn=solution.arn, trainingMode="FULL", status="ACTIVE"
        )
        previous = full[-1].arn if full else None
        if faults := list(update_faults(mode, solution.details, previous)):
            raise invalid("; ".join(faults))
        is_update = mode == "UPDATE" and previous is not None
        return self._parts.models.directory_of(str(previous)) if is_update else None

    def _check_version_name(self, solution: Resource, name: str | None) -> None:
        taken = self._registry.find(SOLUTION_VERSION, solutionArn=solution.arn, name=name)
        if name is not None and taken:
            raise ServiceError(
                "ResourceAlreadyExistsException",
                f"Another solution version of {solution.arn} has the name {name}: {taken[0].arn}.",
            )

    def _data(self, asked: Mapping[str, Any]) -> tuple[Mapping[str, Table], Mapping[str, Schema]]:
        """The data that a solution or recommender is trained on, and their schemas.

        Raises:
            ServiceError: If data that it needs are missing.
        """
        group = asked["datasetGroupArn"]
        tables = self._parts.filters.tables(group)
        schemas = self._parts.filters.schemas(group)
        needed = dict.fromkeys(kind for recipe in self._recipes(asked) for kind in recipe.datasets)
        for kind in needed:
            if kind in tables:
                continue
            datasets = self._registry.find(DATASET, datasetGroupArn=group, datasetType=kind)
            for dataset in datasets:
                imports = self._registry.find(DATASET_IMPORT_JOB, datasetArn=dataset.arn)
                if any(job.status in PENDING for job in imports):
                    raise ServiceError(
                        "ResourceInUseException",
                        f"The import into {dataset.arn} is not ACTIVE yet; wait for it.",
                    )
            name = DATASET_TYPES[kind].name
            raise invalid(f"{group} has no {name} data; import some first")
        config = asked.get("solutionConfig", {})
        events = schemas["INTERACTIONS"].by_name
        weighed = config.get("eventsConfig", {}).get("eventParametersList", [])
        thresholds = [one["eventValueThreshold"] for one in weighed if "eventValueThreshold" in one]
        for member, is_given, column in (
            ("eventType", "eventType" in asked, "EVENT_TYPE"),
            ("eventsConfig", weighed, "EVENT_TYPE"),
            ("eventValueThreshold", "eventValueThreshold" in config or thresholds, "EVENT_VALUE"),
        ):
            if is_given and column not in events:
                raise invalid(f"{member} needs a column {column} in the Interactions of {group}")
        faults = [
            *column_faults(config.get("trainingDataConfig", {}), schemas),
            *objective_faults(config, schemas),
        ]
        if faults:
            raise invalid("; ".join(faults))
        if "optimizationObjective" in config and "ITEMS" not in tables:
            raise invalid(f"{group} has no Items data; import some first")
        return tables, schemas

    @staticmethod
    def _recipes(asked: Mapping[str, Any]) -> tuple[Recipe, ...]:
        if asked.get("recipeArn"):
            return (find_recipe(asked["recipeArn"]),)
        return solution_recipes(asked)

    def _train(self, solution_arn: str, training: Training, report: Report) -> Answer:
        """Train a version; what it gives its resource."""
        begun = self._parts.clock()
        outcome = training.run(report)
        hours = (self._parts.clock() - begun).total_seconds() / 3600
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

    def train_recommender(self, recommender: Resource, recipe: Recipe, report: Report) -> Answer:
        """Train the model of a recommender; what it gives its resource."""
        config = recommender.details["recommenderConfig"]
        columns = config.get("trainingDataConfig", {})
        asked = {**recommender.details, "solutionConfig": {"trainingDataConfig": columns}}
        try:
            tables, schemas = self._data(asked)
        except ServiceError as error:
            raise JobFailedError(error.message) from error
        items = tables.get("ITEMS")
        training = Training(
            events=tables["INTERACTIONS"],
            catalogue=items.columns["ITEM_ID"].tolist() if items else [],
            recipes=(recipe,),
            parameters={},
            event_type=None,
            event_value=None,
            search=None,
            objective=OBJECTIVE,
            directory=self._parts.models.directory_of(recommender.arn),
            seed=self._parts.seed,
            data=TrainingData(tables, schemas, *excluded_columns(columns)),
        )
        return {"modelMetrics": dict(training.run(report).metrics)}

    def stop_solution_version_creation(self, request: Request) -> None:
        version = self._registry.get(request["solutionVersionArn"], SOLUTION_VERSION)
        if version.status not in PENDING:
            raise ServiceError(
                "ResourceInUseException",
                f"{version.arn} is {version.status}; only a version in creation can be stopped.",
            )
        self._parts.workers.stop(version.arn)

    def get_solution_metrics(self, request: Request) -> Answer:
        version = self._registry.active(request["solutionVersionArn"], SOLUTION_VERSION)
        return {"solutionVersionArn": version.arn, "metrics": version.details["metrics"]}


def _refuse_incremental(request: Request) -> None:
    """Refuse what AWS has for a recipe alone that is not among those here."""
    if request.get("performIncrementalUpdate"):
        raise invalid(
            "performIncrementalUpdate is supported only for solutions that use the"
            " semantic-similarity recipe; leave it out"
        )


def _days(config: Mapping[str, str]) -> int | None:
    """The days between two automatic trainings, if a schedule is given.

    Raises:
        ServiceError: If they are not in [1, 30].
    """
    text = config.get("schedulingExpression")
    if text is None:
        return None
    found = _SCHEDULE.fullmatch(text)
    low, high = _DAYS
    if not found or not low <= int(found[1]) <= high:
        raise invalid(
            f"autoTrainingConfig.schedulingExpression: {text!r}; write rate(N days), N from {low}"
            f" to {high}"
        )
    return int(found[1])
