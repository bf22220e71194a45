"""The data set contract: schema, header, rules, and the round trip through JSON."""

import json
from dataclasses import replace
from typing import Any

import pytest

from etl.datasets import (
    Agreement,
    Backtest,
    Column,
    DataSet,
    Delivery,
    JobSpec,
    Join,
    LearnedEvents,
    Lookup,
    Problem,
    RecommenderLists,
    Relation,
    Watermark,
)

EVENTS = DataSet(
    "INTERACTIONS",
    Relation(
        "events",
        alias="e",
        rename={"at": "moment"},
        joins=(Join("students", "left", {"e.student_id": "id"}, rename={"name": "student"}),),
        filter="e.kind <> 'バグ'",
        partition_column="id",
    ),
    (
        Column("USER_ID", "e.student_id", required=True),
        Column("ITEM_ID", "e.item_id", required=True),
        Column("TIMESTAMP", "e.moment", "long", required=True),
        Column("DEVICE", "e.device", categorical=True),
    ),
)
SPEC = JobSpec(
    engine="mysql",
    datasets=(EVENTS,),
    batch_input=Lookup("batch-input/", Relation("students"), {"USER_ID": "id"}),
    exclusions=Lookup("filter/exclusions/", EVENTS.relation, {"USER_ID": "a", "ITEM_ID": "b"}),
    max_rejected_share=0.25,
)


def test_the_avro_schema_has_the_csv_header_in_its_order() -> None:
    assert EVENTS.header == ("USER_ID", "ITEM_ID", "TIMESTAMP", "DEVICE")
    assert EVENTS.prefix == "interactions/"
    assert json.loads(EVENTS.avro_json()) == {
        "type": "record",
        "name": "Interactions",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [
            {"name": "USER_ID", "type": "string"},
            {"name": "ITEM_ID", "type": "string"},
            {"name": "TIMESTAMP", "type": "long"},
            {"name": "DEVICE", "type": ["null", "string"], "categorical": True},
        ],
        "version": "1.0",
    }
    assert list(EVENTS.problems()) == []


def test_a_specification_survives_json() -> None:
    assert JobSpec.from_json(SPEC.to_json()) == SPEC
    assert JobSpec.from_json(SPEC.to_json()).to_json() == SPEC.to_json()


def relation(**changes: Any) -> tuple[DataSet]:
    return (replace(EVENTS, relation=replace(EVENTS.relation, **changes)),)


@pytest.mark.parametrize(
    "changes",
    [
        {"partitions": 9},
        {"fetch_size": 1},
        {"output_files": 1},
        {"datasets": relation(partition_column="")},
        {"max_rejected_share": 1.0},
        {"agreement": Agreement(batch_input=0.5)},
        {"event_types": {"batch_inference.personalize_filter": ("view",)}},
        {"backtest": Backtest(("buy",))},
        {"baseline": LearnedEvents("buy")},
        {"delivery": Delivery("lists", {"RANK": "place"})},
    ],
)
def test_what_gives_the_same_rows_is_the_same_extraction(changes: dict[str, Any]) -> None:
    changed = replace(SPEC, **changes)
    assert changed.digest != SPEC.digest
    assert changed.extraction == SPEC.extraction
    assert changed.datasets[0].digest == EVENTS.digest


OTHER_USERS = Lookup("batch-input/", Relation("students", filter="active"), {"USER_ID": "id"})


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "postgresql"},
        {"datasets": relation(filter="")},
        {"datasets": (replace(EVENTS, columns=EVENTS.columns[:3]),)},
        {"batch_input": OTHER_USERS},
        {"eligible_items": Lookup("filter/eligible-items/", Relation("items"), {"ITEM_ID": "id"})},
        {"exclusions": None},
        {"watermark": Watermark("at", 3_600)},
        {"recommenders": {"similar": RecommenderLists(SPEC.batch_input)}},
    ],
)
def test_what_gives_other_rows_is_another_extraction(changes: dict[str, Any]) -> None:
    assert replace(SPEC, **changes).extraction != SPEC.extraction


