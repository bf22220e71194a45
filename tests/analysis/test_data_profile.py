"""Profiles of data sets, on frames that are small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis import data_profile

DAY = 86_400
MONDAY = 1_714_953_600  # 2024-05-06, UTC
USERS = pd.DataFrame({"USER_ID": ["a", "b", "c"]})
ITEMS = pd.DataFrame({"ITEM_ID": ["1", "2", "3", "4"]})
EVENTS = pd.DataFrame(
    {
        "USER_ID": ["a", "a", "a", "b", "z"],
        "ITEM_ID": ["1", "1", "2", "1", "9"],
        "TIMESTAMP": [MONDAY, MONDAY + DAY, MONDAY + 7 * DAY, MONDAY + 8 * DAY, MONDAY + 60 * DAY],
        "EVENT_TYPE": ["view", "apply", "view", "view", "view"],
    }
)
NOBODY = EVENTS.iloc[:0]


def many_events(users: int, each: int) -> pd.DataFrame:
    number = np.arange(users * each)
    return pd.DataFrame(
        {
            "USER_ID": (number // each).astype(str),
            "ITEM_ID": (number % each).astype(str),
            "TIMESTAMP": MONDAY + number,
        }
    )


def test_counts_say_how_much_there_is() -> None:
    table = data_profile.counts(USERS, ITEMS, EVENTS)["value"]

    assert table["users"] == 3
    assert table["items"] == 4
    assert table["events"] == 5
    assert table["users with events"] == 3
    assert table["items with events"] == 3
    assert table["sparsity"] == pytest.approx(1 - 4 / 9)
    assert table["events per user, median"] == 1
    assert table["repeat rate"] == pytest.approx(1 / 5)
    assert table["first event"] == pd.Timestamp("2024-05-06", tz="UTC")


def test_a_data_set_that_the_run_does_not_have_is_not_counted() -> None:
    table = data_profile.counts(USERS.head(0), ITEMS, EVENTS)

    assert list(table.index[:2]) == ["items", "events"]
    assert table["value"]["users with events"] == 3


def test_counts_of_nothing_are_zero() -> None:
    table = data_profile.counts(USERS, ITEMS, NOBODY)["value"]

    assert table["events"] == 0
    assert table["repeat rate"] == 0
    assert table["first event"] is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([1, 3], 0.25), ([], 0.0), ([0, 0], 0.0)],
)
def test_gini_goes_from_equal_to_one_has_it_all(values: list[int], expected: float) -> None:
    assert data_profile.gini(np.array(values)) == pytest.approx(expected)


def test_popularity_ranks_every_item_and_adds_up() -> None:
    table = data_profile.popularity(EVENTS, ITEMS)

    assert table.index.to_list()[0] == "1"
    assert table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert table["events"].to_list() == [3, 1, 1, 0, 0]
    assert table["users"].to_list() == [2, 1, 1, 0, 0]
    assert table["share of events"].to_list() == pytest.approx([0.6, 0.8, 1, 1, 1])
    assert table["share of items"].to_list() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])


def test_events_over_time_are_counted_by_week_and_type_without_gaps() -> None:
    table = data_profile.events_over_time(EVENTS)

    assert table.columns.to_list() == ["view", "apply"]
    assert table.index[0] == pd.Timestamp("2024-05-06", tz="UTC")
    assert table.iloc[0].to_dict() == {"view": 1, "apply": 1}
    assert table.iloc[1].to_dict() == {"view": 2, "apply": 0}
    assert table["view"].sum() == 4
    assert len(table) == 9, "weeks without events are there too, as zeros"


def test_events_over_time_need_no_event_types() -> None:
    table = data_profile.events_over_time(EVENTS.drop(columns="EVENT_TYPE"), "D")

    assert table.columns.to_list() == ["events"]
    assert table["events"].sum() == 5


def test_events_per_user_come_in_classes() -> None:
    table = data_profile.events_per_user(EVENTS, USERS)

    assert table["users"].to_dict() == {"0": 1, "1": 2, "2+": 1}
    assert table["share"].sum() == pytest.approx(1)


def test_cold_distinguishes_new_idle_and_unknown() -> None:
    table = data_profile.cold(USERS, ITEMS, EVENTS, days=30)

    assert table.loc["users"].to_dict() == {
        "in data set": 3,
        "without events": 1,
        "share": pytest.approx(1 / 3),
        "idle": 2,
        "only in events": 1,
    }
    assert table.loc["items", "without events"] == 2
    assert table.loc["items", "only in events"] == 1


def test_rejected_rows_have_their_share_of_all_rows() -> None:
    manifest = {
        "datasets": {
            "USERS": {"rows": 10, "rejected": {}},
            "INTERACTIONS": {"rows": 96, "rejected": {"null id": 3, "too long": 1}},
        },
        "batchInput": {"rows": 7, "rejected": {}},
        "filter": {"eligibleItems": {"rows": 9, "rejected": {"null id": 1}}, "exclusions": None},
    }

    table = data_profile.rejected_rows(manifest)

    assert table.to_dict("records") == [
        {"data set": "USERS", "reason": "", "rows": 0, "share": 0.0},
        {"data set": "INTERACTIONS", "reason": "null id", "rows": 3, "share": 0.03},
        {"data set": "INTERACTIONS", "reason": "too long", "rows": 1, "share": 0.01},
        {"data set": "eligible items", "reason": "null id", "rows": 1, "share": 0.1},
    ]


def test_truncated_texts_are_listed_with_their_share() -> None:
    manifest = {
        "datasets": {
            "ITEMS": {"rows": 200, "truncated": {"DESCRIPTION": 3}},
            "INTERACTIONS": {"rows": 96, "truncated": {}},
        }
    }
    assert data_profile.truncated_values(manifest).to_dict("records") == [
        {"data set": "ITEMS", "column": "DESCRIPTION", "values": 3, "share": 0.015}
    ]
    assert data_profile.truncated_values({"datasets": {"ITEMS": {"rows": 1}}}).empty


def test_agreement_is_the_manifests() -> None:
    entry = {"check": "a", "found": 1, "of": 4, "share": 0.25, "least": 0.1, "warning": "low"}
    found = data_profile.agreement({"agreement": [entry]})
    assert found.reset_index().to_dict("records") == [entry]
    assert data_profile.agreement({}).empty


def test_the_column_of_types_counts_with_them() -> None:
    """https://docs.aws.amazon.com/personalize/latest/dg/interactions-dataset-requirements.html."""
    events = EVENTS[["USER_ID", "ITEM_ID", "TIMESTAMP"]].assign(
        EVENT_TYPE="view", EVENT_VALUE=1.0, IMPRESSION="a|b", DEVICE="phone"
    )
    assert data_profile.minimums(events).loc["event types and columns", "found"] == 4


