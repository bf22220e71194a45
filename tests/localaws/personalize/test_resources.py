"""Names, descriptions, lists, tags, deletion and errors of all types of resources."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from localaws.http.errors import ServiceError
from localaws.personalize import Quotas
from localaws.personalize.resources.jobs import Workers
from localaws.personalize.resources.registry import Registry
from localaws.personalize.resources.types import DATASET_GROUP

from .account import ACCOUNT, PREFIX, REGION, ROLE, Account, avro, refusal


def test_describe_returns_what_was_requested(account: Account, trained: dict[str, str]) -> None:
    solution = account.personalize.describe_solution(solutionArn=trained["solution"])["solution"]
    version = account.personalize.describe_solution_version(solutionVersionArn=trained["version"])
    version = version["solutionVersion"]
    job = account.personalize.describe_dataset_import_job(
        datasetImportJobArn=f"{PREFIX}:dataset-import-job/first"
    )["datasetImportJob"]
    assert solution["solutionArn"] == f"{PREFIX}:solution/labbase"
    assert solution["performAutoTraining"] is False
    assert solution["latestSolutionVersion"]["status"] == "ACTIVE"
    assert version["solutionVersionArn"].startswith(f"{PREFIX}:solution/labbase/")
    assert {name: version[name] for name in ("name", "trainingMode", "trainingType")} == {
        "name": "first",
        "trainingMode": "FULL",
        "trainingType": "MANUAL",
    }
    assert version["trainingHours"] >= 0.0001
    assert version["lastUpdatedDateTime"] >= version["creationDateTime"]
    assert job["importMode"] == "FULL"
    assert job["dataSource"] == {"dataLocation": "s3://data/events/1.csv"}


def test_names_cannot_be_taken_twice(account: Account, trained: dict[str, str]) -> None:
    taken = "ResourceAlreadyExistsException"
    create = account.personalize
    assert refusal(create.create_dataset_group, name="labbase") == (
        taken,
        f"Another resource with Arn {PREFIX}:dataset-group/labbase already exists.",
    )
    code, message = refusal(
        create.create_solution_version, solutionArn=trained["solution"], name="first"
    )
    assert (code, trained["version"] in message) == (taken, True)
    assert (
        refusal(
            create.create_dataset_import_job,
            jobName="first",
            datasetArn=trained["dataset"],
            dataSource={"dataLocation": "s3://data/events/"},
        )[0]
        == taken
    )


def test_a_missing_resource_is_not_found(account: Account, trained: dict[str, str]) -> None:
    lost = f"{PREFIX}:solution/lost"
    expected = ("ResourceNotFoundException", f"Resource Arn {lost} does not exist.")
    call = account.personalize
    assert refusal(call.describe_solution, solutionArn=lost) == expected
    assert refusal(call.create_solution_version, solutionArn=lost) == expected
    # A version's ARN is no solution's.
    assert refusal(call.describe_solution, solutionArn=trained["version"])[0] == expected[0]


def test_deletion_waits_for_what_depends(account: Account) -> None:
    schema = account.schema("gone", avro("Users", ("USER_ID", "string"), ("AGE", "int")))
    group = account.group("gone")
    dataset = account.dataset("gone", "Users", schema)
    call = account.personalize
    in_use = "ResourceInUseException"
    assert refusal(call.delete_schema, schemaArn=schema)[0] == in_use
    code, message = refusal(call.delete_dataset_group, datasetGroupArn=group)
    assert (code, message) == (in_use, f"{group} is used by {dataset} (ACTIVE); delete that first.")
    account.delete("Dataset", dataset)
    account.delete("DatasetGroup", group)
    call.delete_schema(schemaArn=schema)
    assert refusal(call.describe_schema, schemaArn=schema)[0] == "ResourceNotFoundException"
    account.schema("gone", avro("Users", ("USER_ID", "string"), ("AGE", "int")))
    call.delete_schema(schemaArn=schema)


def test_interactions_are_kept_while_other_resources_use_them(
    account: Account, trained: dict[str, str]
) -> None:
    """Filters, event trackers, metric attributions and campaigns go first, as documented."""
    call, group = account.personalize, trained["group"]
    chosen = account.created(
        "Filter",
        name="met",
        datasetGroupArn=group,
        filterExpression='INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("view")',
    )
    tracker = account.created("EventTracker", name="page", datasetGroupArn=group)
    counted = account.created(
        "MetricAttribution",
        name="counted",
        datasetGroupArn=group,
        metrics=[
            {"metricName": "views", "eventType": "view", "expression": "SAMPLECOUNT()"},
        ],
        metricsOutputConfig={"roleArn": ROLE},
    )
    campaign = account.created("Campaign", name="page", solutionVersionArn=trained["version"])
    for resource_type, arn in (
        ("Campaign", campaign),
        ("Filter", chosen),
        ("EventTracker", tracker),
        ("MetricAttribution", counted),
    ):
        assert refusal(call.delete_dataset, datasetArn=trained["dataset"]) == (
            "ResourceInUseException",
            f"{trained['dataset']} is used by {arn} (ACTIVE); delete that first.",
        )
        account.delete(resource_type, arn)


def test_the_schema_of_interactions_cannot_be_replaced(
    account: Account, trained: dict[str, str]
) -> None:
    call = account.personalize.update_dataset
    code, message = refusal(call, datasetArn=trained["dataset"], schemaArn=trained["schema"])
    assert (code, message.endswith("cannot be replaced, only that of USERS or ITEMS")) == (
        "InvalidInputException",
        True,
    )


def test_a_version_is_created_in_the_line_after_its_solution(
    account: Account, trained: dict[str, str]
) -> None:
    solution = account.personalize.create_solution(
        name="at-once",
        datasetGroupArn=trained["group"],
        recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
    )["solutionArn"]
    assert account.train(solution)["status"] == "ACTIVE"


def test_deletion_is_pending_then_in_progress_then_done() -> None:
    """The status between the call and the end of a deletion, and the requests refused meanwhile."""
    times = iter(range(100))
    registry = Registry(
        account=ACCOUNT,
        region=REGION,
        clock=lambda: datetime.fromtimestamp(next(times), UTC),
        quotas=Quotas(),
    )
    workers = Workers(registry, 1)
    arn = registry.create(DATASET_GROUP, "g", {"name": "g"}).arn
    with pytest.raises(ServiceError, match="is CREATE PENDING and cannot be deleted now"):
        registry.delete(DATASET_GROUP, arn)
    registry.update(arn, status="ACTIVE")
    seen: list[str] = []
    going = registry.delete(DATASET_GROUP, arn)
    seen.append(registry.get(arn).status)
    with pytest.raises(ServiceError, match="is DELETE PENDING and cannot be deleted now"):
        registry.delete(DATASET_GROUP, arn)
    with pytest.raises(ServiceError, match="already exists"):
        registry.create(DATASET_GROUP, "g", {"name": "g"})
    workers.delete(going, lambda resource: seen.append(registry.get(resource.arn).status))
    while registry.find(DATASET_GROUP):
        time.sleep(0.001)
    workers.close()
    assert seen == ["DELETE PENDING", "DELETE IN_PROGRESS"]


def test_lists_come_in_pages_and_forged_tokens_are_refused(
    account: Account, trained: dict[str, str]
) -> None:
    pages = list(
        account.personalize.get_paginator("list_recipes").paginate(PaginationConfig={"PageSize": 8})
    )
    names = [recipe["name"] for page in pages for recipe in page["recipes"]]
    assert [len(page["recipes"]) for page in pages[:-1]] == [8, 8]
    assert len(set(names)) == len(names) == 16 + len(pages[-1]["recipes"])
    code = "InvalidNextTokenException"
    token = pages[0]["nextToken"]
    assert refusal(account.personalize.list_recipes, nextToken="Zm9yZ2Vk")[0] == code
    assert refusal(account.personalize.list_schemas, nextToken=token)[0] == code
    changed = token[:-4] + ("A" if token[-4] != "A" else "B") + token[-3:]
    assert refusal(account.personalize.list_recipes, nextToken=changed)[0] == code
    domain = {"domain": "ECOMMERCE", "nextToken": token}
    assert refusal(account.personalize.list_recipes, **domain)[0] == code
    listed = account.personalize.list_datasets(datasetGroupArn=trained["group"])["datasets"]
    assert [summary["datasetArn"] for summary in listed] == [trained["dataset"]]


def test_tags_are_kept(account: Account, trained: dict[str, str]) -> None:
    call, arn = account.personalize, trained["group"]
    call.tag_resource(
        resourceArn=arn,
        tags=[{"tagKey": "team", "tagValue": "data"}, {"tagKey": "stage", "tagValue": "test"}],
    )
    call.untag_resource(resourceArn=arn, tagKeys=["stage"])
    assert call.list_tags_for_resource(resourceArn=arn)["tags"] == [
        {"tagKey": "team", "tagValue": "data"}
    ]


def test_an_operation_that_is_not_built_is_refused_by_name(
    account: Account, trained: dict[str, str]
) -> None:
    call = account.personalize
    requests: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (
            call.create_solution_version,
            {"solutionArn": trained["solution"], "trainingMode": "AUTOTRAIN"},
            "trainingMode AUTOTRAIN is not supported",
        ),
        (
            call.create_dataset,
            {
                "name": "n",
                "datasetType": "Reviews",
                "schemaArn": trained["schema"],
                "datasetGroupArn": trained["group"],
            },
            "datasetType 'Reviews' is none; use one of INTERACTIONS, USERS, ITEMS, ACTIONS, "
            "ACTION_INTERACTIONS",
        ),
        (
            call.create_dataset,
            {
                "name": "n",
                "datasetType": "Users",
                "schemaArn": trained["schema"],
                "datasetGroupArn": trained["group"],
            },
            f"schema {trained['schema']} describes Interactions, the dataset is USERS",
        ),
        (
            call.create_solution,
            {
                "name": "n",
                "datasetGroupArn": trained["group"],
                "recipeArn": "arn:aws:personalize:::recipe/aws-user-personalization-v2",
                "performIncrementalUpdate": True,
            },
            "performIncrementalUpdate is supported only for solutions that use the "
            "semantic-similarity recipe",
        ),
    ]
    for operation, request, text in requests:
        code, message = refusal(operation, **request)
        assert (code, message.startswith(text)) == ("InvalidInputException", True), message
