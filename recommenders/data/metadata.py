"""What is known of items and users besides events, and its encoding as sparse features."""

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
"""Most frequent values of a field that become features; rarer ones carry no statistics."""

MOST_WORDS = 500
_WORD = re.compile(r"\w{2,}")
_QUANTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class Metadata:
    """Fields of items or users, one row an id.

    Attributes:
        ids: sorted and unique, shape (n,).
        categories: by field, strings or None, shape (n,); several values are joined by `|`.
        numbers: by field, float64, shape (n,); NaN where unknown.
        texts: by field, free text or None, shape (n,).
        created: int64, shape (n,), UTC epoch seconds; -1 where unknown.
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
        """Yield (row, (field, value)) of every category and, once a row, every word."""
        for name, column in self.categories.items():
            for row, text in enumerate(column):
                for value in dict.fromkeys(str(text).split("|")) if text is not None else ():
                    yield row, (name, value)
        for name, column in self.texts.items():
            for row, text in enumerate(column):
                for word in dict.fromkeys(_WORD.findall((text or "").lower())):
                    yield row, (name, word)

    def times_of(self, ids: Ids) -> NDArray[np.int64]:
        """Return the creation time of each id, -1 where it is unknown."""
        rows = positions(self.ids, ids)
        return np.where(rows >= 0, np.append(self.created, UNKNOWN_TIME)[rows], UNKNOWN_TIME)


@dataclass(frozen=True, eq=False)
class Encoding:
    """Which features metadata have: values of categories, words, and numbers above a threshold.

    Attributes:
        fields: the field of each feature, shape (n_features,).
        texts: its value or word; empty for numbers.
        thresholds: a row has the feature if its number is at least this; NaN for other features.
    """

    fields: Ids
    texts: Ids
    thresholds: NDArray[np.float64]

    @classmethod
    def learn(cls, metadata: Metadata) -> Self:
        """Return the features of rows: values that two rows share, quartiles of numbers."""
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
        """Return which features each id has: CSR (len(ids), n_features), float32 ones.

        What is not a feature is left out; an id without metadata has an empty row.
        """
        known = {
            (str(name), str(text)): number
            for number, (name, text) in enumerate(zip(self.fields, self.texts, strict=True))
            if text
        }
        found = [(row, known[key]) for row, key in metadata.values() if key in known]
        rows, columns = np.array(found, dtype=np.int64).reshape(-1, 2).T
        parts = [(rows, columns)]
        for number in np.flatnonzero(~np.isnan(self.thresholds)):
            numbers = metadata.numbers.get(str(self.fields[number]), np.empty(0))
            above = np.flatnonzero(numbers >= self.thresholds[number])
            parts.append((above, np.full(len(above), number)))
        rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
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
        """Return the encoding that `arrays` gave."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in ("fields", "texts", "thresholds")))
