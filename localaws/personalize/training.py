"""Training a solution version: events in, a saved recommender and its offline metrics out.

Stages: choose the events → check that they are enough → choose recipe and hyperparameters (where
asked for) by an inner evaluation → the metrics of the hold-out → fit on everything → save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from localaws.personalize.jobs import JobFailedError, Report
from localaws.personalize.recipes import RECIPES, HyperParameter, Recipe
from localaws.personalize.tables import Table
from recommenders import Hybrid, Interactions, Popularity, Recommender, evaluate

LEAST_EVENTS = 1_000
LEAST_USERS = 25
MOST_TRIALS = 8
"""Training jobs of one hyperparameter optimisation here; AWS allows 40."""

OBJECTIVE = "normalized_discounted_cumulative_gain_at_25"
"""The metric by which trials are compared if the solution names none."""

AUTOML_RECIPES = ("aws-user-personalization", "aws-popularity-count")


@dataclass(frozen=True)
class Search:
    """Hyperparameter optimisation.

    Args:
        objective: The metric to maximise.
        n_trials: How many values are tried.
        low: Smallest ``hidden_dimension``.
        high: Largest ``hidden_dimension``.
    """

    objective: str = OBJECTIVE
    n_trials: int = 4
    low: int = 32
    high: int = 256


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

    def run(self, report: Report) -> Outcome:
        """Train; see the module.

        Raises:
            JobFailedError: If the events are too few.
        """
        interactions = self._interactions()
        recipe = self.recipes[0]
        if len(self.recipes) > 1:
            trial = _part(report, 0.0, 0.2)
            recipe = self._best_recipe(interactions, trial)
        tuned = None
        if self.search and any(p.tunable for p in recipe.parameters):
            trial = _part(report, 0.2, 0.6)
            tuned = self._best_parameters(recipe, self.search, interactions, trial)
        make = self._maker(recipe, interactions, {**self.parameters, **(tuned or {})})
        metrics = evaluate(make, interactions, seed=self.seed, progress=_part(report, 0.6, 0.8))
        recommender = make().fit(interactions, progress=_part(report, 0.8, 1.0))
        recommender.save(self.directory)
        return Outcome(recipe, {k: round(v, 4) for k, v in metrics.items()}, tuned)

    def _interactions(self) -> Interactions:
        """The chosen events, if they are enough to train on."""
        events = self.events
        columns = events.columns
        if self.event_type is not None:
            events = events.take(columns["EVENT_TYPE"] == self.event_type)
        if self.event_value is not None:
            values = events.columns["EVENT_VALUE"].astype(np.float64)
            events = events.take(values >= self.event_value)
        if events.n_rows < LEAST_EVENTS:
            chosen = f" after filtering by event type: {self.event_type}" if self.event_type else ""
            raise JobFailedError(f"Dataset has fewer than {LEAST_EVENTS} interactions{chosen}")
        interactions = Interactions.from_events(
            events.columns["USER_ID"].tolist(),
            events.columns["ITEM_ID"].tolist(),
            events.columns["TIMESTAMP"],
            catalogue=self.catalogue,
        )
        if np.count_nonzero(np.bincount(interactions.users) >= 2) < LEAST_USERS:
            raise JobFailedError(
                f"Create failed. Dataset has fewer than {LEAST_USERS} users with at least 2 "
                "interactions each."
            )
        return interactions

    def _best_recipe(self, interactions: Interactions, report: Report) -> Recipe:
        scores = []
        for number, recipe in enumerate(self.recipes):
            make = self._maker(recipe, interactions, self.parameters)
            progress = _part(report, number / len(self.recipes), (number + 1) / len(self.recipes))
            scores.append(self._trial(make, interactions, self.objective, progress))
        return self.recipes[int(np.argmax(scores))]

    def _best_parameters(
        self, recipe: Recipe, search: Search, interactions: Interactions, report: Report
    ) -> dict[str, str]:
        """The best ``hidden_dimension`` on a geometric grid over the range."""
        grid = np.geomspace(search.low, search.high, search.n_trials).round().astype(int)
        values = sorted(
            {self._factors(int(value), interactions): int(value) for value in grid}.values()
        )
        scores = []
        for number, value in enumerate(values):
            make = self._maker(recipe, interactions, {"hidden_dimension": str(value)})
            progress = _part(report, number / len(values), (number + 1) / len(values))
            scores.append(self._trial(make, interactions, search.objective, progress))
        best = {"hidden_dimension": str(values[int(np.argmax(scores))])}
        return _defaults(recipe.parameters) | dict(self.parameters) | best

    def _trial(
        self,
        make: Callable[[], Recommender],
        interactions: Interactions,
        objective: str,
        progress: Report,
    ) -> float:
        # Another split than the reported one: choosing on the test users would flatter the result.
        return evaluate(make, interactions, seed=self.seed + 1, progress=progress)[objective]

    def _maker(
        self, recipe: Recipe, interactions: Interactions, parameters: Mapping[str, str]
    ) -> Callable[[], Recommender]:
        """What makes the recipe's recommender."""
        if recipe.type == "POPULAR_ITEMS":
            return Popularity
        if "hidden_dimension" not in parameters:
            return lambda: Hybrid(seed=self.seed)
        factors = self._factors(int(parameters["hidden_dimension"]), interactions)
        return lambda: Hybrid(factors=factors, seed=self.seed)

    @staticmethod
    def _factors(hidden_dimension: int, interactions: Interactions) -> int:
        """More factors than items or users carry nothing."""
        return max(1, min(hidden_dimension, interactions.n_items, interactions.n_users))


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Args:
        recipe: The recipe trained.
        metrics: Personalize's eight, to 4 decimals.
        tuned: The hyperparameters that were chosen by optimisation, if any.
    """

    recipe: Recipe
    metrics: Mapping[str, float]
    tuned: Mapping[str, str] | None


def automl_recipes() -> tuple[Recipe, ...]:
    """The recipes among which AutoML chooses if the solution names none."""
    return tuple(RECIPES[name] for name in AUTOML_RECIPES)


def _defaults(parameters: tuple[HyperParameter, ...]) -> dict[str, str]:
    return {
        p.name: str(p.default).lower() if isinstance(p.default, bool) else str(p.default)
        for p in parameters
    }


def _part(report: Report, start: float, end: float) -> Report:
    """Reports 0..1 as a part of the whole."""
    return lambda fraction: report(start + (end - start) * fraction)
