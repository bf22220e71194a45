"""Which users a segment may hold: a filter of UserID on the imported data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.tables import Table
from localaws.personalize.filters.eligibility import Column, Mask, column_of
from localaws.personalize.filters.expressions import ANY_EVENT, Condition, Filter, Value, Values


class UserEligibility:
    """A filter of users on the data of one moment; safe to use from many threads.

    Args:
        filter: One with target ``UserID``.
        tables: The imported rows by dataset type, e.g. ``USERS``; what has none is left out.
        user_ids: The users of a model, shape (n_users,).
    """

    def __init__(
        self, filter: Filter, tables: Mapping[str, Table], user_ids: NDArray[np.str_]
    ) -> None:
        self.filter = filter
        self._n_users = len(user_ids)
        users = tables.get("USERS")
        row_of = {user: row for row, user in enumerate(users.columns["USER_ID"])} if users else {}
        rows = np.array([row_of.get(user, -1) for user in user_ids.tolist()], np.int64)
        self._columns: dict[str, Column] = {
            one.field.name: column_of(one.field, users, rows)
            for one in filter.conditions
            if one.dataset == "USERS"
        }
        self._met: dict[str, Mask] = {}
        if any(one.dataset == "INTERACTIONS" for one in filter.conditions):
            self._read_events(tables.get("INTERACTIONS"), user_ids)

    def masks(
        self, asked: Sequence[str], values: Sequence[Values], items: Sequence[str] = ()
    ) -> Mask:
        """Which users each segment may hold, shape (len(values), n_users).

        Args:
            asked: Not looked at; `Eligibility` is asked for users.
            values: What each segment gives for the placeholders; see `Filter.bind`.
            items: Not looked at, either.
        """
        return np.array([self._mask(given) for given in values], np.bool_).reshape(
            len(values), self._n_users
        )

    def _mask(self, values: Values) -> Mask:
        included: list[Mask] = []
        excluded: list[Mask] = []
        for expression in self.filter.expressions:
            if expression.lacks(values):
                continue
            matched = reduce(
                np.logical_or,
                (
                    reduce(
                        np.logical_and,
                        (self._matches(one, one.bound(values)) for one in conditions),
                    )
                    for conditions in expression.where
                ),
            )
            (excluded if expression.excludes else included).append(matched)
        everybody = np.ones(self._n_users, np.bool_)
        eligible = reduce(np.logical_or, included) if included else everybody
        return reduce(lambda left, gone: left & ~gone, excluded, eligible)

    def _matches(self, condition: Condition, values: tuple[Value, ...]) -> Mask:
        if condition.dataset == "USERS":
            return self._columns[condition.field.name].matches(condition.operator, values)
        nobody = np.zeros(self._n_users, np.bool_)
        kinds = self._met if ANY_EVENT in values else {str(value).lower() for value in values}
        met = reduce(np.logical_or, (self._met.get(kind, nobody) for kind in kinds), nobody)
        return ~met if condition.operator == "NOT IN" else met

    def _read_events(self, table: Table | None, user_ids: NDArray[np.str_]) -> None:
        """Find who has events of each type."""
        if table is None:
            return
        places = {user: place for place, user in enumerate(user_ids.tolist())}
        pairs = set(zip(table.column("USER_ID"), table.column("EVENT_TYPE"), strict=True))
        for user, kind in pairs:
            if user in places and kind is not None:
                mask = self._met.setdefault(kind.lower(), np.zeros(self._n_users, np.bool_))
                mask[places[user]] = True
