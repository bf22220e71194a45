"""Columns that look like foreign keys where the database declares none.

Pure: `candidates` says what to compare, the database says which share of the values is found, and
`with_references` adds what is convincing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from retrain.project.database.schema import ColumnFacts, Reference, Schema, TableFacts
from retrain.project.words import ITEMS, TECHNICAL, USERS, base_of_reference, has, words

_KINDS = ("integer", "text", "uuid", "binary")
_LEAST_SHARE = 0.8  # of a column that is named like the table
_LEAST_SHARE_BY_VALUE = 0.95
_IS_LIKE_AN_ID = re.compile(r"[0-9a-fA-F-]{12,}|[A-Za-z]{0,6}[-_]?\d{2,}[A-Za-z0-9-]*")


@dataclass(frozen=True)
class Candidate:
    """A column that may hold the keys of another table.

    Attributes:
        table: The column's table.
        column: The column.
        target: The other table.
        key: The other table's column.
        rank: 0 for the same name, 1 for a part of it, 2 for a synonym, 3 for its values alone; a
            view comes after tables of the same rank.
        is_same_type: Whether both are numbers, or both UUIDs.
    """

    table: str
    column: str
    target: str
    key: str
    rank: float
    is_same_type: bool


def likely_keys(table: TableFacts) -> Iterator[str]:
    """Yield the columns that are named like the table's key, and differ in every sampled row."""
    for column in table.columns:
        base = words(base_of_reference(column.name))
        is_named_so = words(column.name) in (["id"], ["uuid"]) or (
            bool(base) and base == table.name_words[-len(base) :]
        )
        differs = len(column.counts) == len(column.values) > 0
        if is_named_so and differs and column.kind in _KINDS:
            yield column.name


def candidates(schema: Schema) -> list[Candidate]:
    """Return what may be a reference and is not declared as one."""
    return [
        candidate
        for table in schema.tables
        for column in table.columns
        if column.kind in _KINDS and table.reference(column.name) is None
        for candidate in _candidates(schema, table, column)
    ]


def _candidates(schema: Schema, table: TableFacts, column: ColumnFacts) -> Iterator[Candidate]:
    found: list[Candidate] = []
    for target in schema.tables:
        if target.name == table.name:
            continue
        for key in filter(None, {target.single_key, *target.unique}):
            if not _compatible(column, target.by_name[key]):
                continue
            rank = _rank(column.name, target, key, is_own_key=column.name == table.single_key)
            if rank is not None:
                found.append(_candidate(table, column, target, key, rank))
    best = min((candidate.rank for candidate in found), default=None)
    if best is not None:
        yield from (candidate for candidate in found if candidate.rank == best)
        return
    if column.kind == "integer" or column.name in (table.single_key, *table.unique):
        return
    if column.kind == "uuid" or column.share_of(_IS_LIKE_AN_ID) > 0.9:
        for target in schema.tables:
            key = target.single_key
            if target.name != table.name and key and _compatible(column, target.by_name[key]):
                yield _candidate(table, column, target, key, 3)


def _candidate(
    table: TableFacts, column: ColumnFacts, target: TableFacts, key: str, rank: float
) -> Candidate:
    is_same = column.kind == target.by_name[key].kind != "text"
    rank += 0.5 if target.is_view else 0
    return Candidate(table.name, column.name, target.name, key, rank, is_same)


def _compatible(column: ColumnFacts, key: ColumnFacts) -> bool:
    texts = ("text", "uuid")
    return column.kind == key.kind or (column.kind in texts and key.kind in texts)


def _rank(column: str, target: TableFacts, key: str, *, is_own_key: bool) -> int | None:
    """Return how well a column's name fits another table's key, None if it does not."""
    table = target.name_words
    is_telling = words(key) not in (["id"], ["uuid"], ["key"], ["code"], ["name"], ["no"])
    if column == key and is_telling:
        # Two tables with the same key: the shorter name is the thing, the longer one about it.
        return None if is_own_key and len(table) > 1 else 0
    if key != target.single_key:
        return None
    base = words(base_of_reference(column)) or words(column)
    if not base_of_reference(column) and (is_own_key or has(column, TECHNICAL)):
        return None  # sort_order is no order
    if base == table:
        return 0
    if is_own_key:
        return None
    if base == table[-len(base) :] or (len(table) <= len(base) and base[-len(table) :] == table):
        return 1
    for role in (USERS, ITEMS):
        if base_of_reference(column) and base[-1] in role and table[-1] in role:
            return 2
    return None


def with_references(schema: Schema, shares: Mapping[Candidate, float | None]) -> Schema:
    """Return the schema with the references that are convincing.

    Args:
        schema: The description with the declared references.
        shares: Candidate → share of the column's values that the other table has (0..1), None if
            there was nothing to compare.
    """
    best: dict[tuple[str, str], tuple[float, Candidate]] = {}
    for candidate, share in shares.items():
        least = _LEAST_SHARE_BY_VALUE if candidate.rank >= 3 else _LEAST_SHARE
        if share is None and candidate.rank > 1:
            continue
        if share is not None and share < least:
            continue
        place = (candidate.table, candidate.column)
        score = (1.0 if share is None else share) - candidate.rank
        if place not in best or score > best[place][0]:
            best[place] = score, candidate
    found: dict[str, list[Reference]] = {}
    for _, each in best.values():
        reference = Reference(each.column, each.target, each.key, declared=False)
        found.setdefault(each.table, []).append(reference)
    return replace(
        schema,
        tables=tuple(
            replace(table, references=(*table.references, *found.get(table.name, ())))
            for table in schema.tables
        ),
    )
