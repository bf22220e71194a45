"""Training a solution version: data in, a saved recommender and its offline metrics out.

Stages: choose the events → check that they are enough → choose recipe and hyperparameters (where
asked for) by an inner evaluation → the metrics of the hold-out → fit on everything → save. Training
mode UPDATE instead brings new items and events into the last full version's model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import JobFailedError, Report
from localaws.personalize.training.data import (
    EventChoice,
    EventParameter,
    TrainingData,
    interactions_of,
    learned_events,
)
from localaws.personalize.training.metrics import measured
from localaws.personalize.training.recipe import HyperParameter, Recipe, Settings, text_of
from localaws.personalize.training.search import OBJECTIVE, Search, best_of, part
from localaws.personalize.training.solution_config import (
    SENSITIVITIES,
    excluded_columns,
    search,
    solution_recipes,
)
from recommenders import Interactions, Recommender, load_recommender, standardized_ranks

NOTHING_NEW = (
    "There should be updates to at least one dataset after last active solution version with "
    "training mode set to FULL"
)
_NOTES = "training.json"
_READ = 0.02
"""How far a training is once its data are read."""


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        events: The interactions' columns.
        catalogue: Ids of items that can be recommended besides those of the events.
        recipes: One, or several of which the best is chosen.
        parameters: ``algorithmHyperParameters`` as given, e.g. ``{"hidden_dimension": "64"}``.
        event_type: Train on events of this type only.
        event_value: Train on events of at least this value only.
        search: Hyperparameter optimisation, if asked for.
        objective: The metric that chooses among recipes.
        directory: Gets the trained recommender.
        seed: Same data, same seed: same result.
        features: ``featureTransformationParameters`` as given.
        data: All data sets, if metadata shall be trained on.
        previous: The directory of the last full version, if its model is to be updated.
        weighed: ``eventParametersList``: types of events, and how much each counts.
        optimized: A numerical column of Items and how much it weighs beside relevance.
    """

    events: Table
    catalogue: list[str]
    recipes: tuple[Recipe, ...]
    parameters: Mapping[str, str]
    event_type: str | None
    event_value: float | None
    search: Search | None
    objective: str
    directory: Path
    seed: int
    features: Mapping[str, str] = field(default_factory=dict)
    data: TrainingData | None = None
    previous: Path | None = None
    weighed: tuple[EventParameter, ...] = ()
    optimized: tuple[str, float] | None = None

    @classmethod
    def of(
        cls,
        solution: Mapping[str, Any],
        tables: Mapping[str, Table],
        schemas: Mapping[str, Schema],
        *,
        directory: Path,
        seed: int,
        previous: Path | None = None,
    ) -> Training:
        """The training that a checked solution or recommender asks for.

        Args:
            solution: Its members, as in CreateSolution; with ``performAutoML`` only
                ``autoMLConfig`` of its configuration counts, as on AWS.
            tables: Rows by type of data set, ``INTERACTIONS`` among them.
            schemas: The schema of each table.
            directory: Gets the trained recommender.
            seed: Same data, same seed: same result.
            previous: For ``trainingMode`` UPDATE: the directory of the last full version.
        """
        config = solution.get("solutionConfig", {})
        threshold = config.get("eventValueThreshold")
        excluded, included = excluded_columns(config.get("trainingDataConfig", {}))
        automl = solution.get("performAutoML", False)
        items = tables.get("ITEMS")
        weighed = config.get("eventsConfig", {}).get("eventParametersList", ())
        optimum = config.get("optimizationObjective", {})
        weight = SENSITIVITIES[optimum.get("objectiveSensitivity", "OFF")]
        return cls(
            events=tables["INTERACTIONS"],
            catalogue=items.columns["ITEM_ID"].tolist() if items else [],
            recipes=solution_recipes(solution),
            parameters={} if automl else config.get("algorithmHyperParameters", {}),
            event_type=solution.get("eventType"),
            event_value=None if threshold is None else float(threshold),
            search=search(solution),
            objective=config.get("autoMLConfig", {}).get("metricName", OBJECTIVE),
            directory=directory,
            seed=seed,
            features={} if automl else config.get("featureTransformationParameters", {}),
            data=TrainingData(tables, schemas, excluded, included),
            previous=previous,
            weighed=() if automl else tuple(map(EventParameter.of, weighed)),
            optimized=(optimum["itemAttribute"], weight) if optimum and not automl else None,
        )

    def run(self, report: Report) -> Outcome:
        """Train; see the module.

        Raises:
            JobFailedError: If the events are too few, or there is nothing to update.
        """
        recipe = self.recipes[0]
        choice = EventChoice(self.event_type, self.event_value, self.weighed)
        fingerprint = self._fingerprint()
        if self.previous is not None:
            notes = _notes(self.previous)
            if notes["fingerprint"] == fingerprint:
                raise JobFailedError(NOTHING_NEW)
        events = choice.events(self.events, recipe)
        interactions = interactions_of(events, self.catalogue, self.data, choice.weights(events))
        report(_READ)
        if self.previous is not None:
            model = load_recommender(self.previous).update(interactions, progress=report)
            model.boosts = self._tilt(interactions)
            outcome = Outcome(recipe, notes["metrics"], None)
        else:
            outcome, model = self._full(interactions, report)
        model.event_types = choice.types(self.events, outcome.recipe)
        model.save(self.directory)
        described = {"fingerprint": fingerprint, "metrics": dict(outcome.metrics)}
        (self.directory / _NOTES).write_text(json.dumps(described), "utf-8")
        return outcome

    def _full(self, interactions: Interactions, report: Report) -> tuple[Outcome, Recommender]:
        recipe, done = self.recipes[0], _READ
        if len(self.recipes) > 1:
            recipe = self._best_recipe(interactions, _between(report, done, 0.2))
            done = 0.2
        tuned = None
        if self.search and any(one.tunable for one in recipe.parameters):
            trials = _between(report, done, 0.6)
            tuned = self._best_parameters(recipe, self.search, interactions, trials)
            done = 0.6
        parameters = {**self.parameters, **(tuned or {})}
        half = (done + 1.0) / 2.0
        progress = _between(report, done, half)
        metrics = self._measured(recipe, parameters, interactions, self.seed, progress)
        model = self._maker(recipe, parameters, interactions)().fit(
            interactions,
            learn_from=learned_events(interactions, recipe, self.features),
            progress=_between(report, half, 1.0),
        )
        rounded = {name: round(value, 4) for name, value in metrics.items()}
        return Outcome(recipe, rounded, tuned), model

    def _best_recipe(self, interactions: Interactions, report: Report) -> Recipe:
        scores = [
            self._measured(
                recipe,
                self.parameters,
                interactions,
                self.seed + 1,
                part(report, number, len(self.recipes)),
            )[self.objective]
            for number, recipe in enumerate(self.recipes)
        ]
        return self.recipes[scores.index(max(scores))]

    def _best_parameters(
        self, recipe: Recipe, search: Search, interactions: Interactions, report: Report
    ) -> dict[str, str]:
        """All hyperparameters, those that the search varies at their best."""
        trials = [{**self.parameters, **one} for one in search.trials(recipe.parameters, self.seed)]
        best = best_of(
            trials,
            lambda trial: self._maker(recipe, trial, interactions)().parameters(),
            lambda trial, progress: self._measured(
                recipe, trial, interactions, self.seed + 1, progress
            )[search.objective],
            report,
        )
        return _defaults(recipe.parameters) | trials[best]

    def _measured(
        self,
        recipe: Recipe,
        parameters: Mapping[str, str],
        interactions: Interactions,
        seed: int,
        report: Report,
    ) -> Mapping[str, float]:
        return measured(
            recipe,
            self._maker(recipe, parameters, interactions),
            interactions,
            seed=seed,
            learn_from=lambda train: learned_events(train, recipe, self.features),
            rewards=self._rewards(interactions),
            report=report,
        )

    def _maker(
        self, recipe: Recipe, parameters: Mapping[str, str], interactions: Interactions
    ) -> Callable[[], Recommender]:
        """What makes the recipe's recommender."""
        settings = Settings(
            given=recipe.values({**parameters, **self.features}),
            n_users=interactions.n_users,
            n_items=interactions.n_items,
            seed=self.seed,
        )
        tilt = self._tilt(interactions)

        def make() -> Recommender:
            model = recipe.make(settings)
            model.boosts = tilt
            return model

        return make

    def _rewards(self, interactions: Interactions) -> NDArray[np.float64] | None:
        """What each item brings by the objective, 0 if it is not in Items; None without one."""
        if self.optimized is None or self.data is None:
            return None
        items, (column, _) = self.data.tables["ITEMS"], self.optimized
        values = dict(zip(items.column("ITEM_ID"), items.column(column).tolist(), strict=True))
        found = [values.get(item, 0.0) for item in interactions.item_ids.tolist()]
        return np.maximum(np.array(found, dtype=np.float64), 0.0)

    def _tilt(self, interactions: Interactions) -> NDArray[np.float32] | None:
        rewards = self._rewards(interactions)
        if rewards is None or self.optimized is None or not self.optimized[1]:
            return None
        return standardized_ranks(rewards) * np.float32(self.optimized[1])

    def _fingerprint(self) -> str:
        data = self.data or TrainingData({"INTERACTIONS": self.events})
        return data.fingerprint()


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Args:
        recipe: The recipe trained.
        metrics: To 4 decimals; of an update those of the full version.
        tuned: The hyperparameters that were chosen by optimisation, if any.
    """

    recipe: Recipe
    metrics: Mapping[str, float]
    tuned: Mapping[str, str] | None


def _notes(directory: Path) -> Any:
    return json.loads((directory / _NOTES).read_text("utf-8"))


def _defaults(parameters: tuple[HyperParameter, ...]) -> dict[str, str]:
    return {one.name: text_of(one.default) for one in parameters}


def _between(report: Report, start: float, end: float) -> Report:
    """Reports 0..1 as a part of the whole."""
    return lambda fraction: report(start + (end - start) * fraction)
