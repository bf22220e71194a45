"""Offline metrics of recommended items, with Amazon Personalize's hold-out and names.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommenders.data.ids import Positions
from recommenders.data.interactions import Histories, Interactions
from recommenders.evaluation.names import CUTOFFS, DEPTH, MRR, NDCG, PRECISION
from recommenders.progress import Progress, no_progress, sub_progress
from recommenders.recommender import Recommender

REWARDED_DEPTH = 500
"""Length of the lists from which `average_rewards_at_k` takes the most rewarding entries."""

LearnFrom: TypeAlias = Callable[[Interactions], NDArray[np.bool_] | None]
"""Returns the mask of the events to learn from, as `Recommender.fit` takes it."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """A data set split into training users and test users.

    Attributes:
        train: The interactions of the training users, with the whole catalogue.
        inputs: Histories of the test users for the recommender, the oldest 90 %.
        targets: Events of the test users to predict, the newest 10 %, at least one each.
    """

    train: Interactions
    inputs: Histories
    targets: Histories


def hold_out(interactions: Interactions, *, seed: int) -> Holdout:
    """Split off a tenth of the users, at least one, chosen by `seed`, as test users.

    Raises:
        ValueError: If there are not two users, or no user has two events.
    """
    lengths = interactions.histories.lengths
    usable = np.flatnonzero(lengths > 1)
    if interactions.n_users < 2 or not len(usable):
        raise ValueError(
            f"evaluation: {interactions.n_users} users, {len(usable)} of them with two events or "
            "more; it needs two users, and one whose newest event can be held out"
        )
    n_tested = max(1, round(interactions.n_users / 10))
    chosen = np.random.default_rng(seed).permutation(usable)[:n_tested]
    chosen.sort()
    tested = interactions.histories.take(chosen)
    is_target = tested.ages < np.maximum(1, tested.lengths // 10)[tested.rows]
    rest = np.setdiff1d(np.arange(interactions.n_users), chosen)
    return Holdout(
        train=interactions.of_users(rest),
        inputs=_select(tested, ~is_target),
        targets=_select(tested, is_target),
    )


def evaluate(
    make: Callable[[], Recommender],
    interactions: Interactions,
    *,
    seed: int,
    learn_from: LearnFrom | None = None,
    related: bool = False,
    rewards: NDArray[np.floating] | None = None,
    progress: Progress = no_progress,
) -> dict[str, float]:
    """Train a recommender on the hold-out's users and return its eight metrics on the others.

    With rewards there is a ninth, `average_rewards_at_k`: the share of the rewards of long lists
    that the lists' 25 most rewarding items have.
    https://docs.aws.amazon.com/personalize/latest/dg/optimizing-solution-for-objective.html

    Args:
        make: Returns a recommender that is not fitted.
        interactions: All data; the recommender is fitted on nine tenths of the users.
        seed: Seed of the choice of test users.
        learn_from: Returns the mask of the events to learn from, as in `Recommender.fit`.
        related: True evaluates the items related to the newest item of each input, for models
            that relate items; False those recommended for the input.
        rewards: Reward of an interaction with each item, at least 0, shape (n_items,).
        progress: Called with a number from 0 to 1; an exception that it raises stops the work.

    Raises:
        ValueError: If the data do not allow a hold-out.
    """
    holdout = hold_out(interactions, seed=seed)
    chosen = learn_from(holdout.train) if learn_from else None
    model = make().fit(holdout.train, learn_from=chosen, progress=sub_progress(progress, 0.0, 0.8))
    lists = (_related_lists if related else _recommended_lists)(model, holdout.inputs)
    n_items = interactions.n_items
    targets = holdout.targets.rows.astype(np.int64) * n_items + holdout.targets.items
    relevant_pairs = np.unique(targets)
    relevant = np.bincount(relevant_pairs // n_items, minlength=len(holdout.inputs))
    hits = np.zeros((len(holdout.inputs), DEPTH), dtype=bool)
    recommended = np.zeros(n_items, dtype=bool)
    done = 0
    for block in lists:
        rows = np.arange(done, done + len(block))
        is_hit = np.isin(rows[:, None] * n_items + block, relevant_pairs) & (block >= 0)
        hits[rows, : block.shape[1]] = is_hit
        recommended[block[block >= 0]] = True
        done += len(block)
        progress(0.8 + 0.2 * done / len(hits))
    metrics = {"coverage": float(recommended.mean()), **ranking_metrics(hits, relevant)}
    if rewards is not None:
        metrics["average_rewards_at_k"] = _average_rewards(
            model, holdout.inputs, relevant_pairs, rewards
        )
    return metrics


def _average_rewards(
    model: Recommender,
    inputs: Histories,
    relevant_pairs: NDArray[np.int64],
    rewards: NDArray[np.floating],
) -> float:
    """Return the mean of `average_rewards_at_k` over users with rewards, 0 if there are none.

    Args:
        model: A fitted model.
        inputs: Histories of users.
        relevant_pairs: Relevant items, ascending: row of `inputs` times the number of items, plus
            the item.
        rewards: Reward of an interaction with each item, shape (n_items,).
    """
    ratios: list[NDArray[np.float64]] = []
    done = 0
    for block, _scores in model.recommend_histories(inputs, REWARDED_DEPTH, workers=0):
        rows = np.arange(done, done + len(block))
        done += len(block)
        gained = np.isin(rows[:, None] * len(rewards) + block, relevant_pairs) * rewards[block]
        order = np.argsort(-rewards[block], axis=1, kind="stable")[:, :DEPTH]
        best, total = np.take_along_axis(gained, order, axis=1).sum(axis=1), gained.sum(axis=1)
        ratios.append((best / np.where(total > 0, total, 1.0))[total > 0])
    all_ratios = np.concatenate(ratios)
    return float(all_ratios.mean()) if len(all_ratios) else 0.0


def _recommended_lists(model: Recommender, inputs: Histories) -> Iterator[Positions]:
    """Yield the positions of the items recommended for each input, in blocks."""
    for items, _scores in model.recommend_histories(inputs, DEPTH, workers=0):
        yield items


def _related_lists(model: Recommender, inputs: Histories) -> Iterator[Positions]:
    """Yield the positions of the items related to each input's newest item, -1 after the end."""
    newest = model.item_ids[inputs.items[inputs.offsets[1:] - 1]].tolist()
    for block in model.similar(newest, DEPTH):
        items = model.positions(block.items.ravel().tolist()).astype(np.int32)
        yield items.reshape(block.items.shape)


