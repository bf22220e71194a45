"""Get Job Status: how a Personalize resource stands, one handler for every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3

from lambdas.errors import InvalidInputException, named_errors
from lambdas.jobs import job_answer

# How much of the time already waited is waited once more: a tenth, so that at most a tenth of a
# job's length is lost after its end.
BACK_OFF = 0.1

# The ARN's resource → what describes it, the argument's name, the key in the answer.
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


def kind_of(arn: str) -> str:
    """Return what an ARN names, for example `dataset-import-job` or `solution-version`.

    Raises:
        InvalidInputException: it is no ARN of Personalize, or of something without a status.
    """
    resource = arn.split(":", 5)[5] if arn.count(":") >= 5 else ""
    kind, _, name = resource.partition("/")
    if kind == "solution" and "/" in name:
        kind = "solution-version"
    if kind not in _DESCRIBE or not name or arn.split(":")[2] != "personalize":
        raise InvalidInputException(
            f"'{arn}' names nothing that has a status; known are {', '.join(_DESCRIBE)}"
        )
    return kind


def next_wait(waited: float, least: int, most: int) -> int:
    """Return how many seconds to wait now: it grows with the seconds already waited."""
    return int(min(max(waited * BACK_OFF, least), most))


def get_status(
    personalize: Any, arn: str, *, least: int, most: int, now: datetime
) -> dict[str, Any]:
    """Return how a resource stands and when to look again, in seconds."""
    operation, argument = _DESCRIBE[kind_of(arn)]
    described = getattr(personalize, operation)(**{argument: arn})[argument.removesuffix("Arn")]
    waited = (now - described["creationDateTime"]).total_seconds()
    return job_answer(
        arn, described["status"], next_wait(waited, least, most), described.get("failureReason")
    )


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer how `{"arn"}` stands; `minSeconds` and `maxSeconds` bound the next wait."""
    return get_status(
        boto3.client("personalize"),
        event["arn"],
        least=event["minSeconds"],
        most=event["maxSeconds"],
        now=datetime.now(UTC),
    )
