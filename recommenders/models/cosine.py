"""Related items: similarity by common users and, as an option, by metadata.

With `c` common users and `p` users of each item, the similarity of item `j` to item `i` is
`c / (p_i^(1 - d) p_j^d)`. A discount `d` of 0.5 is the cosine; 0 prefers popular items, 1 gives the
share of j's users who have i. Metadata are compared by the cosine of their
inverse-document-frequency weights, and count the more the fewer users an item has; they alone count
where common users do not.
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
"""Number of users of an item at which its common users and its metadata weigh the same."""

_ITEMS_PER_BLOCK = 1_000


class Cosine(Recommender):
    """A model that relates items by common users or metadata: sims, similar-items, semantics.

    Args:
        neighbours: Related items stored for each item.
        popularity_discount: `d`, in [0, 1].
        min_common_users: Least number of common users of related items.
        metadata: True if items are compared by their metadata, too.
        common_users: False if items are compared by their metadata alone.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    model_type: ClassVar[str] = "cosine"

    def __init__(
        self,
        *,
        neighbours: int = 200,
        popularity_discount: float = 0.5,
        min_common_users: int = 1,
        metadata: bool = False,
        common_users: bool = True,
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
        self.common_users = common_users

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        self._share = interactions.shares()
        self._relate(interactions, progress)
        metadata = (interactions.item_metadata if self.metadata else None) or Metadata.of([])
        encoding = Encoding.learn(metadata)
        self._features = _weight(encoding.encode(metadata, interactions.item_ids))

    def _relate(self, interactions: Interactions, progress: Progress) -> None:
        """Learn `_similarity`, CSR (n_items, n_items), and `_users`, each item's users."""
        matrix = interactions.matrix()
        matrix.data[:] = 1.0
        by_item = matrix.T.tocsr()
        self._users = np.diff(by_item.indptr)
        discount = self.popularity_discount
        counts = np.maximum(self._users, 1).astype(np.float64)
        row_factor, column_factor = counts ** (discount - 1.0), counts**-discount
        blocks = []
        for start in range(0, interactions.n_items, _ITEMS_PER_BLOCK):
            common = (by_item[start : start + _ITEMS_PER_BLOCK] @ matrix).tocoo()
            keep = common.row + start != common.col
            keep &= common.data >= max(self.min_common_users, 1)
            rows, columns = common.row[keep], common.col[keep]
            similarity = common.data[keep] * row_factor[rows + start] * column_factor[columns]
            blocks.append(_nearest(rows, columns, similarity, common.shape, self.neighbours))
            progress(min((start + _ITEMS_PER_BLOCK) / interactions.n_items, 1.0) * 0.95)
        self._similarity = sp.vstack(blocks, format="csr").astype(np.float32)

    def similar(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        boosts: NDArray[np.float32] | None = None,
        block_size: int = 256,
    ) -> Iterator[Related]:
        """Yield the `n` items most related to each item; see `Recommender.similar`."""
        self._check(n=n, block_size=block_size)
        for start in range(0, len(items), block_size):
            sources = self.positions(items[start : start + block_size])
            scores = self._similarities(sources)
            if boosts is not None:
                # In units of what the related items of a row differ by.
                spread = np.std(scores, axis=1, keepdims=True, where=scores > 0.0)
                boosted = scores + np.nan_to_num(spread) * (boosts - boosts.min())
                scores = np.where(scores > 0.0, boosted, scores)
            # Unrelated items come last, the most popular first: their scores are below 0.
            unrelated = -1.0 / (1.0 + self._share * 2.0**20)
            scores = np.where(scores > 0.0, scores, unrelated).astype(np.float32)
            mask = np.ones(scores.shape, dtype=np.bool_)
            if eligible:
                mask = eligible(start, start + len(sources)).copy()
            known = np.flatnonzero(sources >= 0)
            mask[known, sources[known]] = False
            related, values, counts = best_eligible(scores, mask, n)
            ids = ids_at(self.item_ids, related)
            yield Related(ids, np.maximum(values, np.float32(0.0)), counts)

    def _similarities(self, items: NDArray[np.int64]) -> Scores:
        """Return the similarity of every item to each of `items` (-1: unknown), dense."""
        known = items >= 0
        rows = np.where(known, items, 0)
        by_users: Scores = self._similarity[rows].toarray()
        if self._features.nnz:
            by_metadata = (self._features[rows] @ self._features.T).toarray()
            users = self._users[rows] if self.common_users else np.zeros(len(rows))
            trust = users / (users + METADATA_USERS)
            by_users = trust[:, None] * by_users + (1.0 - trust)[:, None] * by_metadata
        by_users[~known] = 0.0
        return by_users.astype(np.float32)

    def scores(self, histories: Histories) -> Scores:
        """Return the similarity of each new item to the whole history, rows scaled to sum 1."""
        matrix = histories.matrix(len(self._share))
        matrix.data[:] = 1.0
        scores: Scores = (matrix @ self._similarity).toarray()
        scores[matrix.nonzero()] = 0.0
        total = scores.sum(axis=1, keepdims=True)
        return np.where(total > 0.0, scores / np.where(total > 0.0, total, 1.0), self._share)

    def _arrays(self) -> Mapping[str, NDArray[Any]]:
        return {
            "share": self._share,
            "users": self._users,
            **matrix_arrays("near", self._similarity),
            **matrix_arrays("features", self._features),
        }

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._share, self._users = arrays["share"], arrays["users"]
        n_items = len(self._share)
        self._similarity = matrix_from_arrays("near", arrays, (n_items, n_items))
        n_features = int(arrays["features_items"].max(initial=-1)) + 1
        self._features = matrix_from_arrays("features", arrays, (n_items, n_features))


def _nearest(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    values: NDArray[np.float64],
    shape: tuple[int, int],
    n: int,
) -> sp.csr_matrix:
    """Return the matrix of the `n` largest entries of each row, ties by column."""
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    firsts = np.searchsorted(rows, np.arange(shape[0]))
    keep = np.arange(len(rows)) - firsts[rows] < n
    return sp.csr_matrix((values[keep], (rows[keep], columns[keep])), shape=shape)


def _weight(features: sp.csr_matrix) -> sp.csr_matrix:
    """Return features, a CSR of ones, weighted by inverse document frequency, rows of norm 1."""
    n_items, n_features = features.shape
    frequency = np.bincount(features.indices, minlength=n_features)
    weighted = features @ sp.diags(np.log((n_items + 1.0) / (frequency + 1.0)))
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros(len(length)), where=length > 0)
    return (sp.diags(scale) @ weighted).tocsr().astype(np.float32)