def ranking_metrics(hits: NDArray[np.bool_], relevant: NDArray[np.integer]) -> dict[str, float]:
    """Return MRR at 25 and NDCG and precision at 5, 10 and 25, each the mean over users.

    A hit at position p, from 1, has the gain 1 / log2(1 + p); NDCG divides by the gain of the best
    order of the user's relevant items.

    Args:
        hits: True if the item at a position is relevant, shape (n_users, positions); positions
            that a list does not have count as misses.
        relevant: Number of relevant items of each user, at least 1, shape (n_users,).

    Raises:
        ValueError: If there is no user, or a user without a relevant item.
    """
    if not len(hits) or len(hits) != len(relevant) or relevant.min() < 1:
        raise ValueError(
            f"metrics: {len(hits)} rows of hits, {len(relevant)} counts of relevant items; give "
            "one of each per user, and no user without a relevant item"
        )
    top = np.zeros((len(hits), DEPTH), dtype=bool)
    top[:, : hits.shape[1]] = hits[:, :DEPTH]
    positions = np.arange(1, DEPTH + 1)
    gains = 1.0 / np.log2(1.0 + positions)
    ideal = np.cumsum(gains)
    first = np.where(top.any(axis=1), 1.0 / (1 + top.argmax(axis=1)), 0.0)
    metrics = {MRR: float(first.mean())}
    for k, name in zip(CUTOFFS, NDCG, strict=True):
        ndcg = top[:, :k] @ gains[:k] / ideal[np.minimum(relevant, k) - 1]
        metrics[name] = float(ndcg.mean())
    for k, name in zip(CUTOFFS, PRECISION, strict=True):
        metrics[name] = float(top[:, :k].mean())
    return metrics


def _select(histories: Histories, events: NDArray[np.bool_]) -> Histories:
    counts = np.bincount(histories.rows[events], minlength=len(histories))
    return Histories(np.concatenate([[0], np.cumsum(counts)]), histories.items[events])
