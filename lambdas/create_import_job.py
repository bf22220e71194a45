"""Import Dataset: start the import of one data set, once per run."""

from __future__ import annotations

from typing import Any

import boto3

from lambdas.errors import named_errors
from lambdas.jobs import job_answer, job_name, pages


def create_import_job(personalize: Any, event: dict[str, Any]) -> str:
    """Start the import and return the job's ARN; a second call finds the first one's job.

    Raises:
        ResourceAlreadyExistsException: a job of this name reads other data.
    """
    name = job_name(event["datasetType"].lower(), event["run"])
    try:
        arn: str = personalize.create_dataset_import_job(
            jobName=name,
            datasetArn=event["datasetArn"],
            dataSource={"dataLocation": event["s3Path"]},
            roleArn=event["roleArn"],
            importMode=event["importMode"],
        )["datasetImportJobArn"]
    except personalize.exceptions.ResourceAlreadyExistsException:
        jobs = pages(
            personalize.list_dataset_import_jobs,
            "datasetImportJobs",
            datasetArn=event["datasetArn"],
        )
        arn = next((job["datasetImportJobArn"] for job in jobs if job["jobName"] == name), "")
        if not arn or _data_location(personalize, arn) != event["s3Path"]:
            raise
    return arn


def _data_location(personalize: Any, arn: str) -> str:
    job = personalize.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]
    return str(job["dataSource"]["dataLocation"])


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer the import job of a run and data set.

    Event: `run`, `datasetType`, `datasetArn`, `s3Path`, `importMode`, `roleArn`, `waitSeconds`.
    """
    arn = create_import_job(boto3.client("personalize"), event)
    return job_answer(arn, "CREATE PENDING", event["waitSeconds"])
