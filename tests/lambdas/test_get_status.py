"""The status of a resource, and the wait until the next poll."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

import lambdas.get_status
from lambdas.errors import InvalidInputException
from lambdas.get_status import get_status
from tests.lambdas.sample_run import ARN, LONG_AGO, SOLUTION


@pytest.mark.parametrize(
    ("resource", "operation", "argument"),
    [
        ("dataset-import-job/j", "describe_dataset_import_job", "datasetImportJobArn"),
        ("batch-inference-job/j", "describe_batch_inference_job", "batchInferenceJobArn"),
        ("batch-segment-job/j", "describe_batch_segment_job", "batchSegmentJobArn"),
        ("solution/s", "describe_solution", "solutionArn"),
        ("solution/s/1a2b", "describe_solution_version", "solutionVersionArn"),
        ("dataset-group/g", "describe_dataset_group", "datasetGroupArn"),
        ("dataset/g/USERS", "describe_dataset", "datasetArn"),
        ("filter/f", "describe_filter", "filterArn"),
        ("campaign/c", "describe_campaign", "campaignArn"),
    ],
)
def test_the_status_of_every_resource_type_is_returned(
    personalize: Any, calls: Stubber, resource: str, operation: str, argument: str
) -> None:
    response = {"status": "CREATE IN_PROGRESS", "creationDateTime": LONG_AGO}
    calls.add_response(
        operation, {argument.removesuffix("Arn"): response}, {argument: f"{ARN}{resource}"}
    )

    assert get_status(
        personalize,
        f"{ARN}{resource}",
        least=15,
        most=300,
        now=LONG_AGO + timedelta(minutes=20),
    ) == {
        "arn": f"{ARN}{resource}",
        "status": "CREATE IN_PROGRESS",
        "waitSeconds": 120,
        "expected": None,
        "failureReason": "",
    }


def test_a_training_that_was_stopped_has_a_reason(personalize: Any, calls: Stubber) -> None:
    """Personalize gives none, and the run fails with what stands here."""
    stopped = {"status": "CREATE STOPPED", "creationDateTime": LONG_AGO}
    calls.add_response("describe_solution_version", {"solutionVersion": stopped})

    response = get_status(personalize, f"{ARN}solution/s/1a2b", least=15, most=300, now=LONG_AGO)

    assert (response["status"], response["failureReason"]) == (
        "CREATE STOPPED",
        "its creation was stopped by StopSolutionVersionCreation; resume the run",
    )


def test_a_failure_is_returned_with_its_reason(personalize: Any, calls: Stubber) -> None:
    failed = {
        "status": "CREATE FAILED",
        "failureReason": "Invalid Data location.",
        "creationDateTime": LONG_AGO,
    }
    calls.add_response("describe_dataset_import_job", {"datasetImportJob": failed})

    arn = f"{ARN}dataset-import-job/j"
    response = get_status(personalize, arn, least=15, most=300, now=LONG_AGO)
    assert response["status"] == "CREATE FAILED"
    assert response["failureReason"] == "Invalid Data location."


@pytest.mark.parametrize(
    "arn", ["", "x", "arn:aws:s3:::bucket/solution/x", f"{ARN}schema/s", f"{ARN}solution"]
)
def test_a_resource_without_a_status_is_refused(personalize: Any, arn: str) -> None:
    with pytest.raises(InvalidInputException, match="names nothing that has a status"):
        get_status(personalize, arn, least=15, most=300, now=LONG_AGO)


@pytest.mark.usefixtures("session")
def test_the_wait_of_a_job_that_runs_for_long_is_the_longest(calls: Stubber) -> None:
    calls.add_response(
        "describe_solution",
        {"solution": {"status": "CREATE IN_PROGRESS", "creationDateTime": LONG_AGO}},
    )
    event = {"arn": SOLUTION, "minSeconds": 15, "maxSeconds": 300}

    assert lambdas.get_status.handler(event, None)["waitSeconds"] == 300
