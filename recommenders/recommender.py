"""The contract of every recommender: fit, answer in blocks, take in what is new, save, load.

A model is never changed once it is fitted: `update` returns another one, so a model can answer from
many threads while its successor is made.
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

from recommenders.boosting import tilted
from recommenders.data.events import Live
from recommenders.data.ids import Ids, Positions, ids_at, positions
from recommenders.data.interactions import Histories, Interactions
from recommenders.exploration import Exploration, Explorer
from recommenders.parallel import in_order
from recommenders.progress import Progress, ignore
from recommenders.results import Ranking, Recommendations, Related, Scores, Segments
from recommenders.storage import read, write
from recommenders.top_k import best, best_eligible

Eligible: TypeAlias = Callable[[int, int], NDArray[np.bool_]]
"""Tells which items (of `users_of`: which users) those asked for from `start` up to `stop` may get.

Bool, shape (stop - start, n_items) or (stop - start, n_users).
"""


class NotSupportedError(Exception):
    """A model was asked for what it does not learn; the text names the model and what it can."""


class Recommender(ABC):
    """A model that ranks the catalogue for a user by the user's history.

    After `fit` or `load`: `item_ids` is the catalogue, `user_ids` are the users fitted. A user who
    was not fitted is not an error: the history counts as empty, and popular items come back.
    """

    kind: ClassVar[str]
    """The name that `save` writes and `load_recommender` reads."""

    item_ids: Ids
    user_ids: Ids
    event_types: frozenset[str] | None = None
    """Types of live events that count; None means all. Set by whoever chose the training events."""

    tilt: NDArray[np.float32] | None = None
    """What all answers prefer: see `tilted`, shape (n_items,). Set by whoever has an objective."""

    _histories: Histories
    _created: NDArray[np.int64]
    _newest: int

    def fit(
        self,
        interactions: Interactions,
        *,
        learn_from: NDArray[np.bool_] | None = None,
        progress: Progress = ignore,
    ) -> Self:
        """Train on the interactions and return self.

        Args:
            interactions: at least one event.
            learn_from: the events that the model learns from, shape (n_events,), if not all;
                histories are whole all the same, and everybody is served by what was learned.
            progress: called with a number from 0 to 1, never falling, at last with 1. What it
                raises passes through and stops the training.
        """
        progress(0.0)
        chosen = interactions
        if learn_from is not None and not learn_from.all():
            chosen = interactions.of_events(learn_from)
        self._train(chosen, progress)
        self._remember(interactions)
        progress(1.0)
        return self

    def update(self, interactions: Interactions, *, progress: Progress = ignore) -> Self:
        """Return the model with the events and items of `interactions`, without a full fit.

        Args:
            interactions: all data as they are now, those of the fit included.
            progress: as in `fit`.

        Raises:
            NotSupportedError: if the model can only be fitted anew.
        """
        progress(0.0)
        updated = copy.copy(self)
        updated._retrain(interactions, progress)
        updated._remember(interactions)
        progress(1.0)
        return updated

    @abstractmethod
    def _train(self, interactions: Interactions, progress: Progress) -> None:
        """Learn everything that `scores` needs, `item_ids` and histories apart."""

    def _retrain(self, interactions: Interactions, progress: Progress) -> None:
        """Learn what is new in `interactions`; `item_ids` and histories are still the old ones."""
        raise self._unable("be updated; fit it anew")

    def _remember(self, interactions: Interactions) -> None:
        self.item_ids, self.user_ids = interactions.item_ids, interactions.user_ids
        self._histories = interactions.histories
        self._newest = int(interactions.timestamps.max())
        self._created = interactions.created()

    def _unable(self, what: str) -> NotSupportedError:
        return NotSupportedError(f"a recommender of kind {self.kind!r} cannot {what}")

    @abstractmethod
    def scores(self, histories: Histories) -> Scores:
        """Return each item's probability to be the next, shape (len(histories), n_items).

        Rows sum to 1. Dense: ask for a few hundred histories at a time.
        """

    def _scores_of(self, users: Sequence[str], histories: Histories) -> Scores:
        """Return what `scores` does; a model may look at who the users are."""
        return self.scores(histories)

    def _tilted(self, scores: Scores, tilt: NDArray[np.float32] | None = None) -> Scores:
        """Return scores with what the model and the answer prefer."""
        for one in (self.tilt, tilt):
            scores = scores if one is None else tilted(scores, one)
        return scores

    def popularity(self) -> NDArray[np.int64]:
        """Return how many events of the histories each item has, shape (n_items,)."""
        return np.bincount(self._histories.items, minlength=len(self.item_ids))

    def created(self) -> NDArray[np.int64]:
        """Return when each item came, UTC epoch seconds, shape (n_items,)."""
        return self._created

    def recommend(
        self,
        users: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        more: Live | None = None,
        exploration: Exploration | None = None,
        tilt: NDArray[np.float32] | None = None,
        block_size: int = 256,
        workers: int = 1,
    ) -> Iterator[Recommendations]:
        """Yield the `n` best items of each user, in blocks, in the order of `users`.

        If the catalogue holds fewer than `n` items, all of it is returned.

        Args:
            users: user ids, known or not.
            n: items per user, at least 1.
            eligible: which items each user may get, asked for block by block with positions in
                `users`, from the workers' threads; all of the catalogue if None. Scores are
                those of the whole catalogue.
            more: events since the training; the answer shifts without a fit, and users who have
                only these are served by them.
            exploration: puts new items into some places of the lists; none if None.
            tilt: what these answers prefer besides the model's own `tilt`.
            block_size: users scored at once. Each worker holds block_size x n_items float32, which
                bounds the memory whatever the number of users.
            workers: blocks scored at the same time; 0 means as many as there are cores. Above 1,
                the threads of BLAS are limited to one in the whole process until the last block
                is taken.

        Raises:
            ValueError: if `n` or `block_size` is below 1, or `workers` below 0.
        """
        explorer = Explorer(exploration, self._created, self._newest) if exploration else None

        def block(start: int) -> Recommendations:
            asked = tuple(users[start : start + block_size])
            scores = self._tilted(self._scores_of(asked, self.histories(asked, more)), tilt)
            may = eligible(start, start + len(asked)) if eligible else None
            items, chosen, counts = _chosen(scores, may, n)
            explored = np.zeros(items.shape, dtype=np.bool_)
            if explorer:
                explored = explorer.insert(asked, scores, may, items)
            return Recommendations(asked, ids_at(self.item_ids, items), chosen, counts, explored)

        self._check(workers, n=n, block_size=block_size)
        return in_order(block, range(0, len(users), block_size), workers)

    def recommend_histories(
        self, histories: Histories, n: int, *, block_size: int = 256, workers: int = 1
    ) -> Iterator[tuple[Positions, Scores]]:
        """Yield the `n` best items for histories of anybody, fitted or not, in blocks.

        `histories` hold positions in `item_ids`, oldest first. Each block is item positions and
        their scores, both of shape (block, n), best first. All else is as in `recommend`.
        """

        def block(start: int) -> tuple[Positions, Scores]:
            stop = min(start + block_size, len(histories))
            return best(self._tilted(self.scores(histories.block(start, stop))), n)

        self._check(workers, n=n, block_size=block_size)
        return in_order(block, range(0, len(histories), block_size), workers)

    def rank(
        self,
        users: Sequence[str],
        lists: Sequence[Sequence[str]],
        *,
        more: Live | None = None,
        tilt: NDArray[np.float32] | None = None,
        block_size: int = 256,
    ) -> Iterator[Ranking]:
        """Yield each user's own list of items in the order of the user's scores.

        Scores sum to 1 over the list's known items; unknown items come last with 0, and equal
        scores keep the order given.

        Args:
            users: user ids, known or not.
            lists: item ids, one list a user.
            more: events since the training, as in `recommend`.
            tilt: as in `recommend`.
            block_size: users scored at once.

        Raises:
            ValueError: if there is not one list a user.
        """
        if len(users) != len(lists):
            raise ValueError(f"rank: {len(users)} users, {len(lists)} lists; give one a user")
        self._check(block_size=block_size)
        for start in range(0, len(users), block_size):
            asked = users[start : start + block_size]
            scores = self._tilted(self._scores_of(asked, self.histories(asked, more)), tilt)
            for user, row, given in zip(asked, scores, lists[start:], strict=False):
                found = self.positions(given)
                values = np.where(found >= 0, row[found], np.float32(0.0)).astype(np.float64)
                values /= values.sum() or 1.0
                # Known items that have the score 0 still come before unknown ones.
                order = np.lexsort((found < 0, -values))
                ranked = tuple(given[place] for place in order)
                yield Ranking(user, ranked, values[order].astype(np.float32))

    def similar(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Related]:
        """Yield the `n` items most related to each item, in blocks, never the item itself.

        An item that the model does not know, or of which it knows too little, gets popular items.

        Args:
            items: item ids, known or not.
            n: items per item, at least 1; fewer come if the catalogue has no more.
            eligible: which items each of `items` may get; all if None.
            block_size: items scored at once.

        Raises:
            NotSupportedError: if the model does not relate items.
            ValueError: if `n` or `block_size` is below 1.
        """
        raise self._unable("relate items; a model of kind 'cosine' can")

    def users_of(
        self,
        items: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Segments]:
        """Yield the `n` users most likely to meet each item, in blocks.

        An item that the model does not know has an empty segment (count 0).

        Args:
            items: item ids.
            n: users per item, at least 1; fewer come if there are no more.
            eligible: which users each item may get, over `user_ids`; all if None.
            block_size: items scored at once.

        Raises:
            NotSupportedError: if the model does not segment users.
            ValueError: if `n` or `block_size` is below 1.
        """
        raise self._unable("choose users; a model of kind 'affinity' can")

    def users_of_attributes(
        self,
        masks: Sequence[NDArray[np.bool_]],
        n: int,
        *,
        eligible: Eligible | None = None,
        block_size: int = 256,
    ) -> Iterator[Segments]:
        """Yield the `n` users most likely to meet the items of each set, in blocks.

        Args:
            masks: which items each set has, shape (n_items,) in the order of `item_ids`; a set
                without items has an empty segment.
            n: users per set, at least 1.
            eligible: as in `users_of`.
            block_size: sets scored at once.

        Raises:
            NotSupportedError: if the model does not segment users.
            ValueError: if `n` or `block_size` is below 1.
        """
        raise self._unable("choose users; a model of kind 'affinity' can")

    @staticmethod
    def _check(workers: int = 0, **sizes: int) -> None:
        if workers < 0:
            raise ValueError(f"recommend: workers={workers}; it must be at least 0")
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"recommend: {name}={size}; it must be at least 1")

    def positions(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Return where each item stands in `item_ids`, -1 if it is unknown."""
        return positions(self.item_ids, items)

    def histories(self, users: Sequence[str], more: Live | None = None) -> Histories:
        """Return each user's history, oldest first, with the events of `more` as the newest.

        It is empty for a user who is unknown and has none in `more`.
        """
        known = self._histories.take(positions(self.user_ids, users))
        newer = {
            row: self._live(more[user]) for row, user in enumerate(users) if more and user in more
        }
        return known.extended(newer) if newer else known

    def _live(self, events: Collection[tuple[str, str | None, int]]) -> Positions:
        """Return the positions of live events that count, oldest first."""
        kept = [
            (timestamp, item)
            for item, event_type, timestamp in events
            if self.event_types is None or event_type in self.event_types
        ]
        kept.sort(key=lambda event: event[0])
        found = self._item_positions([item for _, item in kept])
        return found[found >= 0].astype(np.int32)

    def _item_positions(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Return where items stand that histories are made of; -1 for those that are unknown."""
        return self.positions(items)

    def parameters(self) -> dict[str, Any]:
        """Return the arguments of the constructor: attributes of the same names, as JSON."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    @abstractmethod
    def _learned(self) -> Mapping[str, NDArray[Any]]:
        """Return what `_train` learned."""

    @abstractmethod
    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `_learned` gave."""

    def save(self, directory: Path) -> None:
        """Write the fitted model into `directory`, whole or not at all; what was there goes."""
        description = {
            "kind": self.kind,
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
            **({} if self.tilt is None else {"tilt": self.tilt}),
            **self._learned(),
        }
        write(directory, description, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return the model that `save` wrote into `directory`; nothing in there is executed.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is of another kind.
        """
        description, learned = read(directory)
        if description["kind"] != cls.kind:
            raise ValueError(
                f"{directory}: holds a recommender of kind {description['kind']!r}, "
                f"not {cls.kind!r}; use load_recommender"
            )
        model = cls(**description["parameters"])
        types = description["event_types"]
        model.event_types = None if types is None else frozenset(types)
        model._newest = description["newest"]
        model.item_ids, model.user_ids = learned.pop("item_ids"), learned.pop("user_ids")
        model._created = learned.pop("created")
        model.tilt = learned.pop("tilt", None)
        offsets, items = learned.pop("history_offsets"), learned.pop("history_items")
        model._histories = Histories(offsets, items)
        model._restore(learned)
        return model


def _chosen(
    scores: Scores, eligible: NDArray[np.bool_] | None, n: int
) -> tuple[Positions, Scores, NDArray[np.int64]]:
    """Return positions, values and counts of the best entries of each row that may be chosen."""
    if eligible is not None:
        return best_eligible(scores, eligible, n)
    items, values = best(scores, n)
    return items, values, np.full(len(scores), items.shape[1])
