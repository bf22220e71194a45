"""What a filter says, as data, and how the values of its placeholders are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    """The value of a field of the item that related items are asked for."""

    field: Field


Value = str | int | float
Values = Mapping[str, tuple[Value, ...]]
"""What a request gives for each placeholder; or an item has in each field, none if null."""


@dataclass(frozen=True)
class Condition:
    """One comparison.

    Args:
        dataset: ``ITEMS``, ``USERS``, ``INTERACTIONS``, ``ACTIONS`` or ``ACTION_INTERACTIONS``.
        field: The field that is compared.
        operator: ``IN``, ``NOT IN``, ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        values: What it is compared with, one value unless the operator takes a list.
    """

    dataset: str
    field: Field
    operator: str
    values: tuple[Value | Placeholder | CurrentItem, ...]

    def bound(self, values: Values, item: Values | None = None) -> tuple[Value, ...]:
        """The values, with those of the request and of its item in their places."""
        given: list[Value] = []
        for value in self.values:
            if isinstance(value, Placeholder):
                given += values[value.name]
            elif isinstance(value, CurrentItem):
                given += (item or {}).get(value.field.name, ())
            else:
                given.append(value)
        return tuple(given)


@dataclass(frozen=True)
class Expression:
    """One expression of a filter.

    Args:
        excludes: EXCLUDE instead of INCLUDE.
        target: ``ItemID``, ``UserID`` or ``ActionID``.
        where: Alternatives; of each, all conditions must hold.
        when: What must all hold for the current user (IF), or else the expression has no effect.
    """

    excludes: bool
    target: str
    where: tuple[tuple[Condition, ...], ...]
    when: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> Iterator[Condition]:
        """All conditions, in the order in which they are written."""
        for alternative in self.where:
            yield from alternative
        yield from self.when

    def lacks(self, values: Values) -> bool:
        """Whether a placeholder of it has no value, so that it has no effect."""
        return any(
            isinstance(value, Placeholder) and value.name not in values
            for condition in self.conditions
            for value in condition.values
        )


@dataclass(frozen=True)
class Filter:
    """A checked filter.

    Args:
        expressions: What ``|`` separates.
    """

    expressions: tuple[Expression, ...]

    @property
    def target(self) -> str:
        """``ItemID``, ``UserID`` or ``ActionID``; the same in all expressions."""
        return self.expressions[0].target

    @property
    def conditions(self) -> Iterator[Condition]:
        """The conditions of all expressions."""
        for expression in self.expressions:
            yield from expression.conditions

    @property
    def fields(self) -> frozenset[tuple[str, str]]:
        """The (dataset, field) pairs that it compares."""
        return frozenset((c.dataset, c.field.name) for c in self.conditions)

    @property
    def of_item(self) -> frozenset[Field]:
        """The fields of the current item that it compares with."""
        return frozenset(
            value.field
            for condition in self.conditions
            for value in condition.values
            if isinstance(value, CurrentItem)
        )

    @property
    def placeholders(self) -> dict[str, tuple[Condition, ...]]:
        """By name, the conditions that each placeholder stands in."""
        found: dict[str, tuple[Condition, ...]] = {}
        for condition in self.conditions:
            for value in condition.values:
                if isinstance(value, Placeholder):
                    found[value.name] = (*found.get(value.name, ()), condition)
        return found

    @property
    def optional(self) -> frozenset[str]:
        """The placeholders that may have no value: they stand in EXCLUDE expressions alone.

        https://docs.aws.amazon.com/personalize/latest/dg/API_RS_GetRecommendations.html
        """
        names: dict[bool, set[str]] = {True: set(), False: set()}
        for expression in self.expressions:
            for condition in expression.conditions:
                names[expression.excludes].update(
                    value.name for value in condition.values if isinstance(value, Placeholder)
                )
        return frozenset(names[True] - names[False])

    def bind(self, texts: Any) -> Values:
        """The values of the placeholders.

        https://docs.aws.amazon.com/personalize/latest/dg/filter-batch.html

        Args:
            texts: ``filterValues``: for each name one text, quoted strings with commas between
                them, e.g. ``{"GENRES": '"horror","comedy"', "AGE": "18"}``. A number may do
                without quotes.

        Raises:
            ValueError: With every value that is missing, unknown or malformed.
        """
        if not isinstance(texts, Mapping):
            raise ValueError('filterValues must be of the form {"GENRES": "\\"horror\\""}')
        wanted = self.placeholders
        faults = []
        values: dict[str, tuple[Value, ...]] = {}
        for name in texts:
            if name not in wanted:
                hint = suggestion(name, wanted, "leave it out")
                faults.append(f"filterValues.{name}: the filter has no ${name}; {hint}")
        optional = self.optional
        for name, conditions in wanted.items():
            if name in optional and name not in texts:
                continue
            try:
                values[name] = _bound(texts.get(name), conditions)
            except ValueError as fault:
                faults.append(f"filterValues.{name} {fault}")
        if faults:
            raise ValueError("; ".join(faults))
        return values


def number(text: str) -> int | float:
    """The number that a text which fits `NUMBER` stands for; one of a long's size stays exact."""
    digits = text.lstrip("-")
    return int(text) if digits.isdigit() and len(digits) < 20 else float(text)


def _bound(text: Any, conditions: tuple[Condition, ...]) -> tuple[Value, ...]:
    """The values that a text gives for a placeholder that stands in these conditions.

    Raises:
        ValueError: If it gives none, too many, or is malformed.
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
