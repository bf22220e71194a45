"""Interactions, histories and metadata."""

import numpy as np
import pytest

from recommenders import Histories, Interactions, Metadata
from recommenders.data.metadata import Encoding


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


def test_histories_are_taken_and_cut_and_know_the_last_event_of_each_item() -> None:
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


def test_metadata_become_features() -> None:
    """Features are values and words of two rows but not all, and quartiles of numbers."""
    rows = Metadata.of(
        ["b", "a", "c", "d", "a"],
        categories={"GENRE": ["x|y", "?", "y", None, "x"]},
        numbers={"PRICE": [1.0, 9.0, 2.0, None, 3.0]},
        texts={"TITLE": ["The cat", None, "a CAT", "the end", "the dog"]},
        created=[10, 0, None, 30, 20],
    )
    encoding = Encoding.learn(rows)
    names = [f"{a}={b or c:}" for a, b, c in zip(*vars(encoding).values(), strict=True)]
    assert names == [
        "GENRE=x",
        "GENRE=y",
        "TITLE=the",
        "TITLE=cat",
        "PRICE=1.5",
        "PRICE=2.0",
        "PRICE=2.5",
    ]
    matrix = encoding.encode(rows, np.array(["a", "b", "c", "d", "e"])).toarray()
    assert matrix.astype(int).tolist() == [
        [1, 0, 1, 0, 1, 1, 1],
        [1, 1, 1, 1, 0, 0, 0],
        [0, 1, 0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
    assert rows.times_of(np.array(["a", "c", "e"])).tolist() == [20, -1, -1]
