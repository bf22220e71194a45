"""Statistics of the order of events: transitions from item to item, and rates of repeats."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.interactions import Interactions

WINDOW, DECAY = 5, 0.8
ROW_SMOOTHING, POPULARITY_DISCOUNT = 10.0, 0.3
AGE_CLASSES = 32


def transitions(interactions: Interactions) -> sp.csr_matrix:
    """Return the weight of transitions from each item (row) to each other one (column).

    CSR (n_items, n_items), `float32`. A step of `lag` events weighs 0.8^(lag - 1), up to 5. Rows
    are divided by their sum + 10, against chance; columns by (events + 1)^0.3, against mere
    popularity. Steps from an item to itself are left out: `repeat_rates` measures those. If events
    have weights, a step has the weight of its second event.
    """
    n = interactions.n_items
    counts = sp.csr_matrix((n, n), dtype=np.float64)
    for lag in range(1, WINDOW + 1):
        before, after = interactions.items[:-lag], interactions.items[lag:]
        steps = (interactions.users[:-lag] == interactions.users[lag:]) & (before != after)
        weights = np.full(np.count_nonzero(steps), DECAY ** (lag - 1))
        if interactions.weights is not None:
            weights *= interactions.weights[lag:][steps]
        counts = counts + sp.csr_matrix((weights, (before[steps], after[steps])), shape=(n, n))
    rows = 1.0 / (np.asarray(counts.sum(axis=1)).ravel() + ROW_SMOOTHING)
    columns = (interactions.popularity() + 1.0) ** -POPULARITY_DISCOUNT
    return (sp.diags(rows) @ counts @ sp.diags(columns)).tocsr().astype(np.float32)


def repeat_rate(interactions: Interactions) -> float:
    """Return the share of repeats among a user's events after the first, at least 0 and below 1.

    An event is a repeat if the user has an earlier one with the item. One added event that is not
    a repeat keeps the rate below 1, so that new items keep a probability.
    """
    repeats = interactions.n_events - interactions.matrix().nnz
    return float(repeats / (interactions.n_events - interactions.n_users + 1))


def repeat_rates(interactions: Interactions) -> NDArray[np.float64]:
    """Return the rate of repeats of an item whose last event is some events ago, by `age_class`.

    Shape (AGE_CLASSES,). Each event waits for the next one of the same user and item, or for the
    end of the history. The rate of an age is the number of repeats at that age over the number of
    events that waited so long (the hazard of survival analysis). Ages without events have rate 0.
    """
    users, items = interactions.users.astype(np.int64), interactions.items
    order = np.argsort(users * interactions.n_items + items, kind="stable")
    is_repeated = (np.diff(users[order]) == 0) & (np.diff(items[order]) == 0)
    waited = interactions.histories.ages.copy()
    waited[order[:-1][is_repeated]] = np.diff(order)[is_repeated]
    repeats = np.bincount(waited[order[:-1][is_repeated]], minlength=waited.max() + 1)[1:]
    waiting = np.cumsum(np.bincount(waited)[::-1])[::-1][1:]
    classes = age_class(np.arange(len(waiting)))
    rates: NDArray[np.float64] = np.bincount(classes, repeats, AGE_CLASSES) / (
        np.bincount(classes, waiting, AGE_CLASSES) + 1.0
    )
    return rates


def age_class(ages: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class of ages in events: 0 → 0, 1–2 → 1, 3–6 → 2, 7–14 → 3, and so on."""
    return np.asarray(np.log2(ages + 1.0), dtype=np.int64)
