"""From a run's manifest to the data sets to import."""

import json
from typing import Any

import pytest
from botocore.stub import Stubber

from lambdas import list_datasets
from lambdas.errors import InvalidInputException, ManifestNotFound, ResourceNotFoundException
from lambdas.list_datasets import datasets_to_import, filter_size, read_manifest
from tests.lambdas.conftest import Session
from tests.lambdas.sample_run import ARN, ARNS, GROUP, MANIFEST, RUN, put


def test_interactions_are_imported_after_what_they_refer_to() -> None:
    assert datasets_to_import(MANIFEST, ARNS, bucket="bucket", run="r") == [
        {
            "datasetType": "USERS",
            "datasetArn": "arn:aws:personalize:ap-northeast-1:123456789012:dataset/labbase/USERS",
            "s3Path": "s3://bucket/runs/r/users/",
            "importMode": "FULL",
            "rows": 5_000,
        },
        {
            "datasetType": "INTERACTIONS",
            "datasetArn": f"{ARN}dataset/labbase/INTERACTIONS",
            "s3Path": "s3://bucket/runs/r/interactions/",
            "importMode": "FULL",
            "rows": 150_000,
        },
    ]


def test_a_data_set_that_the_group_lacks_is_reported_with_the_fix() -> None:
    with pytest.raises(
        ResourceNotFoundException,
        match=r"holds INTERACTIONS, but .* only USERS; create the dataset",
    ):
        datasets_to_import(MANIFEST, {"USERS": ARNS["USERS"]}, bucket="bucket", run="r")


def test_a_type_that_is_new_to_us_is_imported_if_the_group_has_it() -> None:
    manifest = {
        "datasets": {
            "INTERACTIONS": {"path": "interactions/", "rows": 150_000},
            "ACTIONS": {"path": "actions/", "rows": 7},
        }
    }
    arns = ARNS | {"ACTIONS": f"{ARN}dataset/labbase/ACTIONS"}

    items = datasets_to_import(manifest, arns, bucket="bucket", run="r")
    assert [(item["datasetType"], item["importMode"], item["rows"]) for item in items] == [
        ("ACTIONS", "FULL", 7),
        ("INTERACTIONS", "FULL", 150_000),
    ]


def test_the_manifest_is_read(s3: Any) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST))

    assert read_manifest(s3, "bucket", RUN) == MANIFEST


def test_the_data_sets_of_a_run_are_found_on_every_page_of_the_group(
    s3: Any, session: Session, calls: Stubber
) -> None:
    session.clients["s3"] = s3
    put(s3, "manifest.json", json.dumps(MANIFEST))
    for dataset_type, request_token, response_token in (
        ("Interactions", {}, {"nextToken": "more"}),
        ("Users", {"nextToken": "more"}, {}),
    ):
        arn = f"{ARN}dataset/labbase/{dataset_type.upper()}"
        calls.add_response(
            "list_datasets",
            {"datasets": [{"datasetType": dataset_type, "datasetArn": arn}]} | response_token,
            {"datasetGroupArn": GROUP} | request_token,
        )
    event = {"bucket": "bucket", "run": RUN, "datasetGroupArn": GROUP}

    answer = list_datasets.handler(event, None)
    assert answer["filter"] == {"size": 0}
    items = answer["datasets"]
    assert [(item["datasetArn"], item["s3Path"]) for item in items] == [
        (f"{ARN}dataset/labbase/USERS", "s3://bucket/runs/2024-06-01/users/"),
        (f"{ARN}dataset/labbase/INTERACTIONS", "s3://bucket/runs/2024-06-01/interactions/"),
    ]


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, 0),
        ({"batchInput": {"rows": 5_000}}, 5_000),
        ({"batchInput": {"rows": 5_000}, "filter": {"exclusions": None}}, 5_000),
        ({"batchInput": {"rows": 5_000}, "filter": {"exclusions": {"rows": 123_456}}}, 17_345),
    ],
)
def test_the_filter_is_as_large_as_its_users_and_excluded_pairs(
    changes: dict[str, Any], size: int
) -> None:
    assert filter_size(MANIFEST | changes) == size


def test_a_run_without_manifest_is_reported_by_the_handler(s3: Any) -> None:
    event = {"bucket": "bucket", "run": RUN, "datasetGroupArn": GROUP}

    with pytest.raises(
        ManifestNotFound, match=r"s3://bucket/runs/2024-06-01/manifest.json is not there"
    ):
        list_datasets.handler(event, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ("{}", "KeyError\\('datasets'\\)"),
        ('{"datasets": []}', "no attribute 'items'"),
        ('{"datasets": {"USERS": null}}', "NoneType"),
        ('{"datasets": {"USERS": {"rows": 5}}}', "USERS lacks its path or its rows"),
        ("\xff", "invalid start byte"),
    ],
)
def test_a_broken_manifest_is_reported(s3: Any, content: str, reason: str) -> None:
    put(s3, "manifest.json", content.encode("latin-1"))

    with pytest.raises(
        InvalidInputException, match=rf"manifest\.json is no manifest: .*{reason}.*; the Spark job"
    ):
        read_manifest(s3, "bucket", RUN)
