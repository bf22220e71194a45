"""Resume a run: a new execution of it, which goes on from what the run has finished.

The executions `RUN`, `RUN.2`, `RUN.3` are one run. The definition is the one that is deployed now:
its states find the data sets, the imports, the solution version and the batch job of the run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from workflow.config import Config
from workflow.personalize import FAILED_STATUSES
from workflow.run_names import attempt_of, execution_name
from workflow.runs.executions import (
    ENDED_BADLY,
    LATEST,
    Run,
    RunningError,
    executions_of,
    find_run,
    is_stopped,
    jobs_of,
    last_state,
    latest_failed,
    latest_runs,
    start_execution,
    trainings_of,
)
from workflow.runs.history import history
from workflow.runs.visits import RUNNING

_MADE_BY = {"solution": "solution version", "batch-inference-job": "batch inference job"}


def resume_run(states: Any, s3: Any, config: Config, name_or_arn: str = "") -> Run:
    """Start the next execution of a run that failed, with the input of the first.

    Args:
        states: A boto3 `stepfunctions` client.
        s3: A boto3 `s3` client.
        config: The workflow's.
        name_or_arn: The run's; empty, or `latest`, for the one that failed last.

    Raises:
        RunningError: If there is no such run, it is in progress or succeeded, another one is in
            progress or has succeeded since, or its data sets are not those that the workflow
            extracts now.
    """
    machine, since = config.state_machine_arn, None
    if name_or_arn in {"", LATEST}:
        last, since = latest_failed(states, machine)
    else:
        last = find_run(states, machine, name_or_arn)
    executions = executions_of(states, machine, last.run)
    last = executions[-1]
    _check_status(states, last)
    going = latest_runs(states, machine, limit=1, status=RUNNING)
    if going and config.runs.overlap != "wait":
        raise RunningError(
            f"run '{going[0].run}' is in progress; resume '{last.run}' when that has ended:"
            f" 'retrain watch {going[0].name}' shows it"
        )
    if since:
        raise RunningError(
            f"run '{since.run}' has succeeded since '{last.run}' failed, so that there is nothing"
            f" to go on with; 'retrain resume {last.run}' does so all the same"
        )
    _check_data_sets(s3, config, last.run)
    first = states.describe_execution(executionArn=executions[0].arn)
    return start_execution(
        states,
        machine,
        name=execution_name(last.run, attempt_of(last.name) + 1),
        inputs=json.loads(first.get("input", "{}")),
    )


@dataclass(frozen=True)
class Resumption:
    """What an execution goes on from.

    Attributes:
        failed: The execution before it, which failed.
        kept: What the run has finished, and is not done again.
        going_on: What was in progress at its end, goes on without it, and is waited for.
    """

    failed: Run
    kept: Sequence[str]
    going_on: Sequence[str] = ()

    @property
    def lines(self) -> Sequence[str]:
        """What it goes on from, a line for each kind."""
        failed = self.failed
        ended = f"{failed.ended.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if failed.ended else ""
        lines = [f"after '{failed.name}', which ended as {failed.status} at {ended}"]
        if self.kept:
            lines.append(f"kept: {', '.join(self.kept)}")
        if self.going_on:
            lines.append(f"in progress at its end, and waited for: {', '.join(self.going_on)}")
        return lines if len(lines) > 1 else [*lines, "nothing is kept: it had done nothing"]


def resumption_of(
    states: Any, s3: Any, personalize: Any, config: Config, resumed: Run
) -> Resumption:
    """Return what an execution that resumes a run goes on from.

    Args:
        states: A boto3 `stepfunctions` client.
        s3: A boto3 `s3` client.
        personalize: A boto3 `personalize` client.
        config: The workflow's.
        resumed: The execution.
    """
    run = resumed.run
    earlier = executions_of(states, config.state_machine_arn, run)[: attempt_of(resumed.name) - 1]
    histories = [history(states, each.arn) for each in earlier]
    found = {job.arn: job.status for events in histories for job in jobs_of(events)}
    trainings = dict.fromkeys(name for events in histories for name in trainings_of(events))
    # Imports run at the same time: their order in the history is chance.
    order = [f"the import of {data_set.type.lower()}" for data_set in config.data_sets]
    jobs = dict(sorted(found.items(), key=lambda job: _place(_work_of(job[0], run), order)))
    finished = [_work_of(arn, run) for arn, status in jobs.items() if status == "ACTIVE"]
    # Of other settings, a training has another name, and is done anew.
    finished += [f"training job {name}, if its model is the same" for name in trainings]
    going_on = [
        _work_of(arn, run)
        for arn, status in jobs.items()
        if status not in {"ACTIVE", *FAILED_STATUSES} and not is_stopped(personalize, arn)
    ]
    manifest = f"runs/{run}/manifest.json"
    listed = s3.list_objects_v2(Bucket=config.bucket, Prefix=manifest, MaxKeys=1)
    kept = ["the data sets", *finished] if listed.get("Contents") else finished
    return Resumption(earlier[-1], kept, going_on)


def _work_of(arn: str, run: str) -> str:
    """Return what a job has done: `the import of users`, `solution version labbase/1a2b3c`."""
    job_type, _, name = arn.split(":", 5)[5].partition("/")
    if job_type == "dataset-import-job":
        return f"the import of {name.partition(f'-{run}')[0]}"
    return f"{_MADE_BY.get(job_type, job_type)} {name}"


def _place(work: str, order: Sequence[str]) -> int:
    return order.index(work) if work in order else len(order)


def _check_status(states: Any, last: Run) -> None:
    if last.status == "SUCCEEDED":
        raise RunningError(
            f"run '{last.run}' has SUCCEEDED, at '{last_state(states, last)}', so that there is"
            " nothing to resume; 'retrain start' begins a new one, 'retrain executions' lists those"
            " that failed"
        )
    if last.status not in ENDED_BADLY:
        raise RunningError(
            f"execution '{last.name}' is {last.status}; 'retrain watch {last.name}' shows it"
        )


def _check_data_sets(s3: Any, config: Config, run: str) -> None:
    """Raise if a run's data sets are complete, and not what the workflow extracts now."""
    key = f"runs/{run}/manifest.json"
    try:
        manifest = json.loads(s3.get_object(Bucket=config.bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return
    if manifest.get("extraction") != config.job_spec().extraction:
        raise RunningError(
            f"the data sets of run '{run}' were extracted by another specification than the"
            " present one: columns, tables, filters, or what `[publish] from` holds out, have"
            " changed since. 'retrain start' begins a new run, which extracts them anew"
        )
