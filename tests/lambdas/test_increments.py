"""What is imported, trained and published of a run, and what is left out."""

from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.increments import compared_data_sets, lists_hash, training_of
from lambdas.next_step import Version

BEFORE = {"since": "2024-05-30T00:00:00Z", "rows": 900, "contentHash": "tail"}
AFTER = {"since": "2024-06-02T00:00:00Z", "rows": 950, "contentHash": "tail2"}


def at(hour: int) -> datetime:
    return datetime(2024, 6, 1, hour, tzinfo=UTC)


def plan(
    *, full: bool = False, window: bool = False, users_why: str = "", **interactions: Any
) -> dict[str, Any]:
    """Return a plan: FULL imports ended at 2, the last increment at 6."""
    last = {
        "run": "r1",
        "mode": "INCREMENTAL",
        "ended": at(6).isoformat(),
        "increments": 1,
        "fullEnded": at(2).isoformat(),
        "next": BEFORE,
    }
    return {
        "isFull": full,
        "isWindow": window,
        "mode": "INCREMENTAL",
        "datasets": {
            "USERS": {
                "description": "u",
                "mode": "FULL",
                "why": users_why or "it is compared as a whole",
                "unchanged": "users",
                "last": {**last, "mode": "FULL", "ended": at(2).isoformat(), "next": None},
            },
            "INTERACTIONS": {
                "description": "i",
                "mode": "INCREMENTAL",
                "why": "it goes on where run 'r1' ended, with the overlap",
                "unchanged": "tail",
                "last": last,
                **interactions,
            },
        },
    }


def manifest(users: str = "users", events: str = "tail", **entry: Any) -> dict[str, Any]:
    return {
        "datasets": {
            "USERS": {"path": "users/", "rows": 5, "contentHash": users},
            "INTERACTIONS": {
                "path": "interactions/",
                "rows": 1_200,
                "contentHash": events,
                "since": BEFORE["since"],
                "until": None,
                "next": AFTER,
                **entry,
            },
        },
        "batchInput": {"contentHash": "b"},
        "filter": {"eligibleItems": {"contentHash": "e"}, "exclusions": None},
    }


