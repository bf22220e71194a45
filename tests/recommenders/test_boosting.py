"""What ranks items besides relevance: standings, and events that weigh more than others."""

from pathlib import Path

import numpy as np
import pytest

from recommenders import Hybrid, Interactions, Popularity, evaluate, standing
from recommenders.boosting import tilted
from tests.recommenders.planted import planted


def test_a_standing_is_a_rank_with_mean_zero_and_deviation_one() -> None:
    found = standing([300.0, 1.0, float("nan"), 2.0])
    assert found.tolist() == pytest.approx([1.5, -0.5, -1.5, 0.5] / np.sqrt(1.25))
    low, high = -1 / np.sqrt(3), np.sqrt(3)
    assert standing([5, 5, 7, 5]).tolist() == pytest.approx([low, low, high, low])
    assert standing([4, 4]).tolist() == [0.0, 0.0]


def test_a_tilt_raises_what_stands_high_by_deviations_of_the_chances() -> None:
    """Of logarithms -1, -2, -3 (deviation 0.816) the last gets two deviations more."""
    logs = np.array([-1.0, -2.0, -3.0])
    chances = np.array([[*(np.exp(logs) / np.exp(logs).sum()), 0.0]], np.float32)
    expected = np.exp(logs + np.array([0.0, 0.0, 2.0]) * np.sqrt(2 / 3))
    found = tilted(chances, np.array([0.0, 0.0, 2.0, 9.0], np.float32))
    assert found[0].tolist() == pytest.approx([*(expected / expected.sum()), 0.0], rel=1e-5)
    unchanged = tilted(chances, np.zeros(4, np.float32))
    assert unchanged[0].tolist() == pytest.approx(chances[0].tolist(), rel=1e-5)


def test_equal_chances_are_ordered_by_standing_and_no_chance_stays_none() -> None:
    equal = tilted(np.full((1, 3), 1 / 3, np.float32), standing([1, 3, 2]))
    assert np.argsort(-equal[0]).tolist() == [1, 2, 0]
    assert equal.sum() == pytest.approx(1.0)
    assert tilted(np.zeros((1, 3), np.float32), standing([1, 2, 3])).tolist() == [[0.0] * 3]


def test_a_models_tilt_shapes_all_its_answers_and_is_kept(tmp_path: Path) -> None:
    data = planted()
    model = Hybrid(factors=8).fit(data)
    plain = next(model.recommend(["u000"], 5)).items[0].tolist()
    last = plain[-1]
    only = np.where(data.item_ids == last, np.float32(9.0), np.float32(0.0))
    asked = next(model.recommend(["u000"], 5, tilt=only)).items[0].tolist()
    model.tilt = only
    model.save(tmp_path / "model")
    kept = Hybrid.load(tmp_path / "model")
    assert asked[0] == last
    assert next(kept.recommend(["u000"], 5)).items[0].tolist() == asked
    (ranking,) = kept.rank(["u000"], [plain])
    assert ranking.items[0] == last


def test_an_event_of_double_weight_counts_as_two() -> None:
    users, items, times = ["a", "a", "b"], ["x", "y", "x"], [1, 2, 3]
    twice = Interactions.from_events(users, items, times, weights=[0.2, 0.1, 0.1])
    assert twice.shares().tolist() == pytest.approx([0.75, 0.25])
    assert twice.matrix().toarray().ravel().tolist() == pytest.approx([1.5, 0.75, 0.75, 0.0])
    assert twice.of_users(np.array([1])).shares().tolist() == [1.0, 0.0]
    popular = Popularity().fit(twice)
    assert next(popular.recommend(["a"], 2)).scores[0].tolist() == pytest.approx([0.75, 0.25])
    with pytest.raises(ValueError, match="no event has a weight above 0"):
        Interactions.from_events(users, items, times, weights=[0, 0, 0])


def test_equal_weights_train_the_model_that_no_weights_train() -> None:
    users, items, times = zip(*((f"u{n % 9}", f"i{n * n % 7}", n) for n in range(90)), strict=True)
    one, other = (
        Hybrid(factors=4).fit(Interactions.from_events(users, items, times, weights=weights))
        for weights in (None, [0.3] * 90)
    )
    assert np.array_equal(one.scores(one.histories(["u1"])), other.scores(one.histories(["u1"])))


def test_average_rewards_are_what_the_most_rewarding_items_bring() -> None:
    """Everybody gets the popular items; whether the 25 dearest hold what was met decides."""
    users = [f"u{n % 40}" for n in range(1_200)]
    items = [f"i{n % 60:02}" for n in range(1_200)]
    data = Interactions.from_events(users, items, list(range(1_200)))

    def average(rewards: list[float]) -> float:
        found = evaluate(Popularity, data, seed=1, rewards=np.array(rewards))
        return found["average_rewards_at_k"]

    assert average([1.0] * 25 + [0.0] * 35) == 1.0
    assert 0.0 < average([float(n) for n in range(60)]) < 1.0
    assert average([0.0] * 60) == 0.0
