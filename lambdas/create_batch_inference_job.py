"""Trigger Batch Inference: create the batch inference job of a run, once per run."""

from __future__ import annotations

from typing import Any

from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.jobs import Job, create_once


def create_batch_inference_job(personalize: Any, event: dict[str, Any]) -> dict[str, Any]:
    """Create the job and return it; a further call returns the same job, unless it has failed.

    Raises:
        ResourceAlreadyExistsException: If a job of this name writes to another path.
    """
    exploration = event["itemExploration"]
    config = {"itemExplorationConfig": exploration} if exploration else None
    key = {"kmsKeyArn": event["kmsKeyArn"]} if event["kmsKeyArn"] else {}
    optional = {"filterArn": event["filterArn"], "batchInferenceJobConfig": config}

    def create(name: str) -> str:
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
        return arn

    return create_once(
        "batch",
        event,
        create=create,
        find=lambda name: _find(personalize, event, name),
        exists=personalize.exceptions.ResourceAlreadyExistsException,
    )


def _find(personalize: Any, event: dict[str, Any], name: str) -> Job | None:
    """Return the run's job of a name; one of another solution version counts as failed."""
    pages = personalize.get_paginator("list_batch_inference_jobs").paginate()
    for listed in pages.search("batchInferenceJobs"):
        if listed["jobName"] == name:
            arn = listed["batchInferenceJobArn"]
            job = personalize.describe_batch_inference_job(batchInferenceJobArn=arn)[
                "batchInferenceJob"
            ]
            if job["jobOutput"]["s3DataDestination"]["path"] != event["outputPath"]:
                return None
            is_useless = job["solutionVersionArn"] != event["solutionVersionArn"]
            status = "CREATE FAILED" if is_useless else job["status"]
            return Job(arn, status, job.get("failureReason"))
    return None


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the batch inference job of a run.

    Event: `run`, `solutionVersionArn`, `inputPath`, `outputPath`, `roleArn`, `numResults`,
    `filterArn` (or null), `itemExploration` (an object or null), `kmsKeyArn` (or null), `tags`,
    `waitSeconds`.
    """
    return create_batch_inference_job(client("personalize"), event)
