"""The items, actions or users that a filter leaves, by the imported rows.

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
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple, TypeVar

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
BoundValues = tuple[tuple[tuple[Value, ...], ...], ...]
"""The values of each condition of each alternative."""

T = TypeVar("T")


class _Catalogue(NamedTuple):
    """The dataset from which a filter selects, and the events with it.

    Attributes:
        dataset: Its type.
        key: The column of the ids, there and in the events.
        events: The type of the events.
        most_events: Newest events per user and event type that count, see
            https://docs.aws.amazon.com/personalize/latest/dg/filter-expressions.html
    """

    dataset: str
    key: str
    events: str
    most_events: float


_CATALOGUES = {
    "ItemID": _Catalogue("ITEMS", "ITEM_ID", "INTERACTIONS", 100),
    "ActionID": _Catalogue("ACTIONS", "ACTION_ID", "ACTION_INTERACTIONS", 300),
    "UserID": _Catalogue("USERS", "USER_ID", "INTERACTIONS", float("inf")),
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
    """A filter on the rows of one moment, for one catalogue; safe to use from many threads.

    Conditions on Items and IF conditions are evaluated once for each set of placeholder values
    (the last 32 are kept); a user costs a few passes over one row of the catalogue. A filter of
    `UserID` is the same for all users who ask.

    Args:
        filter: The filter.
        tables: The imported rows by dataset type, e.g. `ITEMS`; a dataset without rows is left out.
        ids: The catalogue of items, actions or users, shape (n_ids,).
    """

    def __init__(self, filter: Filter, tables: Mapping[str, Table], ids: NDArray[np.str_]) -> None:
        self.filter = filter
        self._n_ids = len(ids)
        self._catalogue = catalogue = _CATALOGUES[filter.target]
        used = {condition.dataset for condition in filter.conditions}
        self._columns: dict[tuple[str, str], _Strings | _Numbers] = {}
        self._users: dict[Any, int] = {}
        self._rows: dict[Any, int] = {}
        self._current_columns: dict[Field, NDArray[Any]] = {}
        if catalogue.dataset in used:
            table = tables.get(catalogue.dataset)
            self._rows = _row_numbers(table, catalogue.key)
            rows = np.array([self._rows.get(id_, -1) for id_ in ids.tolist()], np.int64)
            self._read(catalogue.dataset, table, rows)
            if table:
                self._current_columns = {
                    field: table.column(field.name) for field in filter.item_fields
                }
        if "USERS" in used - {catalogue.dataset}:
            self._users = _row_numbers(tables.get("USERS"), "USER_ID")
            # One row more, for users whom the table does not have.
            self._read("USERS", tables.get("USERS"), np.append(np.arange(len(self._users)), -1))
        if catalogue.events in used:
            self._events = _Events(tables.get(catalogue.events), ids, catalogue)
        self._cached_where = lru_cache(_MASKS_KEPT)(self._where)
        self._cached_when = lru_cache(_MASKS_KEPT)(self._when)

    def masks(
        self, users: Sequence[str], values: Sequence[Values], items: Sequence[str] = ()
    ) -> Mask:
        """Return the items that each user may get, shape (len(users), n_ids).

        Args:
            users: User ids, known or not.
            values: The values of the placeholders for each of them; see `Filter.bind`.
            items: The item for which each of them requests related ones, if they do.
        """
        eligible = np.empty((len(users), self._n_ids), dtype=np.bool_)
        alike: defaultdict[Any, list[int]] = defaultdict(list)
        for row, request in enumerate(zip(values, items or [""] * len(users), strict=True)):
            alike[tuple(sorted(request[0].items())), request[1]].append(row)
        for (_, item), rows in alike.items():
            eligible[rows] = self._block([users[row] for row in rows], values[rows[0]], item)
        return eligible

    def mask(self, user: str, values: Values, item: str = "") -> Mask:
        """Return the items that a user may get, shape (n_ids,)."""
        mask: Mask = self.masks([user], [values], [item])[0]
        return mask

    def _block(self, users: Sequence[str], values: Values, item: str) -> Mask:
        """Return the items that users may get who ask for the same; one row if it is that of all.

        An expression with an IF is without effect for the users for whom that does not hold.
        """
        included, excluded = np.zeros((1, 1), np.bool_), np.zeros((1, 1), np.bool_)
        has_included = np.zeros((1, 1), np.bool_)
        current = self._current(item)
        for number, expression in enumerate(self.filter.expressions):
            if not expression.placeholders <= values.keys():
                continue
            applies = np.ones((1, 1), np.bool_)
            if expression.when:
                when = tuple(condition.bind(values) for condition in expression.when)
                rows = [self._users.get(user, -1) for user in users]
                applies = self._cached_when(number, when)[rows, None]
            where = tuple(
                tuple(c.bind(values, current) for c in alternative)
                for alternative in expression.where
            )
            is_of_user = expression.where[0][0].dataset == self._catalogue.events
            if is_of_user and self.filter.target != "UserID":
                matched = self._where(number, where, users)
            else:
                matched = self._cached_where(number, where)
            if expression.excludes:
                excluded = excluded | (matched & applies)
            else:
                included = included | (matched & applies)
                has_included = has_included | applies
        return (included | ~has_included) & ~excluded

    def _read(self, dataset: str, table: Table | None, rows: NDArray[np.int64]) -> None:
        """Read these rows of all columns of a dataset that are compared; -1 is null."""
        for field in {c.field for c in self.filter.conditions if c.dataset == dataset}:
            values = table.column(field.name) if table else np.empty(0, object)
            column = _Strings if field.type == "string" else _Numbers
            self._columns[dataset, field.name] = column(field, values, rows)

    def _current(self, item: str) -> Values:
        """Return the values of the fields of the current item that are compared with."""
        row = self._rows.get(item)
        if row is None:
            return {}
        return {
            field.name: tuple(str(values[row]).split("|")) if field.categorical else (values[row],)
            for field, values in self._current_columns.items()
            if values[row] is not None
        }

    def _where(self, number: int, values: BoundValues, users: Sequence[str] = ("",)) -> Mask:
        """Return the ids for which an expression's WHERE holds for each user, or for all alike."""
        return _any(self.filter.expressions[number].where, values, partial(self._matches, users))

    def _when(self, number: int, values: tuple[tuple[Value, ...], ...]) -> Mask:
        """Return the rows of Users for which an expression's IF holds."""
        when = self.filter.expressions[number].when
        return _any((when,), (values,), partial(self._matches, ("",)))

    def _matches(
        self, users: Sequence[str], condition: Condition, values: tuple[Value, ...]
    ) -> Mask:
        if condition.dataset != self._catalogue.events:
            column = self._columns[condition.dataset, condition.field.name]
            return column.matches(condition.operator, values)
        with_events = np.zeros((len(users), self._n_ids), dtype=np.bool_)
        with_events[self._events.positions(users, values)] = True
        return ~with_events if condition.operator == "NOT IN" else with_events


