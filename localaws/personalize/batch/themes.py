"""Themes of sets of similar items: the words that set them apart from the other items.

AWS lets a language model write them: https://docs.aws.amazon.com/personalize/latest/dg/themed-batch-recommendations.html
Here a theme is the up to three words that weigh most in the set by inverse document frequency, from
names (which count double), descriptions and categories; an item's relevance is the cosine of its
words to the theme's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table

MOST_ITEMS = 100
"""Lines of one input file; the module names the source."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_WORDS_OF_A_THEME = 3
_WEIGHT_IN_A_NAME = 2.0
_STOP_WORDS = frozenset(
    _WORD.findall(
        "an and are as at be but by for from has have he her his how in into is it its no not of on"
        " one or our out she than that the their them they this to two up was we were what when"
        " which who will with you your"
    )
)


def theme_faults(name: str, schema: Schema | None) -> Iterator[str]:
    """Yield why items with this schema, and their names in this column, have no themes."""
    if schema is None:
        yield "themes need an Items dataset"
        return
    if not any(field.textual for field in schema.fields):
        yield "themes need an Items dataset with a textual field, e.g. DESCRIPTION"
    field = schema.by_name.get(name)
    if field is None or field.type != "string":
        listed = ", ".join(field.name for field in schema.fields if field.type == "string")
        yield f"itemName: {name} is no string column of Items; these are {listed}"


class Themes:
    """Finds themes of items, whose names are in the column `name`."""

    def __init__(self, items: Table, schema: Schema, name: str) -> None:
        columns = [
            (items.column(field.name), _WEIGHT_IN_A_NAME if field.name == name else 1.0)
            for field in schema.fields
            if field.name == name or field.textual or field.categorical
        ]
        self._rows = {item: row for row, item in enumerate(items.column("ITEM_ID"))}
        numbers: dict[str, int] = {}
        rows: list[int] = []
        words: list[int] = []
        weights: list[float] = []
        for row in range(items.n_rows):
            weight_of: dict[str, float] = {}
            for texts, weight in columns:
                for word in set(_WORD.findall((texts[row] or "").lower())) - _STOP_WORDS:
                    weight_of[word] = max(weight, weight_of.get(word, 0.0))
            rows += [row] * len(weight_of)
            words += [numbers.setdefault(word, len(numbers)) for word in sorted(weight_of)]
            weights += [weight_of[word] for word in sorted(weight_of)]
        self._words = list(numbers)
        matrix = sp.csr_matrix((weights, (rows, words)), shape=(items.n_rows, len(numbers)))
        frequency = np.bincount(words, minlength=len(numbers))
        weighted = matrix @ sp.diags(np.log((items.n_rows + 1) / (frequency + 1)))
        length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        self._weights = (sp.diags(1.0 / np.where(length > 0, length, 1.0)) @ weighted).tocsr()

    def of(self, items: Sequence[str]) -> tuple[str, list[str], list[float]]:
        """Return the theme of a set of items, the items by relevance, and their relevance.

        Args:
            items: Ids; those that are not in Items have no relevance.
        """
        rows = [self._rows[item] for item in items if item in self._rows]
        weights = np.asarray(self._weights[rows].sum(axis=0)).ravel()
        n_items = Counter(self._weights[rows].indices.tolist())
        # A word of one item alone is no theme, unless there is none of several.
        order = sorted(n_items, key=lambda word: (n_items[word] < 2, -weights[word], word))
        words = order[:_WORDS_OF_A_THEME]
        theme = np.zeros(len(weights))
        theme[words] = weights[words]
        theme /= np.linalg.norm(theme) or 1.0
        relevance_of = dict(zip(rows, (self._weights[rows] @ theme).tolist(), strict=True))
        relevance = [relevance_of.get(self._rows.get(item, -1), 0.0) for item in items]
        order = sorted(range(len(items)), key=lambda position: -relevance[position])
        text = ", ".join(self._words[word] for word in words).capitalize()
        return text, [items[n] for n in order], [relevance[n] for n in order]
