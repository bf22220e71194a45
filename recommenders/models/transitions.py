"""What the order of events says: which item leads to which, and when an item is met again."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.interactions import Interactions

WINDOW, DECAY = 5, 0.8
ROW_SMOOTHING, POPULARITY_DISCOUNT = 10.0, 0.3
AGE_CLASSES = 32


def transitions(interactions: Interactions) -> sp.csr_matrix:
    """Return how strongly an item (row) leads to another (column) a few events later.

    CSR (n_items, n_items), float32. A step of `lag` events weighs 0.8^(lag - 1), up to 5. Rows are
    divided by their sum + 10, against chance; columns by (events + 1)^0.3, against mere popularity.
    Steps from an item to itself are left out: `repeat_rates` measures those. Where events have
    weights, a step has that of the event to which it leads.
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
    """Return how many of the events that could be a repeat are one, at least 0 and below 1.

    A user's first event cannot; any later one is a repeat if the user met the item before. One
    imagined event that is none keeps the rate below 1, so that something new can always come.
    """
    repeats = interactions.n_events - interactions.matrix().nnz
    return float(repeats / (interactions.n_events - interactions.n_users + 1))


def repeat_rates(interactions: Interactions) -> NDArray[np.float64]:
    """Return the chance that the next event is an item last met some events ago, by `age_class`.

    Shape (AGE_CLASSES,). For each meeting, the item waits until it is met again or the history
    ends; the rate of an age is the items met again at that age over the items that waited so long
    (the hazard of survival analysis). Ages that nobody reached have rate 0.
    """
    users, items = interactions.users.astype(np.int64), interactions.items
    meeting = np.argsort(users * interactions.n_items + items, kind="stable")
    again = (np.diff(users[meeting]) == 0) & (np.diff(items[meeting]) == 0)
    waited = interactions.histories.ages.copy()
    waited[meeting[:-1][again]] = np.diff(meeting)[again]
    met_again = np.bincount(waited[meeting[:-1][again]], minlength=waited.max() + 1)[1:]
    waiting = np.cumsum(np.bincount(waited)[::-1])[::-1][1:]
    classes = age_class(np.arange(len(waiting)))
    rates: NDArray[np.float64] = np.bincount(classes, met_again, AGE_CLASSES) / (
        np.bincount(classes, waiting, AGE_CLASSES) + 1.0
    )
    return rates


def age_class(ages: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class of ages in events: 0 → 0, 1–2 → 1, 3–6 → 2, 7–14 → 3, and so on."""
    return np.asarray(np.log2(ages + 1.0), dtype=np.int64)