def _any(
    where: tuple[tuple[Condition, ...], ...],
    bound: BoundValues,
    matches: Callable[[Condition, tuple[Value, ...]], Mask],
) -> Mask:
    """Return the mask of rows for which all conditions of an alternative hold; read only."""
    alternatives = [
        reduce(np.logical_and, map(matches, conditions, values))
        for conditions, values in zip(where, bound, strict=True)
    ]
    mask: Mask = reduce(np.logical_or, alternatives)
    mask.flags.writeable = False
    return mask


class _Strings:
    """Some rows of a column of strings; each value that `|` joins in a categorical one is one."""

    def __init__(self, field: Field, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
        texts, numbers = _number(itertools.chain(values, [None]))
        self._texts = texts[rows]
        self._null = numbers.pop(None)
        self._n_texts = len(numbers) + 1
        self._holding: defaultdict[str, list[int]] = defaultdict(list)
        for text, number in numbers.items():
            for value in set(text.split("|")) if field.categorical else (text,):
                self._holding[value].append(number)

    def matches(self, operator: str, values: tuple[Value, ...]) -> Mask:
        """Return the mask of the comparison, shape (len(rows),)."""
        holding = np.zeros(self._n_texts, dtype=np.bool_)
        for value in values:
            holding[self._holding.get(str(value), [])] = True
        if operator == "NOT IN" or (operator == "!=" and values):
            holding = ~holding
            holding[self._null] = operator == "NOT IN"
        matched: Mask = holding[self._texts]
        return matched


class _Numbers:
    """Some rows of a column of numbers, and which of them are not null."""

    def __init__(self, field: Field, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
        dtype = np.int64 if field.type in {"int", "long"} else np.float64
        known = np.array([*(value is not None for value in values), False])
        numbers = np.zeros(len(known), dtype)
        numbers[known] = values[known[:-1]]
        self._known, self._numbers = known[rows], numbers[rows]

    def matches(self, operator: str, values: tuple[Value, ...]) -> Mask:
        """Return the mask of the comparison, shape (len(rows),)."""
        matched = np.zeros(len(self._numbers), dtype=np.bool_)
        for value in values:
            matched = _COMPARISONS[operator](self._numbers, value) & self._known
        return matched


class _Events:
    """Each user's newest events by type, one user after the other in arrays.

    Where users are selected, all events are one user's, whose id is empty.

    Args:
        table: Events with an EVENT_TYPE.
        ids: The ids of the catalogue; events with others are left out.
        catalogue: The catalogue.
    """

    def __init__(self, table: Table | None, ids: NDArray[np.str_], catalogue: _Catalogue) -> None:
        columns = table.columns if table else {}
        keys, key_numbers = _number(columns.get(catalogue.key, ()))
        is_of_users = catalogue.key == "USER_ID"
        owners = [""] * len(keys) if is_of_users else columns.get("USER_ID", ())
        users, self._users = _number(owners)
        position_of = {id_: position for position, id_ in enumerate(ids.tolist())}
        positions = np.array([position_of.get(id_, -1) for id_ in key_numbers], np.int32)[keys]
        spelt, spellings = _number(columns.get("EVENT_TYPE", ()))
        same, self._types = _number(text and text.lower() for text in spellings)
        types = same[spelt]
        order = np.lexsort((columns.get("TIMESTAMP", ()), types, users))
        users, types, positions = users[order], types[order], positions[order]
        last = np.append((np.diff(users) != 0) | (np.diff(types) != 0), True)
        ends = np.flatnonzero(last) if len(users) else np.empty(0, np.int64)
        ages = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(users))
        kept = (ages < catalogue.most_events) & (positions >= 0)
        counts = np.bincount(users[kept], minlength=len(self._users))
        # One user more, without events, for those whom the table does not have.
        self._offsets = np.concatenate([[0], np.cumsum(counts), [counts.sum()]])
        self._event_types, self._positions = types[kept], positions[kept]

    def positions(
        self, users: Sequence[str], types: tuple[Value, ...]
    ) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Return the rows of `users` and positions in the catalogue of their events of types."""
        numbers = np.array([self._users.get(user, len(self._users)) for user in users], np.intp)
        starts, stops = self._offsets[numbers], self._offsets[numbers + 1]
        counts = stops - starts
        rows = np.repeat(np.arange(len(users)), counts)
        events = np.arange(len(rows)) + np.repeat(stops - np.cumsum(counts), counts)
        if ANY_EVENT not in types:
            is_meant = np.zeros(len(self._types) + 1, dtype=np.bool_)
            is_meant[[self._types.get(str(type_).lower(), -1) for type_ in types]] = True
            is_meant[-1] = False  # of types that no event has
            kept = is_meant[self._event_types[events]]
            rows, events = rows[kept], events[kept]
        return rows, self._positions[events]


def _row_numbers(table: Table | None, key: str) -> dict[Any, int]:
    """Return the row of each id."""
    return {id_: row for row, id_ in enumerate(table.columns[key])} if table else {}


def _number(values: Iterable[T]) -> tuple[NDArray[np.int64], dict[T, int]]:
    """Return a number for each value, the same for equal values, and the number of each value."""
    numbers: defaultdict[T, int] = defaultdict(itertools.count().__next__)
    return np.fromiter(map(numbers.__getitem__, values), np.int64), dict(numbers)
