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
    """Users of group 1 enrol when they are asked to, the others do not; `rare` is hardly seen."""
    events = []
    for number in range(data.n_users):
        asked = 1_700_000_000 + number
        events.append((f"u{number:03}", "enrol", asked, "VIEWED"))
        if number % 4 == 1:
            events.append((f"u{number:03}", "enrol", asked + 86_400, "TAKEN"))
        elif number % 40 == 2:
            events.append((f"u{number:03}", "enrol", asked + 86_400 * 20, "TAKEN"))
        taken = "TAKEN" if number % 2 else "NOT_TAKEN"
        events.append((f"u{number:03}", "coin", asked, taken))
        if number < 60:
            events.append((f"u{number:03}", "rare", asked, taken))
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
    """The taking after an offer is no example of its own, however late; without one it is."""
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


def test_propensity_follows_taste_and_needs_fifty_of_each(actions: Actions) -> None:
    """Without propensity the dearer action comes first; an expired one never does."""
    (block,) = actions.recommend(["u001", "u003"], 9, now=1_700_000_000 + 40 * 86_400)
    first = dict(zip(block.items[0].tolist(), block.scores[0].tolist(), strict=True))
    second = dict(zip(block.items[1].tolist(), block.scores[1].tolist(), strict=True))
    assert first["enrol"] > 0.5 > second["enrol"] > 0.0
    assert sorted(block.items[0, :2].tolist()) == ["coin", "enrol"]
    assert block.items[0, 2:].tolist() == ["dear", "rare", ""]
    assert block.scores[0, 2:].tolist() == [0.0, 0.0, 0.0]


def test_an_action_comes_again_after_its_time(actions: Actions) -> None:
    """`coin` waits two days after a user met it, live or in training."""
    at = 1_700_000_300

    def offered(now: int, **more: Any) -> bool:
        (block,) = actions.recommend(["u001"], 9, now=now, **more)
        return "coin" in block.items[0].tolist()

    assert (offered(at), offered(at + 3 * 86_400)) == (False, True)
    live = {"u001": [Event("coin", "VIEWED", at + 3 * 86_400)]}
    assert not offered(at + 4 * 86_400, more=live)


def test_live_events_shift_propensities(actions: Actions, data: Interactions) -> None:
    """A stranger who meets the items of group 1 becomes likely to enrol."""
    more = {"stranger": [Event(f"p{item}", None, item) for item in range(16, 26)]}
    now = 1_700_000_000
    (before,) = actions.recommend(["stranger"], 9, now=now)
    (after,) = actions.recommend(["stranger"], 9, now=now, more=more)
    chances = [
        dict(zip(block.items[0].tolist(), block.scores[0].tolist(), strict=True))["enrol"]
        for block in (before, after)
    ]
    assert chances[1] > chances[0]


def test_actions_are_answered_alike_in_blocks_and_after_a_load(
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


def test_action_metrics_tell_taste_from_a_coin(data: Interactions) -> None:
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
