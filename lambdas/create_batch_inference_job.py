"""Trigger Batch Inference: create the batch inference job of a run, once per run."""

from __future__ import annotations

from typing import Any

from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.jobs import job_name, job_response


def create_batch_inference_job(personalize: Any, event: dict[str, Any]) -> str:
    """Create the job and return its ARN; a second call returns the first one's job.

    Raises:
        ResourceAlreadyExistsException: If a job of this name writes to another path.
    """
    name = job_name("batch", event["run"])
    exploration = event["itemExploration"]
    config = {"itemExplorationConfig": exploration} if exploration else None
    key = {"kmsKeyArn": event["kmsKeyArn"]} if event["kmsKeyArn"] else {}
    optional = {"filterArn": event["filterArn"], "batchInferenceJobConfig": config}
    try:
        arn: str = personalize.create_batch_inference_job(
            jobName=name,
            solutionVersionArn=event["solutionVersionArn"],
            numResults=event["numResults"],
            jobInput={"s3DataSource": {"path": event["inputPath"], **key}},
            jobOutput={"s3DataDestination": {"path": event["outputPath"], **key}},
            roleArn=event["roleArn"],
            tags=event["tags"],
            **{member: value for member, value in optional.items() if value},
        )["batchInferenceJobArn"]
    except personalize.exceptions.ResourceAlreadyExistsException:
        pages = personalize.get_paginator("list_batch_inference_jobs").paginate(
            solutionVersionArn=event["solutionVersionArn"]
        )
        jobs = pages.search("batchInferenceJobs")
        arn = next((job["batchInferenceJobArn"] for job in jobs if job["jobName"] == name), "")
        if not arn or _output_path(personalize, arn) != event["outputPath"]:
            raise
    return arn


def _output_path(personalize: Any, arn: str) -> str:
    job = personalize.describe_batch_inference_job(batchInferenceJobArn=arn)["batchInferenceJob"]
    return str(job["jobOutput"]["s3DataDestination"]["path"])


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the batch inference job of a run.

    Event: `run`, `solutionVersionArn`, `inputPath`, `outputPath`, `roleArn`, `numResults`,
    `filterArn` (or null), `itemExploration` (an object or null), `kmsKeyArn` (or null), `tags`,
    `waitSeconds`.
    """
    arn = create_batch_inference_job(client("personalize"), event)
    return job_response(arn, "CREATE PENDING", event["waitSeconds"])
