"""Cold start: scores of users without events, by the events of users with the same metadata.

The score of an item is its share of all events times the geometric mean, over the user's features,
of `1 + c / (K share)`, where `c` is the number of the item's events of users with the feature: the
ratio of the smoothed `(c + K share) / (C + K)` to the share, without a factor that all items have
in common.
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
"""K: number of events with which the items' shares weigh against the events of a feature."""


@dataclass(frozen=True, eq=False)
class ColdStart:
    """The features of users, and how they change the scores of items.

    Attributes:
        encoding: The features of users.
        ids: Ids of the users with metadata, sorted.
        features: CSR (len(ids), n_features), ones.
        lifts: CSR (n_features, n_items), `log(1 + c / (K share))`.
    """

    encoding: Encoding
    ids: Ids
    features: sp.csr_matrix
    lifts: sp.csr_matrix

    @classmethod
    def learn(cls, interactions: Interactions, share: Scores) -> Self:
        """Return the model of the events of users with metadata.

        Args:
            interactions: The training data.
            share: Each item's share of all events, shape (n_items,).
        """
        metadata = interactions.user_metadata or Metadata.of([])
        encoding = Encoding.learn(metadata)
        events = encoding.encode(metadata, interactions.user_ids).T @ interactions.matrix()
        lifts = events.tocsr().astype(np.float64)
        lifts.data = np.log1p(lifts.data / (SMOOTHING * share[lifts.indices]))
        features = encoding.encode(metadata, metadata.ids)
        return cls(encoding, metadata.ids, features, lifts.astype(np.float32))

    def adjust(self, scores: Scores, users: Sequence[str], rows: NDArray[np.int64]) -> None:
        """Adjust the scores of the users at `rows`, in place, if their metadata are known."""
        users_at = positions(self.ids, np.asarray(users, dtype=np.str_)[rows])
        rows, users_at = rows[users_at >= 0], users_at[users_at >= 0]
        features = self.features[users_at]
        n_features = np.diff(features.indptr)
        rows, features = rows[n_features > 0], features[n_features > 0]
        if not len(rows):
            return
        mean = sp.diags(1.0 / n_features[n_features > 0]) @ features
        adjusted = scores[rows] * np.exp((mean @ self.lifts).toarray())
        scores[rows] = adjusted / adjusted.sum(axis=1, keepdims=True)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the model as arrays to save."""
        return {
            "stranger_ids": self.ids,
            "stranger_features": self.features.indices,
            "stranger_offsets": self.features.indptr,
            **matrix_arrays("lift", self.lifts),
            **self.encoding.arrays("user"),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], n_items: int) -> Self:
        """Return the model of the arrays that `arrays` returned."""
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
