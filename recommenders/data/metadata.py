"""Metadata of items and users, and their encoding as sparse features."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recommenders.data.ids import Ids, last_rows, positions
from recommenders.data.times import UNKNOWN_TIME

MOST_VALUES = 1_000
"""Most values of a field that become features, the most frequent; rare ones say too little."""

MOST_WORDS = 500
_WORD = re.compile(r"\w{2,}")
_QUANTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class Metadata:
    """Fields of items or users, one row an id.

    Attributes:
        ids: Ids, sorted and unique, shape (n,).
        categories: Field → strings or None, shape (n,); several values are joined by `|`.
        numbers: Field → `float64`, shape (n,), NaN if unknown.
        texts: Field → free text or None, shape (n,).
        created: `int64`, shape (n,), UTC epoch seconds, -1 if unknown.
    """

    ids: Ids
    categories: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    texts: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    created: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        *,
        categories: Mapping[str, Sequence[str | None]] | None = None,
        numbers: Mapping[str, Sequence[float | None]] | None = None,
        texts: Mapping[str, Sequence[str | None]] | None = None,
        created: Sequence[int | None] | None = None,
    ) -> Self:
        """Return the metadata of rows in any order; of several rows of one id the last counts."""
        unique, rows = last_rows(ids)
        times = [UNKNOWN_TIME if time is None else time for time in created or [None] * len(ids)]

        def objects(columns: Mapping[str, Sequence[str | None]] | None) -> dict[str, Any]:
            return {name: np.array(c, dtype=object)[rows] for name, c in (columns or {}).items()}

        return cls(
            ids=unique,
            categories=objects(categories),
            numbers={
                name: np.array([np.nan if v is None else v for v in column], np.float64)[rows]
                for name, column in (numbers or {}).items()
            },
            texts=objects(texts),
            created=np.array(times, dtype=np.int64)[rows],
        )

    def values(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield (row, (field, value)) for each category and each word of a row, each once."""
        for name, column in self.categories.items():
            for row, text in enumerate(column):
                for value in dict.fromkeys(str(text).split("|")) if text is not None else ():
                    yield row, (name, value)
        for name, column in self.texts.items():
            for row, text in enumerate(column):
                for word in dict.fromkeys(_WORD.findall((text or "").lower())):
                    yield row, (name, word)

    def times_of(self, ids: Ids) -> NDArray[np.int64]:
        """Return the creation time of each id, UTC epoch seconds, -1 if it is unknown."""
        rows = positions(self.ids, ids)
        return np.where(rows >= 0, np.append(self.created, UNKNOWN_TIME)[rows], UNKNOWN_TIME)


@dataclass(frozen=True, eq=False)
class Encoding:
    """The features of metadata: values of categories, words, and numbers above a threshold.

    Attributes:
        fields: Field of each feature, shape (n_features,).
        texts: Its value or word, shape (n_features,); empty for numbers.
        thresholds: Least number of a row that has the feature, shape (n_features,); NaN for
            other features.
    """

    fields: Ids
    texts: Ids
    thresholds: NDArray[np.float64]

    @classmethod
    def learn(cls, metadata: Metadata) -> Self:
        """Return the features of the rows: values that two rows share, quartiles of numbers."""
        counts: dict[str, Counter[str]] = {}
        for _, (name, value) in metadata.values():
            counts.setdefault(name, Counter())[value] += 1
        features: list[tuple[str, str, float]] = []
        for name, counter in counts.items():
            most = MOST_WORDS if name in metadata.texts else MOST_VALUES
            shared = [(-n, value) for value, n in counter.items() if 1 < n < len(metadata.ids)]
            features += [(name, value, np.nan) for _, value in sorted(shared)[:most]]
        for name, numbers in metadata.numbers.items():
            known = numbers[~np.isnan(numbers)]
            thresholds = np.unique(np.quantile(known, _QUANTILES)) if len(known) else ()
            features += [(name, "", float(at)) for at in thresholds if at > known.min()]
        fields, texts, levels = zip(*features, strict=True) if features else ((), (), ())
        return cls(
            np.array(fields, np.str_), np.array(texts, np.str_), np.array(levels, np.float64)
        )

    def __len__(self) -> int:
        return len(self.fields)

    def encode(self, metadata: Metadata, ids: Ids) -> sp.csr_matrix:
        """Return the features of each id: CSR (len(ids), n_features), `float32` ones.

        Values that are not features are left out; an id without metadata has an empty row.
        """
        column_of = {
            (str(name), str(text)): column
            for column, (name, text) in enumerate(zip(self.fields, self.texts, strict=True))
            if text
        }
        entries = [(row, column_of[key]) for row, key in metadata.values() if key in column_of]
        rows, columns = np.array(entries, dtype=np.int64).reshape(-1, 2).T
        blocks = [(rows, columns)]
        for column in np.flatnonzero(~np.isnan(self.thresholds)):
            numbers = metadata.numbers.get(str(self.fields[column]), np.empty(0))
            above = np.flatnonzero(numbers >= self.thresholds[column])
            blocks.append((above, np.full(len(above), column)))
        rows, columns = (np.concatenate(block) for block in zip(*blocks, strict=True))
        shape = (len(metadata.ids) + 1, len(self))
        features = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
        return features[positions(metadata.ids, ids)]

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the encoding as arrays to save."""
        return {
            f"{prefix}_fields": self.fields,
            f"{prefix}_texts": self.texts,
            f"{prefix}_thresholds": self.thresholds,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Return the encoding of the arrays that `arrays` returned."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in ("fields", "texts", "thresholds")))
