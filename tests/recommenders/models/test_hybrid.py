"""The hybrid against its definition: transitions, repeats, seeds."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommenders import Histories, Hybrid, Interactions, Popularity, evaluate
from recommenders.models.transitions import repeat_rate, repeat_rates, transitions
from tests.recommenders.planted import MODELS, planted


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


def test_transitions_of_one_short_history() -> None:
    """Neither the step from x to x nor the one from a's z to b's x counts."""
    events = Interactions.from_events(
        ["a"] * 3 + ["b"] * 2, ["x", "y", "z", "x", "x"], [1, 2, 3, 1, 2]
    )
    expected = np.zeros((3, 3))
    expected[0, 1] = 1.0 / (1.8 + 10) / 2**0.3
    expected[0, 2] = 0.8 / (1.8 + 10) / 2**0.3
    expected[1, 2] = 1.0 / (1.0 + 10) / 2**0.3
    np.testing.assert_allclose(transitions(events).toarray(), expected, rtol=1e-6)


def test_repeats_are_counted_by_the_age_of_the_last_event() -> None:
    events = Interactions.from_events(
        ["a"] * 5 + ["b"] * 2, ["x", "x", "y", "z", "x", "y", "z"], [1, 2, 3, 4, 5, 1, 2]
    )
    # Waiting at age 0: a's first four events and b's first. One of them comes again at once.
    # Waiting at age 1: a's second and third; at age 2: a's second, which comes again then.
    assert repeat_rate(events) == 2 / (5 + 1)
    assert repeat_rates(events)[:3].tolist() == [1 / (5 + 1), 1 / (3 + 1), 0.0]


def test_data_without_repeats_have_rate_zero() -> None:
    events = Interactions.from_events(["a", "a", "b"], ["x", "y", "x"], [1, 2, 1])
    assert repeat_rate(events) == 0.0
    assert repeat_rates(events).sum() == 0.0


def dense_hybrid(
    saved: Path, history: list[int], *, alpha: float, regularization: float
) -> NDArray[np.float64]:
    """Return the scores of a history by the definition: dense, float64, an item at a time."""
    with np.load(saved / "recommender.npz") as file:
        arrays = dict(file)
    factors = arrays["item_factors"].astype(np.float64)
    n_items = len(factors)
    ages = range(len(history) - 1, -1, -1)
    confidence, newest = np.zeros(n_items), np.zeros(n_items)
    for item, age in zip(history, ages, strict=True):
        confidence[item] += alpha * (0.9**age + 0.02)
        newest[item] += 0.8**age
    system = factors.T @ factors + regularization * np.eye(factors.shape[1])
    right = np.zeros(factors.shape[1])
    for item in set(history):
        system += (confidence[item] - 1) * np.outer(factors[item], factors[item])
        right += confidence[item] * factors[item]
    als = factors @ np.linalg.solve(system, right)
    transition = np.zeros((n_items, n_items))
    offsets, columns = arrays["transition_offsets"], arrays["transition_items"]
    for row in range(n_items):
        for entry in range(offsets[row], offsets[row + 1]):
            transition[row, columns[entry]] = arrays["transition_values"][entry]
    steps = newest @ transition
    score = (als - als.mean()) / als.std() + 0.5 * (steps - steps.mean()) / steps.std()
    soft = np.exp(score) / np.exp(score).sum()
    last = dict(zip(history, ages, strict=True))
    mean_root = np.mean([math.sqrt(soft[item]) for item in last])
    new = sum(soft[item] for item in range(n_items) if item not in last)
    probability = np.empty(n_items)
    for item in range(n_items):
        if item in last:
            rate = arrays["repeat_rates"][int(math.log2(last[item] + 1))]
            probability[item] = rate * math.sqrt(soft[item]) / mean_root
        else:
            probability[item] = (1 - arrays["repeat_rate"]) * soft[item] / new
    return np.asarray(probability / probability.sum())


def test_blocks_equal_the_definition(data: Interactions, tmp_path: Path) -> None:
    model = Hybrid(factors=8, regularization=2.0, alpha=3.0, iterations=5, seed=3).fit(data)
    model.save(tmp_path)
    actual = model.scores(data.histories)
    for user in range(0, data.n_users, 12):
        expected = dense_hybrid(
            tmp_path, data.histories[user].tolist(), alpha=3.0, regularization=2.0
        )
        np.testing.assert_allclose(actual[user], expected, rtol=2e-3, atol=1e-7)


def test_seed_decides_to_the_bit_and_threads_do_not(data: Interactions) -> None:
    first, again, other = (
        Hybrid(factors=8, iterations=5, seed=seed, threads=threads).fit(data)
        for seed, threads in ((3, 1), (3, 2), (4, 1))
    )
    scores = first.scores(data.histories)
    assert (scores == again.scores(data.histories)).all()
    assert (scores != other.scores(data.histories)).any()


def test_known_items_come_last_if_no_user_repeats() -> None:
    data = planted(repeats=0.0)
    model = MODELS["hybrid"]().fit(data)
    for user in (0, 50, 150):
        known = set(data.histories[user].tolist())
        ((ranked, scores),) = model.recommend_histories(
            Histories.of([data.histories[user]]), data.n_items
        )
        assert set(ranked[0, -len(known) :].tolist()) == known
        assert scores[0, -len(known) :].tolist() == [0.0] * len(known)


def test_known_items_keep_their_share_where_people_repeat(data: Interactions) -> None:
    scores = MODELS["hybrid"]().fit(data).scores(data.histories)
    rows = data.histories.rows[data.histories.latest]
    known = scores[rows, data.histories.items[data.histories.latest]].sum() / data.n_users
    assert 0.1 < repeat_rate(data) < 0.3
    assert known == pytest.approx(repeat_rate(data), abs=0.05)


def test_the_usual_next_item_is_first() -> None:
    """Each user reads one of twelve serials in order, from some part on."""
    random = np.random.default_rng(0)
    events = [
        (f"u{user:03}", f"{user % 12:02}-{(start + step) % 10}", step)
        for user in range(240)
        for start in [random.integers(10)]
        for step in range(5)
    ]
    data = Interactions.from_events(*zip(*events, strict=True))
    model = Hybrid(factors=16, regularization=1.0).fit(data)
    items = {item: position for position, item in enumerate(data.item_ids.tolist())}
    history = [items["04-2"], items["04-3"], items["04-4"]]
    ((ranked, _),) = model.recommend_histories(Histories.of([history]), 1)
    assert data.item_ids[ranked].tolist() == [["04-5"]]


def test_an_old_history_is_cut(data: Interactions) -> None:
    model = Hybrid(factors=8, iterations=5, history_length=3).fit(data)
    recent = [5, 6, 7] + [8] * 40
    long, short = model.scores(Histories.of([recent, recent[2:]]))
    new = [item for item in range(data.n_items) if item not in recent]
    np.testing.assert_allclose(
        long[new] / long[new].sum(), short[new] / short[new].sum(), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factors": 0}, "factors=0; it must be at least 1"),
        ({"alpha": -1.0}, "alpha=-1.0; both must be above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hybrid(**parameters)


@pytest.mark.parametrize("repeats", [0.0, 0.2])
def test_the_hybrid_beats_popularity_on_the_sample(repeats: float) -> None:
    data = planted(users=600, repeats=repeats)
    gain = "normalized_discounted_cumulative_gain_at_10"
    popularity = evaluate(Popularity, data, seed=0)
    seen: list[float] = []
    hybrid = evaluate(
        lambda: Hybrid(factors=8, regularization=1.0, seed=0),
        data,
        seed=0,
        progress=seen.append,
    )
    assert hybrid[gain] > 2 * popularity[gain]
    assert hybrid["coverage"] > popularity["coverage"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_huge_catalogue_rounds_no_probability_to_zero() -> None:
    """Known items score hundreds of deviations above 60,000 items without events."""
    small = planted()
    huge = Interactions.from_events(
        small.user_ids[small.users].tolist(),
        small.item_ids[small.items].tolist(),
        small.timestamps,
        catalogue=[f"z{item:05}" for item in range(60_000)],
    )
    model = Hybrid(factors=8, regularization=0.1, alpha=40.0, iterations=5, seed=3).fit(huge)
    scores = model.scores(huge.histories.block(0, 20))
    np.testing.assert_allclose(scores.sum(axis=1, dtype=np.float64), 1.0, rtol=1e-4)
    for user in range(20):
        new = np.setdiff1d(np.arange(huge.n_items), huge.histories[user])
        assert (scores[user, new] > 0.0).all()
