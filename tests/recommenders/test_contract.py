"""The contract of all recommenders: results, blocks, live events, lists, saving."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommenders import (
    Event,
    Histories,
    Hybrid,
    Interactions,
    Popularity,
    Recommender,
    load_recommender,
)
from tests.recommenders.planted import MODELS, planted, recommendations


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, data: Interactions) -> Recommender:
    return MODELS[request.param]().fit(data)


def test_results_have_the_order_and_shape_of_the_request(
    model: Recommender, data: Interactions
) -> None:
    requested = ["u100", "u003", "u239", "u003"]
    users, items, scores = recommendations(model, requested, 7)
    assert users == requested
    assert scores.shape == (4, 7)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 7 and set(row) <= set(data.item_ids) for row in items)
    assert items[1] == items[3]


@pytest.mark.parametrize(("block_size", "workers"), [(1, 1), (7, 1), (7, 3), (7, 0)])
def test_blocks_equal_the_whole(
    model: Recommender, data: Interactions, block_size: int, workers: int
) -> None:
    requested = data.user_ids.tolist()
    users, items, scores = recommendations(model, requested, 10, block_size, workers)
    _, whole_items, whole_scores = recommendations(model, requested, 10)
    assert users == requested
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
    _, items, _ = recommendations(model, ["u000"], 1000)
    assert sorted(items[0]) == data.item_ids.tolist()


def test_an_unknown_user_gets_popular_items(model: Recommender, data: Interactions) -> None:
    _, items, scores = recommendations(model, ["nobody"], 5)
    events = data.popularity()
    expected = np.lexsort((data.item_ids, -events))[:5]
    assert items == [data.item_ids[expected].tolist()]
    if model.model_type != "trending":  # whose scores are shares of the increase
        np.testing.assert_allclose(scores[0], events[expected] / data.n_events, rtol=1e-6)


def test_a_history_gets_the_results_of_its_user(model: Recommender, data: Interactions) -> None:
    history = data.histories[42].tolist()
    ((positions, scores),) = model.recommend_histories(Histories.of([history]), 6)
    _, items, expected = recommendations(model, ["u042"], 6)
    assert data.item_ids[positions].tolist() == items
    assert scores.tolist() == expected.tolist()


def test_a_loaded_model_gives_the_same_results_to_the_bit(
    model: Recommender, data: Interactions, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    requested = [*data.user_ids.tolist(), "nobody"]
    assert type(loaded) is type(model)
    assert recommendations(loaded, requested, 12)[1] == recommendations(model, requested, 12)[1]
    assert (
        recommendations(loaded, requested, 12)[2] == recommendations(model, requested, 12)[2]
    ).all()
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "recommender.json",
        "recommender.npz",
    ]


def test_progress_rises_from_0_to_1(model: Recommender, data: Interactions) -> None:
    seen: list[float] = []
    MODELS[model.model_type]().fit(data, progress=seen.append)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)


def test_an_error_of_progress_stops_the_training(model: Recommender, data: Interactions) -> None:
    def stop(_progress: float) -> None:
        raise InterruptedError("solution version stopped")

    with pytest.raises(InterruptedError, match="solution version stopped"):
        MODELS[model.model_type]().fit(data, progress=stop)


@pytest.mark.parametrize(("size", "least"), [("n", 1), ("block_size", 1), ("workers", 0)])
def test_senseless_sizes_are_refused(model: Recommender, size: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"{size}={least - 1}; it must be at least {least}"):
        model.recommend(["u000"], **{"n": 5, size: least - 1})


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
    tiny = MODELS[model.model_type]().fit(Interactions.from_events(users, items, times))
    _, ranked, scores = recommendations(tiny, [*users, "nobody"], 10)
    assert all(sorted(row) == sorted(set(items)) for row in ranked)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


def test_a_model_is_not_loaded_as_another_model_type(data: Interactions, tmp_path: Path) -> None:
    Popularity().fit(data).save(tmp_path)
    with pytest.raises(ValueError, match="type 'popularity', not 'hybrid'"):
        Hybrid.load(tmp_path)


def test_an_unknown_model_type_is_named(tmp_path: Path) -> None:
    (tmp_path / "recommender.json").write_text('{"kind": "oracle"}')
    with pytest.raises(ValueError, match="'oracle'; known are popularity, trending, cosine"):
        load_recommender(tmp_path)


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_recommender(tmp_path)


@pytest.mark.parametrize(("block_size", "workers"), [(256, 1), (3, 1), (3, 2)])
def test_the_best_of_the_eligible_items_are_recommended(
    model: Recommender, data: Interactions, block_size: int, workers: int
) -> None:
    """As many as requested for where so many are eligible, and none to whom nothing is."""
    requested = ["u003", "nobody", "u100", "u003", "u007", "u239", "u050"]
    mask = np.random.default_rng(5).random((len(requested), data.n_items)) < 0.5
    mask[4], mask[5], mask[6] = False, data.item_ids == "p07", True
    whole = recommendations(model, requested, data.n_items)
    blocks = list(
        model.recommend(
            requested,
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
        eligible = set(data.item_ids[mask[user]].tolist())
        expected = [item for item in everything if item in eligible][:12]
        assert counts[user] == len(expected)
        assert items[user] == expected + [""] * (12 - len(expected))
        kept = [everything.index(item) for item in expected]
        np.testing.assert_allclose(scores[user][: len(kept)], whole[2][user, kept], rtol=1e-4)
        assert scores[user][len(kept) :] == [0.0] * (12 - len(kept))
    assert counts[4:] == [0, 1, 12]


def test_live_events_are_the_newest_of_a_history(model: Recommender, data: Interactions) -> None:
    """They count in the order of their time, for unknown users too, without unknown items."""
    live_events = {
        "u042": [Event("p07", "view", 20), ("p03", None, 10), Event("unheard of", "view", 30)],
        "nobody": [Event("p11", "view", 10)],
    }
    items = data.item_ids.tolist()
    expected = Histories.of(
        [
            [*data.histories[42], items.index("p03"), items.index("p07")],
            [items.index("p11")],
            data.histories[7],
        ]
    )
    (block,) = model.recommend(["u042", "nobody", "u007"], 6, live_events=live_events)
    ((positions, scores),) = model.recommend_histories(expected, 6)
    assert block.items.tolist() == data.item_ids[positions].tolist()
    np.testing.assert_allclose(block.scores, scores, rtol=1e-5)


def test_a_list_is_ranked_by_the_scores_of_its_items(
    model: Recommender, data: Interactions
) -> None:
    """Scores sum to 1 over the list; unknown items come last; blocks change nothing."""
    random = np.random.default_rng(2)
    users = ["u003", "nobody", "u100"]
    lists = [[*random.permutation(data.item_ids)[:6].tolist(), "unheard of"] for _ in users]
    scores = model.scores(model.histories(users))
    ranked = list(model.rank(users, lists, block_size=2))
    for row, (user, items, actual) in enumerate(zip(users, lists, ranked, strict=True)):
        own = {item: scores[row, data.item_ids.tolist().index(item)] for item in items[:-1]}
        expected = sorted(items[:-1], key=lambda item: -own[item])
        assert actual.user == user
        assert actual.items == (*expected, "unheard of")
        np.testing.assert_allclose(
            actual.scores[:-1], [own[item] / sum(own.values()) for item in expected], rtol=1e-4
        )
        assert actual.scores[-1] == 0.0


def test_equal_items_keep_the_order_of_the_request() -> None:
    data = Interactions.from_events(["a", "b", "c"], ["x", "y", "z"], [1, 2, 3], catalogue=["w"])
    (ranking,) = Popularity().fit(data).rank(["a"], [["?", "z", "w", "x", "y"]])
    assert ranking.items == ("z", "x", "y", "w", "?")
    assert ranking.scores.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0, 0.0])


def test_one_list_a_user_is_demanded(data: Interactions) -> None:
    with pytest.raises(ValueError, match="rank: 2 users, 1 lists; give one a user"):
        list(Popularity().fit(data).rank(["a", "b"], [["x"]]))


def test_a_failed_save_leaves_what_was_there(data: Interactions, tmp_path: Path) -> None:
    class Broken(Popularity):
        def parameters(self) -> dict[str, Any]:
            return {"unwritable": object()}

    Popularity().fit(data).save(tmp_path / "model")
    before = (tmp_path / "model/recommender.npz").read_bytes()
    with pytest.raises(TypeError):
        Broken().fit(data).save(tmp_path / "model")
    assert (tmp_path / "model/recommender.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_pickled_arrays_are_not_loaded(data: Interactions, tmp_path: Path) -> None:
    Popularity().fit(data).save(tmp_path / "model")
    evil = np.array([{"code": "would run"}], dtype=object)
    np.savez(tmp_path / "model/recommender.npz", item_ids=evil)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_recommender(tmp_path / "model")


def test_only_the_chosen_events_are_learned_from_and_histories_hold_all(
    data: Interactions,
) -> None:
    chosen = data.users % 4 != 1
    part = Popularity().fit(data, learn_from=chosen)
    expected = np.bincount(data.items[chosen], minlength=data.n_items) / chosen.sum()
    np.testing.assert_allclose(part.scores(Histories.of([[]]))[0], expected, rtol=1e-6)
    assert part.histories(["u001"])[0].tolist() == data.histories[1].tolist()
