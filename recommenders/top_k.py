"""The best entries of score blocks: exact, ties by position, without sorting whole rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommenders.data.ids import Positions
from recommenders.results import Scores


def best(scores: Scores, n: int) -> tuple[Positions, Scores]:
    """Return positions and values of the `n` largest scores of each row, largest first.

    Equal scores come in the order of their position. `n` above the row's length means all of it.
    """
    n = min(n, scores.shape[1])
    rows, columns = _leading(scores, _bound(scores, n))
    firsts = np.searchsorted(rows, np.arange(len(scores)))
    chosen = columns[firsts[:, None] + np.arange(n)].astype(np.int32)
    return chosen, np.take_along_axis(scores, chosen, axis=1)


def best_eligible(
    scores: Scores, eligible: NDArray[np.bool_], n: int
) -> tuple[Positions, Scores, NDArray[np.int64]]:
    """Return positions and values as `best` does, of eligible entries alone, and their counts.

    Rows with fewer than `n` eligible entries end in position -1 and score 0. `scores` is
    overwritten if it is writeable, which spares a second block.
    """
    if not scores.flags.writeable:
        scores = scores.copy()
    np.copyto(scores, -np.inf, where=~eligible)
    n = min(n, scores.shape[1])
    # A row with few eligible entries has the bound -inf, which all of its others would reach.
    bound = np.maximum(_bound(scores, n), np.finfo(np.float32).min)
    rows, columns = _leading(scores, bound)
    starts = np.searchsorted(rows, np.arange(len(scores) + 1))
    counts = np.minimum(np.diff(starts), n)
    filled = np.arange(n) < counts[:, None]
    chosen = np.full(filled.shape, -1, dtype=np.int32)
    chosen[filled] = columns[(starts[:-1, None] + np.arange(n))[filled]]
    values = np.where(filled, np.take_along_axis(scores, chosen, axis=1), np.float32(0.0))
    return chosen, values, counts


def _bound(scores: Scores, n: int) -> Scores:
    """Return a number per row, (n_rows, 1), that at least `n` of its entries reach.

    Columns are split into groups. The n-th largest of the groups' maxima is a bound that few
    others reach: one pass over the block, and no sort but of the maxima.
    """
    width = scores.shape[1]
    groups = min(width, max(20 * n, 512))
    whole = width - width % groups
    maxima = scores[:, :whole].reshape(len(scores), -1, groups).max(axis=1)
    rest = maxima[:, : width - whole]
    np.maximum(rest, scores[:, whole:], out=rest)
    nth = groups - n
    bound: Scores = np.partition(maxima, nth, axis=1)[:, nth, None]
    return bound


def _leading(scores: Scores, bound: Scores) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the entries that reach the bound, row by row, largest first."""
    rows, columns = np.divmod(np.flatnonzero(scores >= bound), scores.shape[1])
    order = np.lexsort((columns, -scores[rows, columns], rows))
    return rows, columns[order]
