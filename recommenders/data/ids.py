"""Ids outside, positions inside: sorted arrays of strings and where an id stands in them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.str_]
Positions: TypeAlias = NDArray[np.int32]


def positions(sorted_ids: Ids, ids: Ids) -> NDArray[np.int64]:
    """Return where each id stands in `sorted_ids`, which are unique, and -1 where it does not."""
    if not len(sorted_ids):
        return np.full(len(ids), -1)
    found = np.searchsorted(sorted_ids, ids).clip(max=len(sorted_ids) - 1)
    return np.where(sorted_ids[found] == ids, found, -1)
