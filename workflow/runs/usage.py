"""What a run that was made used: transitions, durations, training hours, bytes, users.

Only reads: the execution, its files on S3 and DescribeSolutionVersion. What is not there any
more stays out of the answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from workflow.config import Config
from workflow.runs.executions import RunningError, find_run
from workflow.runs.history import entered_event, history, json_object, steps_of

_VERSION = re.compile(r":solution/[^/]+/[^/]+$")
_MINUTES_OF_JOBS = {
    "import_minutes": re.compile(r":dataset-import-job/"),
    "training_minutes": _VERSION,
    "batch_minutes": re.compile(r":batch-inference-job/"),
}
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Usage:
    """What a run used.

    Attributes:
        run: the execution's name.
        transitions: how often each state was entered or tried again.
        assumptions: values by the names of `cost.ASSUMPTIONS`.
    """

    run: str
    transitions: Mapping[str, int]
    assumptions: Mapping[str, float]


def usage_of(client: Callable[[str], Any], config: Config, execution: str) -> Usage:
    """Return what an execution used.

    Args:
        client: makes a boto3 client of a service.
        config: of the workflow.
        execution: its name or ARN.

    Raises:
        RunningError: there is no such execution, or it did not succeed.
    """
    states = client("stepfunctions")
    run = find_run(states, config.state_machine_arn, execution)
    if run.status != "SUCCEEDED":
        raise RunningError(
            f"execution '{run.name}' is {run.status}: its figures say nothing of a whole run;"
            " 'retrain executions' shows those that SUCCEEDED"
        )
    events = history(states, run.arn)
    measured = {
        **durations_of(events, config),
        **sizes_of(client, config, run.name),
        **training_hours_of(client, events),
    }
    return Usage(run.name, transitions_of(events), measured)


def transitions_of(events: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Return how often each state was entered or tried again: what Step Functions bills.

    Args:
        events: an execution's history.
    """
    by_id = {event["id"]: event for event in events}
    counts: Counter[str] = Counter()
    tried: set[int] = set()
    for event in events:
        if "stateEnteredEventDetails" in event:
            counts[event["stateEnteredEventDetails"]["name"]] += 1
        elif event["type"] == "TaskScheduled":
            entered = entered_event(event, by_id)
            if entered and entered["id"] in tried:
                counts[entered["stateEnteredEventDetails"]["name"]] += 1
            elif entered:
                tried.add(entered["id"])
    return counts


def durations_of(events: Sequence[Mapping[str, Any]], config: Config) -> dict[str, float]:
    """Return the minutes that the stages of a run took, by the names of `cost.ASSUMPTIONS`.

    A kind of job that ran several times, as imports do, counts by the longest.

    Args:
        events: an execution's history.
        config: names the functions and the Glue job.
    """
    by_id = {event["id"]: event for event in events}
    states = {}
    for event in events:
        if event["type"] == "TaskScheduled" and (entered := entered_event(event, by_id)):
            called = json_object(event["taskScheduledEventDetails"].get("parameters"))
            target = called.get("FunctionName") or called.get("JobName")
            states[target] = entered["stateEnteredEventDetails"]["name"]
    seconds: dict[str, float] = {}
    for step in steps_of(list(map(dict, events))):
        if step.seconds is not None:
            seconds[step.state] = max(seconds.get(step.state, 0.0), step.seconds)
    names = {
        "etl_minutes": states.get(config.glue_job),
        "filter_minutes": states.get(config.function("filter-recommendations")),
    }
    minutes = {name: seconds[state] / 60 for name, state in names.items() if state in seconds}
    for arn, (begun, ended) in _jobs(events).items():
        for name, pattern in _MINUTES_OF_JOBS.items():
            if pattern.search(arn):
                took = (ended - begun).total_seconds() / 60
                minutes[name] = max(minutes.get(name, 0.0), took)
    return minutes


def sizes_of(client: Callable[[str], Any], config: Config, run: str) -> dict[str, float]:
    """Return gigabytes and users of a run from its files, by the names of `cost.ASSUMPTIONS`.

    Args:
        client: makes a boto3 client of a service.
        config: names the bucket and the data sets.
        run: the execution's name.
    """
    s3, prefix = client("s3"), f"runs/{run}/"
    imported = tuple(prefix + data_set.prefix for data_set in config.data_sets)
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
        sizes["users"] = float(json.loads(body)["batchInput"]["rows"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchBucket", "404"}:
            raise
    return sizes


def training_hours_of(
    client: Callable[[str], Any], events: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Return the training hours that Personalize bills for the version of a run.

    Args:
        client: makes a boto3 client of a service.
        events: an execution's history.
    """
    versions = [arn for arn in _jobs(events) if _VERSION.search(arn)]
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


def _jobs(events: Sequence[Mapping[str, Any]]) -> dict[str, tuple[datetime, datetime]]:
    """Return when the run first and last spoke of each job that it waited for."""
    times: dict[str, tuple[datetime, datetime]] = {}
    for event in events:
        job = json_object(event.get("stateExitedEventDetails", {}).get("output")).get("job")
        arn = job.get("arn") if isinstance(job, dict) else None
        if isinstance(arn, str):
            begun, _ = times.get(arn, (event["timestamp"], None))
            times[arn] = (begun, event["timestamp"])
    return times
