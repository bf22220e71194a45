"""The contents and changes of lists, on frames that are small enough to check by eye."""

import pandas as pd
import pytest

from analysis import recommendations
from workflow import parse_config

EVENTS = pd.DataFrame(
    {
        "USER_ID": ["a", "a", "b", "b", "c", "a"],
        "ITEM_ID": ["1", "2", "1", "2", "1", "3"],
        "TIMESTAMP": [100, 200, 300, 400, 500, 600],
        "EVENT_TYPE": ["view", "view", "view", "apply", "view", "view"],
    }
)
CONFIG = """
name = "shop"
[aws]
account = "123456789012"
region = "eu-central-1"
[source]
engine = "postgresql"
connection = "shop-db"
[datasets.interactions]
table = "clicks"
columns = { USER_ID = "clicks.user", ITEM_ID = "clicks.item", TIMESTAMP = "clicks.at" }
[datasets.items]
table = "goods"
[datasets.items.columns]
ITEM_ID = "goods.id"
KIND = { source = "goods.kind", categorical = true }
TEXT = { source = "goods.text", textual = true }
[batch_inference]
table = "users"
user_id = "users.id"
"""


def of(**users: list[str]) -> pd.DataFrame:
    rows = [(u, item, rank) for u, items in users.items() for rank, item in enumerate(items, 1)]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "RANK"]).assign(SCORE=0.5)


def test_a_label_is_the_first_line_and_the_categories_that_it_does_not_say() -> None:
    items = pd.DataFrame(
        {
            "ITEM_ID": ["1", "2", "3", "4"],
            "KIND": ["data", None, None, "chemistry"],
            "TEXT": ["  data scientist\nremote", "chemist, senior", None, "technician"],
        }
    )

    assert recommendations.item_labels(items, parse_config(CONFIG)) == {
        "1": "data scientist",
        "2": "chemist, senior",
        "3": "3",
        "4": "technician · chemistry",
    }


def test_coverage_counts_items_by_depth() -> None:
    table = recommendations.coverage(
        of(a=["1", "2"], b=["1", "3"]), ["1", "2", "3", "4"], frozenset({"1", "2", "3"}),
        depths=(1, 2),
    )  # fmt: skip

    assert table["items"].to_dict() == {1: 1, 2: 3}
    assert table["of catalogue"].to_dict() == {1: 0.25, 2: 0.75}
    assert table["of eligible"].to_dict() == {1: pytest.approx(1 / 3), 2: 1.0}
    assert table["per user"].to_dict() == {1: 1.0, 2: 2.0}
    assert table.loc[1, "Gini"] == pytest.approx(2 / 3)


def test_popularity_bias_compares_shares_of_events_and_of_lists() -> None:
    catalogue = pd.DataFrame({"ITEM_ID": ["1", "2", "3", "4"]})

    table = recommendations.popularity_bias(
        of(a=["1", "4"], b=["4", "3"]), EVENTS, catalogue, classes=2
    )

    assert table.index.to_list() == ["top 50 %", "50–100 %"]
    assert table["items"].to_list() == [2, 2]
    assert table["events"].to_list() == pytest.approx([5 / 6, 1 / 6])
    assert table["recommendations"].to_list() == pytest.approx([1 / 4, 3 / 4])


def test_example_users_are_a_middling_an_active_and_a_new_one() -> None:
    recommended = of(a=["1"], b=["1"], c=["1"], new=["1"])

    assert recommendations.example_users(recommended, EVENTS) == ["b", "a", "new"]


def test_a_list_stands_beside_the_newest_events() -> None:
    table = recommendations.beside_history("a", of(a=["9", "2"]), EVENTS, {"2": "two"}, length=3)

    assert table["recommended"].to_list() == ["9", "two", ""]
    assert table["met before"].to_list() == ["", "yes", ""]
    assert table["history"].to_list() == ["3", "two", "1"]
    assert table["when"].to_list()[0] == "1970-01-01 00:10"
    assert table.index.to_list() == [1, 2, 3]


def test_a_new_user_has_a_list_and_no_history() -> None:
    table = recommendations.beside_history(
        "new", of(new=["1"]), EVENTS.drop(columns="EVENT_TYPE"), {}
    )

    assert table.to_dict("records") == [
        {"recommended": "1", "met before": "", "when": "", "event": "", "history": ""}
    ]


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(KeyError, match="user 'x' has no events and no list"):
        recommendations.beside_history("x", of(a=["1"]), EVENTS, {})


def test_similar_items_are_those_of_the_same_users() -> None:
    table = recommendations.similar_items("1", EVENTS, {"2": "two"})

    assert table.index.to_list() == ["2", "3"]
    assert table.loc["2", "item"] == "two"
    assert table.loc["2", "users in common"] == 2
    assert table.loc["2", "cosine"] == pytest.approx(2 / (3 * 2) ** 0.5)
    with pytest.raises(KeyError, match="item '7' has no events"):
        recommendations.similar_items("7", EVENTS, {})


def test_changes_are_kept_new_and_moved_items() -> None:
    before, after = of(a=["1", "2", "3"], b=["1"], gone=["1"]), of(a=["2", "4", "1"], b=["1"])

    table = recommendations.changes(before, after, top=3)

    assert table.loc["a"].to_dict() == {
        "kept": 2,
        "entered": 1,
        "left": 1,
        "overlap": pytest.approx(2 / 3),
        "same first": False,
        "moved": 1.5,
    }
    assert table.loc["b", "overlap"] == 1
    assert table.index.to_list() == ["a", "b"]


def test_the_summary_counts_new_and_gone_users() -> None:
    table = recommendations.change_summary(
        of(a=["1", "2"], gone=["1"]), of(a=["1", "3"]), tops=(1, 2)
    )

    assert table["overlap"].to_list() == [1.0, 0.5]
    assert table["unchanged"].to_list() == [1.0, 0.0]
    assert table["gone users"].to_list() == [1, 1]
    assert table["new users"].to_list() == [0, 0]


def test_a_run_compared_with_itself_has_not_changed() -> None:
    same = of(a=["1", "2"], b=["3"])

    assert recommendations.change_summary(same, same, tops=(2,)).loc[2, "overlap"] == 1
    assert recommendations.item_movements(same, same, {}).empty


def test_movements_name_what_rose_and_what_fell() -> None:
    table = recommendations.item_movements(of(a=["1"], b=["1"]), of(a=["1"], b=["2"]), {"2": "two"})

    assert table.index.to_list() == ["2", "1"]
    assert table.loc["2"].to_dict() == {"item": "two", "before": 0.0, "now": 0.5, "change": 0.5}
    assert table.loc["1", "change"] == -0.5
