"""Boosts of items, weights of events, and rewards."""

from pathlib import Path

import numpy as np
import pytest

from recommenders import Hybrid, Interactions, Popularity, evaluate, standardized_ranks
from recommenders.boosting import boosted_scores
from tests.recommenders.planted import planted


def test_standardized_ranks_have_mean_zero_and_deviation_one() -> None:
    ranks = standardized_ranks([300.0, 1.0, float("nan"), 2.0])
    assert ranks.tolist() == pytest.approx([1.5, -0.5, -1.5, 0.5] / np.sqrt(1.25))
    low, high = -1 / np.sqrt(3), np.sqrt(3)
    assert standardized_ranks([5, 5, 7, 5]).tolist() == pytest.approx([low, low, high, low])
    assert standardized_ranks([4, 4]).tolist() == [0.0, 0.0]


def test_a_boost_raises_items_by_deviations_of_the_log_probabilities() -> None:
    """Of logarithms -1, -2, -3 (deviation 0.816) the last gets two deviations more."""
    logs = np.array([-1.0, -2.0, -3.0])
    probabilities = np.array([[*(np.exp(logs) / np.exp(logs).sum()), 0.0]], np.float32)
    expected = np.exp(logs + np.array([0.0, 0.0, 2.0]) * np.sqrt(2 / 3))
    boosted = boosted_scores(probabilities, np.array([0.0, 0.0, 2.0, 9.0], np.float32))
    assert boosted[0].tolist() == pytest.approx([*(expected / expected.sum()), 0.0], rel=1e-5)
    unchanged = boosted_scores(probabilities, np.zeros(4, np.float32))
    assert unchanged[0].tolist() == pytest.approx(probabilities[0].tolist(), rel=1e-5)


def test_equal_probabilities_are_ordered_by_boost_and_zero_stays_zero() -> None:
    equal = boosted_scores(np.full((1, 3), 1 / 3, np.float32), standardized_ranks([1, 3, 2]))
    assert np.argsort(-equal[0]).tolist() == [1, 2, 0]
    assert equal.sum() == pytest.approx(1.0)
    assert boosted_scores(np.zeros((1, 3), np.float32), standardized_ranks([1, 2, 3])).tolist() == [
        [0.0] * 3
    ]


def test_a_models_boosts_change_all_its_results_and_are_saved(tmp_path: Path) -> None:
    data = planted()
    model = Hybrid(factors=8).fit(data)
    plain = next(model.recommend(["u000"], 5)).items[0].tolist()
    last = plain[-1]
    boosts = np.where(data.item_ids == last, np.float32(9.0), np.float32(0.0))
    boosted = next(model.recommend(["u000"], 5, boosts=boosts)).items[0].tolist()
    model.boosts = boosts
    model.save(tmp_path / "model")
    kept = Hybrid.load(tmp_path / "model")
    assert boosted[0] == last
    assert next(kept.recommend(["u000"], 5)).items[0].tolist() == boosted
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
    unweighted, weighted = (
        Hybrid(factors=4).fit(Interactions.from_events(users, items, times, weights=weights))
        for weights in (None, [0.3] * 90)
    )
    history = unweighted.histories(["u1"])
    assert np.array_equal(unweighted.scores(history), weighted.scores(history))


def test_average_rewards_are_what_the_most_rewarding_items_bring() -> None:
    """All users get the popular items; their 25 dearest hold the interactions, or not."""
    users = [f"u{n % 40}" for n in range(1_200)]
    items = [f"i{n % 60:02}" for n in range(1_200)]
    data = Interactions.from_events(users, items, list(range(1_200)))

    def average(rewards: list[float]) -> float:
        metrics = evaluate(Popularity, data, seed=1, rewards=np.array(rewards))
        return metrics["average_rewards_at_k"]

    assert average([1.0] * 25 + [0.0] * 35) == 1.0
    assert 0.0 < average([float(n) for n in range(60)]) < 1.0
    assert average([0.0] * 60) == 0.0
