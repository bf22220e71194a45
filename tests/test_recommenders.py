"""Recommenders: one contract for all models, an exact oracle, the hold-out and its metrics."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommenders import (
    Histories,
    Hybrid,
    Interactions,
    Popularity,
    Recommender,
    evaluate,
    load_recommender,
    ranking_metrics,
)
from recommenders.evaluation import hold_out
from recommenders.recommender import best, best_eligible
from recommenders.sequences import repeat_rate, repeat_rates, transitions

MODELS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "hybrid": lambda: Hybrid(factors=8, iterations=5, seed=3),
}


def planted(*, users: int = 240, items: int = 60, repeats: float = 0.0) -> Interactions:
    """Four groups of taste; inside a group items are met mostly in the order of their number."""
    random = np.random.default_rng(7)
    size = items // 4
    events: list[tuple[str, str, int]] = []
    for user in range(users):
        at, past = int(random.integers(size)), list[int]()
        for step in range(int(random.integers(3, 12))):
            at = (at + 1) % size
            item = at + size * (user % 4) if random.random() < 0.8 else int(random.integers(items))
            if past and random.random() < repeats:
                item = past[-1]
            elif item in past:
                continue
            past.append(item)
            events.append((f"u{user:03}", f"p{item:02}", 1_700_000_000 + 60 * step))
    return Interactions.from_events(*zip(*events, strict=True), catalogue=["cold-1", "cold-2"])


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, data: Interactions) -> Recommender:
    return MODELS[request.param]().fit(data)


def answer(
    model: Recommender, users: list[str], n: int, block_size: int = 256, workers: int = 1
) -> tuple[list[str], list[list[str]], NDArray[np.float32]]:
    blocks = list(model.recommend(users, n, block_size=block_size, workers=workers))
    return (
        [user for block in blocks for user in block.users],
        [row for block in blocks for row in block.items.tolist()],
        np.concatenate([block.scores for block in blocks]),
    )


def test_events_are_sorted_by_user_time_and_arrival() -> None:
    actual = Interactions.from_events(
        ["b", "a", "b", "a", "b"], ["y", "z", "x", "x", "z"], [20, 5, 10, 5, 20]
    )
    assert actual.user_ids.tolist() == ["a", "b"]
    assert actual.item_ids.tolist() == ["x", "y", "z"]
    assert actual.users.tolist() == [0, 0, 1, 1, 1]
    assert actual.items.tolist() == [2, 0, 0, 1, 2]
    assert actual.timestamps.tolist() == [5, 5, 10, 20, 20]
    assert [actual.histories[user].tolist() for user in (0, 1)] == [[2, 0], [0, 1, 2]]


def test_matrix_counts_repeats_and_leaves_the_order_of_events_alone() -> None:
    actual = Interactions.from_events(["a"] * 4, ["z", "x", "z", "y"], [1, 2, 3, 4])
    assert actual.matrix().toarray().tolist() == [[1.0, 1.0, 2.0]]
    assert actual.items.tolist() == [2, 0, 2, 1]


def test_catalogue_adds_items_without_events() -> None:
    actual = Interactions.from_events(["a"], ["m"], [1], catalogue=["z", "b", "m"])
    assert actual.item_ids.tolist() == ["b", "m", "z"]
    assert actual.popularity().tolist() == [0, 1, 0]


def test_some_users_keep_the_whole_catalogue() -> None:
    whole = Interactions.from_events(["a", "b", "c"], ["x", "y", "z"], [1, 2, 3])
    part = whole.of_users(np.array([2, 0]))
    assert part.user_ids.tolist() == ["a", "c"]
    assert part.users.tolist() == [0, 1]
    assert part.items.tolist() == [0, 2]
    assert part.n_items == 3


def test_histories_are_taken_cut_and_searched_for_last_meetings() -> None:
    histories = Histories.of([[3, 1, 3], [], [2, 2, 0, 1]])
    taken = histories.take(np.array([2, -1, 0]))
    assert [taken[row].tolist() for row in range(3)] == [[2, 2, 0, 1], [], [3, 1, 3]]
    newest = histories.newest(2)
    assert [newest[row].tolist() for row in range(3)] == [[1, 3], [], [0, 1]]
    assert histories.ages.tolist() == [2, 1, 0, 3, 2, 1, 0]
    assert histories.latest.tolist() == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    ("users", "items", "times", "message"),
    [
        ([], [], [], "interactions: no events"),
        (["a", "b"], ["x"], [1, 2], "2 user ids, 1 item ids and 2 timestamps"),
    ],
)
def test_impossible_columns_are_refused(
    users: list[str], items: list[str], times: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Interactions.from_events(users, items, times)


def test_answers_have_the_order_and_shape_asked_for(model: Recommender, data: Interactions) -> None:
    asked = ["u100", "u003", "u239", "u003"]
    users, items, scores = answer(model, asked, 7)
    assert users == asked
    assert scores.shape == (4, 7)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 7 and set(row) <= set(data.item_ids) for row in items)
    assert items[1] == items[3]


@pytest.mark.parametrize(("block_size", "workers"), [(1, 1), (7, 1), (7, 3)])
def test_blocks_equal_the_whole(
    model: Recommender, data: Interactions, block_size: int, workers: int
) -> None:
    asked = data.user_ids.tolist()
    users, items, scores = answer(model, asked, 10, block_size, workers)
    _, whole_items, whole_scores = answer(model, asked, 10)
    assert users == asked
    assert items == whole_items
    np.testing.assert_allclose(scores, whole_scores, rtol=1e-4)


def test_scores_are_probabilities_over_the_catalogue(
    model: Recommender, data: Interactions
) -> None:
    scores = model.scores(data.histories)
    assert scores.shape == (data.n_users, data.n_items)
    assert scores.min() >= 0
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-4)


def test_more_items_than_there_are_gives_the_whole_catalogue(
    model: Recommender, data: Interactions
) -> None:
    _, items, _ = answer(model, ["u000"], 1000)
    assert sorted(items[0]) == data.item_ids.tolist()


def test_a_stranger_gets_what_is_popular(model: Recommender, data: Interactions) -> None:
    _, items, scores = answer(model, ["nobody"], 5)
    events = data.popularity()
    expected = np.lexsort((data.item_ids, -events))[:5]
    assert items == [data.item_ids[expected].tolist()]
    np.testing.assert_allclose(scores[0], events[expected] / data.n_events, rtol=1e-6)


def test_a_history_is_served_like_its_user(model: Recommender, data: Interactions) -> None:
    history = data.histories[42].tolist()
    ((positions, scores),) = model.recommend_histories(Histories.of([history]), 6)
    _, items, expected = answer(model, ["u042"], 6)
    assert data.item_ids[positions].tolist() == items
    assert scores.tolist() == expected.tolist()


def test_saved_and_loaded_answers_the_same_to_the_bit(
    model: Recommender, data: Interactions, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    asked = [*data.user_ids.tolist(), "nobody"]
    assert type(loaded) is type(model)
    assert answer(loaded, asked, 12)[1] == answer(model, asked, 12)[1]
    assert (answer(loaded, asked, 12)[2] == answer(model, asked, 12)[2]).all()
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "recommender.json",
        "recommender.npz",
    ]


def test_progress_rises_from_0_to_1(model: Recommender, data: Interactions) -> None:
    seen: list[float] = []
    MODELS[model.kind]().fit(data, progress=seen.append)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)


def test_what_progress_raises_stops_the_training(model: Recommender, data: Interactions) -> None:
    def stop(_progress: float) -> None:
        raise InterruptedError("solution version stopped")

    with pytest.raises(InterruptedError, match="solution version stopped"):
        MODELS[model.kind]().fit(data, progress=stop)


@pytest.mark.parametrize("size", ["n", "block_size", "workers"])
def test_senseless_sizes_are_refused(model: Recommender, size: str) -> None:
    with pytest.raises(ValueError, match=f"{size}=0; it must be at least 1"):
        model.recommend(["u000"], **{"n": 5, size: 0})


@pytest.mark.parametrize(
    ("users", "items", "times"),
    [
        (["a"], ["x"], [1]),
        (["a", "b", "b"], ["x", "x", "x"], [1, 2, 3]),
        (["a", "a", "a"], ["x", "y", "x"], [5, 5, 5]),
        (["a", "b", "c"], ["x", "y", "z"], [1, 1, 1]),
    ],
    ids=["one event", "one item", "one user", "single events"],
)
def test_tiny_data_give_whole_finite_lists(
    model: Recommender, users: list[str], items: list[str], times: list[int]
) -> None:
    tiny = MODELS[model.kind]().fit(Interactions.from_events(users, items, times))
    _, ranked, scores = answer(tiny, [*users, "nobody"], 10)
    assert all(sorted(row) == sorted(set(items)) for row in ranked)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


def test_a_model_is_not_loaded_as_another_kind(data: Interactions, tmp_path: Path) -> None:
    Popularity().fit(data).save(tmp_path)
    with pytest.raises(ValueError, match="kind 'popularity', not 'hybrid'"):
        Hybrid.load(tmp_path)


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "recommender.json").write_text('{"kind": "oracle"}')
    with pytest.raises(ValueError, match="'oracle'; known are popularity, hybrid"):
        load_recommender(tmp_path)


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_recommender(tmp_path)


@pytest.mark.parametrize(("width", "n"), [(1, 1), (9, 4), (700, 25), (3000, 40), (50, 80)])
@pytest.mark.parametrize("levels", [1, 3, 10_000_000])
def test_equals_a_stable_sort_ties_by_position(width: int, n: int, levels: int) -> None:
    scores = np.random.default_rng(width).integers(levels, size=(6, width)).astype(np.float32)
    positions, values = best(scores, n)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    assert positions.tolist() == expected.tolist()
    assert values.tolist() == np.take_along_axis(scores, expected, axis=1).tolist()


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


def test_repeats_are_counted_by_how_long_ago_the_item_was_met() -> None:
    events = Interactions.from_events(
        ["a"] * 5 + ["b"] * 2, ["x", "x", "y", "z", "x", "y", "z"], [1, 2, 3, 4, 5, 1, 2]
    )
    # Waiting at age 0: a's first four events and b's first. One of them comes again at once.
    # Waiting at age 1: a's second and third; at age 2: a's second, which comes again then.
    assert repeat_rate(events) == 2 / (5 + 1)
    assert repeat_rates(events)[:3].tolist() == [1 / (5 + 1), 1 / (3 + 1), 0.0]


def test_nobody_repeats() -> None:
    events = Interactions.from_events(["a", "a", "b"], ["x", "y", "x"], [1, 2, 1])
    assert repeat_rate(events) == 0.0
    assert repeat_rates(events).sum() == 0.0


def dense_hybrid(
    saved: Path, history: list[int], *, alpha: float, regularization: float
) -> NDArray[np.float64]:
    """The score of one history by its definition: dense, float64, an item at a time."""
    with np.load(saved / "recommender.npz") as arrays:
        learned = dict(arrays)
    factors = learned["item_factors"].astype(np.float64)
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
    taste = factors @ np.linalg.solve(system, right)
    step = np.zeros((n_items, n_items))
    offsets, columns = learned["transition_offsets"], learned["transition_items"]
    for row in range(n_items):
        for entry in range(offsets[row], offsets[row + 1]):
            step[row, columns[entry]] = learned["transition_values"][entry]
    follow = newest @ step
    score = (taste - taste.mean()) / taste.std() + 0.5 * (follow - follow.mean()) / follow.std()
    soft = np.exp(score) / np.exp(score).sum()
    last = dict(zip(history, ages, strict=True))
    mean_root = np.mean([math.sqrt(soft[item]) for item in last])
    new = sum(soft[item] for item in range(n_items) if item not in last)
    chance = np.empty(n_items)
    for item in range(n_items):
        if item in last:
            rate = learned["repeat_rates"][int(math.log2(last[item] + 1))]
            chance[item] = rate * math.sqrt(soft[item]) / mean_root
        else:
            chance[item] = (1 - learned["repeat_rate"]) * soft[item] / new
    return np.asarray(chance / chance.sum())


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


def test_known_items_come_last_where_nobody_repeats() -> None:
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
    """Everybody reads one of twelve serials in order, from somewhere in it."""
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
    """Everybody meets x, then y; the list is x, y, z, so y is found at position 2."""
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


@pytest.mark.parametrize("repeats", [0.0, 0.2])
def test_the_hybrid_beats_popularity_on_planted_tastes(repeats: float) -> None:
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


@pytest.mark.parametrize(("block_size", "workers"), [(256, 1), (3, 1), (3, 2)])
def test_the_best_of_the_eligible_items_are_recommended(
    model: Recommender, data: Interactions, block_size: int, workers: int
) -> None:
    """As many as asked for where so many are eligible, and none to whom nothing is."""
    asked = ["u003", "nobody", "u100", "u003", "u007", "u239", "u050"]
    mask = np.random.default_rng(5).random((len(asked), data.n_items)) < 0.5
    mask[4], mask[5], mask[6] = False, data.item_ids == "p07", True
    whole = answer(model, asked, data.n_items)
    blocks = list(
        model.recommend(
            asked,
            12,
            eligible=lambda start, stop: mask[start:stop],
            block_size=block_size,
            workers=workers,
        )
    )
    counts = [count for block in blocks for count in block.counts.tolist()]
    items = [row for block in blocks for row in block.items.tolist()]
    scores = [row for block in blocks for row in block.scores.tolist()]
    for user, everything in enumerate(whole[1]):
        may = set(data.item_ids[mask[user]].tolist())
        expected = [item for item in everything if item in may][:12]
        assert counts[user] == len(expected)
        assert items[user] == expected + [""] * (12 - len(expected))
        kept = [everything.index(item) for item in expected]
        np.testing.assert_allclose(scores[user][: len(kept)], whole[2][user, kept], rtol=1e-4)
        assert scores[user][len(kept) :] == [0.0] * (12 - len(kept))
    assert counts[4:] == [0, 1, 12]


@pytest.mark.parametrize(("width", "n"), [(1, 1), (9, 4), (700, 25), (3000, 40), (50, 80)])
@pytest.mark.parametrize("share", [0.0, 0.004, 0.5, 1.0])
def test_eligible_entries_equal_a_stable_sort_of_them(width: int, n: int, share: float) -> None:
    random = np.random.default_rng(width)
    scores = random.integers(3, size=(6, width)).astype(np.float32)
    mask = random.random((6, width)) < share
    positions, values, counts = best_eligible(scores.copy(), mask, n)
    for row in range(6):
        order = np.argsort(-scores[row], kind="stable")
        expected = order[mask[row, order]][:n].tolist()
        padding = min(n, width) - len(expected)
        assert counts[row] == len(expected)
        assert positions[row].tolist() == expected + [-1] * padding
        assert values[row].tolist() == scores[row, expected].tolist() + [0.0] * padding
