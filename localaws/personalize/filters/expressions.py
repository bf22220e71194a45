"""Filters as data, and how the values of their placeholders are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from localaws.errors import suggestion
from localaws.personalize.data.schemas import Field

ANY_EVENT = "*"
"""Stands for every event type."""

NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_STRINGS = re.compile(r'\s*"[^"]*"\s*(,\s*"[^"]*"\s*)*')


@dataclass(frozen=True)
class Placeholder:
    """A value that comes with each request for recommendations."""

    name: str


@dataclass(frozen=True)
class CurrentItem:
    """The value of a field of the item for which related items are requested."""

    field: Field


Value = str | int | float
Values = Mapping[str, tuple[Value, ...]]
"""The values of each placeholder in a request; or of each field of an item, none if null."""


@dataclass(frozen=True)
class Condition:
    """One comparison.

    Attributes:
        dataset: `ITEMS`, `USERS`, `INTERACTIONS`, `ACTIONS` or `ACTION_INTERACTIONS`.
        field: The field that is compared.
        operator: `IN`, `NOT IN`, `=`, `!=`, `<`, `<=`, `>` or `>=`.
        values: What it is compared with, one value unless the operator takes a list.
    """

    dataset: str
    field: Field
    operator: str
    values: tuple[Value | Placeholder | CurrentItem, ...]

    @cached_property
    def placeholders(self) -> tuple[str, ...]:
        """The names of its placeholders."""
        return tuple(value.name for value in self.values if isinstance(value, Placeholder))

    def bind(self, values: Values, item: Values | None = None) -> tuple[Value, ...]:
        """Return its values, with those of a request's placeholders and current item."""
        bound: list[Value] = []
        for value in self.values:
            if isinstance(value, Placeholder):
                bound += values[value.name]
            elif isinstance(value, CurrentItem):
                bound += (item or {}).get(value.field.name, ())
            else:
                bound.append(value)
        return tuple(bound)


@dataclass(frozen=True)
class Expression:
    """One expression of a filter.

    Attributes:
        excludes: EXCLUDE instead of INCLUDE.
        target: `ItemID`, `UserID` or `ActionID`.
        where: Alternatives; of each, all conditions must hold.
        when: Conditions that must all hold for the current user (IF), or else the expression has
            no effect.
    """

    excludes: bool
    target: str
    where: tuple[tuple[Condition, ...], ...]
    when: tuple[Condition, ...] = ()

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions, in the order in which they are written."""
        return tuple(
            condition for conditions in (*self.where, self.when) for condition in conditions
        )

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The names of its placeholders; it has no effect unless all have values."""
        return frozenset(name for condition in self.conditions for name in condition.placeholders)


@dataclass(frozen=True)
class Filter:
    """A checked filter.

    Attributes:
        expressions: Those that `|` separates.
    """

    expressions: tuple[Expression, ...]

    @property
    def target(self) -> str:
        """`ItemID`, `UserID` or `ActionID`; the same in all expressions."""
        return self.expressions[0].target

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of all expressions."""
        return tuple(
            condition for expression in self.expressions for condition in expression.conditions
        )

    @property
    def fields(self) -> frozenset[tuple[str, str]]:
        """The (dataset, field) pairs that it compares."""
        return frozenset((condition.dataset, condition.field.name) for condition in self.conditions)

    @property
    def item_fields(self) -> frozenset[Field]:
        """The fields of the current item that it compares with."""
        return frozenset(
            value.field
            for condition in self.conditions
            for value in condition.values
            if isinstance(value, CurrentItem)
        )

    def bind(self, texts: Any) -> Values:
        """Return the values of the placeholders.

        Those that stand in EXCLUDE expressions alone may have none:
        https://docs.aws.amazon.com/personalize/latest/dg/API_RS_GetRecommendations.html
        https://docs.aws.amazon.com/personalize/latest/dg/filter-batch.html

        Args:
            texts: `filterValues`: for each name one text, quoted strings with commas between
                them, e.g. `{"GENRES": '"horror","comedy"', "AGE": "18"}`. A number may do
                without quotes.

        Raises:
            ValueError: With every value that is missing, unknown or malformed.
        """
        if not isinstance(texts, Mapping):
            raise ValueError('filterValues must be of the form {"GENRES": "\\"horror\\""}')
        conditions: dict[str, list[Condition]] = {}
        for condition in self.conditions:
            for name in condition.placeholders:
                conditions.setdefault(name, []).append(condition)
        including = [expression for expression in self.expressions if not expression.excludes]
        required = {name for expression in including for name in expression.placeholders}
        faults = []
        values: dict[str, tuple[Value, ...]] = {}
        for name in texts:
            if name not in conditions:
                hint = suggestion(name, conditions, "leave it out")
                faults.append(f"filterValues.{name}: the filter has no ${name}; {hint}")
        for name, compared in conditions.items():
            if name in required or name in texts:
                try:
                    values[name] = _values(texts.get(name), compared)
                except ValueError as error:
                    faults.append(f"filterValues.{name} {error}")
        if faults:
            raise ValueError("; ".join(faults))
        return values


def number(text: str) -> int | float:
    """Return the number of a text that fits `NUMBER`; one of a long's size stays exact."""
    digits = text.lstrip("-")
    return int(text) if digits.isdigit() and len(digits) < 20 else float(text)


def _values(text: Any, conditions: list[Condition]) -> tuple[Value, ...]:
    """Return the values of a text for a placeholder that stands in these conditions.

    Raises:
        ValueError: If it has none, too many, or is malformed.
    """
    if text is None:
        raise ValueError("is missing")
    if not isinstance(text, str):
        raise ValueError(f"must be a string, not {text!r}")
    if conditions[0].field.type != "string":
        bare = re.sub(r'^\s*"([^"]*)"\s*$', r"\1", text).strip()
        if not NUMBER.fullmatch(bare):
            raise ValueError(f"must be one number, not {text!r}")
        return (number(bare),)
    if not _STRINGS.fullmatch(text):
        raise ValueError(f'must be strings in quotes, e.g. "\\"horror\\"", not {text!r}')
    values = tuple(re.findall(r'"([^"]*)"', text))
    if len(values) > 1 and any(condition.operator in {"=", "!="} for condition in conditions):
        raise ValueError(f"must be one string, not {len(values)}")
    return values
