"""A table's columns → what Personalize can learn from, and why the others are left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from etl.datasets import ColumnType
from retrain.project import sql
from retrain.project.database.schema import ColumnFacts, Kind, TableFacts
from retrain.project.personal import personal
from retrain.project.words import (
    ITEMS,
    LABELS,
    STAFF,
    TECHNICAL,
    TEXTS,
    TITLE_WORDS,
    TITLES,
    base_of_reference,
    has,
    title_of,
    words,
)

FEW = 30  # so many values are categories, also of a short table
_FEW_SHARE = 0.05  # of a table's rows: so many, too
_MANY = 1_000
_LONG = 50  # characters: longer values are texts
_LARGE = 2**24  # a float of 32 bits holds whole numbers up to this

_HASH = re.compile(r"[0-9a-f]{32,}|\$\w+\$.{20,}|[A-Za-z0-9+/_-]{40,}={0,2}")
_URL = re.compile(r"(https?:)?//\S+|/\S+\.\w{2,4}|\S+\.(jpe?g|png|gif|webp|svg|mp[34]|pdf)")
_SEPARATORS = (",", ";")
_JSON_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Feature:
    """A column from which Personalize can learn.

    Attributes:
        name: What it is called; a proposal for the column's name.
        source: The Spark SQL expression.
        type: Personalize's type.
        categorical: Whether its values are categories.
        is_title: Whether it is the name of the thing, a text.
        length: Mean length of a text in characters; 0 for what is no text.
    """

    name: str
    source: str
    type: ColumnType = "string"
    categorical: bool = False
    is_title: bool = False
    length: float = 0.0

    @property
    def is_text(self) -> bool:
        """Whether it is natural language."""
        return self.length > 0


@dataclass(frozen=True)
class LeftOut:
    """A column that is left out, `alias.column`, and why."""

    column: str
    reason: str


def features(
    alias: str,
    table: TableFacts,
    *,
    is_person: bool,
    rows: int,
    used: Collection[str],
    is_lookup: bool = False,
    codes: Collection[str] = (),
) -> Iterator[Feature | LeftOut]:
    """Yield each column as a feature, or with the reason why it is none; keys not at all.

    Args:
        alias: The table's name in expressions.
        table: The table.
        is_person: Whether a row is a person, so that names are personal.
        rows: Rows of the data set; few values of many rows are categories.
        used: Columns that are used otherwise, as ids, times or filters.
        is_lookup: Whether many rows of the data set have the same row of the table, so that what is
            unique there is a category.
        codes: Keys that are read all the same.
    """
    titles = _titles(table)
    unique = _synonyms(table) if is_lookup else table.unique
    for column in table.columns:
        is_key = column.name in table.key or table.reference(column.name) is not None
        if (is_key and column.name not in codes) or column.name in used:
            continue
        expression = sql.column(alias, column.name)
        if what := personal(column, is_person=is_person):
            yield LeftOut(f"{alias}.{column.name}", f"personal: {what}")
        elif column.kind == "json":
            yield from _json_features(expression, alias, column, is_person=is_person, rows=rows)
        else:
            is_unique = column.name in unique
            is_title = column.name in titles
            found = _feature(expression, column, rows=rows, is_unique=is_unique, is_title=is_title)
            yield LeftOut(f"{alias}.{column.name}", found) if isinstance(found, str) else found


def _titles(table: TableFacts) -> list[str]:
    """Return the columns that name a row itself; the name of its author is not one.

    `title` and `original_title`; else `track` of `tracks`, `product_name` of a catalogue.
    """
    texts = [
        column
        for column in table.columns
        if column.kind == "text" and column.counts and not has(column.name, STAFF)
    ]
    for is_one in (_is_title, _is_named_like, _is_title_of_item):
        if found := [column.name for column in texts if is_one(column.name, table)]:
            return sorted(found, key=lambda name: len(words(name)))
    return []


def _is_title(name: str, table: TableFacts) -> bool:
    rest = title_of(name)
    return rest is not None and set(words(rest)) <= TITLES | TITLE_WORDS | {*table.name_words}


def _is_named_like(name: str, table: TableFacts) -> bool:
    return words(name) == table.name_words[-1:]


def _is_title_of_item(name: str, _: TableFacts) -> bool:
    rest = title_of(name)
    return bool(rest) and has(words(rest or "")[-1], ITEMS)


def _synonyms(table: TableFacts) -> set[str]:
    """Return the unique columns but the one by which people know a row: another says no more."""
    texts = [c.name for c in table.columns if c.name in table.unique and c.kind in ("text", "enum")]
    named = sorted(texts, key=lambda name: (not has(name, TITLES), not has(name, LABELS)))
    return set(table.unique) - set(named[:1])


def _feature(
    expression: str, column: ColumnFacts, *, rows: int, is_unique: bool, is_title: bool
) -> Feature | str:
    """Return the feature that a column is, or the reason why it is none."""
    if why_not := _why_not(column, rows, is_unique=is_unique, is_title=is_title):
        return why_not
    if column.kind == "boolean":
        return Feature(column.name, expression, "boolean")
    if base_of_reference(column.name) and column.kind == "integer":
        is_few = is_category(column, rows)
        return Feature(column.name, expression, categorical=True) if is_few else "an id"
    if column.kind in ("integer", "decimal", "float"):
        return Feature(column.name, expression, number_type(column))
    if column.kind == "array":
        return _array_feature(expression, column)
    return _text_feature(expression, column, rows=rows, is_title=is_title)


def _why_not(column: ColumnFacts, rows: int, *, is_unique: bool, is_title: bool) -> str | None:
    """Return why nothing can be learned from a column; None if it can."""
    if column.kind in ("binary", "other", "uuid"):
        return f"{column.type}: nothing to learn from"
    if not column.present:
        return "empty in the rows that were looked at"
    if len(column.counts) == 1 and column.nulls == 0:
        return "the same in all rows that were looked at"
    if column.kind in ("date", "time"):
        return "a time"
    if has(column.name, STAFF) or (is_unique and not is_title):
        return "technical"
    is_telling = (
        is_title
        or column.kind in ("boolean", "enum")
        or (column.kind == "text" and is_category(column, rows))
    )
    return "technical" if has(column.name, TECHNICAL) and not is_telling else None


def number_type(column: ColumnFacts) -> ColumnType:
    """Return Personalize's type for a number."""
    if column.kind == "integer":
        is_wide = "big" in column.type or column.type == "oid" or column.type.startswith("int unsi")
        is_wide = is_wide or bool(re.match(r"int\(\d+\) unsigned", column.type))
        return "long" if is_wide else "int"
    largest = max((abs(float(value)) for value in column.present), default=0.0)
    return "double" if largest >= _LARGE else "float"


