"""The recipe aws-semantic-similarity: items that are like a given one by what is written of them.

https://docs.aws.amazon.com/personalize/latest/dg/native-recipe-semantic-similarity.html
"""

import json
from typing import Any

import pytest

from .account import INTERACTIONS, PREFIX, Account, avro, events, refusal

RECIPE = "arn:aws:personalize:::recipe/aws-semantic-similarity"
STORIES = ("robots cross deep space", "a dragon guards the castle")
FIELDS = (
    ("ITEM_ID", "string"),
    ("TITLE", "string"),
    ("DESCRIPTION", ["null", "string"]),
    ("CREATION_TIMESTAMP", "long"),
)


def items_schema(*, name: bool = True, text: bool = True) -> str:
    schema = avro("Items", *FIELDS)
    if name:
        schema = schema.replace('"TITLE"', '"TITLE", "itemName": true')
    return schema.replace('"DESCRIPTION"', '"DESCRIPTION", "textual": true') if text else schema


def group(account: Account, label: str, *, with_events: bool, schema: str = items_schema()) -> str:
    """Return a dataset group of forty stories, the even ones of robots; `i1` is the newest."""
    arn = account.group(label)
    items = account.dataset(label, "Items", account.schema(f"{label}-items", schema))
    rows = "".join(
        f'i{n},Story {n % 2} {n},"{STORIES[n % 2]}",{2_000_000_000 if n == 1 else 1_500_000_000}\n'
        for n in range(40)
    )
    header = "ITEM_ID,TITLE,DESCRIPTION,CREATION_TIMESTAMP\n"
    job = account.load(f"{label}-items", items, account.put(f"{label}/items.csv", header + rows))
    assert job["status"] == "ACTIVE", job["failureReason"]
    if with_events:
        events_schema = account.schema(
            label, avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        )
        seen = account.dataset(label, "Interactions", events_schema)
        account.load(f"{label}-events", seen, account.put(f"{label}/events.csv", events()))
    return arn


def related(account: Account, name: str, version: str, **config: Any) -> dict[str, list[str]]:
    """Return item → related items of a batch inference job."""
    source = account.put(f"{name}/in.json", '{"itemId":"i2"}\n{"itemId":"i3"}\n')
    target = f"s3://data/{name}-out/"
    job = account.infer(name, version, source, target, numResults=19, **config)
    assert job["status"] == "ACTIVE", job["failureReason"]
    answers = account.read_lines(f"{name}-out/in.json.out")
    return {one["input"]["itemId"]: one["output"]["recommendedItems"] for one in answers}


@pytest.mark.parametrize("with_events", [True, False])
def test_items_are_related_by_their_texts_with_or_without_events(
    account: Account, with_events: bool
) -> None:
    name = f"semantic-{with_events}".lower()
    arn = group(account, name, with_events=with_events)
    solution = account.solution(name, arn, "aws-semantic-similarity")
    version = account.train(solution)
    assert version["status"] == "ACTIVE", version.get("failureReason")
    lists = related(account, name, version["solutionVersionArn"])
    for item, others in lists.items():
        assert len(others) == 19
        assert {int(other[1:]) % 2 for other in others} == {int(item[1:]) % 2}
    fresh = related(
        account,
        f"{name}-fresh",
        version["solutionVersionArn"],
        batchInferenceJobConfig={"rankingInfluence": {"FRESHNESS": 1.0}},
    )
    assert fresh["i3"][0] == "i1", "the newest of the similar ones"
    assert set(fresh["i3"]) == set(lists["i3"])


@pytest.mark.parametrize(("name", "text"), [(False, True), (True, False)])
def test_the_name_and_the_description_of_items_must_be_marked(
    account: Account, name: bool, text: bool
) -> None:
    label = f"semantic-{name}-{text}".lower()
    arn = group(account, label, with_events=False, schema=items_schema(name=name, text=text))
    solution = account.solution(label, arn, "aws-semantic-similarity")
    code, message = refusal(
        account.personalize.create_solution_version, name=label, solutionArn=solution
    )
    assert code == "InvalidInputException"
    assert message.startswith("aws-semantic-similarity needs two fields of Items: the item's name")


def test_incremental_updates_are_for_this_recipe_alone(account: Account) -> None:
    arn = account.group("semantic-updates")
    create = account.personalize.create_solution
    settings = {"datasetGroupArn": arn, "performAutoTraining": False}
    solution = create(
        name="semantic-updates", recipeArn=RECIPE, performIncrementalUpdate=True, **settings
    )["solutionArn"]
    assert solution == f"{PREFIX}:solution/semantic-updates"
    _, message = refusal(
        create,
        name="sims-updates",
        recipeArn=RECIPE.replace("semantic-similarity", "sims"),
        performIncrementalUpdate=True,
        **settings,
    )
    assert message.startswith("performIncrementalUpdate is supported only for solutions that use")


def test_an_item_has_one_name(account: Account) -> None:
    schema = json.loads(items_schema())
    schema["fields"].append({"name": "LABEL", "type": "string", "itemName": True})
    _, message = refusal(
        account.personalize.create_schema, name="two-names", schema=json.dumps(schema)
    )
    assert "TITLE, LABEL are itemName; only one field can be" in message
