"""Interactions between users and items, as sorted arrays.

Users and items are positions in `user_ids` and `item_ids`. Events are sorted by user, then time,
then order of arrival, so that one user's history is one slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from recommenders.data.action_history import ActionHistory
from recommenders.data.ids import Ids, Positions
from recommenders.data.metadata import Metadata


@dataclass(frozen=True, eq=False)
class Histories:
    """Histories of several users, concatenated: the positions of their items, oldest first.

    Attributes:
        offsets: `int64`, shape (n_histories + 1,); history `h` is
            `items[offsets[h]:offsets[h + 1]]`.
        items: `int32`, shape (n_events,).
    """

    offsets: NDArray[np.int64]
    items: Positions

    @classmethod
    def of(cls, histories: Iterable[ArrayLike]) -> Histories:
        """Return the concatenation of sequences of item positions, which may be empty."""
        arrays = [np.asarray(history, dtype=np.int32).ravel() for history in histories]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(array) for array in arrays], out=offsets[1:])
        return cls(offsets, np.concatenate([*arrays, np.empty(0, dtype=np.int32)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, history: int) -> Positions:
        return self.items[self.offsets[history] : self.offsets[history + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each history."""
        return np.diff(self.offsets)

    @cached_property
    def rows(self) -> Positions:
        """History of each event, shape (n_events,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    @cached_property
    def ages(self) -> NDArray[np.int64]:
        """Number of newer events in the history of each event, shape (n_events,); 0 is newest."""
        return self.offsets[1:][self.rows] - 1 - np.arange(len(self.items))

    def block(self, start: int, stop: int) -> Histories:
        """Return the histories from `start` up to `stop`, without a copy of their items."""
        offsets = self.offsets[start : stop + 1]
        return Histories(offsets - offsets[0], self.items[offsets[0] : offsets[-1]])

    def take(self, chosen: NDArray[np.integer]) -> Histories:
        """Return the histories at positions `chosen`, in that order; -1 gives an empty one."""
        known = np.where(chosen >= 0, chosen, 0)
        return self._slices(self.offsets[:-1][known], np.where(chosen >= 0, self.lengths[known], 0))

    def newest(self, n: int) -> Histories:
        """Return each history's `n` newest events, or all if it has fewer."""
        lengths = np.minimum(self.lengths, n)
        return (
            self
            if (lengths == self.lengths).all()
            else self._slices(self.offsets[1:] - lengths, lengths)
        )

    def extended(self, newer: Mapping[int, ArrayLike]) -> Histories:
        """Return the histories with further items at their end.

        Args:
            newer: History → its further item positions, oldest first.
        """
        added = Histories.of([newer.get(history, ()) for history in range(len(self))])
        offsets = self.offsets + added.offsets
        items = np.empty(offsets[-1], dtype=np.int32)
        items[np.arange(len(self.items)) + added.offsets[:-1][self.rows]] = self.items
        items[np.arange(len(added.items)) + self.offsets[1:][added.rows]] = added.items
        return Histories(offsets, items)

    @cached_property
    def latest(self) -> NDArray[np.intp]:
        """The last event of each item in each history, as positions in `items`, ascending."""
        n_items = int(self.items.max(initial=0)) + 1
        pairs = self.rows.astype(np.int64) * n_items + self.items
        return np.sort(len(pairs) - 1 - np.unique(pairs[::-1], return_index=True)[1])

    def matrix(self, n_items: int, weights: NDArray[np.floating] | None = None) -> sp.csr_matrix:
        """Return the sum of the weights of each item's events, 1 each if None.

        CSR (len(self), n_items), float32.
        """
        values = np.ones(len(self.items)) if weights is None else weights
        matrix = sp.csr_matrix(
            (values.astype(np.float32), self.items, self.offsets),
            shape=(len(self), n_items),
            copy=True,  # summing sorts in place, which must not touch the histories
        )
        matrix.sum_duplicates()
        return matrix

    def _slices(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Histories:
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        events = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Histories(offsets, self.items[events])


@dataclass(frozen=True, eq=False)
class Interactions:
    """All events of a data set, sorted by (user, time, order of arrival).

    Attributes:
        users: `int32`, shape (n_events,), positions in `user_ids`.
        items: `int32`, shape (n_events,), positions in `item_ids`.
        timestamps: `int64`, shape (n_events,), UTC epoch seconds.
        user_ids: User ids, sorted and unique, shape (n_users,).
        item_ids: Item ids, sorted and unique, shape (n_items,), those without an event included.
        item_metadata: Metadata of items, if any.
        user_metadata: Metadata of users, with events or without, if any.
        actions: Actions and the events of users with them, if any.
        weights: `float32`, shape (n_events,), weight of each event in training, about 1 on
            average; None if all are equal.
    """

    users: Positions
    items: Positions
    timestamps: NDArray[np.int64]
    user_ids: Ids
    item_ids: Ids
    item_metadata: Metadata | None = None
    user_metadata: Metadata | None = None
    actions: ActionHistory | None = None
    weights: NDArray[np.float32] | None = None

    @classmethod
    def from_events(
        cls,
        user_ids: Sequence[str],
        item_ids: Sequence[str],
        timestamps: Sequence[int] | NDArray[np.integer],
        *,
        catalogue: Sequence[str] = (),
        item_metadata: Metadata | None = None,
        user_metadata: Metadata | None = None,
        actions: ActionHistory | None = None,
        weights: ArrayLike | None = None,
    ) -> Interactions:
        """Return the interactions of parallel columns, one entry an event, in any order.

        Args:
            user_ids: For example `["u1", "u1", "u2"]`.
            item_ids: For example `["p9", "p4", "p9"]`.
            timestamps: UTC epoch seconds.
            catalogue: Further item ids that can be recommended, without events.
            item_metadata: Metadata of items; their ids join the catalogue.
            user_metadata: Metadata of users, with events or without.
            actions: Actions and the events of users with them.
            weights: Weight of each event, at least 0; they are divided by their mean.

        Raises:
            ValueError: If there is neither event nor catalogue, the columns differ in length, or
                all weights are 0.
        """
        lengths = (len(user_ids), len(item_ids), len(timestamps))
        if len(set(lengths)) > 1:
            raise ValueError(
                "interactions: {} user ids, {} item ids and {} timestamps; "
                "give one of each per event".format(*lengths)
            )
        if not lengths[0] and not len(catalogue):
            raise ValueError("interactions: no events; a recommender needs at least one")
        users, user_positions = np.unique(np.asarray(user_ids, dtype=np.str_), return_inverse=True)
        used, item_positions = np.unique(np.asarray(item_ids, dtype=np.str_), return_inverse=True)
        items = np.union1d(used, np.asarray(catalogue, dtype=np.str_)) if len(catalogue) else used
        if item_metadata is not None:
            items = np.union1d(items, item_metadata.ids)
        item_positions = np.searchsorted(items, used)[item_positions]
        times = np.asarray(timestamps, dtype=np.int64)
        order = np.lexsort((times, user_positions))
        scaled = None
        if weights is not None:
            values = np.asarray(weights, dtype=np.float64)
            if not values.sum() > 0:
                raise ValueError("interactions: no event has a weight above 0")
            scaled = (values / values.mean()).astype(np.float32)[order]
        return cls(
            users=user_positions[order].astype(np.int32),
            items=item_positions[order].astype(np.int32),
            timestamps=times[order],
            user_ids=users,
            item_ids=items,
            item_metadata=item_metadata,
            user_metadata=user_metadata,
            actions=actions,
            weights=scaled,
        )

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue, those without an event included."""
        return len(self.item_ids)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.items)

    @cached_property
    def histories(self) -> Histories:
        """Each user's items, oldest first, in the order of `user_ids`."""
        counts = np.bincount(self.users, minlength=self.n_users)
        offsets = np.zeros(self.n_users + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        return Histories(offsets, self.items)

    def popularity(self) -> NDArray[np.int64]:
        """Return the number of events of each item, shape (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items)

    def created(self) -> NDArray[np.int64]:
        """Return each item's creation time, shape (n_items,), UTC epoch seconds.

        Without one in the metadata, it is the time of its first event; without an event, that of
        the newest of all.
        """
        first = np.full(self.n_items, self.timestamps.max(initial=0))
        np.minimum.at(first, self.items, self.timestamps)
        if self.item_metadata is None:
            return first
        times = self.item_metadata.times_of(self.item_ids)
        return np.where(times >= 0, times, first)

    def matrix(self) -> sp.csr_matrix:
        """Return the events of each user with each item: CSR (n_users, n_items), `float32`.

        The values are sums of weights, or counts without weights.
        """
        return self.histories.matrix(self.n_items, self.weights)

    def shares(self) -> NDArray[np.float32]:
        """Return each item's share of all events by weight, shape (n_items,), `float32`."""
        counts = np.bincount(self.items, self.weights, minlength=self.n_items)
        return np.asarray(counts / (counts.sum() or 1.0), dtype=np.float32)

    def of_users(self, chosen: NDArray[np.integer]) -> Interactions:
        """Return the events of the users at positions `chosen`; the catalogue stays whole."""
        chosen = np.unique(chosen)
        return self._select(np.isin(self.users, chosen), chosen)

    def of_events(self, chosen: NDArray[np.bool_]) -> Interactions:
        """Return the chosen events and the users who have any; the catalogue stays whole."""
        return self._select(chosen, np.unique(self.users[chosen]))

    def _select(self, events: NDArray[np.bool_], users: NDArray[np.integer]) -> Interactions:
        return replace(
            self,
            users=np.searchsorted(users, self.users[events]).astype(np.int32),
            items=self.items[events],
            timestamps=self.timestamps[events],
            user_ids=self.user_ids[users],
            weights=None if self.weights is None else self.weights[events],
        )
