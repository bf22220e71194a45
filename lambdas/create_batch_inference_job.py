"""Trigger Batch Inference: create the batch inference job of a run, once per run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.jobs import Job, create_once, purpose_of, solution_of
from lambdas.polling import created_response

_LAST_VERSIONS = 12  # whose jobs are listed: more than count, as some have none that succeeded


def create_batch_inference_job(personalize: Any, event: dict[str, Any]) -> Job:
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
        purpose_of("batch", event),
        event["run"],
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


def batches_alike(personalize: Any, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the batch inference jobs of the last versions of the event's solution.

    Each run has a version of its own, and all jobs of the account may be many of other solutions.
    """
    solution_arn = solution_of(event["solutionVersionArn"])
    pages = personalize.get_paginator("list_solution_versions").paginate(solutionArn=solution_arn)
    versions = sorted(
        pages.search("solutionVersions"), key=lambda each: each["creationDateTime"], reverse=True
    )
    list_jobs = personalize.get_paginator("list_batch_inference_jobs")
    for version in islice(versions, _LAST_VERSIONS):
        jobs = list_jobs.paginate(solutionVersionArn=version["solutionVersionArn"])
        yield from jobs.search("batchInferenceJobs")


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the batch inference job of a run.

    Event: `run`, `solutionVersionArn`, `inputPath`, `outputPath`, `roleArn`, `numResults`,
    `filterArn` (or null), `itemExploration` (an object or null), `kmsKeyArn` (or null), `tags`,
    `waitSeconds`, `maxSeconds`; `recommender`, if there are several.
    """
    personalize = client("personalize")
    job = create_batch_inference_job(personalize, event)
    return created_response(job, batches_alike(personalize, event), event, datetime.now(UTC))
