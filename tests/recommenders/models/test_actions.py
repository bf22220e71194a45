"""Actions: offers, propensities, repeats, live events."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommenders import (
    ActionCatalogue,
    ActionHistory,
    Actions,
    Event,
    Interactions,
    evaluate_actions,
    load_recommender,
)
from tests.recommenders.planted import planted


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


def planted_actions(data: Interactions) -> Interactions:
    """Return events with actions: group 1 enrols after an offer, others do not; few see `rare`."""
    events = []
    for number in range(data.n_users):
        offered_at = 1_700_000_000 + number
        events.append((f"u{number:03}", "enrol", offered_at, "VIEWED"))
        if number % 4 == 1:
            events.append((f"u{number:03}", "enrol", offered_at + 86_400, "TAKEN"))
        elif number % 40 == 2:
            events.append((f"u{number:03}", "enrol", offered_at + 86_400 * 20, "TAKEN"))
        taken = "TAKEN" if number % 2 else "NOT_TAKEN"
        events.append((f"u{number:03}", "coin", offered_at, taken))
        if number < 60:
            events.append((f"u{number:03}", "rare", offered_at, taken))
    catalogue = ActionCatalogue.of(
        ["enrol", "coin", "rare", "over", "dear"],
        value=[1.0, 1.0, 2.0, 9.0, 5.0],
        expires=[None, None, None, 1_600_000_000, None],
        repeat_after=[None, 2.0, None, None, None],
    )
    columns = [list(column) for column in zip(*events, strict=True)]
    return Interactions.from_events(
        data.user_ids[data.users].tolist(),
        data.item_ids[data.items].tolist(),
        data.timestamps,
        actions=ActionHistory.of(catalogue, *columns),
    )


@pytest.fixture(scope="module")
def actions(data: Interactions) -> Actions:
    return Actions(factors=8, seed=1).fit(planted_actions(data))


def test_offers_succeed_within_the_window() -> None:
    """Taking an action is an example of its own only without an offer before, however late."""
    day = 86_400
    history = ActionHistory.of(
        ActionCatalogue.of(["x", "y"]),
        ["a", "a", "a", "b", "b", "a"],
        ["x", "x", "x", "x", "x", "y"],
        [0, 5 * day, 6 * day, 0, 20 * day, 4 * day],
        ["VIEWED", "NOT_TAKEN", "TAKEN", "VIEWED", "TAKEN", "TAKEN"],
    )
    example, success = history.examples(14)
    assert example.tolist() == [True, True, False, True, True, False]
    assert success[example].tolist() == [True, True, True, False]


def test_propensity_follows_the_users_items_and_needs_fifty_of_each(actions: Actions) -> None:
    """Without propensity the dearer action comes first; an expired one never does."""
    (block,) = actions.recommend(["u001", "u003"], 9, now=1_700_000_000 + 40 * 86_400)
    first = dict(zip(block.items[0].tolist(), block.scores[0].tolist(), strict=True))
    second = dict(zip(block.items[1].tolist(), block.scores[1].tolist(), strict=True))
    assert first["enrol"] > 0.5 > second["enrol"] > 0.0
    assert sorted(block.items[0, :2].tolist()) == ["coin", "enrol"]
    assert block.items[0, 2:].tolist() == ["dear", "rare", ""]
    assert block.scores[0, 2:].tolist() == [0.0, 0.0, 0.0]


def test_an_action_comes_again_after_its_time(actions: Actions) -> None:
    """`coin` is not recommended for two days after a user's event with it, live or trained."""
    at = 1_700_000_300

    def offered(now: int, **options: Any) -> bool:
        (block,) = actions.recommend(["u001"], 9, now=now, **options)
        return "coin" in block.items[0].tolist()

    assert (offered(at), offered(at + 3 * 86_400)) == (False, True)
    live_events = {"u001": [Event("coin", "VIEWED", at + 3 * 86_400)]}
    assert not offered(at + 4 * 86_400, live_events=live_events)


def test_live_events_change_propensities(actions: Actions, data: Interactions) -> None:
    """An unknown user who interacts with the items of group 1 becomes likely to enrol."""
    live_events = {"unknown": [Event(f"p{item}", None, item) for item in range(16, 26)]}
    now = 1_700_000_000
    (before,) = actions.recommend(["unknown"], 9, now=now)
    (after,) = actions.recommend(["unknown"], 9, now=now, live_events=live_events)
    propensities = [
        dict(zip(block.items[0].tolist(), block.scores[0].tolist(), strict=True))["enrol"]
        for block in (before, after)
    ]
    assert propensities[1] > propensities[0]


def test_blocks_and_a_loaded_model_give_the_same_actions(
    actions: Actions, data: Interactions, tmp_path: Path
) -> None:
    actions.save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    users = [*data.user_ids[:30].tolist(), "nobody"]
    (whole,) = actions.recommend(users, 4)
    singles = [next(iter(loaded.recommend([user], 4, block_size=1))) for user in users]
    assert [block.items[0].tolist() for block in singles] == whole.items.tolist()
    np.testing.assert_allclose(
        np.concatenate([block.scores for block in singles]), whole.scores, rtol=1e-4
    )


def test_action_metrics_distinguish_a_preference_from_chance(data: Interactions) -> None:
    whole = planted_actions(data)
    actual = evaluate_actions(lambda: Actions(factors=8, seed=1), whole, seed=0)
    assert set(actual) == {
        "coverage",
        "normalized_discounted_cumulative_gain_at_5",
        "normalized_discounted_cumulative_gain_at_10",
        "normalized_discounted_cumulative_gain_at_25",
        "precision",
        "recall",
        "area_under_curve",
    }
    assert actual["area_under_curve"] > 0.6
    assert all(0.0 <= value <= 1.0 for value in actual.values())
    with pytest.raises(ValueError, match="no actions"):
        evaluate_actions(Actions, data, seed=0)
