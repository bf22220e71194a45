"""Which items, or actions, each user may get: a filter on the imported data.

How expressions are combined:
https://docs.aws.amazon.com/personalize/latest/dg/multiple-expression-example.html
What the documentation leaves open is decided here:

- NOT IN is the complement of IN, so null is never IN and always NOT IN a list; AWS calls INCLUDE
  NOT IN the same as EXCLUDE IN (https://docs.aws.amazon.com/personalize/latest/dg/error-messages.html).
  Null matches no other comparison, and nothing compares with a null of the current item.
- An item that is missing in Items, or a user in Users, has null in every field.
- An expression whose IF does not hold has no effect; if no INCLUDE is left, all items are in.
- AND binds closer than OR.
"""

from __future__ import annotations

import itertools
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.schemas import Field
from localaws.personalize.data.tables import Table
from localaws.personalize.filters.expressions import (
    ANY_EVENT,
    Condition,
    Filter,
    Value,
    Values,
)

Mask = NDArray[np.bool_]
Bound = tuple[tuple[tuple[Value, ...], ...], ...]
"""The values of each condition of each alternative."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Catalogue:
    """What a filter chooses from.

    Args:
        dataset: Its rows.
        key: The column of their ids, there and in the events.
        events: What users did with it.
        most_events: Newest events per user and event type that count, see
            https://docs.aws.amazon.com/personalize/latest/dg/filter-expressions.html
    """

    dataset: str
    key: str
    events: str
    most_events: int


_CATALOGUES = {
    "ItemID": _Catalogue("ITEMS", "ITEM_ID", "INTERACTIONS", 100),
    "ActionID": _Catalogue("ACTIONS", "ACTION_ID", "ACTION_INTERACTIONS", 300),
}
_MASKS_KEPT = 32
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Eligibility:
    """A filter on the data of one moment, for one catalogue; safe to use from many threads.

    What conditions on Items and IF conditions give is computed once for each set of placeholder
    values (the last 32 are kept); a user costs a few passes over one row of the catalogue.

    Args:
        filter: One with target ``ItemID`` or ``ActionID``.
        tables: The imported rows by dataset type, e.g. ``ITEMS``; what has none is left out.
        item_ids: The catalogue of items or actions, shape (n_items,).
    """

    def __init__(
        self, filter: Filter, tables: Mapping[str, Table], item_ids: NDArray[np.str_]
    ) -> None:
        self.filter = filter
        self._n_items = len(item_ids)
        self._catalogue = catalogue = _CATALOGUES[filter.target]
        used = {condition.dataset for condition in filter.conditions}
        self._columns: dict[tuple[str, str], Column] = {}
        self._users: dict[Any, int] = {}
        self._rows: dict[Any, int] = {}
        self._of_current: dict[Field, NDArray[Any]] = {}
        if catalogue.dataset in used:
            table = tables.get(catalogue.dataset)
            self._rows = _rows(table, catalogue.key)
            wanted = np.array([self._rows.get(item, -1) for item in item_ids.tolist()])
            self._read(catalogue.dataset, table, wanted)
            if table:
                self._of_current = {one: table.column(one.name) for one in filter.of_item}
        if "USERS" in used:
            self._users = _rows(tables.get("USERS"), "USER_ID")
            # One row more, for users whom the table does not have.
            self._read("USERS", tables.get("USERS"), np.append(np.arange(len(self._users)), -1))
        if catalogue.events in used:
            self._events = _Events(tables.get(catalogue.events), item_ids, catalogue)
        self._of_items = lru_cache(_MASKS_KEPT)(self._item_mask)
        self._of_users = lru_cache(_MASKS_KEPT)(self._user_mask)

    def masks(
        self, users: Sequence[str], values: Sequence[Values], items: Sequence[str] = ()
    ) -> Mask:
        """Which items each user may get, shape (len(users), n_items).

        Args:
            users: User ids, known or not.
            values: What each of them gives for the placeholders; see `Filter.bind`.
            items: The item that each of them asks for related ones of, if they do.
        """
        eligible = np.empty((len(users), self._n_items), dtype=np.bool_)
        asked = zip(users, values, items or [""] * len(users), strict=True)
        for row, (user, given, item) in enumerate(asked):
            eligible[row] = self.mask(user, given, item)
        return eligible

    def mask(self, user: str, values: Values, item: str = "") -> Mask:
        """Which items a user may get, shape (n_items,); not to be written to."""
        included: list[Mask] = []
        excluded: list[Mask] = []
        current = self._current(item)
        for number, expression in enumerate(self.filter.expressions):
            if expression.lacks(values):
                continue
            if expression.when:
                when = tuple(condition.bound(values) for condition in expression.when)
                if not self._of_users(number, when)[self._users.get(user, -1)]:
                    continue
            where = tuple(tuple(c.bound(values, current) for c in one) for one in expression.where)
            if expression.where[0][0].dataset == self._catalogue.dataset:
                matched = self._of_items(number, where)
            else:
                matched = _any(expression.where, where, partial(self._met, user))
            (excluded if expression.excludes else included).append(matched)
        eligible = reduce(np.logical_or, included) if included else np.ones(self._n_items, np.bool_)
        return reduce(lambda left, gone: left & ~gone, excluded, eligible)

    def _read(self, dataset: str, table: Table | None, rows: NDArray[np.int64]) -> None:
        """Take the given rows of all columns of a dataset that are compared; -1 is null."""
        for field in {c.field for c in self.filter.conditions if c.dataset == dataset}:
            self._columns[dataset, field.name] = column_of(field, table, rows)

    def _current(self, item: str) -> Values:
        """What the item that is asked for has in each field that is compared with."""
        row = self._rows.get(item)
        if row is None:
            return {}
        return {
            field.name: tuple(str(values[row]).split("|")) if field.categorical else (values[row],)
            for field, values in self._of_current.items()
            if values[row] is not None
        }

    def _matches(self, condition: Condition, values: tuple[Value, ...]) -> Mask:
        return self._columns[condition.dataset, condition.field.name].matches(
            condition.operator, values
        )

    def _item_mask(self, number: int, bound: Bound) -> Mask:
        """The items that an expression's WHERE is true for."""
        return _any(self.filter.expressions[number].where, bound, self._matches)

    def _user_mask(self, number: int, bound: tuple[tuple[Value, ...], ...]) -> Mask:
        """The rows of Users that an expression's IF is true for."""
        return _any((self.filter.expressions[number].when,), (bound,), self._matches)

    def _met(self, user: str, condition: Condition, types: tuple[Value, ...]) -> Mask:
        """The items that a user met by events of these types, or did not by NOT IN."""
        met = np.zeros(self._n_items, dtype=np.bool_)
        met[self._events.items(user, types)] = True
        return ~met if condition.operator == "NOT IN" else met


