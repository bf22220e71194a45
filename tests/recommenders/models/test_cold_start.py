"""Exploration, items and users without events, updates."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommenders import (
    Event,
    Exploration,
    Histories,
    Interactions,
    Metadata,
    Recommender,
    load_recommender,
)
from tests.recommenders.planted import MODELS, planted, with_metadata


@pytest.fixture(scope="module")
def data() -> Interactions:
    return planted(repeats=0.2)


def explored(
    model: Recommender, users: list[str], weight: float, **options: Any
) -> tuple[list[list[str]], NDArray[np.bool_]]:
    exploration = Exploration(weight=weight, age_cut_off=0.1, seed=5)
    blocks = list(model.recommend(users, 10, exploration=exploration, **options))
    return (
        [row for block in blocks for row in block.items.tolist()],
        np.concatenate([block.explored for block in blocks]),
    )


def model_with_new_items(data: Interactions) -> Recommender:
    """Return the model of the sample and forty items without events, 9,000 seconds newer."""
    items = [f"new-{number:02}" for number in range(40)]
    later = Interactions.from_events(
        data.user_ids[data.users].tolist(),
        data.item_ids[data.items].tolist(),
        data.timestamps + 9_000,
        item_metadata=Metadata.of(
            [*data.item_ids.tolist(), *items],
            created=[1_600_000_000] * data.n_items + [1_700_009_000] * 40,
        ),
    )
    return MODELS["hybrid"]().fit(later)


def test_exploration_fills_its_share_of_positions_with_new_items(data: Interactions) -> None:
    model = model_with_new_items(data)
    users = data.user_ids.tolist()
    plain, none = explored(model, users, 0.0)
    (whole,) = model.recommend(users, 10)
    assert not none.any()
    assert plain == whole.items.tolist()
    for weight, least, most in ((0.3, 0.26, 0.34), (1.0, 1.0, 1.0)):
        items, explored_mask = explored(model, users, weight)
        assert least <= explored_mask.mean() <= most
        assert all(len(set(row)) == 10 for row in items)
        assert {item[:3] for item in np.array(items)[explored_mask]} == {"new"}
        assert np.array(items)[~explored_mask].tolist() == np.array(plain)[~explored_mask].tolist()
    chosen = np.array(explored(model, users, 0.3)[0])[explored(model, users, 0.3)[1]]
    assert len(set(chosen.tolist())) == 40


def test_exploration_is_the_same_for_a_user_whatever_the_block(data: Interactions) -> None:
    model = model_with_new_items(data)
    users = data.user_ids.tolist()
    whole = explored(model, users, 0.5)[0]
    assert explored(model, users, 0.5, block_size=7, workers=2)[0] == whole
    assert explored(model, users[100:102], 0.5)[0] == whole[100:102]


def test_exploration_keeps_to_what_is_eligible(data: Interactions) -> None:
    """With three eligible new items no list has a fourth."""
    model = model_with_new_items(data)
    users = data.user_ids[:50].tolist()
    mask = np.array([not i.startswith("new") or i < "new-03" for i in model.item_ids])
    items, explored_mask = explored(
        model,
        users,
        1.0,
        eligible=lambda start, stop: np.broadcast_to(mask, (stop - start, len(mask))),
    )
    assert explored_mask.sum(axis=1).tolist() == [3] * 50
    assert set(np.array(items)[explored_mask]) == {"new-00", "new-01", "new-02"}


@pytest.mark.parametrize("settings", [{"weight": 1.1}, {"weight": -0.1}, {"age_cut_off": -1.0}])
def test_exploration_out_of_range_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exploration: "):
        Exploration(**settings)


def test_items_without_events_are_scored_by_their_metadata(data: Interactions) -> None:
    """`cold-1` is of the group that users 1, 5, 9, … like; `cold-2` of that of 2, 6, 10, …."""
    model = MODELS["hybrid"]().fit(with_metadata(data))
    scores = model.scores(data.histories)
    items = model.item_ids.tolist()
    first, second = scores[:, items.index("cold-1")], scores[:, items.index("cold-2")]
    assert (first[1::4] > second[1::4]).mean() > 0.9
    assert (first[2::4] < second[2::4]).mean() > 0.9


def test_users_without_events_get_popular_items_adjusted_by_metadata(data: Interactions) -> None:
    """The definition: share of an item times 1 + c / (50 share), c events of similar users."""
    model = MODELS["hybrid"]().fit(with_metadata(data))
    (block,) = model.recommend(["newcomer", "nobody"], data.n_items)
    similar = [user for user in range(0, data.n_users, 2) if user % 4 == 2]
    counts = np.zeros(data.n_items)
    for user in similar:
        np.add.at(counts, data.histories[user], 1)
    share = data.popularity() / data.n_events
    adjusted = np.where(share > 0, share * (1 + counts / (50 * np.maximum(share, 1e-9))), 0.0)
    adjusted /= adjusted.sum()
    columns = [data.item_ids.tolist().index(item) for item in block.items[0]]
    np.testing.assert_allclose(block.scores[0], adjusted[columns], rtol=1e-4)
    np.testing.assert_allclose(block.scores[1], np.sort(share)[::-1], rtol=1e-5)


def grown(data: Interactions) -> Interactions:
    """Return the sample with a new item, events of group 1 with it, and a new user."""
    users = [*data.user_ids[data.users], *(f"u{user:03}" for user in range(1, 240, 4)), "zoe"]
    items = [*data.item_ids[data.items], *["q99"] * 60, "p16"]
    times = [*data.timestamps, *[1_700_100_000] * 61]
    return Interactions.from_events(users, items, times, catalogue=["cold-1", "cold-2", "a-cold"])


def test_an_update_without_new_data_changes_nothing(data: Interactions) -> None:
    model = MODELS["hybrid"]().fit(data)
    updated = model.update(data)
    assert (updated.scores(data.histories) == model.scores(data.histories)).all()


def test_an_update_takes_in_items_users_and_events(data: Interactions, tmp_path: Path) -> None:
    """Factors of old items stay, new items get some, and the full fit agrees on them."""
    model, later = MODELS["hybrid"]().fit(data), grown(data)
    seen: list[float] = []
    updated, full = model.update(later, progress=seen.append), MODELS["hybrid"]().fit(later)
    assert (seen[0], seen[-1], seen == sorted(seen)) == (0.0, 1.0, True)
    assert updated.item_ids.tolist() == later.item_ids.tolist()
    assert "q99" not in model.item_ids
    for name, saved in (("old", model), ("new", updated)):
        saved.save(tmp_path / name)
    with (
        np.load(tmp_path / "old/recommender.npz") as old,
        np.load(tmp_path / "new/recommender.npz") as new,
    ):
        kept = np.isin(new["item_ids"], old["item_ids"])
        assert (new["item_factors"][kept] == old["item_factors"]).all()
        assert (new["item_factors"][new["item_ids"] == "q99"] != 0).all()
    new = updated.item_ids.tolist().index("q99")
    history = Histories.of([[updated.item_ids.tolist().index("p17")]])
    lists = [
        next(iter(each.recommend_histories(history, 10)))[0][0].tolist() for each in (updated, full)
    ]
    assert new in lists[0]
    assert new in lists[1]
    assert updated.histories(["zoe"])[0].tolist() == [updated.item_ids.tolist().index("p16")]


def test_an_error_of_progress_stops_an_update(data: Interactions) -> None:
    def stop(progress: float) -> None:
        if progress > 0.1:
            raise InterruptedError("stopped")

    model = MODELS["hybrid"]().fit(data)
    with pytest.raises(InterruptedError):
        model.update(grown(data), progress=stop)
    assert "q99" not in model.item_ids


def test_live_events_of_other_types_do_not_count(data: Interactions, tmp_path: Path) -> None:
    model = MODELS["hybrid"]().fit(data)
    model.event_types = frozenset({"buy"})
    model.save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    (plain,) = loaded.recommend(["u042"], 5)
    (viewed,) = loaded.recommend(["u042"], 5, live_events={"u042": [Event("p50", "view", 1)]})
    (bought,) = loaded.recommend(["u042"], 5, live_events={"u042": [Event("p50", "buy", 1)]})
    assert viewed.items.tolist() == plain.items.tolist()
    assert bought.items.tolist() != plain.items.tolist()
