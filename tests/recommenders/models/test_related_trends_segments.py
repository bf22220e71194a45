"""Related items, trends and segments against their definitions."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommenders import (
    Affinity,
    Cosine,
    Interactions,
    NotSupportedError,
    Popularity,
    Trending,
    load_recommender,
)
from recommenders.models.transitions import repeat_rate
from tests.recommenders.planted import planted, with_metadata


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


def test_a_model_refuses_by_its_type_what_it_does_not_learn(data: Interactions) -> None:
    popularity, cosine = Popularity().fit(data), Cosine().fit(data)
    refused: list[tuple[Callable[[], Any], str]] = [
        (lambda: popularity.similar(["p01"], 5), "type 'popularity' cannot relate items"),
        (lambda: popularity.users_of(["p01"], 5), "type 'popularity' cannot choose users"),
        (lambda: cosine.users_of_attributes([], 5), "type 'cosine' cannot choose users"),
        (lambda: cosine.update(data), "type 'cosine' cannot be updated; fit it anew"),
    ]
    for call, message in refused:
        with pytest.raises(NotSupportedError, match=message):
            call()


def related_by_definition(
    data: Interactions, item: int, discount: float, least: int
) -> list[tuple[float, int]]:
    """Return similarity and item of all related items, nearest first, from sets of users."""
    users = [set(data.users[data.items == other].tolist()) for other in range(data.n_items)]
    related = []
    for other in range(data.n_items):
        common = len(users[item] & users[other])
        if other != item and common >= max(least, 1):
            similarity = common / (
                len(users[item]) ** (1 - discount) * len(users[other]) ** discount
            )
            related.append((-similarity, other))
    return [(-similarity, other) for similarity, other in sorted(related)]


@pytest.mark.parametrize(("discount", "least"), [(0.5, 1), (0.0, 3), (1.0, 0), (0.3, 5)])
def test_related_items_equal_the_definition(
    data: Interactions, discount: float, least: int
) -> None:
    """Popular items follow the related ones; the item itself is never listed."""
    model = Cosine(popularity_discount=discount, min_common_users=least).fit(data)
    events = data.popularity()
    (whole,) = model.similar(data.item_ids.tolist(), data.n_items)
    for item in range(0, data.n_items, 5):
        related = related_by_definition(data, item, discount, least)
        known = {other for _, other in related} | {item}
        unrelated = sorted(set(range(data.n_items)) - known, key=lambda o: (-events[o], o))
        listed = [
            model.item_ids.tolist().index(item_id) for item_id in whole.items[item] if item_id
        ]
        assert whole.counts[item] == data.n_items - 1
        np.testing.assert_allclose(
            whole.scores[item, : len(related)], [similarity for similarity, _ in related], rtol=1e-5
        )
        assert sorted(listed[: len(related)]) == sorted(known - {item})
        assert listed[len(related) :] == unrelated
        assert whole.scores[item, len(related) :].tolist() == [0.0] * (data.n_items - len(related))
    single = [
        list(model.similar([item_id], 8, block_size=1)) for item_id in data.item_ids[:9].tolist()
    ]
    assert [block[0].items[0].tolist() for block in single] == whole.items[:9, :8].tolist()


def test_an_unknown_item_is_related_to_popular_ones(data: Interactions) -> None:
    model = Cosine().fit(data)
    popular = np.lexsort((data.item_ids, -data.popularity()))
    mask = np.ones((1, data.n_items), dtype=bool)
    mask[0, popular[0]] = False
    (all_,) = model.similar(["unheard of"], 4)
    (some,) = model.similar(["unheard of"], 4, eligible=lambda start, stop: mask[start:stop])
    assert all_.items[0].tolist() == data.item_ids[popular[:4]].tolist()
    assert some.items[0].tolist() == data.item_ids[popular[1:5]].tolist()


@pytest.mark.parametrize(
    "parameters",
    [{"neighbours": 0}, {"popularity_discount": 1.5}, {"min_common_users": -1}],
)
def test_senseless_relations_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cosine: .*must be"):
        Cosine(**parameters)


def test_metadata_relate_items_without_events(data: Interactions, tmp_path: Path) -> None:
    """`cold-2` is of group 2, as the items 30 to 44."""
    model = Cosine(metadata=True).fit(with_metadata(data))
    model.save(tmp_path / "model")
    (cold, warm) = (next(iter(model.similar([item_id], 6))) for item_id in ("cold-2", "p31"))
    assert all(30 <= int(item[1:]) < 45 for item in cold.items[0])
    assert all(30 <= int(item[1:]) < 45 for item in warm.items[0])
    (again,) = load_recommender(tmp_path / "model").similar(["cold-2"], 6)
    assert again.items.tolist() == cold.items.tolist()


def test_trends_are_increases_between_two_intervals() -> None:
    """x: 4 after 1; y: 6 after 6; z: 2 after none; w: none after 3; v: long ago."""
    events = [("x", 5)] + [("x", 15)] * 4 + [("y", 5)] * 6 + [("y", 15)] * 6
    events += [("z", 19)] * 2 + [("w", 0)] * 3 + [("v", -50)] * 9
    data = Interactions.from_events(
        [f"u{number}" for number in range(len(events))],
        [item for item, _ in events],
        [time for _, time in events],
    )
    model = Trending(interval=10).fit(data)
    (block,) = model.recommend(["anybody"], 5)
    rising = {"x": 3 / math.sqrt(6), "z": 2 / math.sqrt(3)}
    assert block.items[0].tolist() == ["x", "z", "y", "v", "w"]
    rest = 0.5 * rising["z"] / sum(rising.values())
    expected = {"x": 5 / 31, "z": 2 / 31, "y": 12 / 31, "v": 9 / 31, "w": 3 / 31}
    for item, score in zip(block.items[0], block.scores[0], strict=True):
        trend = rising.get(item, 0.0) / sum(rising.values())
        assert score == pytest.approx((1 - rest) * trend + rest * expected[item], rel=1e-5)


def test_trends_follow_an_update() -> None:
    data = Interactions.from_events(["a", "b", "c"], ["x", "x", "y"], [10, 10, 1])
    later = Interactions.from_events(["a", "b", "c", "d"], ["x", "x", "y", "z"], [10, 10, 1, 99])
    model = Trending(interval=5).fit(data)
    updated = model.update(later)
    (before,), (after,) = model.recommend(["a"], 3), updated.recommend(["a"], 3)
    assert (before.items[0].tolist(), after.items[0].tolist()) == (["x", "y"], ["z", "x", "y"])


def test_segments_are_the_users_whose_factors_are_nearest(
    data: Interactions, tmp_path: Path
) -> None:
    """Nearest by dense least squares to an item or to the mean of a set; repeats rank lower."""
    model = Affinity(factors=8, regularization=2.0, alpha=3.0, iterations=5, seed=3).fit(data)
    model.save(tmp_path)
    with np.load(tmp_path / "recommender.npz") as arrays:
        factors = arrays["item_factors"].astype(np.float64)
    user_factors = []
    for user in range(data.n_users):
        history = data.histories[user].tolist()
        system = factors.T @ factors + 2.0 * np.eye(8)
        right, weights = np.zeros(8), dict.fromkeys(history, 0.0)
        for age, item in enumerate(reversed(history)):
            weights[item] += 3.0 * (0.9**age + 0.02)
        for item, weight in weights.items():
            system += (weight - 1) * np.outer(factors[item], factors[item])
            right += weight * factors[item]
        user_factors.append(np.linalg.solve(system, right))
    scores = np.array(user_factors) @ factors.T
    lowest, has_events = scores.min(axis=0), data.matrix().toarray() > 0
    expected = np.where(has_events, lowest + repeat_rate(data) * (scores - lowest), scores)
    (segments,) = model.users_of(["p10", "unheard of", "p40"], 12)
    assert segments.counts.tolist() == [12, 0, 12]
    for row, item in ((0, "p10"), (2, "p40")):
        column = expected[:, data.item_ids.tolist().index(item)]
        np.testing.assert_allclose(segments.scores[row], np.sort(column)[::-1][:12], rtol=2e-3)
    group = np.array([item_id.startswith("p1") for item_id in data.item_ids])
    masks = [group, np.zeros(data.n_items, dtype=bool)]
    (some,) = model.users_of_attributes(masks, 12)
    mean = scores[:, group].mean(axis=1)
    assert some.counts.tolist() == [12, 0]
    np.testing.assert_allclose(some.scores[0], np.sort(mean)[::-1][:12], rtol=2e-3)
    even = np.arange(data.n_users) % 2 == 0
    (few,) = model.users_of(
        ["p10"], 500, eligible=lambda start, stop: np.broadcast_to(even, (stop - start, 240))
    )
    assert few.counts.tolist() == [120]
    assert {int(user[1:]) % 2 for user in few.users[0, :120]} == {0}
    assert few.users[0, 120:].tolist() == [""] * 120
