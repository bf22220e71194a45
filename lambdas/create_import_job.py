"""Import Dataset: create the import job of a data set, once per run."""

from __future__ import annotations

from typing import Any

from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.jobs import job_name, job_response


def create_import_job(personalize: Any, event: dict[str, Any]) -> str:
    """Create the job and return its ARN; a second call returns the first one's job.

    Raises:
        ResourceAlreadyExistsException: If a job of this name reads from another path.
    """
    name = job_name(event["datasetType"].lower(), event["run"])
    try:
        arn: str = personalize.create_dataset_import_job(
            jobName=name,
            datasetArn=event["datasetArn"],
            dataSource={"dataLocation": event["s3Path"]},
            roleArn=event["roleArn"],
            importMode=event["importMode"],
            tags=event["tags"],
        )["datasetImportJobArn"]
    except personalize.exceptions.ResourceAlreadyExistsException:
        pages = personalize.get_paginator("list_dataset_import_jobs").paginate(
            datasetArn=event["datasetArn"]
        )
        jobs = pages.search("datasetImportJobs")
        arn = next((job["datasetImportJobArn"] for job in jobs if job["jobName"] == name), "")
        if not arn or _data_location(personalize, arn) != event["s3Path"]:
            raise
    return arn


def _data_location(personalize: Any, arn: str) -> str:
    job = personalize.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]
    return str(job["dataSource"]["dataLocation"])


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the import job of a run and data set.

    Event: `run`, `datasetType`, `datasetArn`, `s3Path`, `importMode`, `roleArn`, `tags`,
    `waitSeconds`.
    """
    arn = create_import_job(client("personalize"), event)
    return job_response(arn, "CREATE PENDING", event["waitSeconds"])
