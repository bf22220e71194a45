"""Get Job Status: the status of a Personalize resource, one handler for all resource types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import InvalidInputException, named_errors
from lambdas.jobs import job_response
from lambdas.polling import next_wait

# The ARN's resource type → the operation that describes it, and its argument.
_DESCRIBE = {
    "dataset-import-job": ("describe_dataset_import_job", "datasetImportJobArn"),
    "batch-inference-job": ("describe_batch_inference_job", "batchInferenceJobArn"),
    "batch-segment-job": ("describe_batch_segment_job", "batchSegmentJobArn"),
    "solution": ("describe_solution", "solutionArn"),
    "solution-version": ("describe_solution_version", "solutionVersionArn"),
    "dataset-group": ("describe_dataset_group", "datasetGroupArn"),
    "dataset": ("describe_dataset", "datasetArn"),
    "filter": ("describe_filter", "filterArn"),
    "campaign": ("describe_campaign", "campaignArn"),
}


# The reasons for statuses for which Personalize gives none.
_REASONS = {
    "CREATE STOPPED": "its creation was stopped by StopSolutionVersionCreation; resume the run"
}


def resource_type_of(arn: str) -> str:
    """Return the resource type of an ARN, for example `dataset-import-job` or `solution-version`.

    Raises:
        InvalidInputException: If it is not an ARN of Personalize, or its type has no status.
    """
    resource = arn.split(":", 5)[5] if arn.count(":") >= 5 else ""
    resource_type, _, name = resource.partition("/")
    if resource_type == "solution" and "/" in name:
        resource_type = "solution-version"
    if resource_type not in _DESCRIBE or not name or arn.split(":")[2] != "personalize":
        raise InvalidInputException(
            f"'{arn}' names nothing that has a status; known are {', '.join(_DESCRIBE)}"
        )
    return resource_type


def get_status(
    personalize: Any,
    arn: str,
    *,
    least: int,
    most: int,
    expected: Mapping[str, float] | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Return a resource's status and the seconds until the next poll.

    A campaign stays ACTIVE while it is updated: of one that ever was, it is the latest update's.

    Args:
        personalize: A client.
        arn: The resource's.
        least: Shortest wait, seconds.
        most: Longest wait, seconds.
        expected: How long it will take, `{"seconds", "spread"}`; None if nothing is known of it.
        now: The time, UTC.

    Raises:
        InvalidInputException: If the ARN is of nothing that has a status.
    """
    operation, argument = _DESCRIBE[resource_type_of(arn)]
    resource = getattr(personalize, operation)(**{argument: arn})[argument.removesuffix("Arn")]
    resource = resource.get("latestCampaignUpdate") or resource
    waited = (now - resource["creationDateTime"]).total_seconds()
    status = resource["status"]
    reason = resource.get("failureReason") or _REASONS.get(status)
    wait = next_wait(waited, least, most, **(expected or {}))
    return job_response(arn, status, wait, reason, expected=expected)


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the status of the event's `arn`, and the wait between its bounds.

    Event: `arn`, `minSeconds`, `maxSeconds`, `expected` (`{"seconds", "spread"}`, null or none).
    """
    return get_status(
        client("personalize"),
        event["arn"],
        least=event["minSeconds"],
        most=event["maxSeconds"],
        expected=event.get("expected"),
        now=datetime.now(UTC),
    )