def _any(
    where: tuple[tuple[Condition, ...], ...],
    bound: Bound,
    matches: Callable[[Condition, tuple[Value, ...]], Mask],
) -> Mask:
    """What one of the alternatives is true for, with all its conditions; read only."""
    alternatives = [
        reduce(np.logical_and, map(matches, conditions, values))
        for conditions, values in zip(where, bound, strict=True)
    ]
    mask: Mask = reduce(np.logical_or, alternatives)
    mask.flags.writeable = False
    return mask


class Column(Protocol):
    """Some rows of a column, made for comparisons."""

    def matches(self, operator: str, values: tuple[Value, ...]) -> Mask:
        """Where the comparison is true, shape (len(rows),)."""


def column_of(field: Field, table: Table | None, rows: NDArray[np.int64]) -> Column:
    """Some rows of a table's column; -1 is null, and so is all of a column that is not there."""
    values = table.column(field.name) if table else np.empty(0, object)
    return (_Strings if field.type == "string" else _Numbers)(field, values, rows)


class _Strings:
    """Strings; of a categorical field, each of the values that ``|`` joins is one."""

    def __init__(self, field: Field, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
        texts, numbers = _numbered(itertools.chain(values, [None]))
        self._texts = texts[rows]
        self._null = numbers.pop(None)
        self._n_texts = len(numbers) + 1
        self._holding: defaultdict[str, list[int]] = defaultdict(list)
        for text, number in numbers.items():
            for part in set(text.split("|")) if field.categorical else (text,):
                self._holding[part].append(number)

    def matches(self, operator: str, values: tuple[Value, ...]) -> Mask:
        holding = np.zeros(self._n_texts, dtype=np.bool_)
        for value in values:
            holding[self._holding.get(str(value), [])] = True
        if operator == "NOT IN" or (operator == "!=" and values):
            holding = ~holding
            holding[self._null] = operator == "NOT IN"
        found: Mask = holding[self._texts]
        return found


class _Numbers:
    """Numbers, and where there is none."""

    def __init__(self, field: Field, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
        dtype = np.int64 if field.type in {"int", "long"} else np.float64
        known = np.array([*(value is not None for value in values), False])
        numbers = np.zeros(len(known), dtype)
        numbers[known] = values[known[:-1]]
        self._known, self._numbers = known[rows], numbers[rows]

    def matches(self, operator: str, values: tuple[Value, ...]) -> Mask:
        found = np.zeros(len(self._numbers), dtype=np.bool_)
        for value in values:
            found = _COMPARISONS[operator](self._numbers, value) & self._known
        return found


class _Events:
    """Each user's newest events by type, one user after the other in arrays.

    Args:
        table: Events with an EVENT_TYPE.
        item_ids: The ids of the catalogue; others are left out.
        catalogue: What they are about.
    """

    def __init__(
        self, table: Table | None, item_ids: NDArray[np.str_], catalogue: _Catalogue
    ) -> None:
        columns = table.columns if table else {}
        users, self._users = _numbered(columns.get("USER_ID", ()))
        met, ids = _numbered(columns.get(catalogue.key, ()))
        place = {item: position for position, item in enumerate(item_ids.tolist())}
        items = np.array([place.get(item, -1) for item in ids], dtype=np.int32)[met]
        spelt, spellings = _numbered(columns.get("EVENT_TYPE", ()))
        same, self._types = _numbered(text and text.lower() for text in spellings)
        types = same[spelt]
        order = np.lexsort((columns.get("TIMESTAMP", ()), types, users))
        users, types, items = users[order], types[order], items[order]
        last = np.append((np.diff(users) != 0) | (np.diff(types) != 0), True)
        ends = np.flatnonzero(last) if len(users) else np.empty(0, np.int64)
        ages = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(users))
        kept = (ages < catalogue.most_events) & (items >= 0)
        counts = np.bincount(users[kept], minlength=len(self._users))
        self._offsets = np.concatenate([[0], np.cumsum(counts)])
        self._event_types, self._event_items = types[kept], items[kept]

    def items(self, user: str, types: tuple[Value, ...]) -> NDArray[np.int32]:
        """Positions of the items that a user met by events of one of the types."""
        row = self._users.get(user)
        if row is None:
            return self._event_items[:0]
        events = slice(self._offsets[row], self._offsets[row + 1])
        items = self._event_items[events]
        if ANY_EVENT in types:
            return items
        wanted = {self._types.get(str(one).lower(), -1) for one in types}
        return items[np.isin(self._event_types[events], list(wanted))]


def _rows(table: Table | None, key: str) -> dict[Any, int]:
    """The row of each id."""
    return {one: row for row, one in enumerate(table.columns[key])} if table else {}


def _numbered(values: Iterable[T]) -> tuple[NDArray[np.int64], dict[T, int]]:
    """A number for each value, equal values having the same, and the number of each value."""
    numbers: defaultdict[T, int] = defaultdict(itertools.count().__next__)
    return np.fromiter(map(numbers.__getitem__, values), np.int64), dict(numbers)
