"""Offline metrics by Amazon Personalize's hold-out and under its names.

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
from recommenders.progress import Progress, ignore, part
from recommenders.recommender import Recommender

CUTOFFS = (5, 10, 25)
DEPTH = max(CUTOFFS)
REWARDED_DEPTH = 500
"""Length of the lists of which `average_rewards_at_k` takes the most rewarding entries."""

LearnFrom: TypeAlias = Callable[[Interactions], NDArray[np.bool_] | None]
"""Chooses the events to learn from; see `Recommender.fit`."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """A data set split in users who train and users who test.

    Attributes:
        train: the interactions of the training users, with the whole catalogue.
        inputs: what a recommender may see of each test user: the oldest 90 %.
        targets: what it should find: the newest 10 %, at least one event each.
    """

    train: Interactions
    inputs: Histories
    targets: Histories


def hold_out(interactions: Interactions, *, seed: int) -> Holdout:
    """Split off a tenth of the users, at least one, chosen by `seed`, as test users.

    Raises:
        ValueError: if there are not two users, or nobody has two events.
    """
    lengths = interactions.histories.lengths
    usable = np.flatnonzero(lengths > 1)
    if interactions.n_users < 2 or not len(usable):
        raise ValueError(
            f"evaluation: {interactions.n_users} users, {len(usable)} of them with two events or "
            "more; it needs two users, and one whose newest event can be held out"
        )
    wanted = max(1, round(interactions.n_users / 10))
    chosen = np.random.default_rng(seed).permutation(usable)[:wanted]
    chosen.sort()
    tested = interactions.histories.take(chosen)
    is_target = tested.ages < np.maximum(1, tested.lengths // 10)[tested.rows]
    rest = np.setdiff1d(np.arange(interactions.n_users), chosen)
    return Holdout(
        train=interactions.of_users(rest),
        inputs=_kept(tested, ~is_target),
        targets=_kept(tested, is_target),
    )


def evaluate(
    make: Callable[[], Recommender],
    interactions: Interactions,
    *,
    seed: int,
    learn_from: LearnFrom | None = None,
    related: bool = False,
    rewards: NDArray[np.floating] | None = None,
    progress: Progress = ignore,
) -> dict[str, float]:
    """Train a recommender on the hold-out's users and return its eight metrics on the others.

    With rewards there is a ninth, `average_rewards_at_k`: of the rewards that users took from long
    lists, the part that lay among the lists' 25 most rewarding items.
    https://docs.aws.amazon.com/personalize/latest/dg/optimizing-solution-for-objective.html

    Args:
        make: gives a recommender that is not fitted yet.
        interactions: everything; `make`'s recommender sees nine tenths of the users.
        seed: chooses the test users.
        learn_from: chooses the events to learn from, as in `Recommender.fit`.
        related: ask for the items related to the newest item of each input, instead of
            recommending for the input: what a model that relates items is for.
        rewards: what an item brings if it is met, at least 0, shape (n_items,).
        progress: called with a number from 0 to 1; what it raises passes through.

    Raises:
        ValueError: if the data do not allow a hold-out.
    """
    holdout = hold_out(interactions, seed=seed)
    chosen = learn_from(holdout.train) if learn_from else None
    model = make().fit(holdout.train, learn_from=chosen, progress=part(progress, 0.0, 0.8))
    lists = _related(model, holdout.inputs) if related else _recommended(model, holdout.inputs)
    n_items = interactions.n_items
    targets = holdout.targets.rows.astype(np.int64) * n_items + holdout.targets.items
    wanted = np.unique(targets)
    relevant = np.bincount(wanted // n_items, minlength=len(holdout.inputs))
    hits = np.zeros((len(holdout.inputs), DEPTH), dtype=bool)
    recommended = np.zeros(n_items, dtype=bool)
    done = 0
    for block in lists:
        rows = np.arange(done, done + len(block))
        found = np.isin(rows[:, None] * n_items + block, wanted) & (block >= 0)
        hits[rows, : block.shape[1]] = found
        recommended[block[block >= 0]] = True
        done += len(block)
        progress(0.8 + 0.2 * done / len(hits))
    metrics = {"coverage": float(recommended.mean()), **ranking_metrics(hits, relevant)}
    if rewards is not None:
        metrics["average_rewards_at_k"] = _average_rewards(model, holdout.inputs, wanted, rewards)
    return metrics


def _average_rewards(
    model: Recommender,
    inputs: Histories,
    wanted: NDArray[np.int64],
    rewards: NDArray[np.floating],
) -> float:
    """Return the mean over users of what `evaluate` says; 0 if nobody took a reward.

    Args:
        model: a fitted one.
        inputs: histories of users.
        wanted: what they met next, ascending: row of `inputs` times the number of items, plus item.
        rewards: shape (n_items,).
    """
    ratios: list[NDArray[np.float64]] = []
    done = 0
    for block, _scores in model.recommend_histories(inputs, REWARDED_DEPTH, workers=0):
        rows = np.arange(done, done + len(block))
        done += len(block)
        gained = np.isin(rows[:, None] * len(rewards) + block, wanted) * rewards[block]
        order = np.argsort(-rewards[block], axis=1, kind="stable")[:, :DEPTH]
        best, all_of_it = np.take_along_axis(gained, order, axis=1).sum(axis=1), gained.sum(axis=1)
        ratios.append((best / np.where(all_of_it > 0, all_of_it, 1.0))[all_of_it > 0])
    taken = np.concatenate(ratios)
    return float(taken.mean()) if len(taken) else 0.0


def _recommended(model: Recommender, inputs: Histories) -> Iterator[Positions]:
    """Yield the positions of the items that each input gets, in blocks."""
    for ranked, _scores in model.recommend_histories(inputs, DEPTH, workers=0):
        yield ranked


def _related(model: Recommender, inputs: Histories) -> Iterator[Positions]:
    """Yield the positions of what each input's newest item is related to, -1 behind the end."""
    newest = model.item_ids[inputs.items[inputs.offsets[1:] - 1]].tolist()
    for block in model.similar(newest, DEPTH):
        found = model.positions(block.items.ravel().tolist()).astype(np.int32)
        yield found.reshape(block.items.shape)


