"""Actions that users can take, and the events of users with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommenders.data.ids import Ids, last_rows, positions
from recommenders.data.times import SECONDS_PER_DAY, UNKNOWN_TIME


@dataclass(frozen=True, eq=False)
class ActionCatalogue:
    """The actions that can be recommended.

    Attributes:
        ids: Action ids, sorted and unique, shape (n,).
        value: Value of each action, `float64`, shape (n,); 0 if unknown.
        expires: UTC epoch seconds after which an action has expired, `int64`; -1 for never.
        repeat_after: Days after a user's event with an action until it is recommended again,
            `float64`; 0 for at once.
        created: UTC epoch seconds, `int64`; -1 if unknown.
    """

    ids: Ids
    value: NDArray[np.float64]
    expires: NDArray[np.int64]
    repeat_after: NDArray[np.float64]
    created: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        *,
        value: Sequence[float | None] | None = None,
        expires: Sequence[int | None] | None = None,
        repeat_after: Sequence[float | None] | None = None,
        created: Sequence[int | None] | None = None,
    ) -> Self:
        """Return the catalogue of rows in any order; of several rows of one id the last counts."""
        unique, rows = last_rows(ids)

        def column(values: Sequence[float | None] | None, default: float) -> NDArray[np.float64]:
            filled = [default if value is None else value for value in values or [None] * len(ids)]
            return np.array(filled, dtype=np.float64)[rows]

        return cls(
            unique,
            column(value, 0.0),
            column(expires, UNKNOWN_TIME).astype(np.int64),
            column(repeat_after, 0.0),
            column(created, UNKNOWN_TIME).astype(np.int64),
        )


@dataclass(frozen=True, eq=False)
class ActionHistory:
    """The catalogue and the events of users with it, sorted by (user, action, time).

    Attributes:
        catalogue: The actions.
        user_ids: Ids of the users with events, sorted and unique.
        users: `int64`, shape (n_events,), positions in `user_ids`.
        actions: `int64`, shape (n_events,), positions in the catalogue.
        timestamps: `int64`, shape (n_events,), UTC epoch seconds.
        taken: `bool`, shape (n_events,), False if the user only saw the action or declined it.
    """

    catalogue: ActionCatalogue
    user_ids: Ids
    users: NDArray[np.int64]
    actions: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    taken: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        catalogue: ActionCatalogue,
        user_ids: Sequence[str] = (),
        action_ids: Sequence[str] = (),
        timestamps: Sequence[int] = (),
        event_types: Sequence[str] = (),
    ) -> Self:
        """Return the history of parallel columns; events with unknown actions are left out.

        Args:
            catalogue: The actions.
            user_ids: For example `["u1", "u2"]`.
            action_ids: For example `["enrol", "enrol"]`.
            timestamps: UTC epoch seconds.
            event_types: `"TAKEN"`, `"NOT_TAKEN"` or `"VIEWED"`.
        """
        actions = positions(catalogue.ids, action_ids)
        times = np.asarray(timestamps, np.int64)
        taken = np.array([name.upper() == "TAKEN" for name in event_types], dtype=np.bool_)
        known = actions >= 0
        ids, users = np.unique(np.asarray(user_ids, np.str_)[known], return_inverse=True)
        order = np.lexsort((times[known], actions[known], users))
        return cls(
            catalogue,
            ids,
            users[order],
            actions[known][order],
            times[known][order],
            taken[known][order],
        )

    def of_users(self, chosen: Ids) -> ActionHistory:
        """Return the events of the users with these ids."""
        kept = positions(chosen, self.user_ids)[self.users] >= 0
        return replace(
            self,
            users=self.users[kept],
            actions=self.actions[kept],
            timestamps=self.timestamps[kept],
            taken=self.taken[kept],
        )

    def examples(self, window_days: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which events are examples to learn from, and which of those are successes.

        An offer is an example, and a success if the user takes the action within the window.
        Taking an action after an offer is not an example of its own; taking it without an offer
        is a success.
        """
        n = len(self.users)
        success = self.taken.copy()
        key = self.users * len(self.catalogue.ids) + self.actions
        next_taken = np.where(self.taken, np.arange(n), n)
        next_taken = np.minimum.accumulate(next_taken[::-1])[::-1]
        offers = np.flatnonzero(~self.taken & (next_taken < n))
        takes = next_taken[offers]  # the first event after the offer in which an action is taken
        in_time = self.timestamps[takes] - self.timestamps[offers] <= window_days * SECONDS_PER_DAY
        success[offers[in_time & (key[takes] == key[offers])]] = True
        example = np.ones(n, dtype=np.bool_)
        example[1:] = ~self.taken[1:] | self.taken[:-1] | (key[1:] != key[:-1])
        return example, success
