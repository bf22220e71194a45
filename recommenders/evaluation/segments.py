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
from recommenders.progress import Progress, ignore, part
from recommenders.recommender import Recommender
from recommenders.results import Segments

MOST_SEGMENTS = 1_000
"""Items or values asked for; of more, the seed chooses."""


def evaluate_segments(
    make: Callable[[], Recommender],
    interactions: Interactions,
    *,
    seed: int,
    attributes: bool = False,
    learn_from: LearnFrom | None = None,
    progress: Progress = ignore,
) -> dict[str, float]:
    """Train on the oldest 80 % of each user's events and return how segments foretell the rest.

    A segment is the likeliest 1 % of the users, at least one. `hit_at_k` is how many of them meet
    the item in the newest 20 %, `recall_at_k` which share of those who do are in the segment, each
    the mean over the items that somebody meets; `coverage` is the share of users in any segment.

    Args:
        make: gives a recommender that is not fitted yet.
        interactions: everything.
        seed: chooses among more than `MOST_SEGMENTS` items.
        attributes: segments of the values of items' metadata, instead of items.
        learn_from: chooses the events to learn from, as in `Recommender.fit`.
        progress: called with a number from 0 to 1; what it raises passes through.

    Raises:
        ValueError: if nobody has two events, or no item has a value to segment by.
    """
    newest = _newest_fifth(interactions.histories)
    train = interactions.of_events(~newest)
    # Nobody's events are all among the newest, so both have the same users.
    met = _meetings(interactions, newest)
    groups = _groups(interactions, attributes)
    actual = ((met @ groups) > 0).tocsc()
    asked = np.flatnonzero(np.diff(actual.indptr))
    if not len(asked):
        raise ValueError("evaluation: no item has a value that another one has too; add metadata")
    asked = np.sort(np.random.default_rng(seed).permutation(asked)[:MOST_SEGMENTS])
    chosen = learn_from(train) if learn_from else None
    model = make().fit(train, learn_from=chosen, progress=part(progress, 0.0, 0.8))
    size = max(1, round(train.n_users / 100))
    if attributes:
        masks = [np.asarray(groups[:, one].toarray()).ravel() > 0 for one in asked]
        segments = model.users_of_attributes(masks, size)
    else:
        segments = model.users_of(train.item_ids[asked].tolist(), size)
    covered = np.zeros(train.n_users, dtype=np.bool_)
    hits = np.zeros(len(asked))
    for number, users in enumerate(_lists(segments)):
        found = np.searchsorted(train.user_ids, users)
        column = slice(*actual.indptr[asked[number] : asked[number] + 2])
        hits[number] = np.isin(found, actual.indices[column]).sum()
        covered[found] = True
        progress(0.8 + 0.2 * (number + 1) / len(asked))
    return {
        "coverage": float(covered.mean()),
        "hit_at_k": float(hits.mean()),
        "recall_at_k": float((hits / np.diff(actual.indptr)[asked]).mean()),
    }


def _groups(interactions: Interactions, attributes: bool) -> sp.csc_matrix:
    """Return what segments are asked for: CSC (n_items, n_groups), ones.

    Each item is a group of its own, or else each value of the items' metadata is one.
    """
    if not attributes:
        return sp.identity(interactions.n_items, dtype=np.float32, format="csc")
    metadata = interactions.item_metadata or Metadata.of([])
    return Encoding.learn(metadata).encode(metadata, interactions.item_ids).tocsc()


def _lists(segments: Iterable[Segments]) -> Iterator[NDArray[np.str_]]:
    """Yield the users of each segment."""
    for block in segments:
        for users, count in zip(block.users, block.counts, strict=True):
            yield users[:count]


def _newest_fifth(histories: Histories) -> NDArray[np.bool_]:
    """Return which events are the newest 20 % of their user's, at least one of two."""
    tested = np.maximum(1, histories.lengths // 5)
    tested[histories.lengths < 2] = 0
    newest: NDArray[np.bool_] = histories.ages < tested[histories.rows]
    if not newest.any():
        raise ValueError("evaluation: nobody has two events; the newest cannot be held out")
    return newest


def _meetings(interactions: Interactions, events: NDArray[np.bool_]) -> sp.csr_matrix:
    """Return who met what in the events: CSR (n_users, n_items), ones."""
    shape = (interactions.n_users, interactions.n_items)
    places = (interactions.users[events], interactions.items[events])
    met = sp.csr_matrix((np.ones(len(places[0]), np.float32), places), shape=shape)
    met.data[:] = 1.0
    return met
