"""Ids and positions: sorted arrays of strings, and the positions of ids in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.str_]
Positions: TypeAlias = NDArray[np.int32]


def positions(sorted_ids: Ids, ids: Sequence[str] | Ids) -> NDArray[np.int64]:
    """Return the position of each id in `sorted_ids`, which are unique; -1 if it is not there."""
    keys = np.asarray(ids, dtype=np.str_)
    if not len(sorted_ids):
        return np.full(len(keys), -1)
    nearest = np.searchsorted(sorted_ids, keys).clip(max=len(sorted_ids) - 1)
    return np.where(sorted_ids[nearest] == keys, nearest, -1)


def ids_at(ids: Ids, positions: NDArray[np.integer]) -> Ids:
    """Return the ids at the positions, empty for the position -1."""
    return np.where(positions >= 0, ids[positions], "")


def last_rows(ids: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
    """Return the unique ids, sorted, and the last row of each."""
    # The first row of an id in the reversed order is its last.
    unique, reversed_rows = np.unique(np.asarray(ids, dtype=np.str_)[::-1], return_index=True)
    return unique, len(ids) - 1 - reversed_rows