@pytest.mark.parametrize("text", ["{}", "[]", '{"engine": "mysql"}', "not JSON"])
def test_an_invalid_specification_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a job specification|Expecting value"):
        JobSpec.from_json(text)


def test_every_broken_rule_is_reported() -> None:
    broken = replace(
        EVENTS,
        type="ITEMS",
        columns=(
            Column("ITEM_ID", "id"),
            Column("item-id", "x", "int", categorical=True),
            Column("CREATION_TIMESTAMP", "t", "string"),
        ),
    )
    assert list(broken.problems()) == [
        Problem("ITEM_ID", "ITEM_ID cannot be null", "leave required = false out"),
        Problem(
            "item-id",
            "a column name holds letters, digits and _ and starts with a letter",
            "rename it, for example to ITEM_ID",
        ),
        Problem(
            "item-id",
            "categorical and textual columns are strings, not int",
            'write type = "string" or leave the flag out',
        ),
        Problem(
            "CREATION_TIMESTAMP",
            "Personalize fixes the type of CREATION_TIMESTAMP to long, not string",
            'write type = "long" or leave the type out',
        ),
        Problem(
            "item-id",
            "Personalize takes item-id and ITEM_ID for the same name",
            "rename one of them",
        ),
    ]


@pytest.mark.parametrize(
    ("column", "limit"),
    [
        (Column("USER_ID", "x"), 256),
        (Column("GENRE", "x", categorical=True), 1_000),
        (Column("IMPRESSION", "x"), 1_000),
        (Column("TEXT", "x", textual=True), 20_000),
        (Column("NOTE", "x"), 1_000),
        (Column("GRADE", "x", "int"), None),
        (Column("OPEN", "x", "boolean"), None),
    ],
)
def test_columns_know_how_long_a_value_may_be(column: Column, limit: int | None) -> None:
    assert column.max_length == limit


def test_a_boolean_is_a_string_of_categories_to_personalize() -> None:
    """It neither trains on Avro's boolean nor filters by it, says the developer guide."""
    assert Column("OPEN", "x", "boolean").avro_field() == {
        "name": "OPEN",
        "type": ["null", "string"],
        "categorical": True,
    }
    flagged = Column("OPEN", "x", "boolean", categorical=True)
    assert list(replace(EVENTS, columns=(*EVENTS.columns, flagged)).problems()) == []


def test_a_text_or_a_plain_string_is_not_enough_for_items() -> None:
    items = DataSet(
        "ITEMS",
        Relation("items"),
        (
            Column("ITEM_ID", "id", required=True),
            Column("TITLE", "title"),
            Column("TEXT", "text", textual=True),
        ),
    )
    (problem,) = items.problems()
    assert problem.rule == (
        "ITEMS needs at least one categorical or numerical column besides ITEM_ID; texts and"
        " plain strings are none"
    )
    for column in (
        Column("PRICE", "x", "float"),
        Column("CREATION_TIMESTAMP", "x", "long"),
        Column("GENRE", "x", categorical=True),
        Column("OPEN", "x", "boolean"),
    ):
        assert list(replace(items, columns=(*items.columns, column)).problems()) == []


def test_columns_of_events_leave_room_for_a_type() -> None:
    more = [Column(f"M{number}", "x", "int") for number in range(9)]
    broken = replace(EVENTS, columns=(*EVENTS.columns, Column("EVENT_TYPE", "x"), *more))
    rules = [problem.rule for problem in broken.problems()]
    assert rules[0] == "INTERACTIONS takes at most 5 metadata columns, here are 10"
    assert rules[1].endswith(
        "M7, M8: Personalize takes at most 10 of such columns and event types together"
    )


def test_only_items_have_a_text() -> None:
    text = Column("NOTE", "x", textual=True)
    (problem,) = replace(EVENTS, columns=(*EVENTS.columns, text)).problems()
    assert problem.column == "NOTE"
    assert problem.rule == "INTERACTIONS has no textual columns, only ITEMS has one"