def modes(found: dict[str, Any], made: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    compared = compared_data_sets(found, made)
    return {name: (entry["mode"], entry["why"]) for name, entry in compared.items()}


def test_what_has_the_content_of_the_last_import_is_left_out() -> None:
    nothing = (None, "nothing is new since run 'r1'")
    assert modes(manifest(), plan()) == {"USERS": nothing, "INTERACTIONS": nothing}
    assert modes(manifest(users="others", events="more"), plan()) == {
        "USERS": ("FULL", "its content is another than that of run 'r1'"),
        "INTERACTIONS": ("INCREMENTAL", "it goes on where run 'r1' ended, with the overlap"),
    }


def test_what_the_job_read_whole_is_imported_in_full() -> None:
    assert modes(manifest(events="all", since=None), plan())["INTERACTIONS"] == (
        "FULL",
        "the increment is too small or too large for Personalize",
    )


@pytest.mark.parametrize(
    ("window", "following"),
    [
        ({}, AFTER),
        ({"since": None}, AFTER),
        ({"next": None}, BEFORE),
        # of the past: what came after it is imported already
        ({"since": "2024-01-01T00:00:00Z", "next": {"since": "2024-01-08T00:00:00Z"}}, BEFORE),
        # beyond the last import: what lies between is not imported yet
        ({"since": "2024-06-05T00:00:00Z", "next": {"since": "2024-06-06T00:00:00Z"}}, BEFORE),
    ],
)
def test_a_window_of_another_time_does_not_move_where_the_next_run_goes_on(
    window: dict[str, Any], following: dict[str, str]
) -> None:
    compared = compared_data_sets(manifest(events="more", **window), plan())
    assert compared["INTERACTIONS"]["next"] == following


@pytest.mark.parametrize(
    ("entry", "is_grown"),
    [
        ({}, True),
        ({"rows": 900}, False),
        ({"rows": 900, "since": "2024-01-01T00:00:00Z"}, True),
        ({"rows": 900, "since": None}, True),
    ],
)
def test_a_window_has_grown_if_it_has_more_rows_than_before(
    entry: dict[str, Any], is_grown: bool
) -> None:
    compared = compared_data_sets(manifest(events="more", **entry), plan())
    assert compared["INTERACTIONS"]["isGrown"] is is_grown


FULL_AT_3 = Version("v1", "FULL", at(3), at(4))
UPDATE_AT_7 = Version("v2", "UPDATE", at(7), at(8))
ITEMS_CHANGED = {"USERS": {"mode": "FULL"}, "INTERACTIONS": {"mode": None}}
NEW_EVENTS = {"USERS": {"mode": None}, "INTERACTIONS": {"mode": "INCREMENTAL", "isGrown": True}}
FEWER_EVENTS = {"USERS": {"mode": None}, "INTERACTIONS": {"mode": "INCREMENTAL", "isGrown": False}}
ALL_EVENTS = {"USERS": {"mode": None}, "INTERACTIONS": {"mode": "FULL", "isGrown": True}}
NOTHING_NEW = {"USERS": {"mode": None}, "INTERACTIONS": {"mode": None}}


@pytest.mark.parametrize(
    ("data_sets", "made", "versions", "expected"),
    [
        (NEW_EVENTS, plan(), [UPDATE_AT_7, FULL_AT_3], ("UPDATE", "INTERACTIONS changed")),
        (ITEMS_CHANGED, plan(), [FULL_AT_3], ("UPDATE", "USERS changed")),
        (
            NOTHING_NEW,
            plan(),
            [UPDATE_AT_7, FULL_AT_3],
            (None, "the newest version was trained on the same data"),
        ),
        # the training after the last import failed
        (
            NOTHING_NEW,
            plan(),
            [FULL_AT_3],
            ("UPDATE", "what was imported before was not trained"),
        ),
        (NEW_EVENTS, plan(), [], ("FULL", "the solution has no version")),
        (
            NEW_EVENTS,
            plan(),
            [UPDATE_AT_7],
            ("FULL", "INTERACTIONS changed, and the solution has no version trained in full"),
        ),
        (
            ALL_EVENTS,
            plan(),
            [FULL_AT_3],
            ("FULL", "INTERACTIONS changed, and all interactions are imported"),
        ),
        (
            NEW_EVENTS,
            plan(),
            [Version("v0", "FULL", at(1), at(1))],
            ("FULL", "INTERACTIONS changed, and the last full import was not trained in full"),
        ),
        (
            ITEMS_CHANGED,
            plan(users_why="its source or columns have changed since run 'r1'"),
            [FULL_AT_3],
            ("FULL", "USERS changed, and with other columns"),
        ),
        (
            NEW_EVENTS,
            plan(),
            [UPDATE_AT_7, UPDATE_AT_7, FULL_AT_3],
            ("FULL", "INTERACTIONS changed; updates since the last full training: 2, of 2"),
        ),
        (NOTHING_NEW, plan(full=True), [FULL_AT_3], ("FULL", "it was asked for")),
        (
            NEW_EVENTS,
            plan(window=True),
            [FULL_AT_3],
            ("FULL", "INTERACTIONS changed, in the window that was asked for"),
        ),
        (
            FEWER_EVENTS,
            plan(),
            [FULL_AT_3],
            ("FULL", "INTERACTIONS changed, and none was added"),
        ),
    ],
)
def test_a_version_is_updated_between_full_trainings(
    data_sets: dict[str, Any],
    made: dict[str, Any],
    versions: list[Version],
    expected: tuple[str | None, str],
) -> None:
    assert training_of(data_sets, made, versions, updates=True, full_every=3) == expected


def test_a_recipe_without_updates_is_trained_in_full() -> None:
    expected = ("FULL", "INTERACTIONS changed")
    made = training_of(NEW_EVENTS, plan(), [FULL_AT_3], updates=False, full_every=3)
    assert made == expected


def test_whatever_a_list_is_made_of_is_in_its_hash() -> None:
    first = manifest()
    others = [
        first | {"batchInput": {"contentHash": "b2"}},
        first | {"filter": {"eligibleItems": None, "exclusions": None}},
        first | {"filter": {"eligibleItems": None, "exclusions": {"contentHash": "e"}}},
    ]
    hashes = {lists_hash(first, "s1"), *(lists_hash(other, "s1") for other in others)}
    assert len({*hashes, lists_hash(first, "s2")}) == 5
