"""Import Dataset: create the import job of a data set, once per run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.jobs import Job, create_once
from lambdas.polling import created_response


def create_import_job(personalize: Any, event: dict[str, Any]) -> Job:
    """Create the job and return it; a further call returns the same job, unless it has failed.

    Raises:
        ResourceAlreadyExistsException: If a job of this name reads from another path.
    """

    def create(name: str) -> str:
        arn: str = personalize.create_dataset_import_job(
            jobName=name,
            datasetArn=event["datasetArn"],
            dataSource={"dataLocation": event["s3Path"]},
            roleArn=event["roleArn"],
            importMode=event["importMode"],
            tags=event["tags"],
        )["datasetImportJobArn"]
        return arn

    return create_once(
        event["datasetType"].lower(),
        event["run"],
        create=create,
        find=lambda name: _find(personalize, event, name),
        exists=personalize.exceptions.ResourceAlreadyExistsException,
    )


def _find(personalize: Any, event: dict[str, Any], name: str) -> Job | None:
    pages = personalize.get_paginator("list_dataset_import_jobs").paginate(
        datasetArn=event["datasetArn"]
    )
    for listed in pages.search("datasetImportJobs"):
        if listed["jobName"] == name:
            arn = listed["datasetImportJobArn"]
            job = personalize.describe_dataset_import_job(datasetImportJobArn=arn)[
                "datasetImportJob"
            ]
            is_own = job["dataSource"]["dataLocation"] == event["s3Path"]
            return Job(arn, job["status"], job.get("failureReason")) if is_own else None
    return None


def imports_alike(personalize: Any, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the import jobs of the event's dataset in its mode."""
    pages = personalize.get_paginator("list_dataset_import_jobs").paginate(
        datasetArn=event["datasetArn"]
    )
    for job in pages.search("datasetImportJobs"):
        if job.get("importMode", "FULL") == event["importMode"]:
            yield job


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the import job of a run and data set.

    Event: `run`, `datasetType`, `datasetArn`, `s3Path`, `importMode`, `roleArn`, `tags`,
    `waitSeconds`, `maxSeconds`.
    """
    personalize = client("personalize")
    job = create_import_job(personalize, event)
    return created_response(job, imports_alike(personalize, event), event, datetime.now(UTC))
