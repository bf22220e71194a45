"""The usage of a run that was made: transitions, durations, training hours, bytes, users.

Only reads: the execution, its files on S3 and DescribeSolutionVersion. What does not exist any more
is left out of the result.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from workflow.config import Config
from workflow.runs.cost import COMPARING, FILTERING, RECOMMENDING, Walk, spark_job
from workflow.runs.executions import RunningError, find_run, jobs_of
from workflow.runs.history import history
from workflow.runs.progress import progress_of
from workflow.runs.visits import HistoryEvent, Visits

SOLUTION_VERSION = re.compile(r":solution/[^/]+/[^/]+$")
_JOB_STAGES = {
    "import_minutes": re.compile(r":dataset-import-job/"),
    "training_minutes": SOLUTION_VERSION,
    "batch_minutes": re.compile(r":batch-inference-job/"),
    "campaign_minutes": re.compile(r":campaign/"),
}
_INSTANCE_JOBS = {
    "TrainingJobName": "own_training_minutes",
    "TransformJobName": "own_inference_minutes",
}
"""Members of requests of SageMaker's jobs on instances → what they take."""
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Usage:
    """The usage of a run.

    Attributes:
        run: The execution's name.
        made: How often each state was entered or tried again, and how long it took; None if that
            says nothing of AWS.
        assumptions: Values by the names of `cost.ASSUMPTIONS`.
    """

    run: str
    made: Walk | None
    assumptions: Mapping[str, float]


def usage_of(
    client: Callable[[str], Any], config: Config, execution: str, *, timed: bool = True
) -> Usage:
    """Return the usage of an execution.

    Args:
        client: Makes a boto3 client of a service.
        config: The workflow's.
        execution: Its name or ARN, or `latest`.
        timed: Whether its durations are AWS's. Those of a run elsewhere, the hours that its
            training took, and how often it polled, say nothing of AWS and are left out.

    Raises:
        RunningError: If there is no such execution, or it did not succeed.
    """
    states = client("stepfunctions")
    run = find_run(states, config.state_machine_arn, execution)
    if run.status != "SUCCEEDED":
        raise RunningError(
            f"execution '{run.name}' is {run.status}: its figures say nothing of a whole run;"
            " 'retrain executions' shows those that SUCCEEDED"
        )
    events = history(states, run.arn)
    increment = increment_of(client, config, run.run)
    sizes = sizes_of(client, config, run.run, increment)
    if not timed:
        return Usage(run.name, None, sizes)
    hours = {"training_hours": 0.0}
    if increment is None or increment["trainingMode"]:
        hours = training_hours_of(client, events)
    seconds = progress_of(events).seconds or 0.0
    return Usage(
        run.name,
        Walk(transitions_of(events), seconds),
        {**durations_of(events, config), **sizes, **hours},
    )


def transitions_of(events: Iterable[HistoryEvent]) -> Counter[str]:
    """Return the number of entries and retries of each state: Step Functions bills each.

    Args:
        events: An execution's history.
    """
    states = progress_of(events).states
    return Counter({name: record.attempts for name, record in states.items()})


def durations_of(events: Sequence[HistoryEvent], config: Config) -> dict[str, float]:
    """Return the minutes that the stages of a run took, by the names of `cost.ASSUMPTIONS`.

    A type of job that ran several times, as imports do, counts by the longest.

    Args:
        events: An execution's history.
        config: Names the functions and the Glue job.
    """
    stages = {
        config.glue_job: "etl_minutes",
        FILTERING.format(config.glue_job): "spark_filter_minutes",
        COMPARING.format(config.glue_job): "compare_minutes",
        RECOMMENDING.format(config.glue_job): "als_minutes",
        config.function("filter-recommendations"): "filter_minutes",
    }
    durations = [
        (stages[called], visit.seconds(None))
        for visit in Visits(events).all
        if (called := spark_job(visit.request) or visit.target) in stages
    ]
    durations += [
        (stage, (job.seen - job.begun).total_seconds())
        for job in jobs_of(events)
        for stage, pattern in _JOB_STAGES.items()
        if pattern.search(job.arn)
    ]
    durations += [
        (stage, visit.seconds(None))
        for visit in Visits(events).all
        for member, stage in _INSTANCE_JOBS.items()
        if member in visit.request
    ]
    minutes: dict[str, float] = {}
    for stage, seconds in durations:
        if seconds is not None:
            minutes[stage] = max(minutes.get(stage, 0.0), seconds / 60)
    return minutes


def increment_of(client: Callable[[str], Any], config: Config, run: str) -> dict[str, Any] | None:
    """Return what a run imported and trained, `record/increment.json`; None if it was everything.

    Args:
        client: Makes a boto3 client of a service.
        config: Names the bucket.
        run: The run's name.
    """
    if config.increments is None:
        return None
    key = f"runs/{run}/record/increment.json"
    try:
        body = client("s3").get_object(Bucket=config.bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchBucket", "404"}:
            raise
        return None
    content: dict[str, Any] = json.loads(body)
    return content


def sizes_of(
    client: Callable[[str], Any],
    config: Config,
    run: str,
    increment: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Return gigabytes and users of a run from its files, by the names of `cost.ASSUMPTIONS`.

    Args:
        client: Makes a boto3 client of a service.
        config: Names the bucket and the data sets.
        run: The run's name.
        increment: What it imported; None if it was everything.
    """
    s3, prefix = client("s3"), f"runs/{run}/"
    imported = tuple(
        prefix + data_set.prefix
        for data_set in config.data_sets
        if increment is None or increment["datasets"][data_set.type]["mode"]
    )
    sizes: dict[str, float] = {}
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=config.bucket, Prefix=prefix)
        files = {file["Key"]: file["Size"] for page in pages for file in page.get("Contents", ())}
        if not files:
            return {}
        sizes["stored_gigabytes"] = sum(files.values()) / _GIGABYTE
        sizes["gigabytes"] = (
            sum(size for key, size in files.items() if key.startswith(imported)) / _GIGABYTE
        )
        body = s3.get_object(Bucket=config.bucket, Key=f"{prefix}manifest.json")["Body"].read()
        is_idle = increment is not None and increment["step"] == "nothing"
        manifest = json.loads(body)
        inputs = [manifest, *(manifest.get("recommenders") or {}).values()]
        users = sum(each["batchInput"]["rows"] for each in inputs)
        sizes["users"] = 0.0 if is_idle else float(users)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchBucket", "404"}:
            raise
    return sizes


def training_hours_of(
    client: Callable[[str], Any], events: Iterable[HistoryEvent]
) -> dict[str, float]:
    """Return the training hours that Personalize bills for the version of a run.

    Args:
        client: Makes a boto3 client of a service.
        events: An execution's history.
    """
    versions = [job.arn for job in jobs_of(events) if SOLUTION_VERSION.search(job.arn)]
    try:
        hours = [
            client("personalize")
            .describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
            .get("trainingHours")
            for arn in versions
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return {}
    known = [float(value) for value in hours if value is not None]
    return {"training_hours": sum(known)} if known else {}