def ranking_metrics(hits: NDArray[np.bool_], relevant: NDArray[np.integer]) -> dict[str, float]:
    """Return MRR at 25 and NDCG and precision at 5, 10 and 25, each the mean over users.

    A hit at position p, from 1, is worth 1 / log2(1 + p); NDCG divides by what the best order of
    the user's relevant items would be worth.

    Args:
        hits: whether the item at each position is relevant, shape (n_users, positions); positions
            that a list does not have count as misses.
        relevant: number of relevant items of each user, at least 1, shape (n_users,).

    Raises:
        ValueError: if there is no user, or one without a relevant item.
    """
    if not len(hits) or len(hits) != len(relevant) or relevant.min() < 1:
        raise ValueError(
            f"metrics: {len(hits)} rows of hits, {len(relevant)} counts of relevant items; give "
            "one of each per user, and no user without a relevant item"
        )
    top = np.zeros((len(hits), DEPTH), dtype=bool)
    top[:, : hits.shape[1]] = hits[:, :DEPTH]
    positions = np.arange(1, DEPTH + 1)
    worth = 1.0 / np.log2(1.0 + positions)
    ideal = np.cumsum(worth)
    first = np.where(top.any(axis=1), 1.0 / (1 + top.argmax(axis=1)), 0.0)
    metrics = {f"mean_reciprocal_rank_at_{DEPTH}": float(first.mean())}
    for k in CUTOFFS:
        gained = top[:, :k] @ worth[:k] / ideal[np.minimum(relevant, k) - 1]
        metrics[f"normalized_discounted_cumulative_gain_at_{k}"] = float(gained.mean())
    for k in CUTOFFS:
        metrics[f"precision_at_{k}"] = float(top[:, :k].mean())
    return metrics


def _kept(histories: Histories, events: NDArray[np.bool_]) -> Histories:
    counts = np.bincount(histories.rows[events], minlength=len(histories))
    return Histories(np.concatenate([[0], np.cumsum(counts)]), histories.items[events])
