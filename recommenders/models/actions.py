"""Actions: the probability that a user takes an action soon, by the user's earlier events.

One logistic regression an action, trained on the offers of the last six weeks. The features of an
offer are the user's factors (`AlsModel`, from the user's items), the number of the user's events
with items, and how often the user took this action before and how often not. An action with too
few offers has the propensity 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recommenders.data.action_history import ActionCatalogue, ActionHistory
from recommenders.data.events import LiveEvents
from recommenders.data.ids import Ids, ids_at, positions
from recommenders.data.interactions import Histories, Interactions
from recommenders.data.times import SECONDS_PER_DAY
from recommenders.exploration import Exploration, Explorer
from recommenders.models.factors import AlsModel, AlsParameters
from recommenders.progress import Progress, sub_progress
from recommenders.recommender import Eligible, Recommender
from recommenders.results import Recommendations, Scores

LEAST_EVENTS = 50
"""Least number of events of taking an action, and of not taking it, for a propensity.

https://docs.aws.amazon.com/personalize/latest/dg/native-recipe-next-best-action.html
"""

RECENT_DAYS = 42
RIDGE = 1.0
_MOST_ITERATIONS = 25


class Actions(Recommender):
    """A model that ranks actions by propensity, for the recipe next-best-action.

    `item_ids` are the actions; `recommend` returns their ids, and propensities as scores, which do
    not sum to 1. Of equal propensities (to 4 decimals) the action with the greater value comes
    first. Expired actions, and those with an event of the user within their repeat time, are left
    out.

    Args:
        window_days: Days within which taking the action makes an offer a success.
        factors: Number of factors.
        seed: Seed of the factors.

    Raises:
        ValueError: If a parameter is below 1.
    """

    model_type: ClassVar[str] = "actions"
    _catalogue: ActionCatalogue
    _als: AlsModel
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
        self._als = AlsModel.fit(
            self._als_parameters(), interactions, sub_progress(progress, 0.0, 0.8)
        )
        self._catalogue = history.catalogue
        self._past = history
        example, success = history.examples(self.window_days)
        newest = int(history.timestamps.max(initial=0))
        recent = history.timestamps >= newest - RECENT_DAYS * SECONDS_PER_DAY
        features = self._offer_features(interactions, history)
        self._centre, self._scale = _mean_and_deviation(features[recent])
        features = _with_bias((features - self._centre) / self._scale)
        self._weights = np.zeros((len(history.catalogue.ids), features.shape[1]))
        self._scored = np.zeros(len(history.catalogue.ids), dtype=np.bool_)
        for action in range(len(history.catalogue.ids)):
            events = recent & (history.actions == action)
            taken = np.count_nonzero(events & history.taken)
            if min(taken, np.count_nonzero(events) - taken) >= LEAST_EVENTS:
                offers = events & example
                self._weights[action] = _logistic(features[offers], success[offers])
                self._scored[action] = True
            progress(0.8 + 0.15 * (action + 1) / len(self._scored))

    def _set_data(self, interactions: Interactions) -> None:
        super()._set_data(interactions)
        self.item_ids = self._catalogue.ids
        newest = max(self._newest, int(self._past.timestamps.max(initial=0)))
        self._newest = newest
        self._created = np.where(self._catalogue.created < 0, newest, self._catalogue.created)

    def scores(self, histories: Histories) -> Scores:
        """Return each action's propensity for users without events with actions.

        Shape (len(histories), n_actions).
        """
        none = np.zeros((len(histories), len(self.item_ids)))
        return self._propensities(self._user_features(histories), none, none)

    def _scores_for_users(self, users: Sequence[str], histories: Histories) -> Scores:
        taken, declined, _ = self._action_counts(users, None)
        return self._propensities(self._user_features(histories), taken, declined)

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
        now: int | None = None,
    ) -> Iterator[Recommendations]:
        """Yield the `n` likeliest actions of each user; see `Recommender.recommend`.

        Args:
            users: User ids, known or not.
            n: Actions per user, at least 1.
            eligible: Actions that each user may get, None for all.
            live_events: Events since the training with items and with actions, by the ids of
                either; those with actions have the types TAKEN, NOT_TAKEN or VIEWED.
            exploration: Settings for new actions in some positions of the lists; None for no
                exploration.
            boosts: Not used; actions have a value of their own.
            block_size: Users scored at once.
            workers: Not used; a block of actions is small.
            now: UTC epoch seconds, for expiry and repeats; None for the time of the newest event.
        """
        self._check(workers, n=n, block_size=block_size)
        time = self._newest if now is None else now
        explorer = Explorer(exploration, self._created, self._newest) if exploration else None
        for start in range(0, len(users), block_size):
            ids = tuple(users[start : start + block_size])
            taken, declined, last = self._action_counts(ids, live_events)
            user_features = self._user_features(self.histories(ids, live_events))
            scores = self._propensities(user_features, taken, declined)
            expires, repeat = self._catalogue.expires, self._catalogue.repeat_after
            mask = np.broadcast_to((expires < 0) | (expires >= time), scores.shape)
            mask = mask & ~((repeat > 0) & (last > time - repeat * SECONDS_PER_DAY))
            if eligible:
                mask = mask & eligible(start, start + len(ids))
            actions, values, counts = self._best_actions(scores, mask, n)
            explored = np.zeros(actions.shape, dtype=np.bool_)
            if explorer:
                explored = explorer.insert(ids, scores, mask, actions)
            yield Recommendations(ids, ids_at(self.item_ids, actions), values, counts, explored)

    def _best_actions(
        self, scores: Scores, eligible: NDArray[np.bool_], n: int
    ) -> tuple[NDArray[np.int32], Scores, NDArray[np.int64]]:
        """Return positions, propensities and counts of the best eligible actions of each row."""
        values = np.broadcast_to(self._catalogue.value, scores.shape)
        order = np.lexsort((-values, -scores.round(4), ~eligible), axis=1)[:, :n].astype(np.int32)
        counts = np.minimum(eligible.sum(axis=1), n)
        filled = np.arange(order.shape[1]) < counts[:, None]
        chosen = np.take_along_axis(scores, order, axis=1)
        return np.where(filled, order, -1), np.where(filled, chosen, np.float32(0.0)), counts

    def _user_features(self, histories: Histories) -> NDArray[np.float64]:
        """Return the features of users that are the same for all actions."""
        factors = self._als.fold_in(histories).astype(np.float64)
        return np.column_stack([factors, np.log1p(histories.lengths)])

    def _offer_features(
        self, interactions: Interactions, history: ActionHistory
    ) -> NDArray[np.float64]:
        """Return the features of every event with an action, as they were before the event."""
        rows = positions(interactions.user_ids, history.user_ids)
        user_features = self._user_features(interactions.histories.take(rows))[history.users]
        key = history.users * max(len(history.catalogue.ids), 1) + history.actions
        first = np.searchsorted(key, key)
        before = np.concatenate([[0], np.cumsum(history.taken)])
        number = np.arange(len(key))
        taken = before[number] - before[first]
        return np.column_stack([user_features, np.log1p(taken), np.log1p(number - first - taken)])

    def _propensities(
        self,
        user_features: NDArray[np.float64],
        taken: NDArray[np.float64],
        declined: NDArray[np.float64],
    ) -> Scores:
        width = user_features.shape[1]
        shared = (user_features - self._centre[:width]) / self._scale[:width]
        logits = shared @ self._weights[:, :width].T + self._weights[:, -1]
        for number, counts in ((width, taken), (width + 1, declined)):
            scaled = (np.log1p(counts) - self._centre[number]) / self._scale[number]
            logits += scaled * self._weights[:, number]
        return np.where(self._scored, expit(logits), 0.0).astype(np.float32)

    def _action_counts(
        self, users: Sequence[str], live_events: LiveEvents | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return the counts of taken and not taken actions of each user, and the last time."""
        past = self._past
        shape = (len(users), len(self.item_ids))
        taken, declined = np.zeros(shape), np.zeros(shape)
        last = np.full(shape, np.iinfo(np.int64).min)
        past_users = positions(past.user_ids, users)
        for row, user in enumerate(users):
            events = slice(*np.searchsorted(past.users, [past_users[row], past_users[row] + 1]))
            actions, took = past.actions[events], past.taken[events]
            np.add.at(taken[row], actions[took], 1.0)
            np.add.at(declined[row], actions[~took], 1.0)
            np.maximum.at(last[row], actions, past.timestamps[events])
            for action_id, event_type, timestamp in (live_events or {}).get(user, ()):
                action = int(self.positions([action_id])[0])
                if action >= 0:
                    counts = taken if (event_type or "").upper() == "TAKEN" else declined
                    counts[row, action] += 1.0
                    last[row, action] = max(last[row, action], timestamp)
        return taken, declined, last

    def _history_positions(self, items: Sequence[str]) -> NDArray[np.int64]:
        return positions(self._items, items)

    def _als_parameters(self) -> AlsParameters:
        return AlsParameters(
            factors=self.factors,
            regularization=10.0,
            alpha=5.0,
            iterations=15,
            history_length=500,
            seed=self.seed,
            threads=0,
        )

    def _arrays(self) -> Mapping[str, NDArray[Any]]:
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
            **self._als.arrays(),
        }

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._items = arrays["items"]
        self._als = AlsModel.restore(self._als_parameters(), arrays)
        self._weights, self._scored = arrays["weights"], arrays["scored"]
        self._centre, self._scale = arrays["centre"], arrays["scale"]
        columns = ("value", "expires", "repeat_after", "action_created")
        self._catalogue = ActionCatalogue(self.item_ids, *(arrays[name] for name in columns))
        members = ("past_ids", "past_users", "past_actions", "past_times", "past_taken")
        self._past = ActionHistory(self._catalogue, *(arrays[name] for name in members))


def _mean_and_deviation(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each feature; 1 for a feature that never varies."""
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
    for _ in range(_MOST_ITERATIONS):
        probability = expit(features @ weights)
        gradient = features.T @ (probability - success) + ridge * weights
        curvature = (features * (probability * (1.0 - probability))[:, None]).T @ features
        step = np.linalg.solve(curvature + np.diag(ridge), gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights
