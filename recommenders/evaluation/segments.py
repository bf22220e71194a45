"""Offline metrics of user segments, by Amazon Personalize's hold-out.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.interactions import Histories, Interactions
from recommenders.data.metadata import Encoding, Metadata
from recommenders.evaluation.items import LearnFrom
from recommenders.progress import Progress, no_progress, sub_progress
from recommenders.recommender import Recommender
from recommenders.results import Segments

MOST_SEGMENTS = 1_000
"""Most items or values to evaluate; of more, the seed chooses."""


def evaluate_segments(
    make: Callable[[], Recommender],
    interactions: Interactions,
    *,
    seed: int,
    attributes: bool = False,
    learn_from: LearnFrom | None = None,
    progress: Progress = no_progress,
) -> dict[str, float]:
    """Train on the oldest 80 % of each user's events and return the metrics on the rest.

    A segment is the likeliest 1 % of the users, at least one. `hit_at_k` is the number of its users
    with an event with the item in the newest 20 %, `recall_at_k` their share of all users with such
    an event, each the mean over the items with events; `coverage` is the share of users in any
    segment.

    Args:
        make: Returns a recommender that is not fitted.
        interactions: All data.
        seed: Seed of the choice among more than `MOST_SEGMENTS` items.
        attributes: True evaluates segments of the values of items' metadata, False of items.
        learn_from: Returns the mask of the events to learn from, as in `Recommender.fit`.
        progress: Called with a number from 0 to 1; an exception that it raises stops the work.

    Raises:
        ValueError: If no user has two events, or no item has a value to segment by.
    """
    newest = _newest_fifth(interactions.histories)
    train = interactions.of_events(~newest)
    # No user's events are all among the newest, so both have the same users.
    groups = _groups(interactions, attributes)
    actual = ((_event_matrix(interactions, newest) @ groups) > 0).tocsc()
    chosen = np.flatnonzero(np.diff(actual.indptr))
    if not len(chosen):
        raise ValueError("evaluation: no item has a value that another one has too; add metadata")
    chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:MOST_SEGMENTS])
    mask = learn_from(train) if learn_from else None
    model = make().fit(train, learn_from=mask, progress=sub_progress(progress, 0.0, 0.8))
    size = max(1, round(train.n_users / 100))
    if attributes:
        masks = [np.asarray(groups[:, group].toarray()).ravel() > 0 for group in chosen]
        segments = model.users_of_attributes(masks, size)
    else:
        segments = model.users_of(train.item_ids[chosen].tolist(), size)
    covered = np.zeros(train.n_users, dtype=np.bool_)
    hits = np.zeros(len(chosen))
    for number, user_ids in enumerate(_lists(segments)):
        users = np.searchsorted(train.user_ids, user_ids)
        column = slice(*actual.indptr[chosen[number] : chosen[number] + 2])
        hits[number] = np.isin(users, actual.indices[column]).sum()
        covered[users] = True
        progress(0.8 + 0.2 * (number + 1) / len(chosen))
    return {
        "coverage": float(covered.mean()),
        "hit_at_k": float(hits.mean()),
        "recall_at_k": float((hits / np.diff(actual.indptr)[chosen]).mean()),
    }


def _groups(interactions: Interactions, attributes: bool) -> sp.csc_matrix:
    """Return the groups of items to segment by: CSC (n_items, n_groups), ones.

    A group is one item, or with `attributes` the items with one value in their metadata.
    """
    if not attributes:
        return sp.identity(interactions.n_items, dtype=np.float32, format="csc")
    metadata = interactions.item_metadata or Metadata.of([])
    return Encoding.learn(metadata).encode(metadata, interactions.item_ids).tocsc()


def _lists(segments: Iterable[Segments]) -> Iterator[NDArray[np.str_]]:
    """Yield the user ids of each segment."""
    for block in segments:
        for users, count in zip(block.users, block.counts, strict=True):
            yield users[:count]


def _newest_fifth(histories: Histories) -> NDArray[np.bool_]:
    """Return the mask of each user's newest 20 % of events, at least one of two.

    Raises:
        ValueError: If no user has two events.
    """
    tested = np.maximum(1, histories.lengths // 5)
    tested[histories.lengths < 2] = 0
    newest: NDArray[np.bool_] = histories.ages < tested[histories.rows]
    if not newest.any():
        raise ValueError("evaluation: nobody has two events; the newest cannot be held out")
    return newest


def _event_matrix(interactions: Interactions, events: NDArray[np.bool_]) -> sp.csr_matrix:
    """Return the pairs of user and item of the events: CSR (n_users, n_items), ones."""
    shape = (interactions.n_users, interactions.n_items)
    indices = (interactions.users[events], interactions.items[events])
    matrix = sp.csr_matrix((np.ones(len(indices[0]), np.float32), indices), shape=shape)
    matrix.data[:] = 1.0
    return matrix
