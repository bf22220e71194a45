"""The offline metrics of a recipe, by its own hold-out.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html

- Recipes that recommend, and those that rank (measured by ranking the whole catalogue): a tenth of
  the users is held out, the oldest 90 % of their events are the input, the newest 10 % the target.
- Related items: the same, with the items related to the newest item of each input.
- Trends: the same, and the accuracy of the predicted increase in the next interval.
- User segments: the newest 20 % of each user's events are the target.
- Actions: a tenth of the users is held out.

The documentation names metrics in words; the keys of those of segments, trends and actions are
ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.resources.jobs import Report
from localaws.personalize.training.recipe import Recipe
from recommenders import (
    Actions,
    Interactions,
    LearnFrom,
    Recommender,
    Trending,
    evaluate,
    evaluate_actions,
    evaluate_segments,
    trend_prediction_accuracy,
)


def offline_metrics(
    recipe: Recipe,
    make: Callable[[], Recommender],
    interactions: Interactions,
    *,
    seed: int,
    learn_from: LearnFrom,
    report: Report,
    rewards: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Return the metrics by name.

    Args:
        recipe: Its type selects the hold-out.
        make: Returns a model that is not fitted yet.
        interactions: All of them.
        seed: Selects the test users.
        learn_from: Selects the events to learn from.
        report: Reports the progress, 0..1.
        rewards: The reward of each item, if the solution has an objective.
    """
    if recipe.type == "USER_SEGMENTATION":
        return evaluate_segments(
            make,
            interactions,
            seed=seed,
            attributes="ITEMS" in recipe.datasets,
            learn_from=learn_from,
            progress=report,
        )
    if recipe.type == "PERSONALIZED_ACTIONS":
        make_actions = cast("Callable[[], Actions]", make)
        return evaluate_actions(make_actions, interactions, seed=seed, progress=report)
    metrics = evaluate(
        make,
        interactions,
        seed=seed,
        learn_from=learn_from,
        related=recipe.type == "RELATED_ITEMS",
        rewards=rewards,
        progress=report,
    )
    model = make()
    if isinstance(model, Trending):
        accuracy = trend_prediction_accuracy(interactions, model.interval)
        metrics["trend_prediction_accuracy"] = accuracy
    return metrics
