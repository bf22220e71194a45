"""The interface of every recommender: fit, update, recommend in blocks, save, load.

A model is never changed once it is fitted: `update` returns another one, so many threads can use a
model while its successor is trained.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommenders.boosting import boosted_scores
from recommenders.data.events import LiveEvents
from recommenders.data.ids import Ids, Positions, ids_at, positions
from recommenders.data.interactions import Histories, Interactions
from recommenders.exploration import Exploration, Explorer
from recommenders.parallel import map_in_order
from recommenders.progress import Progress, no_progress
from recommenders.results import Ranking, Recommendations, Related, Scores, Segments
from recommenders.storage import read, write
from recommenders.top_k import best, best_eligible

Eligible: TypeAlias = Callable[[int, int], NDArray[np.bool_]]
"""Called with `start` and `stop`; returns what the rows from `start` up to `stop` may get.

A mask of items, or of users for `users_of`: `bool`, shape (stop - start, n_items or n_users).
"""


class NotSupportedError(Exception):
    """A model does not learn what the method needs; the message names a model that does."""


class Recommender(ABC):
    """A model that ranks the catalogue for a user by the user's history.

    After `fit` or `load`, `item_ids` is the catalogue and `user_ids` are the users of the training.
    Another user is not an error: the history is empty, and popular items come back.
    """

    model_type: ClassVar[str]
    """The name that `save` writes and `load_recommender` reads, as `kind` in the file."""

    item_ids: Ids
    user_ids: Ids
    event_types: frozenset[str] | None = None
    """Types of live events that count; None for all. Set by the caller that filters events."""

    boosts: NDArray[np.float32] | None = None
    """Item boosts of all results, shape (n_items,), see `boosted_scores`. Set by the caller."""

    _histories: Histories
    _created: NDArray[np.int64]
    _newest: int

    def fit(
        self,
        interactions: Interactions,
        *,
        learn_from: NDArray[np.bool_] | None = None,
        progress: Progress = no_progress,
    ) -> Self:
        """Train on the interactions and return self.

        Args:
            interactions: The training data, at least one event.
            learn_from: Mask of the events that the model learns from, shape (n_events,); None for
                all. The histories hold all events in any case.
            progress: Called with a number from 0 to 1, never falling, at last with 1. An exception
                that it raises stops the training.
        """
        progress(0.0)
        chosen = interactions
        if learn_from is not None and not learn_from.all():
            chosen = interactions.of_events(learn_from)
        self._train(chosen, progress)
        self._set_data(interactions)
        progress(1.0)
        return self

    def update(self, interactions: Interactions, *, progress: Progress = no_progress) -> Self:
        """Return a model with the events and items of `interactions`, without a full fit.

        Args:
            interactions: All present data, those of the fit included.
            progress: Called as in `fit`.

        Raises:
            NotSupportedError: If the model can only be fitted anew.
        """
        progress(0.0)
        updated = copy.copy(self)
        updated._retrain(interactions, progress)
        updated._set_data(interactions)
        progress(1.0)
        return updated

    @abstractmethod
    def _train(self, interactions: Interactions, progress: Progress) -> None:
        """Learn what `scores` needs, without `item_ids` and histories."""

    def _retrain(self, interactions: Interactions, progress: Progress) -> None:
        """Learn the new events and items; `item_ids` and histories are still the old ones."""
        raise self._not_supported("be updated; fit it anew")

    def _set_data(self, interactions: Interactions) -> None:
        self.item_ids, self.user_ids = interactions.item_ids, interactions.user_ids
        self._histories = interactions.histories
        self._newest = int(interactions.timestamps.max(initial=0))
        self._created = interactions.created()

    def _not_supported(self, action: str) -> NotSupportedError:
        return NotSupportedError(f"a recommender of type {self.model_type!r} cannot {action}")

    @abstractmethod
    def scores(self, histories: Histories) -> Scores:
        """Return the probability of each item to be the next, shape (len(histories), n_items).

        Rows sum to 1. The result is dense: pass a few hundred histories at a time.
        """

    def _scores_for_users(self, users: Sequence[str], histories: Histories) -> Scores:
        """Return the scores of `scores`; a model may also use the user ids."""
        return self.scores(histories)

    def _boost(self, scores: Scores, boosts: NDArray[np.float32] | None = None) -> Scores:
        """Return scores with the boosts of the model and those of the request."""
        for item_boosts in (self.boosts, boosts):
            if item_boosts is not None:
                scores = boosted_scores(scores, item_boosts)
        return scores

    def popularity(self) -> NDArray[np.int64]:
        """Return the number of events of each item in the histories, shape (n_items,)."""
        return np.bincount(self._histories.items, minlength=len(self.item_ids))

    def created(self) -> NDArray[np.int64]:
        """Return each item's creation time, UTC epoch seconds, shape (n_items,)."""
        return self._created

    def recommend(
        self,
        users: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        live_events: LiveEvents | None = None,
        exploration: Exploration | None = None,
        boosts: NDArray[np.float32] | None = None,
        block_size: int = 256,
        workers: int = 1,
    ) -> Iterator[Recommendations]:
        """Yield the `n` best items of each user, in blocks, in the order of `users`.

        If the catalogue holds fewer than `n` items, all of it is returned.

        Args:
            users: User ids, known or not.
            n: Items per user, at least 1.
            eligible: Items that each user may get, None for all; called for each block, from the
                workers' threads. The scores stay those of the whole catalogue.
            live_events: Events since the training. They change the scores without a fit; users
                without other events are scored by them.
            exploration: Settings for new items in some positions of the lists; None for no
                exploration.
            boosts: Item boosts of this request, in addition to those of the model.
            block_size: Users scored at once. Each worker holds block_size x n_items `float32`,
                which bounds the memory whatever the number of users.
            workers: Blocks scored at the same time; 0 means as many as there are cores. Above 1,
                the threads of BLAS are limited to one in the whole process until the last block
                has been read.

        Raises:
            ValueError: If `n` or `block_size` is below 1, or `workers` below 0.
        """
        explorer = Explorer(exploration, self._created, self._newest) if exploration else None

        def block(start: int) -> Recommendations:
            ids = tuple(users[start : start + block_size])
            scores = self._scores_for_users(ids, self.histories(ids, live_events))
            scores = self._boost(scores, boosts)
            mask = eligible(start, start + len(ids)) if eligible else None
            items, values, counts = _best(scores, mask, n)
            explored = np.zeros(items.shape, dtype=np.bool_)
            if explorer:
                explored = explorer.insert(ids, scores, mask, items)
            return Recommendations(ids, ids_at(self.item_ids, items), values, counts, explored)

        self._check(workers, n=n, block_size=block_size)
        return map_in_order(block, range(0, len(users), block_size), workers)

    def recommend_histories(
        self, histories: Histories, n: int, *, block_size: int = 256, workers: int = 1
    ) -> Iterator[tuple[Positions, Scores]]:
        """Yield the `n` best items for histories of any users, known or not, in blocks.

        Args:
            histories: Positions in `item_ids`, oldest first.
            n: Items per history, at least 1.
            block_size: Histories scored at once, as in `recommend`.
            workers: Blocks scored at the same time, as in `recommend`.

        Yields:
            Item positions and their scores, both of shape (block, n), best first.
        """

        def block(start: int) -> tuple[Positions, Scores]:
            stop = min(start + block_size, len(histories))
            return best(self._boost(self.scores(histories.block(start, stop))), n)

        self._check(workers, n=n, block_size=block_size)
        return map_in_order(block, range(0, len(histories), block_size), workers)

    def rank(
        self,
        users: Sequence[str],
        lists: Sequence[Sequence[str]],
        *,
        live_events: LiveEvents | None = None,
        boosts: NDArray[np.float32] | None = None,
        block_size: int = 256,
    ) -> Iterator[Ranking]:
        """Yield each user's own list of items in the order of the user's scores.

        Scores sum to 1 over the list's known items; unknown items come last with 0, and equal
        scores keep their order.

        Args:
            users: User ids, known or not.
            lists: Item ids, one list a user.
            live_events: Events since the training, as in `recommend`.
            boosts: Item boosts of this request, as in `recommend`.
            block_size: Users scored at once.

        Raises:
            ValueError: If there is not one list a user.
        """
        if len(users) != len(lists):
            raise ValueError(f"rank: {len(users)} users, {len(lists)} lists; give one a user")
        self._check(block_size=block_size)
        for start in range(0, len(users), block_size):
            ids = users[start : start + block_size]
            scores = self._scores_for_users(ids, self.histories(ids, live_events))
            scores = self._boost(scores, boosts)
            for user, row, items in zip(ids, scores, lists[start:], strict=False):
                columns = self.positions(items)
                values = np.where(columns >= 0, row[columns], np.float32(0.0)).astype(np.float64)
                values /= values.sum() or 1.0
                # Known items that have the score 0 still come before unknown ones.
                order = np.lexsort((columns < 0, -values))
                ranked = tuple(items[index] for index in order)
                yield Ranking(user, ranked, values[order].astype(np.float32))

    def similar(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        boosts: NDArray[np.float32] | None = None,
        block_size: int = 256,
    ) -> Iterator[Related]:
        """Yield the `n` items most related to each item, in blocks, never the item itself.

        An item that the model does not know, or of which it knows too little, gets popular items.

        Args:
            items: Item ids, known or not.
            n: Related items per item, at least 1; fewer if the catalogue has no more.
            eligible: Items that each of `items` may get, None for all.
            boosts: How much each item is preferred besides its similarity, in standard deviations
                of a row's similarities; None for not at all.
            block_size: Items scored at once.

        Raises:
            NotSupportedError: If the model does not relate items.
            ValueError: If `n` or `block_size` is below 1.
        """
        raise self._not_supported("relate items; a model of type 'cosine' can")

    def users_of(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Segments]:
        """Yield the `n` users most likely to interact with each item, in blocks.

        An item that the model does not know has an empty segment (count 0).

        Args:
            items: Item ids.
            n: Users per item, at least 1; fewer if there are no more.
            eligible: Users that each item may get, over `user_ids`; None for all.
            block_size: Items scored at once.

        Raises:
            NotSupportedError: If the model does not segment users.
            ValueError: If `n` or `block_size` is below 1.
        """
        raise self._not_supported("choose users; a model of type 'affinity' can")

    def users_of_attributes(
        self,
        masks: Sequence[NDArray[np.bool_]],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Segments]:
        """Yield the `n` users most likely to interact with the items of each set, in blocks.

        Args:
            masks: Items of each set, shape (n_items,) in the order of `item_ids`; a set without
                items has an empty segment.
            n: Users per set, at least 1; fewer if there are no more.
            eligible: Users that each set may get, as in `users_of`.
            block_size: Sets scored at once.

        Raises:
            NotSupportedError: If the model does not segment users.
            ValueError: If `n` or `block_size` is below 1.
        """
        raise self._not_supported("choose users; a model of type 'affinity' can")

    @staticmethod
    def _check(workers: int = 0, **sizes: int) -> None:
        if workers < 0:
            raise ValueError(f"recommend: workers={workers}; it must be at least 0")
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"recommend: {name}={size}; it must be at least 1")

    def positions(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Return the position of each item in `item_ids`, -1 if it is unknown."""
        return positions(self.item_ids, items)

    def histories(self, users: Sequence[str], live_events: LiveEvents | None = None) -> Histories:
        """Return each user's history, oldest first, with the live events as the newest.

        It is empty for a user who is unknown and has no live events.
        """
        known = self._histories.take(positions(self.user_ids, users))
        newer = {
            row: self._live_positions(live_events[user])
            for row, user in enumerate(users)
            if live_events and user in live_events
        }
        return known.extended(newer) if newer else known

    def _live_positions(self, events: Collection[tuple[str, str | None, int]]) -> Positions:
        """Return the positions of live events that count, oldest first."""
        kept = [
            (timestamp, item)
            for item, event_type, timestamp in events
            if self.event_types is None or event_type in self.event_types
        ]
        kept.sort(key=lambda event: event[0])
        items = self._history_positions([item for _, item in kept])
        return items[items >= 0].astype(np.int32)

    def _history_positions(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Return the positions of items as histories hold them, -1 for those that are unknown."""
        return self.positions(items)

    def parameters(self) -> dict[str, Any]:
        """Return the arguments of the constructor: attributes of the same names, as JSON."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    @abstractmethod
    def _arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the results of `_train` as arrays to save."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set the results of `_train` from the arrays that `_arrays` returned."""

    def save(self, directory: Path) -> None:
        """Write the fitted model into `directory` atomically, replacing its content."""
        description = {
            "kind": self.model_type,
            "parameters": self.parameters(),
            "event_types": None if self.event_types is None else sorted(self.event_types),
            "newest": self._newest,
        }
        arrays = {
            "item_ids": self.item_ids,
            "user_ids": self.user_ids,
            "created": self._created,
            "history_offsets": self._histories.offsets,
            "history_items": self._histories.items,
            **({} if self.boosts is None else {"tilt": self.boosts}),
            **self._arrays(),
        }
        write(directory, description, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return the model that `save` wrote into `directory`; no code in it is executed.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is of another model type.
        """
        description, arrays = read(directory)
        if description["kind"] != cls.model_type:
            raise ValueError(
                f"{directory}: holds a recommender of type {description['kind']!r}, "
                f"not {cls.model_type!r}; use load_recommender"
            )
        model = cls(**description["parameters"])
        types = description["event_types"]
        model.event_types = None if types is None else frozenset(types)
        model._newest = description["newest"]
        model.item_ids, model.user_ids = arrays.pop("item_ids"), arrays.pop("user_ids")
        model._created = arrays.pop("created")
        model.boosts = arrays.pop("tilt", None)
        offsets, items = arrays.pop("history_offsets"), arrays.pop("history_items")
        model._histories = Histories(offsets, items)
        model._restore(arrays)
        return model


def _best(
    scores: Scores, eligible: NDArray[np.bool_] | None, n: int
) -> tuple[Positions, Scores, NDArray[np.int64]]:
    """Return positions, values and counts of the best eligible entries of each row."""
    if eligible is not None:
        return best_eligible(scores, eligible, n)
    items, values = best(scores, n)
    return items, values, np.full(len(scores), items.shape[1])
