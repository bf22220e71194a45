"""Users without events: popular items, shifted by what users with the same metadata meet.

The score of an item is its share of all events times the geometric mean, over the user's features,
of `1 + c / (K share)`, where `c` are the item's events of users with the feature: the ratio of the
smoothed `(c + K share) / (C + K)` to the share, but for a factor that all items have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.ids import Ids, positions
from recommenders.data.interactions import Interactions
from recommenders.data.metadata import Encoding, Metadata
from recommenders.results import Scores
from recommenders.storage import matrix_arrays, matrix_from_arrays

SMOOTHING = 50.0
"""K: events that all items' shares count for beside those of one feature."""


@dataclass(frozen=True, eq=False)
class Strangers:
    """What is known of users by their metadata.

    Attributes:
        encoding: the features of users.
        ids: the users with metadata, sorted.
        features: CSR (len(ids), n_features), ones.
        lifts: CSR (n_features, n_items), `log(1 + c / (K share))`.
    """

    encoding: Encoding
    ids: Ids
    features: sp.csr_matrix
    lifts: sp.csr_matrix

    @classmethod
    def learn(cls, interactions: Interactions, share: Scores) -> Self:
        """Return what the events of users with metadata say."""
        metadata = interactions.user_metadata or Metadata.of([])
        encoding = Encoding.learn(metadata)
        met = encoding.encode(metadata, interactions.user_ids).T @ interactions.matrix()
        lifts = met.tocsr().astype(np.float64)
        lifts.data = np.log1p(lifts.data / (SMOOTHING * share[lifts.indices]))
        features = encoding.encode(metadata, metadata.ids)
        return cls(encoding, metadata.ids, features, lifts.astype(np.float32))

    def shift(self, scores: Scores, users: Sequence[str], rows: NDArray[np.int64]) -> None:
        """Shift the scores of the users at `rows`, in place, as far as their metadata are known."""
        found = positions(self.ids, np.asarray(users, dtype=np.str_)[rows])
        rows, found = rows[found >= 0], found[found >= 0]
        features = self.features[found]
        n_features = np.diff(features.indptr)
        rows, features = rows[n_features > 0], features[n_features > 0]
        if not len(rows):
            return
        mean = sp.diags(1.0 / n_features[n_features > 0]) @ features
        shifted = scores[rows] * np.exp((mean @ self.lifts).toarray())
        scores[rows] = shifted / shifted.sum(axis=1, keepdims=True)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `restore` takes."""
        return {
            "stranger_ids": self.ids,
            "stranger_features": self.features.indices,
            "stranger_offsets": self.features.indptr,
            **matrix_arrays("lift", self.lifts),
            **self.encoding.arrays("user"),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], n_items: int) -> Self:
        """Return what `arrays` gave."""
        encoding = Encoding.restore(arrays, "user")
        columns = arrays["stranger_features"]
        ones = np.ones(len(columns), np.float32)
        return cls(
            encoding,
            arrays["stranger_ids"],
            sp.csr_matrix(
                (ones, columns, arrays["stranger_offsets"]),
                shape=(len(arrays["stranger_ids"]), len(encoding)),
            ),
            matrix_from_arrays("lift", arrays, (len(encoding), n_items)),
        )