def _text_feature(
    expression: str, column: ColumnFacts, *, rows: int, is_title: bool
) -> Feature | str:
    name = column.name
    if column.share_of(_HASH) > 0.8 or column.share_of(_URL) > 0.8:
        return "technical"
    is_few = is_category(column, rows)
    if column.kind == "enum" or (is_few and not has(name, TEXTS)):
        if several := _separated(expression, column):
            return several
        return Feature(name, expression, categorical=True)
    if several := _separated(expression, column):
        return several
    if is_title or has(name, TEXTS) or column.mean_length > _LONG:
        return Feature(name, expression, is_title=is_title, length=column.mean_length or 1.0)
    return "differs in nearly every row"


def is_category(column: ColumnFacts, rows: int) -> bool:
    """Return whether a column has so few values, of so many rows, that they are categories."""
    distinct = len(column.counts)
    is_few = distinct <= FEW and distinct <= rows / 2
    return column.mean_length <= _LONG and (
        is_few or (distinct <= _FEW_SHARE * min(rows, len(column.present)) and distinct <= _MANY)
    )


def _separated(expression: str, column: ColumnFacts) -> Feature | None:
    """Return the feature of several categories in one text, `red, blue`; None if it is not so."""
    if column.kind == "enum" or column.mean_length > 2 * _LONG or has(column.name, TEXTS):
        return None
    if title_of(column.name) is not None:
        return None
    for separator in _SEPARATORS:
        several = [value for value in column.present if separator in value]
        parts = Counter(part.strip() for value in column.present for part in value.split(separator))
        if len(several) > 0.2 * len(column.present) and len(parts) <= 2 * FEW:
            split = f"regexp_replace({expression}, ' *{separator} *', '|')"
            return Feature(column.name, split, categorical=True)
    return None


def _array_feature(expression: str, column: ColumnFacts) -> Feature | str:
    elements = re.findall(r'"((?:[^"\\]|\\.)*)"|([^\s,\[\]"]+)', " ".join(column.present))
    if len(set(elements)) > _MANY:
        return "an array with too many different elements"
    return Feature(column.name, f"array_join({expression}, '|')", categorical=True)


def _json_features(
    expression: str, alias: str, column: ColumnFacts, *, is_person: bool, rows: int
) -> Iterator[Feature | LeftOut]:
    """Yield the scalars at the top of JSON objects as columns of their own."""
    documents = column.documents
    keys = Counter(key for document in documents for key in document)
    is_named = False
    for key, count in keys.items():
        values = [document.get(key) for document in documents]
        scalars = [value for value in values if isinstance(value, str | int | float)]
        if (
            not _JSON_KEY.fullmatch(key)
            or count < 0.3 * len(documents)
            or len(scalars) < 0.9 * count
        ):
            continue
        is_named = True
        facts = ColumnFacts(key, "JSON", _kind_of(scalars), True, tuple(map(_text, values)))
        what = personal(facts, is_person=is_person)
        source = f"get_json_object({expression}, '$.{key}')"
        feature = what and f"personal: {what}"
        feature_or_reason = feature or _feature(
            source, facts, rows=rows, is_unique=key == "id", is_title=set(words(key)) <= TITLES
        )
        if isinstance(feature_or_reason, Feature):
            is_label = key.lower() in LABELS | {"type", "kind", "id"}
            yield replace(feature_or_reason, name=f"{column.name}_{key}" if is_label else key)
        else:
            yield LeftOut(f"{alias}.{column.name}.{key}", feature_or_reason)
    if not is_named:
        yield LeftOut(f"{alias}.{column.name}", "JSON without a plain value at its top")


def _kind_of(values: Collection[object]) -> Kind:
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if all(isinstance(value, int) for value in values):
        return "integer"
    return "float" if all(isinstance(value, int | float) for value in values) else "text"


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None
