"""Offline metrics of recommended actions: predictions of the offers to test users.

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
from recommenders.evaluation.items import ranking_metrics
from recommenders.evaluation.names import DEPTH, NDCG
from recommenders.models.actions import Actions
from recommenders.progress import Progress, no_progress, sub_progress


def evaluate_actions(
    make: Callable[[], Actions],
    interactions: Interactions,
    *,
    seed: int,
    progress: Progress = no_progress,
) -> dict[str, float]:
    """Train without the actions of a tenth of their users and return the metrics on those.

    A pair of test user and action is positive if an offer of the action was a success
    (`ActionHistory.examples`), and predicted positive if the propensity is at least 0.5.
    `precision` and `recall` are means over actions, 0 for an action without such pairs;
    `area_under_curve` is that of the propensities of all offered pairs; NDCG ranks the actions of
    each test user who took any; `coverage` is the share of actions in any list's first 25. All but
    coverage are 0 if no test user took an action.

    Args:
        make: Returns a model that is not fitted.
        interactions: All data, with a history of actions.
        seed: Seed of the choice of test users.
        progress: Called with a number from 0 to 1; an exception that it raises stops the work.

    Raises:
        ValueError: If the interactions have no actions.
    """
    history = interactions.actions
    if history is None:
        raise ValueError("evaluation: the interactions have no actions; give them a history")
    order = np.random.default_rng(seed).permutation(len(history.user_ids))
    tested = np.sort(order[: max(1, round(len(order) / 10))])
    trained = history.user_ids[np.sort(order[len(tested) :])]
    train = replace(interactions, actions=history.of_users(trained))
    model = make().fit(train, progress=sub_progress(progress, 0.0, 0.9))
    users = history.user_ids[tested].tolist()
    offered, taken = _outcomes(history, tested, model.window_days)
    propensity = np.zeros(offered.shape)
    ranks = np.zeros((len(users), min(DEPTH, offered.shape[1])), dtype=np.int64)
    start = 0
    for block in model.recommend(users, offered.shape[1], now=0):
        for items, scores, count in zip(block.items, block.scores, block.counts, strict=True):
            actions = positions(model.item_ids, items[:count])
            propensity[start, actions] = scores[:count]
            ranks[start, :count] = actions[: ranks.shape[1]]
            start += 1
    metrics = {"coverage": len(np.unique(ranks)) / offered.shape[1] if len(users) else 0.0}
    metrics |= _ndcg(taken, ranks)
    predicted = offered & (propensity >= 0.5)
    hits = (predicted & taken).sum(axis=0)
    metrics["precision"] = float((hits / np.maximum(predicted.sum(axis=0), 1)).mean())
    metrics["recall"] = float((hits / np.maximum(taken.sum(axis=0), 1)).mean())
    metrics["area_under_curve"] = _area(propensity[offered], taken[offered])
    progress(1.0)
    return metrics


def _outcomes(
    history: ActionHistory, tested: NDArray[np.int64], window_days: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the masks of the actions that each test user was offered, and that the user took."""
    example, success = history.examples(window_days)
    rows = np.full(len(history.user_ids), -1)
    rows[tested] = np.arange(len(tested))
    offered, taken = np.zeros((2, len(tested), len(history.catalogue.ids)), dtype=np.bool_)
    for target, events in ((offered, example), (taken, example & success)):
        tested_events = events & (rows[history.users] >= 0)
        target[rows[history.users[tested_events]], history.actions[tested_events]] = True
    return offered, taken


def _ndcg(taken: NDArray[np.bool_], ranks: NDArray[np.int64]) -> dict[str, float]:
    users = taken.any(axis=1)
    if not users.any():
        return dict.fromkeys(NDCG, 0.0)
    hits = np.take_along_axis(taken, ranks, axis=1)[users]
    metrics = ranking_metrics(hits, taken[users].sum(axis=1))
    return {name: metrics[name] for name in NDCG}


def _area(propensity: NDArray[np.float64], taken: NDArray[np.bool_]) -> float:
    """Return the probability that a taken offer has a greater propensity than one not taken."""
    n_taken, n_declined = int(taken.sum()), int((~taken).sum())
    if not n_taken or not n_declined:
        return 0.0
    _, group, counts = np.unique(propensity, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle = ends - (counts - 1) / 2.0
    rank_sum = middle[group][taken].sum() - n_taken * (n_taken + 1) / 2.0
    return float(rank_sum / (n_taken * n_declined))
