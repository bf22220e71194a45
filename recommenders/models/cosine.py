"""Related items: how many users two items share, against how many each has, and common metadata.

With `c` common users and `p` users of each item, item `j` is related to item `i` by
`c / (p_i^(1 - d) p_j^d)`. A discount `d` of 0.5 is the cosine; 0 prefers popular items, 1 gives the
share of j's users who met i. Metadata, where asked for, are compared by the cosine of their
inverse-document-frequency weights, and count the more the fewer users an item has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.ids import ids_at
from recommenders.data.interactions import Histories, Interactions
from recommenders.data.metadata import Encoding, Metadata
from recommenders.progress import Progress
from recommenders.recommender import Eligible, Recommender
from recommenders.results import Related, Scores
from recommenders.storage import matrix_arrays, matrix_from_arrays
from recommenders.top_k import best_eligible

METADATA_USERS = 20.0
"""An item with as many users weighs its common users and its metadata equally."""

_ITEMS_PER_BLOCK = 1_000


class Cosine(Recommender):
    """Relate items by common users; the model behind sims and similar-items.

    Args:
        neighbours: related items kept for each item.
        popularity_discount: `d`, in [0, 1].
        min_common_users: fewer common users relate nothing.
        metadata: whether items are compared by their metadata, too.

    Raises:
        ValueError: if a parameter is out of its range.
    """

    kind: ClassVar[str] = "cosine"

    def __init__(
        self,
        *,
        neighbours: int = 200,
        popularity_discount: float = 0.5,
        min_common_users: int = 1,
        metadata: bool = False,
    ) -> None:
        if neighbours < 1 or min_common_users < 0:
            raise ValueError(
                f"cosine: neighbours={neighbours}, min_common_users={min_common_users}; they must "
                "be at least 1 and 0"
            )
        if not 0.0 <= popularity_discount <= 1.0:
            raise ValueError(
                f"cosine: popularity_discount={popularity_discount}; it must be in [0, 1]"
            )
        self.neighbours = neighbours
        self.popularity_discount = popularity_discount
        self.min_common_users = min_common_users
        self.metadata = metadata

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        self._share = interactions.shares()
        self._relate(interactions, progress)
        known = interactions.item_metadata if self.metadata else None
        metadata = known or Metadata.of([])
        encoding = Encoding.learn(metadata)
        self._features = _weighted(encoding.encode(metadata, interactions.item_ids))

    def _relate(self, interactions: Interactions, progress: Progress) -> None:
        """Learn `_near`, CSR (n_items, n_items), and `_users`, how many users each item has."""
        met = interactions.matrix()
        met.data[:] = 1.0
        users_of = met.T.tocsr()
        self._users = np.diff(users_of.indptr)
        discount = self.popularity_discount
        known = np.maximum(self._users, 1).astype(np.float64)
        by_row, by_column = known ** (discount - 1.0), known**-discount
        blocks = []
        for start in range(0, interactions.n_items, _ITEMS_PER_BLOCK):
            common = (users_of[start : start + _ITEMS_PER_BLOCK] @ met).tocoo()
            keep = common.row + start != common.col
            keep &= common.data >= max(self.min_common_users, 1)
            rows, columns = common.row[keep], common.col[keep]
            near = common.data[keep] * by_row[rows + start] * by_column[columns]
            blocks.append(_nearest(rows, columns, near, common.shape, self.neighbours))
            progress(min((start + _ITEMS_PER_BLOCK) / interactions.n_items, 1.0) * 0.95)
        self._near = sp.vstack(blocks, format="csr").astype(np.float32)

    def similar(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Related]:
        """Yield the `n` items most related to each item; see `Recommender.similar`."""
        self._check(n=n, block_size=block_size)
        for start in range(0, len(items), block_size):
            asked = tuple(items[start : start + block_size])
            found = self.positions(asked)
            scores = self._related(found)
            # Items without relation come behind, the most popular first: as numbers below 0.
            behind = -1.0 / (1.0 + self._share * 2.0**20)
            scores = np.where(scores > 0.0, scores, behind).astype(np.float32)
            may = np.ones(scores.shape, dtype=np.bool_)
            if eligible:
                may = eligible(start, start + len(asked)).copy()
            known = np.flatnonzero(found >= 0)
            may[known, found[known]] = False
            places, values, counts = best_eligible(scores, may, n)
            ids = ids_at(self.item_ids, places)
            yield Related(asked, ids, np.maximum(values, np.float32(0.0)), counts)

    def _related(self, items: NDArray[np.int64]) -> Scores:
        """Return how related every item is to each of `items` (-1: unknown), dense."""
        known = items >= 0
        rows = np.where(known, items, 0)
        by_users: Scores = self._near[rows].toarray()
        if self._features.nnz:
            by_metadata = (self._features[rows] @ self._features.T).toarray()
            trust = self._users[rows] / (self._users[rows] + METADATA_USERS)
            by_users = trust[:, None] * by_users + (1.0 - trust)[:, None] * by_metadata
        by_users[~known] = 0.0
        return by_users.astype(np.float32)

    def scores(self, histories: Histories) -> Scores:
        """Return the relation of each new item to the whole history, rows scaled to sum 1."""
        n_items = len(self._share)
        met = histories.matrix(n_items)
        met.data[:] = 1.0
        scores: Scores = (met @ self._near).toarray()
        scores[met.nonzero()] = 0.0
        total = scores.sum(axis=1, keepdims=True)
        return np.where(total > 0.0, scores / np.where(total > 0.0, total, 1.0), self._share)

    def _learned(self) -> Mapping[str, NDArray[Any]]:
        return {
            "share": self._share,
            "users": self._users,
            **matrix_arrays("near", self._near),
            **matrix_arrays("features", self._features),
        }

    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        self._share, self._users = learned["share"], learned["users"]
        n_items = len(self._share)
        self._near = matrix_from_arrays("near", learned, (n_items, n_items))
        n_features = int(learned["features_items"].max(initial=-1)) + 1
        self._features = matrix_from_arrays("features", learned, (n_items, n_features))


def _nearest(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    near: NDArray[np.float64],
    shape: tuple[int, int],
    n: int,
) -> sp.csr_matrix:
    """Return the `n` largest entries of each row, ties by column."""
    order = np.lexsort((columns, -near, rows))
    rows, columns, near = rows[order], columns[order], near[order]
    firsts = np.searchsorted(rows, np.arange(shape[0]))
    keep = np.arange(len(rows)) - firsts[rows] < n
    return sp.csr_matrix((near[keep], (rows[keep], columns[keep])), shape=shape)


def _weighted(features: sp.csr_matrix) -> sp.csr_matrix:
    """Return features, CSR of ones, by inverse document frequency, in rows of length 1."""
    n_items, n_features = features.shape
    frequency = np.bincount(features.indices, minlength=n_features)
    weighted = features @ sp.diags(np.log((n_items + 1.0) / (frequency + 1.0)))
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros(len(length)), where=length > 0)
    return (sp.diags(scale) @ weighted).tocsr().astype(np.float32)
