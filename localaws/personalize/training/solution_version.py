"""Training a solution version: data in, a saved recommender and its offline metrics out.

Stages: select the events → check that they are enough → choose recipe and hyperparameters (where
the solution says so) by an inner evaluation → the metrics of the hold-out → fit on everything →
save. Training mode UPDATE instead brings new items and events into the last full version's model.

Trials are measured on another split of the users than the reported metrics: choosing on the test
users would flatter the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.errors import JobFailedError
from localaws.personalize.resources.jobs import Report
from localaws.personalize.training.data import (
    LEAST_USERS,
    EventSelection,
    TrainingData,
    active_users,
    learned_events,
)
from localaws.personalize.training.metrics import offline_metrics
from localaws.personalize.training.recipe import Recipe, text_of
from localaws.personalize.training.search import OBJECTIVE, Search
from localaws.personalize.training.solution_config import SENSITIVITIES, hyperparameter_search
from recommenders import Interactions, Recommender, load_recommender, standardized_ranks
from recommenders.progress import sub_progress

NOTHING_NEW = (
    "There should be updates to at least one dataset after last active solution version with "
    "training mode set to FULL"
)
_NOTES = "training.json"
_READ = 0.02
"""The progress of a training once its data are read."""

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a training.

    Attributes:
        recipe: The recipe trained.
        metrics: To 4 decimals; of an update those of the full version.
        tuned: The hyperparameters that were chosen by optimisation, if any.
    """

    recipe: Recipe
    metrics: Metrics
    tuned: Mapping[str, str] | None


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        solution: Members of the checked solution, as in CreateSolution; with `performAutoML` only
            `autoMLConfig` and `eventValueThreshold` of its configuration count, as on AWS.
        recipes: One, or several of which the best is chosen.
        data: The rows of its dataset group.
        directory: Gets the trained recommender.
        seed: Same data, same seed: same result.
        previous: The directory of the last full version, if its model is to be updated.
    """

    solution: Mapping[str, Any]
    recipes: tuple[Recipe, ...]
    data: TrainingData
    directory: Path
    seed: int
    previous: Path | None = None

    def run(self, report: Report) -> Outcome:
        """Train in the stages that the module names.

        Raises:
            JobFailedError: If the events are too few, or there is nothing to update.
        """
        recipe = self.recipes[0]
        selection = EventSelection(self.solution, recipe)
        fingerprint = self.data.fingerprint()
        if self.previous is not None:
            notes = json.loads((self.previous / _NOTES).read_text("utf-8"))
            if notes["fingerprint"] == fingerprint:
                raise JobFailedError(NOTHING_NEW)
        all_events = self.data.events
        if recipe.is_semantic:
            interactions = self.data.interactions(all_events, None, least_users=0)
        else:
            events = selection.select(all_events)
            interactions = self.data.interactions(events, selection.weights(events))
        report(_READ)
        if self.previous is not None:
            model = load_recommender(self.previous).update(interactions, progress=report)
            model.boosts = self._boosts(interactions)
            outcome = Outcome(recipe, notes["metrics"], None)
        else:
            outcome, model = self._full(interactions, report)
        model.event_types = selection.types(all_events)
        model.save(self.directory)
        notes = {"fingerprint": fingerprint, "metrics": dict(outcome.metrics)}
        (self.directory / _NOTES).write_text(json.dumps(notes), "utf-8")
        return outcome

    def _full(self, interactions: Interactions, report: Report) -> tuple[Outcome, Recommender]:
        recipe, done = self.recipes[0], _READ
        if len(self.recipes) > 1:
            recipe = self._best_recipe(interactions, sub_progress(report, done, 0.2))
            done = 0.2
        tuned = None
        search = hyperparameter_search(self.solution, recipe)
        if search and any(parameter.tunable for parameter in recipe.parameters):
            trials = sub_progress(report, done, 0.6)
            tuned = self._best_parameters(recipe, search, interactions, trials)
            done = 0.6
        parameters = {**self._config("algorithmHyperParameters"), **(tuned or {})}
        half = (done + 1.0) / 2.0
        progress = sub_progress(report, done, half)
        # A recipe that needs no interactions cannot be measured without them.
        is_measured = active_users(interactions) >= LEAST_USERS
        metrics = (
            self._metrics(recipe, parameters, interactions, self.seed, progress)
            if is_measured
            else {}
        )
        model = self._maker(recipe, parameters, interactions)().fit(
            interactions,
            learn_from=learned_events(interactions, recipe, self._features),
            progress=sub_progress(report, half, 1.0),
        )
        rounded = {name: round(value, 4) for name, value in metrics.items()}
        return Outcome(recipe, rounded, tuned), model

    def _config(self, member: str) -> Mapping[str, Any]:
        """Return a structure of the solution's configuration; empty with AutoML."""
        is_automl = self.solution.get("performAutoML", False)
        config: Mapping[str, Any] = self.solution.get("solutionConfig", {}).get(member, {})
        return {} if is_automl else config

    @property
    def _features(self) -> Mapping[str, str]:
        return self._config("featureTransformationParameters")

    def _best_recipe(self, interactions: Interactions, report: Report) -> Recipe:
        config = self.solution.get("solutionConfig", {}).get("autoMLConfig", {})
        objective = config.get("metricName", OBJECTIVE)
        scores = []
        for number, recipe in enumerate(self.recipes):
            progress = _share(report, number, len(self.recipes))
            metrics = self._metrics(recipe, {}, interactions, self.seed + 1, progress)
            scores.append(metrics[objective])
        return self.recipes[scores.index(max(scores))]

    def _best_parameters(
        self, recipe: Recipe, search: Search, interactions: Interactions, report: Report
    ) -> dict[str, str]:
        """Return all hyperparameters, those that the search varies at their best."""
        configured = self._config("algorithmHyperParameters")
        trials = [
            {**configured, **values} for values in search.trials(recipe.parameters, self.seed)
        ]
        # Trials of which the same model is made are measured once.
        models = [self._maker(recipe, trial, interactions)().parameters() for trial in trials]
        scores: list[float] = []
        for number, trial in enumerate(trials):
            earlier = models.index(models[number])
            if earlier < number:
                scores.append(scores[earlier])
                continue
            progress = _share(report, number, len(trials))
            metrics = self._metrics(recipe, trial, interactions, self.seed + 1, progress)
            scores.append(metrics[search.objective])
        defaults = {parameter.name: text_of(parameter.default) for parameter in recipe.parameters}
        return defaults | trials[scores.index(max(scores))]

    def _metrics(
        self,
        recipe: Recipe,
        parameters: Mapping[str, str],
        interactions: Interactions,
        seed: int,
        report: Report,
    ) -> Metrics:
        return offline_metrics(
            recipe,
            self._maker(recipe, parameters, interactions),
            interactions,
            seed=seed,
            learn_from=lambda train: learned_events(train, recipe, self._features),
            rewards=self._rewards(interactions),
            report=report,
        )

    def _maker(
        self, recipe: Recipe, parameters: Mapping[str, str], interactions: Interactions
    ) -> Callable[[], Recommender]:
        """Return the constructor of the recipe's recommender."""
        values = recipe.parse({**parameters, **self._features})
        # More factors than items or users carry nothing.
        most_factors = max(1, min(interactions.n_items, interactions.n_users))
        boosts = self._boosts(interactions)

        def make() -> Recommender:
            model = recipe.make(values, most_factors, self.seed)
            model.boosts = boosts
            return model

        return make

    def _rewards(self, interactions: Interactions) -> NDArray[np.float64] | None:
        """Return the objective's value of each item, 0 outside of Items; None without one."""
        objective = self._config("optimizationObjective")
        if not objective:
            return None
        items = self.data.tables["ITEMS"]
        column = items.column(objective["itemAttribute"]).tolist()
        values = dict(zip(items.column("ITEM_ID"), column, strict=True))
        rewards = [values.get(item, 0.0) for item in interactions.item_ids.tolist()]
        return np.maximum(np.array(rewards, dtype=np.float64), 0.0)

    def _boosts(self, interactions: Interactions) -> NDArray[np.float32] | None:
        objective = self._config("optimizationObjective")
        weight = SENSITIVITIES[objective.get("objectiveSensitivity", "OFF")]
        rewards = self._rewards(interactions) if weight else None
        return None if rewards is None else standardized_ranks(rewards) * np.float32(weight)


def _share(report: Report, number: int, of: int) -> Report:
    """Return a callback that reports the progress of one of several equal shares of the work."""
    return sub_progress(report, number / of, (number + 1) / of)


def check_saved(directory: Path) -> None:
    """Raise an exception, of whatever type, if a training's files are not as it has left them."""
    load_recommender(directory)
    notes = json.loads((directory / _NOTES).read_text("utf-8"))
    if not {"fingerprint", "metrics"} <= notes.keys():
        raise ValueError(f"{_NOTES} has other members")
