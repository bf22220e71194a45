"""Schemas: every fault has its line and column."""

import json
from itertools import count

import pytest

from .account import HEADER, INTERACTIONS, Account, avro, events, refusal

NUMBERS = count()


def test_a_schema_is_refused_with_the_position_of_every_fault(account: Account) -> None:
    text = """{
  "type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema",
  "fields": [
    {"name": "USER_ID", "type": ["string", "null"]},
    {"name": "TIMESTAMP", "type": "long", "categorial": true},
    {"name": "TAGS", "type": {"type": "array", "items": "string"}},
      {"name": "EVENT_TYPE", "type": "string", "categorical": true},
    {"name": "EVENTTYPE", "type": "string"}
  ]
}"""
    code, message = refusal(account.personalize.create_schema, name="faulty", schema=text)
    assert code == "InvalidInputException"
    assert message.splitlines() == [
        "invalid schema: line 4, column 5, field 'USER_ID': must be of type string without null; "
        'write "type": "string"',
        "line 5, column 5, field 'TIMESTAMP': unknown attribute 'categorial'; "
        "did you mean 'categorical'?",
        "line 6, column 5, field 'TAGS': type {'type': 'array', 'items': 'string'} is not "
        "supported; use one of float, double, int, long, string, boolean, or a pair of it and "
        "null; join several values of one field by | in a string",
        "line 7, column 7, field 'EVENT_TYPE': must not be categorical; remove \"categorical\"",
        'line 3, column 13: ITEM_ID is missing; add {"name": "ITEM_ID", "type": "string"}',
        "line 8, column 5: EVENT_TYPE and EVENTTYPE are the same without _; rename one",
    ]
    code, message = refusal(account.personalize.create_schema, name="faulty", schema='{\n "a" 1}')
    assert message == "invalid schema: line 2, column 6: not JSON: Expecting ':' delimiter"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"version": "1.1"},
        {"version": None},
        {"name": "interactions"},
        {"name": "INTERACTIONS"},
    ],
)
def test_published_schemas_that_aws_accepted_are_accepted(
    account: Account, change: dict[str, object]
) -> None:
    text = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    schema = {
        key: value for key, value in {**json.loads(text), **change}.items() if value is not None
    }
    name = f"published-{next(NUMBERS)}"
    account.group(name)
    dataset = account.dataset(name, "Interactions", account.schema(name, json.dumps(schema)))
    location = account.put(f"{name}.csv", events())
    assert account.load(name, dataset, location)["status"] == "ACTIVE"


def test_field_names_may_be_in_lower_case(account: Account) -> None:
    """As in published walk-throughs that imported and trained with them."""
    fields = (*INTERACTIONS, ("TIMESTAMP", "long"))
    lower = avro("Interactions", *((name.lower(), type_) for name, type_ in fields))
    group = account.group("lower")
    dataset = account.dataset("lower", "Interactions", account.schema("lower", lower))
    text = events()
    for name in (HEADER, HEADER.lower()):
        location = account.put("lower.csv", name + text.removeprefix(HEADER))
        assert account.load(f"lower-{name[0]}", dataset, location)["status"] == "ACTIVE"
    version = account.train(account.solution("lower", group, "aws-popularity-count"))
    assert version["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            avro("Items", ("ITEM_ID", "string"), ("A", "int")).replace(
                '"A"', '"A", "itemName": true'
            ),
            "itemName marks the name of an item: a string of Items",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("A", "int")).replace('"1.0"', "[]"),
            "line 1, column 97: version is []; write '1.0'",
        ),
        (
            avro("Things", ("A", "int")),
            "line 1, column 28: name is 'Things'; write 'Interactions' or 'Users' or 'Items' or"
            " 'Actions' or 'ActionInteractions'",
        ),
        (
            avro("Users", ("USER_ID", "string")),
            "line 1, column 114: Users needs a metadata field besides USER_ID",
        ),
        (avro("Users", ("USER_ID", "string"), ("1ST", "int")), "name must be letters"),
        (
            avro("Users", ("USER_ID", "string"), *((f"F{n}", "int") for n in range(26))),
            "line 1, column 944: 26 metadata fields; Users has at most 25",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("CREATION_TIMESTAMP", "int")),
            "is reserved and must be of type long, or a pair of it and null",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("A", "int")).replace(
                '"A"', '"A", "textual": true'
            ),
            "only a string can be categorical or textual, not int",
        ),
        (
            avro("Users", ("USER_ID", "string"), ("A", "string")).replace(
                '"A"', '"A", "textual": true'
            ),
            "Users cannot have a textual field; only Items can",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("A", "string"), ("B", "string"))
            .replace('"A"', '"A", "textual": true')
            .replace('"B"', '"B", "textual": true'),
            "line 1, column 204: A, B are textual; only one field can be",
        ),
        (avro("Users"), "line 1, column 114: fields must be a list with at least one field"),
        (
            avro("Users", ("USER_ID", "string"), ("A", "int")).replace(
                '"version"', '"name": "Users", "version"'
            ),
            "line 1, column 94: 'name' stands there twice",
        ),
        ("[" * 9_000, "line 1, column 1: nested too deeply; a schema is flat"),
        (
            avro("Actions", ("ACTION_ID", "string"), ("VALUE", "string")),
            "field 'VALUE': is reserved and must be of type long, or a pair of it and null",
        ),
        (
            avro("ActionInteractions", ("USER_ID", "string"), ("ACTION_ID", "string")),
            'EVENT_TYPE is missing; add {"name": "EVENT_TYPE", "type": "string"}',
        ),
        ("[]", "line 1, column 1: a schema is a JSON object of type record"),
    ],
)
def test_a_schema_keeps_the_rules_of_its_dataset(account: Account, text: str, fault: str) -> None:
    code, message = refusal(account.personalize.create_schema, name="broken", schema=text)
    assert (code, fault in message) == ("InvalidInputException", True), message


@pytest.mark.parametrize(
    ("domain", "text", "fault"),
    [
        (
            "ECOMMERCE",
            avro("Interactions", ("USER_ID", "string"), ("ITEM_ID", "string")),
            'EVENT_TYPE is missing; add {"name": "EVENT_TYPE", "type": "string"}',
        ),
        (
            "ECOMMERCE",
            avro("Items", ("ITEM_ID", "string"), ("CATEGORY_L1", "string")),
            "field 'CATEGORY_L1': must be categorical in this domain; add \"categorical\": true",
        ),
        (
            "ECOMMERCE",
            avro("Items", ("ITEM_ID", "string"), ("CATEGORY_L1", "string")),
            'PRICE is missing; add {"name": "PRICE", "type": "float"}',
        ),
        (
            "VIDEO_ON_DEMAND",
            avro("Items", ("ITEM_ID", "string"), ("CREATION_TIMESTAMP", "long")),
            'GENRES is missing; add {"name": "GENRES", "type": "string", "categorical": true}',
        ),
        (
            "VIDEO_ON_DEMAND",
            avro("Actions", ("ACTION_ID", "string"), ("VALUE", "long")),
            "name is 'Actions'; write 'Interactions' or 'Users' or 'Items'",
        ),
    ],
)
def test_a_domain_demands_fields_of_its_own(
    account: Account, domain: str, text: str, fault: str
) -> None:
    call = account.personalize.create_schema
    code, message = refusal(call, name="broken", schema=text, domain=domain)
    assert (code, fault in message) == ("InvalidInputException", True), message
