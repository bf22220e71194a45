"""Actions: the chance that a user takes an action soon, by what the user likes and did before.

One logistic regression an action, learned from the offers of the last six weeks. The features of an
offer are the user's taste (`Taste`, of the items met), how many items the user met, and how often
the user took this action before and how often not. An action with too few offers has the
propensity 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recommenders.data.action_history import ActionCatalogue, ActionHistory
from recommenders.data.events import Live
from recommenders.data.ids import Ids, ids_at, positions
from recommenders.data.interactions import Histories, Interactions
from recommenders.data.times import SECONDS_PER_DAY
from recommenders.exploration import Exploration, Explorer
from recommenders.models.factors import Factorization, Taste
from recommenders.progress import Progress, part
from recommenders.recommender import Eligible, Recommender
from recommenders.results import Recommendations, Scores

LEAST_EVENTS = 50
"""Events of taking an action, and of not taking it, from which it has a propensity.

https://docs.aws.amazon.com/personalize/latest/dg/native-recipe-next-best-action.html
"""

RECENT_DAYS = 42
RIDGE = 1.0
_ROUNDS = 25


class Actions(Recommender):
    """Rank actions by propensity; the model behind next-best-action.

    `item_ids` are the actions; `recommend` gives their ids, and propensities as scores, which do
    not sum to 1. Of equal propensities (to 4 decimals) the action with the greater value comes
    first. Expired actions, and those that the user met within their repeat time, are left out.

    Args:
        window_days: an offer is a success if the action is taken within so many days.
        factors: length of a taste vector.
        seed: start of the factors.

    Raises:
        ValueError: if a parameter is below 1.
    """

    kind: ClassVar[str] = "actions"
    _catalogue: ActionCatalogue
    _taste: Taste
    _items: Ids

    def __init__(self, *, window_days: int = 14, factors: int = 16, seed: int = 0) -> None:
        if window_days < 1 or factors < 1:
            raise ValueError(
                f"actions: window_days={window_days}, factors={factors}; both must be at least 1"
            )
        self.window_days = window_days
        self.factors = factors
        self.seed = seed

    def _train(self, interactions: Interactions, progress: Progress) -> None:
        history = interactions.actions
        if history is None:
            raise ValueError("actions: the interactions have no actions; give them a history")
        self._items = interactions.item_ids
        self._taste = Taste.fit(self._factorization(), interactions, part(progress, 0.0, 0.8))
        self._catalogue = history.catalogue
        self._past = history
        example, success = history.examples(self.window_days)
        newest = int(history.timestamps.max(initial=0))
        recent = history.timestamps >= newest - RECENT_DAYS * SECONDS_PER_DAY
        features = self._of_offers(interactions, history)
        self._centre, self._scale = _standard(features[recent])
        features = _with_bias((features - self._centre) / self._scale)
        self._weights = np.zeros((len(history.catalogue.ids), features.shape[1]))
        self._scored = np.zeros(len(history.catalogue.ids), dtype=np.bool_)
        for action in range(len(history.catalogue.ids)):
            of_it = recent & (history.actions == action)
            taken = np.count_nonzero(of_it & history.taken)
            if min(taken, np.count_nonzero(of_it) - taken) >= LEAST_EVENTS:
                offers = of_it & example
                self._weights[action] = _logistic(features[offers], success[offers])
                self._scored[action] = True
            progress(0.8 + 0.15 * (action + 1) / len(self._scored))

    def _remember(self, interactions: Interactions) -> None:
        super()._remember(interactions)
        self.item_ids = self._catalogue.ids
        newest = max(self._newest, int(self._past.timestamps.max(initial=0)))
        self._newest = newest
        self._created = np.where(self._catalogue.created < 0, newest, self._catalogue.created)

    def scores(self, histories: Histories) -> Scores:
        """Return each action's propensity for users who met no action, (len(histories), n)."""
        nobody = np.zeros((len(histories), len(self.item_ids)))
        return self._propensities(self._general(histories), nobody, nobody)

    def _scores_of(self, users: Sequence[str], histories: Histories) -> Scores:
        taken, declined, _ = self._met(users, None)
        return self._propensities(self._general(histories), taken, declined)

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
        now: int | None = None,
    ) -> Iterator[Recommendations]:
        """Yield the `n` likeliest actions of each user; see `Recommender.recommend`.

        Args:
            users: user ids, known or not.
            n: actions per user, at least 1.
            eligible: which actions each user may get; all if None.
            more: events since the training with items and with actions, by the ids of either;
                those with actions have the types TAKEN, NOT_TAKEN or VIEWED.
            exploration: puts new actions into some places of the lists; none if None.
            tilt: not used; actions have a value of their own.
            block_size: users scored at once.
            workers: not used; a block of actions is small.
            now: UTC epoch seconds, for expiry and repeats; the newest event if None.
        """
        self._check(workers, n=n, block_size=block_size)
        clock = self._newest if now is None else now
        explorer = Explorer(exploration, self._created, self._newest) if exploration else None
        for start in range(0, len(users), block_size):
            asked = tuple(users[start : start + block_size])
            taken, declined, last = self._met(asked, more)
            general = self._general(self.histories(asked, more))
            scores = self._propensities(general, taken, declined)
            expires, repeat = self._catalogue.expires, self._catalogue.repeat_after
            may = np.broadcast_to((expires < 0) | (expires >= clock), scores.shape)
            may = may & ~((repeat > 0) & (last > clock - repeat * SECONDS_PER_DAY))
            if eligible:
                may = may & eligible(start, start + len(asked))
            items, values, counts = self._ordered(scores, may, n)
            explored = np.zeros(items.shape, dtype=np.bool_)
            if explorer:
                explored = explorer.insert(asked, scores, may, items)
            ids = ids_at(self.item_ids, items)
            yield Recommendations(asked, ids, values, counts, explored)

    def _ordered(
        self, scores: Scores, may: NDArray[np.bool_], n: int
    ) -> tuple[NDArray[np.int32], Scores, NDArray[np.int64]]:
        values = np.broadcast_to(self._catalogue.value, scores.shape)
        order = np.lexsort((-values, -scores.round(4), ~may), axis=1)[:, :n].astype(np.int32)
        counts = np.minimum(may.sum(axis=1), n)
        there = np.arange(order.shape[1]) < counts[:, None]
        chosen = np.take_along_axis(scores, order, axis=1)
        return np.where(there, order, -1), np.where(there, chosen, np.float32(0.0)), counts

    def _general(self, histories: Histories) -> NDArray[np.float64]:
        """Return the features of users that are the same for all actions."""
        tastes = self._taste.fold_in(histories).astype(np.float64)
        return np.column_stack([tastes, np.log1p(histories.lengths)])

    def _of_offers(self, interactions: Interactions, history: ActionHistory) -> NDArray[np.float64]:
        """Return the features of every event with an action, as they were before it."""
        rows = positions(interactions.user_ids, history.user_ids)
        general = self._general(interactions.histories.take(rows))[history.users]
        key = history.users * max(len(history.catalogue.ids), 1) + history.actions
        first = np.searchsorted(key, key)
        before = np.concatenate([[0], np.cumsum(history.taken)])
        number = np.arange(len(key))
        taken = before[number] - before[first]
        return np.column_stack([general, np.log1p(taken), np.log1p(number - first - taken)])

    def _propensities(
        self,
        general: NDArray[np.float64],
        taken: NDArray[np.float64],
        declined: NDArray[np.float64],
    ) -> Scores:
        width = general.shape[1]
        shared = (general - self._centre[:width]) / self._scale[:width]
        logits = shared @ self._weights[:, :width].T + self._weights[:, -1]
        for number, counts in ((width, taken), (width + 1, declined)):
            scaled = (np.log1p(counts) - self._centre[number]) / self._scale[number]
            logits += scaled * self._weights[:, number]
        return np.where(self._scored, expit(logits), 0.0).astype(np.float32)

    def _met(
        self, users: Sequence[str], more: Live | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return how often each user took and did not take each action, and the last time."""
        past = self._past
        shape = (len(users), len(self.item_ids))
        taken, declined = np.zeros(shape), np.zeros(shape)
        last = np.full(shape, np.iinfo(np.int64).min)
        found = positions(past.user_ids, users)
        for row, user in enumerate(users):
            events = slice(*np.searchsorted(past.users, [found[row], found[row] + 1]))
            where, done = past.actions[events], past.taken[events]
            np.add.at(taken[row], where[done], 1.0)
            np.add.at(declined[row], where[~done], 1.0)
            np.maximum.at(last[row], where, past.timestamps[events])
            for name, event_type, timestamp in (more or {}).get(user, ()):
                action = int(self.positions([name])[0])
                if action >= 0:
                    counts = taken if (event_type or "").upper() == "TAKEN" else declined
                    counts[row, action] += 1.0
                    last[row, action] = max(last[row, action], timestamp)
        return taken, declined, last

    def _item_positions(self, items: Sequence[str]) -> NDArray[np.int64]:
        return positions(self._items, items)

    def _factorization(self) -> Factorization:
        return Factorization(
            factors=self.factors,
            regularization=10.0,
            alpha=5.0,
            iterations=15,
            history_length=500,
            seed=self.seed,
            threads=0,
        )

    def _learned(self) -> Mapping[str, NDArray[Any]]:
        catalogue, past = self._catalogue, self._past
        return {
            "items": self._items,
            "weights": self._weights,
            "scored": self._scored,
            "centre": self._centre,
            "scale": self._scale,
            "value": catalogue.value,
            "expires": catalogue.expires,
            "repeat_after": catalogue.repeat_after,
            "action_created": catalogue.created,
            "past_ids": past.user_ids,
            "past_users": past.users,
            "past_actions": past.actions,
            "past_times": past.timestamps,
            "past_taken": past.taken,
            **self._taste.arrays(),
        }

    def _restore(self, learned: Mapping[str, NDArray[Any]]) -> None:
        self._items = learned["items"]
        self._taste = Taste.restore(self._factorization(), learned)
        self._weights, self._scored = learned["weights"], learned["scored"]
        self._centre, self._scale = learned["centre"], learned["scale"]
        names = ("value", "expires", "repeat_after", "action_created")
        self._catalogue = ActionCatalogue(self.item_ids, *(learned[name] for name in names))
        parts = ("past_ids", "past_users", "past_actions", "past_times", "past_taken")
        self._past = ActionHistory(self._catalogue, *(learned[name] for name in parts))


def _standard(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of each feature, 1 for one that never varies."""
    if not len(features):
        return np.zeros(features.shape[1]), np.ones(features.shape[1])
    deviation = features.std(axis=0)
    return features.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0)


def _with_bias(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([features, np.ones(len(features))])


def _logistic(features: NDArray[np.float64], success: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weights of a ridge logistic regression, the bias last, by Newton's method."""
    weights = np.zeros(features.shape[1])
    ridge = np.full(features.shape[1], RIDGE)
    ridge[-1] = 1e-6
    for _ in range(_ROUNDS):
        chance = expit(features @ weights)
        gradient = features.T @ (chance - success) + ridge * weights
        curvature = (features * (chance * (1.0 - chance))[:, None]).T @ features
        step = np.linalg.solve(curvature + np.diag(ridge), gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights
