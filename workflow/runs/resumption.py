"""Resume a run: a new execution of it, which goes on from what the run has finished.

The executions `RUN`, `RUN.2`, `RUN.3` are one run. The definition is the one that is deployed now:
its states find the data sets, the imports, the solution version and the batch job of the run.
"""

from __future__ import annotations

import json
from typing import Any

from workflow.config import Config
from workflow.run_names import attempt_of, execution_name
from workflow.runs.executions import (
    ANOTHER_RUN,
    Run,
    RunningError,
    early_end,
    executions_of,
    find_run,
    latest_runs,
    start_execution,
)
from workflow.runs.visits import RUNNING

_ENDED_BADLY = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


def resume_run(states: Any, s3: Any, config: Config, name_or_arn: str = "") -> Run:
    """Start the next execution of a run that failed, with the input of the first.

    Args:
        states: A boto3 `stepfunctions` client.
        s3: A boto3 `s3` client.
        config: The workflow's.
        name_or_arn: The run's, or `latest`.

    Raises:
        RunningError: If there is no such run, it is in progress or succeeded, another one is in
            progress, or its data sets are not those that the workflow extracts now.
    """
    machine = config.state_machine_arn
    executions = executions_of(states, machine, find_run(states, machine, name_or_arn).run)
    last = executions[-1]
    _check_status(states, last)
    going = latest_runs(states, machine, limit=1, status=RUNNING)
    if going and config.runs.overlap != "wait":
        raise RunningError(
            f"run '{going[0].run}' is in progress; resume '{last.run}' when that has ended:"
            f" 'retrain watch {going[0].name}' shows it"
        )
    _check_data_sets(s3, config, last.run)
    first = states.describe_execution(executionArn=executions[0].arn)
    return start_execution(
        states,
        machine,
        name=execution_name(last.run, attempt_of(last.name) + 1),
        inputs=json.loads(first.get("input", "{}")),
    )


def _check_status(states: Any, last: Run) -> None:
    if last.status in _ENDED_BADLY:
        return
    early = early_end(states, last)
    if early is not None and early.error == ANOTHER_RUN:
        return  # it did nothing
    if last.status == "SUCCEEDED":
        raise RunningError(
            f"run '{last.run}' has SUCCEEDED, so that there is nothing to resume;"
            " 'retrain start' begins a new one, 'retrain executions' lists those that failed"
        )
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
    if manifest.get("spec") != config.job_spec().digest:
        raise RunningError(
            f"the data sets of run '{run}' were extracted by another specification than the"
            " present one: columns, tables or filters have changed since. 'retrain start' begins"
            " a new run, which extracts them anew"
        )
