"""Offline metrics of action recommendations: how well offers to unseen users are foretold.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recommenders.data.action_history import ActionHistory
from recommenders.data.ids import positions
from recommenders.data.interactions import Interactions
from recommenders.evaluation.items import CUTOFFS, DEPTH, ranking_metrics
from recommenders.models.actions import Actions
from recommenders.progress import Progress, ignore, part


def evaluate_actions(
    make: Callable[[], Actions],
    interactions: Interactions,
    *,
    seed: int,
    progress: Progress = ignore,
) -> dict[str, float]:
    """Train without the actions of a tenth of their users and return the metrics on those.

    A test user is a hit for an action if an offer of it was a success (`ActionHistory.examples`),
    and is foretold as one if the propensity is at least 0.5. `precision` and `recall` are the means
    over actions of hits among those foretold and of foretold among hits, 0 for an action with
    neither; `area_under_curve` is that of the propensities of all offered pairs; NDCG ranks the
    actions of each test user who took any; `coverage` is the share of actions that anybody gets
    among the first 25. All but coverage are 0 if no test user took an action.

    Args:
        make: gives a model that is not fitted yet.
        interactions: everything, with a history of actions.
        seed: chooses the test users.
        progress: called with a number from 0 to 1; what it raises passes through.

    Raises:
        ValueError: if the interactions have no actions.
    """
    history = interactions.actions
    if history is None:
        raise ValueError("evaluation: the interactions have no actions; give them a history")
    order = np.random.default_rng(seed).permutation(len(history.user_ids))
    tested = np.sort(order[: max(1, round(len(order) / 10))])
    trained = history.user_ids[np.sort(order[len(tested) :])]
    train = replace(interactions, actions=history.of_users(trained))
    model = make().fit(train, progress=part(progress, 0.0, 0.9))
    users = history.user_ids[tested].tolist()
    offered, taken = _outcomes(history, tested, model.window_days)
    propensity = np.zeros(offered.shape)
    ranks = np.zeros((len(users), min(DEPTH, offered.shape[1])), dtype=np.int64)
    start = 0
    for block in model.recommend(users, offered.shape[1], now=0):
        for items, scores, count in zip(block.items, block.scores, block.counts, strict=True):
            places = positions(model.item_ids, items[:count])
            propensity[start, places] = scores[:count]
            ranks[start, :count] = places[: ranks.shape[1]]
            start += 1
    metrics = {"coverage": len(np.unique(ranks)) / offered.shape[1] if len(users) else 0.0}
    metrics |= _ranked(taken, ranks)
    foretold = offered & (propensity >= 0.5)
    hits = (foretold & taken).sum(axis=0)
    metrics["precision"] = float((hits / np.maximum(foretold.sum(axis=0), 1)).mean())
    metrics["recall"] = float((hits / np.maximum(taken.sum(axis=0), 1)).mean())
    metrics["area_under_curve"] = _area(propensity[offered], taken[offered])
    progress(1.0)
    return metrics


def _outcomes(
    history: ActionHistory, tested: NDArray[np.int64], window_days: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which actions each test user was offered, and which the user took."""
    example, success = history.examples(window_days)
    rows = np.full(len(history.user_ids), -1)
    rows[tested] = np.arange(len(tested))
    offered, taken = np.zeros((2, len(tested), len(history.catalogue.ids)), dtype=np.bool_)
    for target, events in ((offered, example), (taken, example & success)):
        of_them = events & (rows[history.users] >= 0)
        target[rows[history.users[of_them]], history.actions[of_them]] = True
    return offered, taken


def _ranked(taken: NDArray[np.bool_], ranks: NDArray[np.int64]) -> dict[str, float]:
    names = [f"normalized_discounted_cumulative_gain_at_{k}" for k in CUTOFFS]
    whose = taken.any(axis=1)
    if not whose.any():
        return dict.fromkeys(names, 0.0)
    hits = np.take_along_axis(taken, ranks, axis=1)[whose]
    metrics = ranking_metrics(hits, taken[whose].sum(axis=1))
    return {name: metrics[name] for name in names}


def _area(propensity: NDArray[np.float64], taken: NDArray[np.bool_]) -> float:
    """Return the chance that a taken offer has the greater propensity than one that was not."""
    n_taken, n_not = int(taken.sum()), int((~taken).sum())
    if not n_taken or not n_not:
        return 0.0
    _, group, counts = np.unique(propensity, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle = ends - (counts - 1) / 2.0
    return float((middle[group][taken].sum() - n_taken * (n_taken + 1) / 2.0) / (n_taken * n_not))
