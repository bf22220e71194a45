"""The data set contract: schema, header, rules, and the round trip through JSON."""

import json
from dataclasses import replace

import pytest

from etl.datasets import Column, DataSet, JobSpec, Join, Lookup, Problem, Relation

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
        (Column("NOTE", "x"), None),
    ],
)
def test_columns_know_how_long_a_value_may_be(column: Column, limit: int | None) -> None:
    assert column.max_length == limit
