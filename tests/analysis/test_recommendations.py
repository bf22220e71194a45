"""The contents and changes of lists, on frames that are small enough to check by eye."""

import pandas as pd
import pytest

from analysis import recommendations
from workflow import Config, parse_config

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


GOODS = pd.DataFrame(
    {
        "ITEM_ID": ["1", "2", "3", "4"],
        "KIND": ["data", None, None, "chemistry"],
        "TEXT": ["A long text about it", "B", None, "C"],
        "NAME": ["  analyst\nremote", "chemist", None, "chemist"],
        "MAKER_NAME": ["m", "m", "m", "m"],
        "CALLED": ["研究職", "営業", "開発", "人事"],
    }
)


BRAND = 'BRAND_NAME = { source = "x.b", categorical = true }'


def with_columns(*columns: str, report: str = "") -> Config:
    return parse_config(CONFIG.replace("TEXT =", "\n".join([*columns, "TEXT ="])) + report)


def test_an_item_is_known_by_its_title_and_by_its_id_where_two_have_the_same() -> None:
    config = with_columns('NAME = "goods.name"', 'MAKER_NAME = "goods.maker"')

    assert recommendations.item_labels(GOODS, config) == {
        "1": "analyst",
        "2": "chemist (2)",
        "3": "3",
        "4": "chemist (4)",
    }


def test_without_a_title_an_item_is_its_id_and_categories_never_the_description() -> None:
    assert recommendations.item_labels(GOODS, parse_config(CONFIG)) == {
        "1": "1 · data",
        "2": "2",
        "3": "3",
        "4": "4 · chemistry",
    }


@pytest.mark.parametrize(
    ("columns", "report", "expected"),
    [
        (['CALLED = "goods.called"'], '[report]\ntitle = "CALLED"\n', "CALLED"),
        (['NAME = "goods.name"'], '[report]\ntitle = "TEXT"\n', "TEXT"),
        (['CALLED = { source = "x.y", item_name = true }', 'TITLE = "goods.t"'], "", "CALLED"),
        (['NAME = "goods.name"', 'TITLE = "goods.t"'], "", "TITLE"),
        ([BRAND, 'SONG_TITLE = "x.s"'], "", "SONG_TITLE"),
        ([BRAND], "", None),
        (['NAME = { source = "x.n", type = "int" }'], "", None),
    ],
)  # fmt: skip
def test_the_title_is_the_configured_column_or_the_best_guess(columns, report, expected) -> None:
    assert recommendations.title_column(with_columns(*columns, report=report)) == expected


@pytest.mark.parametrize(("name", "expected"), [("TITLE", "TITLE"), ("SUBTITLE", None)])
def test_a_textual_column_is_the_title_if_it_is_called_so(name: str, expected: str | None) -> None:
    config = parse_config(CONFIG.replace("TEXT = {", f"{name} = {{"))

    assert recommendations.title_column(config) == expected


def test_without_items_there_are_no_titles() -> None:
    config = parse_config(
        CONFIG.partition("[datasets.items]")[0]
        + "[batch_inference]"
        + CONFIG.partition("[batch_inference]")[2]
    )

    assert recommendations.title_column(config) is None
    assert recommendations.item_labels(pd.DataFrame({"ITEM_ID": []}, dtype=str), config) == {}


def test_the_catalogue_s_view_says_what_is_recommended_most_and_never() -> None:
    lists = of(a=["1", "2"], b=["1", "3"])
    events = pd.DataFrame({"ITEM_ID": ["5", "5", "1"], "USER_ID": ["a", "b", "a"]})

    most = recommendations.most_recommended(lists, events, {"1": "one"}, length=2)
    never = recommendations.never_recommended(lists, events, ["1", "4", "5"], {"5": "five"})

    assert most.to_dict("index") == {
        "1": {"item": "one", "lists": 2, "of all lists": 1.0, "events": 1},
        "2": {"item": "2", "lists": 1, "of all lists": 0.5, "events": 0},
    }
    assert never.to_dict("index") == {
        "5": {"item": "five", "events": 2},
        "4": {"item": "4", "events": 0},
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


def test_the_lists_of_several_models_stand_side_by_side() -> None:
    lists = {"one": of(a=["9", "2"], b=["1"]), "other": of(a=["2"])}
    table = recommendations.side_by_side("a", lists, {"2": "two"})

    assert table.to_dict("list") == {"one": ["9", "two"], "other": ["two", ""]}
    assert table.index.to_list() == [1, 2]


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
