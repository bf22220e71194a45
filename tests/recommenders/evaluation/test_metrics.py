"""Offline metrics: the hold-outs and known values."""

import math

import numpy as np
import pytest

from recommenders import (
    Cosine,
    Interactions,
    Popularity,
    evaluate,
    evaluate_segments,
    ranking_metrics,
    trend_prediction_accuracy,
)
from recommenders.evaluation.items import hold_out
from tests.recommenders.planted import MODELS, planted, with_metadata


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


def test_personalizes_worked_example() -> None:
    """Five recommendations, the second and the fifth of them relevant, and no other item."""
    actual = ranking_metrics(np.array([[False, True, False, False, True]]), np.array([2]))
    assert actual == {
        "mean_reciprocal_rank_at_25": 0.5,
        "normalized_discounted_cumulative_gain_at_5": pytest.approx(0.6241, abs=5e-5),
        "normalized_discounted_cumulative_gain_at_10": pytest.approx(0.6241, abs=5e-5),
        "normalized_discounted_cumulative_gain_at_25": pytest.approx(0.6241, abs=5e-5),
        "precision_at_5": 0.4,
        "precision_at_10": 0.2,
        "precision_at_25": 0.08,
    }


def test_means_over_users_and_cutoffs() -> None:
    hits = np.zeros((2, 25), dtype=bool)
    hits[0, 7] = True
    actual = ranking_metrics(hits, np.array([1, 3]))
    assert actual["mean_reciprocal_rank_at_25"] == 1 / 8 / 2
    assert actual["normalized_discounted_cumulative_gain_at_5"] == 0.0
    assert actual["normalized_discounted_cumulative_gain_at_10"] == pytest.approx(
        1 / math.log2(9) / 2
    )
    assert actual["precision_at_10"] == 0.05


def test_a_perfect_list_has_gain_1_however_many_are_relevant() -> None:
    actual = ranking_metrics(np.ones((1, 25), dtype=bool), np.array([40]))
    for k in (5, 10, 25):
        assert actual[f"normalized_discounted_cumulative_gain_at_{k}"] == pytest.approx(1.0)


def test_a_user_without_relevant_items_is_refused() -> None:
    with pytest.raises(ValueError, match="no user without a relevant item"):
        ranking_metrics(np.zeros((1, 5), dtype=bool), np.array([0]))


def test_a_tenth_of_the_users_test_and_the_rest_trains(data: Interactions) -> None:
    split = hold_out(data, seed=1)
    assert (len(split.inputs), split.train.n_users) == (24, 216)
    assert split.train.item_ids.tolist() == data.item_ids.tolist()
    left = set(data.user_ids) - set(split.train.user_ids)
    whole = [data.histories[data.user_ids.tolist().index(user)] for user in sorted(left)]
    for user, history in enumerate(whole):
        assert [*split.inputs[user], *split.targets[user]] == history.tolist()
        assert len(split.targets[user]) == max(1, len(history) // 10)


def test_the_newest_tenth_is_the_target() -> None:
    users = ["long"] * 25 + ["short"]
    items = [f"p{event:02}" for event in range(25)] + ["p00"]
    split = hold_out(Interactions.from_events(users, items, list(range(26))), seed=0)
    assert split.inputs[0].tolist() == list(range(23))
    assert split.targets[0].tolist() == [23, 24]
    assert split.train.user_ids.tolist() == ["short"]


def test_the_seed_chooses(data: Interactions) -> None:
    chosen = [hold_out(data, seed=seed).train.user_ids.tolist() for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


@pytest.mark.parametrize(
    ("users", "message"),
    [(["a", "a", "a"], "1 users, 1 of them"), (["a", "b", "c"], "3 users, 0 of them")],
)
def test_data_without_a_holdout_are_refused(users: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(Popularity, Interactions.from_events(users, ["x", "y", "x"], [1, 2, 3]), seed=0)


def test_known_metrics_of_popularity() -> None:
    """All users interact with x, then y; the list is x, y, z, so y is at position 2."""
    users = [f"u{user}" for user in range(20) for _ in range(2)] + ["u0"]
    items = ["x", "y"] * 20 + ["x"]
    times = [*range(40), -1]
    data = Interactions.from_events(users, items, times, catalogue=["z", "zz"])
    seed = next(s for s in range(9) if "u0" in hold_out(data, seed=s).train.user_ids)
    assert evaluate(Popularity, data, seed=seed) == {
        "coverage": 1.0,
        "mean_reciprocal_rank_at_25": 0.5,
        "normalized_discounted_cumulative_gain_at_5": pytest.approx(1 / math.log2(3)),
        "normalized_discounted_cumulative_gain_at_10": pytest.approx(1 / math.log2(3)),
        "normalized_discounted_cumulative_gain_at_25": pytest.approx(1 / math.log2(3)),
        "precision_at_5": 0.2,
        "precision_at_10": 0.1,
        "precision_at_25": 0.04,
    }


def test_coverage_counts_the_whole_catalogue() -> None:
    data = Interactions.from_events(
        ["a", "a", "b", "b"],
        ["x", "y"] * 2,
        [1, 2, 3, 4],
        catalogue=[f"{item:02}" for item in range(48)],
    )
    assert evaluate(Popularity, data, seed=0)["coverage"] == 25 / 50


def test_a_trend_is_predicted() -> None:
    """Z rises from 1 to 3 to 5, as predicted; the whole increase is z's 2/3 and y's 1/sqrt(2)."""
    events = [("z", 0)] + [("z", 10)] * 3 + [("z", 20)] * 5 + [("x", 0)] * 3 + [("y", 20)]
    data = Interactions.from_events(
        [f"u{number}" for number in range(len(events))],
        [item for item, _ in events],
        [time for _, time in events],
    )
    assert trend_prediction_accuracy(data, 5) == pytest.approx(1.0)
    assert trend_prediction_accuracy(data, 100) == 0.0


def test_related_items_are_measured_by_the_newest_item_of_the_input() -> None:
    """All users interact with x, y and then z: z is related to y, at position 1 or 2."""
    users = [f"u{user}" for user in range(30) for _ in range(3)]
    data = Interactions.from_events(users, ["x", "y", "z"] * 30, list(range(90)))
    actual = evaluate(Cosine, data, seed=0, related=True)
    assert actual["mean_reciprocal_rank_at_25"] == 0.5
    assert actual["precision_at_5"] == 0.2


def test_segments_are_measured_by_the_newest_fifth(data: Interactions) -> None:
    fresh = planted(users=600)
    actual = evaluate_segments(MODELS["affinity"], fresh, seed=0)
    assert set(actual) == {"coverage", "hit_at_k", "recall_at_k"}
    assert actual["recall_at_k"] > 2 * 6 / 600
    assert 0.1 < actual["coverage"] <= 1.0
    by_value = evaluate_segments(MODELS["affinity"], with_metadata(data), seed=0, attributes=True)
    assert by_value["hit_at_k"] > 1.0
    with pytest.raises(ValueError, match="no item has a value"):
        evaluate_segments(MODELS["affinity"], data, seed=0, attributes=True)
