"""The contract of every recommender: fit, recommend in blocks, save, load."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recommenders.interactions import Histories, Ids, Interactions, Positions

Progress: TypeAlias = Callable[[float], None]
Scores: TypeAlias = NDArray[np.float32]
Eligible: TypeAlias = Callable[[int, int], NDArray[np.bool_]]
"""Tells which items the users from `start` up to `stop` may get: bool, (stop - start, n_items)."""

T = TypeVar("T")

DESCRIPTION = "recommender.json"
ARRAYS = "recommender.npz"


def ignore(_progress: float) -> None:
    """Take a progress between 0 and 1 and do nothing."""


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best items of a block of users.

    Attributes:
        users: user ids, in the order asked for.
        items: item ids, shape (len(users), n), best first.
        scores: float32, shape (len(users), n), descending along each row.
        counts: int64, shape (len(users),): how many entries of a row there are. It is below n
            where fewer items are eligible; behind them, ids are empty and scores 0.
    """

    users: tuple[str, ...]
    items: Ids
    scores: Scores
    counts: NDArray[np.int64]


class Recommender(ABC):
    """A model that ranks the catalogue for a user by the user's history.

    After `fit` or `load`: `item_ids` is the catalogue, `user_ids` are the users fitted. A user who
    was not fitted is not an error: the history counts as empty, and popular items come back.
    """

    kind: ClassVar[str]
    """The name that `save` writes and `load_recommender` reads."""

    item_ids: Ids
    user_ids: Ids
    _histories: Histories

    def fit(self, interactions: Interactions, *, progress: Progress = ignore) -> Self:
        """Train on the interactions and return self.

        Args:
            interactions: at least one event.
            progress: called with a number from 0 to 1, never falling, at last with 1. What it
                raises passes through and stops the training.
        """
        progress(0.0)
        self._train(interactions, progress)
        self.item_ids, self.user_ids = interactions.item_ids, interactions.user_ids
        self._histories = interactions.histories
        progress(1.0)
        return self

    @abstractmethod
    def _train(self, interactions: Interactions, progress: Progress) -> None:
        """Learn everything that `scores` needs, `item_ids` and histories apart."""

    @abstractmethod
    def scores(self, histories: Histories) -> Scores:
        """Return each item's probability to be the next, shape (len(histories), n_items).

        Rows sum to 1. Dense: ask for a few hundred histories at a time.
        """

    def recommend(
        self,
        users: Sequence[str],
        n: int,
        *,
        eligible: Eligible | None = None,
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
            block_size: users scored at once. Each worker holds block_size x n_items float32, which
                bounds the memory whatever the number of users.
            workers: blocks scored at the same time. Above 1, the threads of BLAS are limited to
                one in the whole process until the last block is taken.

        Raises:
            ValueError: if `n`, `block_size` or `workers` is below 1.
        """

        def block(start: int) -> Recommendations:
            asked = tuple(users[start : start + block_size])
            scores = self.scores(self.histories(asked))
            if eligible is None:
                items, scores = best(scores, n)
                counts = np.full(len(asked), items.shape[1])
                return Recommendations(asked, self.item_ids[items], scores, counts)
            items, scores, counts = best_eligible(scores, eligible(start, start + len(asked)), n)
            ids = np.where(items >= 0, self.item_ids[items], "")
            return Recommendations(asked, ids, scores, counts)

        _check(n=n, block_size=block_size, workers=workers)
        return _in_order(block, range(0, len(users), block_size), workers)

    def recommend_histories(
        self, histories: Histories, n: int, *, block_size: int = 256, workers: int = 1
    ) -> Iterator[tuple[Positions, Scores]]:
        """Yield the `n` best items for histories of anybody, fitted or not, in blocks.

        `histories` hold positions in `item_ids`, oldest first. Each block is item positions and
        their scores, both of shape (block, n), best first. All else is as in `recommend`.
        """

        def block(start: int) -> tuple[Positions, Scores]:
            stop = min(start + block_size, len(histories))
            return best(self.scores(histories.block(start, stop)), n)

        _check(n=n, block_size=block_size, workers=workers)
        return _in_order(block, range(0, len(histories), block_size), workers)

    def histories(self, users: Sequence[str]) -> Histories:
        """Return the fitted history of each user, oldest first; empty for an unknown user."""
        asked = np.asarray(users, dtype=np.str_).reshape(len(users))
        found = np.searchsorted(self.user_ids, asked).clip(max=len(self.user_ids) - 1)
        return self._histories.take(np.where(self.user_ids[found] == asked, found, -1))

    @abstractmethod
    def _parameters(self) -> Mapping[str, Any]:
        """Return the arguments of the constructor, as JSON."""

    @abstractmethod
    def _learned(self) -> Mapping[str, NDArray[Any]]:
        """Return what `_train` learned."""

    @abstractmethod
    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `_learned` gave."""

    def save(self, directory: Path) -> None:
        """Write the fitted model into `directory`, which is made if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / ARRAYS).open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                item_ids=self.item_ids,
                user_ids=self.user_ids,
                history_offsets=self._histories.offsets,
                history_items=self._histories.items,
                **dict(self._learned()),
            )
        description = {"kind": self.kind, "parameters": dict(self._parameters())}
        (directory / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return the model that `save` wrote into `directory`.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is of another kind.
        """
        description = json.loads((directory / DESCRIPTION).read_text("utf-8"))
        if description["kind"] != cls.kind:
            raise ValueError(
                f"{directory / DESCRIPTION}: holds a recommender of kind "
                f"{description['kind']!r}, not {cls.kind!r}; use load_recommender"
            )
        model = cls(**description["parameters"])
        with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
            learned = dict(arrays)
        model.item_ids, model.user_ids = learned.pop("item_ids"), learned.pop("user_ids")
        offsets, items = learned.pop("history_offsets"), learned.pop("history_items")
        model._histories = Histories(offsets, items)
        model._restore(learned)
        return model


def best(scores: Scores, n: int) -> tuple[Positions, Scores]:
    """Return positions and values of the `n` largest scores of each row, largest first.

    Equal scores come in the order of their position. `n` above the row's length means all of it.
    """
    n = min(n, scores.shape[1])
    rows, columns = _leading(scores, _bound(scores, n))
    firsts = np.searchsorted(rows, np.arange(len(scores)))
    chosen = columns[firsts[:, None] + np.arange(n)].astype(np.int32)
    return chosen, np.take_along_axis(scores, chosen, axis=1)


def best_eligible(
    scores: Scores, eligible: NDArray[np.bool_], n: int
) -> tuple[Positions, Scores, NDArray[np.int64]]:
    """Return what `best` does, of the eligible entries of each row alone, and how many they are.

    Rows with fewer than `n` eligible entries end in position -1 and score 0. `scores` is written
    to if it can be, which spares a second block.
    """
    if not scores.flags.writeable:
        scores = scores.copy()
    np.copyto(scores, -np.inf, where=~eligible)
    n = min(n, scores.shape[1])
    # A row with few eligible entries has the bound -inf, which all of its others would reach.
    bound = np.maximum(_bound(scores, n), np.finfo(np.float32).min)
    rows, columns = _leading(scores, bound)
    starts = np.searchsorted(rows, np.arange(len(scores) + 1))
    counts = np.minimum(np.diff(starts), n)
    there = np.arange(n) < counts[:, None]
    chosen = np.full(there.shape, -1, dtype=np.int32)
    chosen[there] = columns[(starts[:-1, None] + np.arange(n))[there]]
    values = np.where(there, np.take_along_axis(scores, chosen, axis=1), np.float32(0.0))
    return chosen, values, counts


def _bound(scores: Scores, n: int) -> Scores:
    """Return a number per row, (n_rows, 1), that at least `n` of its entries reach.

    Columns are dealt into groups. The n-th largest of the groups' maxima is a bound that few
    others reach: one pass over the block, and no sort but of those.
    """
    width = scores.shape[1]
    groups = min(width, max(20 * n, 512))
    maxima = scores[:, :groups].copy()
    for start in range(groups, width, groups):
        part = scores[:, start : start + groups]
        np.maximum(maxima[:, : part.shape[1]], part, out=maxima[:, : part.shape[1]])
    nth = groups - n
    bound: Scores = np.partition(maxima, nth, axis=1)[:, nth, None]
    return bound


def _leading(scores: Scores, bound: Scores) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the entries that reach the bound, row by row, largest first."""
    rows, columns = np.divmod(np.flatnonzero(scores >= bound), scores.shape[1])
    order = np.lexsort((columns, -scores[rows, columns], rows))
    return rows, columns[order]


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"recommend: {name}={size}; it must be at least 1")


def _in_order(block: Callable[[int], T], starts: range, workers: int) -> Iterator[T]:
    """Yield `block(start)` for each start in order, never more than `workers` ahead."""
    if workers == 1:
        yield from map(block, starts)
        return
    # Threads of BLAS beside the workers would fight with them for the cores.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[T]] = deque()
        for start in starts:
            ahead.append(pool.submit(block, start))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