def test_too_few_events_and_users_fail_the_training() -> None:
    table = data_profile.minimums(EVENTS)

    failing = table[~table["met"]]["otherwise"].to_dict()
    assert failing == {
        "events imported": "the import fails",
        "events trained on": "training fails",
        "users with two events or more": "training fails",
        "events, advised": "weaker recommendations",
        "users with two events, advised": "weaker recommendations",
    }


def test_exactly_the_least_is_enough() -> None:
    table = data_profile.minimums(many_events(users=25, each=40))["met"]

    assert table["events imported"]
    assert table["users with two events or more"]
    assert not data_profile.minimums(many_events(users=24, each=42))["met"][
        "users with two events or more"
    ]


def test_only_the_events_that_are_trained_on_count() -> None:
    events = many_events(users=50, each=40).assign(EVENT_TYPE="view")
    events.loc[:99, "EVENT_TYPE"] = "apply"

    table = data_profile.minimums(events, event_type="apply")

    assert table.loc["events trained on", "found"] == 100
    assert not table.loc["events trained on", "met"]
    assert table.loc["events imported", "met"]


def test_a_single_time_for_all_events_is_noticed() -> None:
    events = many_events(users=25, each=40).assign(TIMESTAMP=MONDAY)

    assert not data_profile.minimums(events).loc["different times", "met"]
