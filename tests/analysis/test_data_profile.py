"""What data sets look like, on frames that one can count by hand."""

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
    found = data_profile.counts(USERS, ITEMS, EVENTS)["value"]

    assert found["users"] == 3
    assert found["items"] == 4
    assert found["events"] == 5
    assert found["users with events"] == 3
    assert found["items with events"] == 3
    assert found["sparsity"] == pytest.approx(1 - 4 / 9)
    assert found["events per user, median"] == 1
    assert found["repeat rate"] == pytest.approx(1 / 5)
    assert found["first event"] == pd.Timestamp("2024-05-06", tz="UTC")


def test_counts_of_nothing_are_zero() -> None:
    found = data_profile.counts(USERS, ITEMS, NOBODY)["value"]

    assert found["events"] == 0
    assert found["repeat rate"] == 0
    assert found["first event"] is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([1, 3], 0.25), ([], 0.0), ([0, 0], 0.0)],
)
def test_gini_goes_from_equal_to_one_has_it_all(values: list[int], expected: float) -> None:
    assert data_profile.gini(np.array(values)) == pytest.approx(expected)


def test_popularity_ranks_every_item_and_adds_up() -> None:
    found = data_profile.popularity(EVENTS, ITEMS)

    assert found.index.to_list()[0] == "1"
    assert found["rank"].to_list() == [1, 2, 3, 4, 5]
    assert found["events"].to_list() == [3, 1, 1, 0, 0]
    assert found["users"].to_list() == [2, 1, 1, 0, 0]
    assert found["share of events"].to_list() == pytest.approx([0.6, 0.8, 1, 1, 1])
    assert found["share of items"].to_list() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])


def test_events_over_time_are_counted_by_week_and_type_without_gaps() -> None:
    found = data_profile.events_over_time(EVENTS)

    assert found.columns.to_list() == ["view", "apply"]
    assert found.index[0] == pd.Timestamp("2024-05-06", tz="UTC")
    assert found.iloc[0].to_dict() == {"view": 1, "apply": 1}
    assert found.iloc[1].to_dict() == {"view": 2, "apply": 0}
    assert found["view"].sum() == 4
    assert len(found) == 9, "weeks without events are there too, as zeros"


def test_events_over_time_need_no_event_types() -> None:
    found = data_profile.events_over_time(EVENTS.drop(columns="EVENT_TYPE"), "D")

    assert found.columns.to_list() == ["events"]
    assert found["events"].sum() == 5


def test_events_per_user_come_in_classes() -> None:
    found = data_profile.events_per_user(EVENTS, USERS)

    assert found["users"].to_dict() == {"0": 1, "1": 2, "2+": 1}
    assert found["share"].sum() == pytest.approx(1)


def test_cold_tells_new_idle_and_unknown_apart() -> None:
    found = data_profile.cold(USERS, ITEMS, EVENTS, days=30)

    assert found.loc["users"].to_dict() == {
        "in data set": 3,
        "without events": 1,
        "share": pytest.approx(1 / 3),
        "idle": 2,
        "only in events": 1,
    }
    assert found.loc["items", "without events"] == 2
    assert found.loc["items", "only in events"] == 1


def test_rejected_rows_have_their_share_of_all_rows() -> None:
    manifest = {
        "datasets": {
            "USERS": {"rows": 10, "rejected": {}},
            "INTERACTIONS": {"rows": 96, "rejected": {"null id": 3, "too long": 1}},
        }
    }

    found = data_profile.rejected_rows(manifest)

    assert found.to_dict("records") == [
        {"data set": "USERS", "reason": "", "rows": 0, "share": 0.0},
        {"data set": "INTERACTIONS", "reason": "null id", "rows": 3, "share": 0.03},
        {"data set": "INTERACTIONS", "reason": "too long", "rows": 1, "share": 0.01},
    ]


def test_too_few_events_and_users_fail_the_training() -> None:
    found = data_profile.minimums(EVENTS)

    failing = found[~found["met"]]["otherwise"].to_dict()
    assert failing == {
        "events imported": "the import fails",
        "events trained on": "training fails",
        "users with two events or more": "training fails",
        "events, advised": "weaker recommendations",
        "users with two events, advised": "weaker recommendations",
    }


def test_exactly_the_least_is_enough() -> None:
    found = data_profile.minimums(many_events(users=25, each=40))["met"]

    assert found["events imported"]
    assert found["users with two events or more"]
    assert not data_profile.minimums(many_events(users=24, each=42))["met"][
        "users with two events or more"
    ]


def test_only_the_events_that_are_trained_on_count() -> None:
    events = many_events(users=50, each=40).assign(EVENT_TYPE="view")
    events.loc[:99, "EVENT_TYPE"] = "apply"

    found = data_profile.minimums(events, event_type="apply")

    assert found.loc["events trained on", "found"] == 100
    assert not found.loc["events trained on", "met"]
    assert found.loc["events imported", "met"]


def test_a_single_time_for_all_events_is_noticed() -> None:
    events = many_events(users=25, each=40).assign(TIMESTAMP=MONDAY)

    assert not data_profile.minimums(events).loc["different times", "met"]
