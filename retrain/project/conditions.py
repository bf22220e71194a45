"""A table's flags, states and times of deletion → which of its rows count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from retrain.project import sql
from retrain.project.database.schema import ColumnFacts, TableFacts
from retrain.project.words import (
    BAD_FLAGS,
    BAD_STATES,
    ENDED,
    GOOD_FLAGS,
    GOOD_STATES,
    STATUSES,
    ends_with,
    has,
    words,
)

_LEAST_SHARE = 0.1  # of the rows: a condition that leaves fewer is hardly meant so
_MOST_STATES = 20
_NO_WORDS = frozenset({"is", "has", "was", "flag", "at", "on", "date", "time", "been"})


@dataclass(frozen=True)
class Condition:
    """A condition on the rows of a table.

    Attributes:
        sql: The condition, in Spark SQL.
        column: The column that it compares.
        share: The share of the sampled rows that it keeps, 0..1.
    """

    sql: str
    column: str
    share: float


def conditions(
    alias: str, table: TableFacts, *, of: Literal["users", "items", "events"]
) -> Iterator[Condition]:
    """Yield the conditions under which rows count: not deleted, active, not cancelled.

    Args:
        alias: The table's name in expressions.
        table: The table.
        of: What its rows are. Of events, a state must not be bad; others must be in a good one.
    """
    for column in table.columns:
        for condition in (
            _not_deleted(alias, column),
            _flag(alias, column, of_events=of == "events"),
            _state(alias, column, of_events=of == "events"),
        ):
            if condition and condition.share >= _LEAST_SHARE:
                yield condition


def _not_deleted(alias: str, column: ColumnFacts) -> Condition | None:
    """Return the condition of a soft delete: the time of the deletion is null."""
    if column.kind not in ("time", "date") or not column.nullable or not has(column.name, ENDED):
        return None
    share = column.nulls if column.values else 1.0
    return Condition(f"{sql.column(alias, column.name)} IS NULL", column.name, share)


def _flag(alias: str, column: ColumnFacts, *, of_events: bool) -> Condition | None:
    named = (word.removesuffix("フラグ") for word in words(column.name))
    own_words = [word for word in named if word and word not in _NO_WORDS]
    if column.kind != "boolean" or not own_words or not column.values:
        return None
    set_share = sum(column.counts[value] for value in ("1", "true")) / len(column.values)
    if all(word in BAD_FLAGS for word in own_words):
        return Condition(sql.is_false(alias, column), column.name, 1 - set_share)
    if not of_events and all(word in GOOD_FLAGS for word in own_words):
        return Condition(sql.is_true(alias, column), column.name, set_share)
    return None


def _state(alias: str, column: ColumnFacts, *, of_events: bool) -> Condition | None:
    if column.kind not in ("text", "enum") or not ends_with(column.name, STATUSES):
        return None
    if not 1 < len(column.counts) <= _MOST_STATES:
        return None
    expression = sql.column(alias, column.name)
    good = [state for state in _states(column) if _is_one(state, GOOD_STATES)]
    bad = [state for state in _states(column) if _is_one(state, BAD_STATES)]
    total = len(column.values)
    if good and not of_events:
        share = sum(column.counts[state] for state in good) / total
        return Condition(sql.one_of(expression, good), column.name, share)
    if bad:
        share = 1 - sum(column.counts[state] for state in bad) / total
        if column.nullable and column.nulls:
            expression = f"coalesce({expression}, '')"
        return Condition(sql.one_of(expression, bad, is_negated=True), column.name, share)
    return None


def _states(column: ColumnFacts) -> list[str]:
    return sorted(column.counts, key=lambda state: (-column.counts[state], state))


def _is_one(state: str, states: frozenset[str]) -> bool:
    plain = state.lower().replace("-", "_").replace(" ", "_")
    return plain in states or plain.replace("_", "") in states
