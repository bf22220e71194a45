"""Executions of the deployed workflow: start, list, find, stop.

`start_run` and `stop_run` are the only calls that change anything. An execution is told by its
name or its ARN; the latest is meant where nothing is told.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow.errors import WorkflowError
from workflow.runs.history import Failure, failure_of, history
from workflow.runs.visits import RUNNING, HistoryEvent, json_object
from workflow.spelling import suggestion

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_SEARCHED = 1_000  # newest executions among which a misspelt name is looked for


class RunningError(WorkflowError, RuntimeError):
    """What was asked of the deployed workflow cannot be done; the text says why and what to do."""


@dataclass(frozen=True)
class Run:
    """An execution.

    Attributes:
        name: Its name, and so its S3 prefix `runs/NAME/`.
        arn: Its ARN.
        status: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE.
        begun: When it was started.
        ended: When it ended; None while it runs.
    """

    name: str
    arn: str
    status: str
    begun: datetime
    ended: datetime | None

    def seconds(self, now: datetime) -> float:
        """Return how long it took, or has taken until `now`."""
        return ((self.ended or now) - self.begun).total_seconds()


@dataclass(frozen=True)
class Job:
    """A job of Personalize that an execution waited for.

    Attributes:
        arn: Of the import job, the solution version or the batch inference job.
        status: The last that the execution saw, for example `CREATE IN_PROGRESS`.
        begun: When the execution had it first.
        seen: When the execution had it last.
    """

    arn: str
    status: str
    begun: datetime
    seen: datetime


def start_run(client: Any, machine_arn: str, *, name: str, inputs: Any = None) -> Run:
    """Start an execution.

    Args:
        client: A boto3 `stepfunctions` client.
        machine_arn: The state machine's ARN.
        name: Of the execution: 1–80 letters, digits, `-`, `_` and `.`, never used before.
        inputs: JSON value for the first state; `{}` if left out.

    Raises:
        RunningError: If the name cannot be used, or the workflow is not deployed.
    """
    if not _NAME.fullmatch(name):
        raise RunningError(
            f"execution name '{name}': write 1 to 80 letters, digits, '-', '_' and '.';"
            " it becomes part of S3 keys"
        )
    try:
        answer = client.start_execution(
            stateMachineArn=machine_arn,
            name=name,
            input=json.dumps({} if inputs is None else inputs, ensure_ascii=False),
        )
    except client.exceptions.StateMachineDoesNotExist:
        raise _not_deployed(machine_arn) from None
    except client.exceptions.ExecutionAlreadyExists:
        raise RunningError(
            f"an execution named '{name}' exists already and names are never reused;"
            " leave --name out for one made from the time, or choose another"
        ) from None
    return describe_run(client, answer["executionArn"])


def runs(client: Any, machine_arn: str, *, status: str = "") -> Iterator[Run]:
    """Yield the executions of a workflow, newest first.

    Args:
        client: A boto3 `stepfunctions` client.
        machine_arn: The state machine's ARN.
        status: Only those of this status, for example `RUNNING`.

    Raises:
        RunningError: If the workflow is not deployed.
    """
    chosen = {"statusFilter": status} if status else {}
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine_arn, **chosen)
    try:
        for page in pages:
            yield from map(_run, page["executions"])
    except client.exceptions.StateMachineDoesNotExist:
        raise _not_deployed(machine_arn) from None


def latest_runs(client: Any, machine_arn: str, *, limit: int, status: str = "") -> list[Run]:
    """Return the newest executions, at most `limit`.

    Raises:
        RunningError: If the workflow is not deployed.
    """
    return list(itertools.islice(runs(client, machine_arn, status=status), limit))


def find_run(client: Any, machine_arn: str, asked: str = "", *, status: str = "") -> Run:
    """Return the execution of this name or ARN; the latest if nothing is asked for.

    Args:
        client: A boto3 `stepfunctions` client.
        machine_arn: The state machine's ARN.
        asked: A name or an ARN.
        status: Of which the latest must be.

    Raises:
        RunningError: If there is none; a name near to the one asked for is proposed.
    """
    if not asked:
        latest = latest_runs(client, machine_arn, limit=1, status=status)
        if not latest:
            kind = f"{status} execution" if status else "execution"
            raise RunningError(
                f"'{_machine(machine_arn)}' has no {kind}; 'retrain start' begins one,"
                " 'retrain executions' lists them"
            )
        return latest[0]
    prefix = f"{machine_arn.replace(':stateMachine:', ':execution:')}:"
    if asked.startswith("arn:") and not asked.startswith(prefix):
        raise RunningError(
            f"{asked} is no execution of '{_machine(machine_arn)}', whose executions begin with"
            f" {prefix}; name the other workflow's file by --config"
        )
    arn = asked if asked.startswith("arn:") else prefix + asked
    try:
        return describe_run(client, arn)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        raise RunningError(
            f"no execution '{asked.removeprefix(prefix)}'"
            f"; {_hint(client, machine_arn, asked.removeprefix(prefix))}"
        ) from None


def describe_run(client: Any, arn: str) -> Run:
    """Return an execution as it stands now."""
    return _run(client.describe_execution(executionArn=arn))


def stop_run(client: Any, run: Run, *, cause: str) -> Run:
    """Stop an execution that runs.

    Raises:
        RunningError: If it has ended already.
    """
    if run.status != RUNNING:
        raise RunningError(
            f"execution '{run.name}' is {run.status} since {run.ended:%Y-%m-%d %H:%M:%S};"
            " there is nothing to stop"
        )
    client.stop_execution(executionArn=run.arn, error="StoppedByHand", cause=cause)
    return describe_run(client, run.arn)


def failure(client: Any, run: Run) -> Failure | None:
    """Return why an execution failed; None if it runs or succeeded."""
    if run.status in {RUNNING, "SUCCEEDED"}:
        return None
    return failure_of(history(client, run.arn))


def wait_for_end(
    client: Any, run: Run, *, poll_seconds: float, sleep: Callable[[float], None]
) -> Run:
    """Return an execution once it has ended.

    Args:
        client: A boto3 `stepfunctions` client.
        run: The execution.
        poll_seconds: Pause between two looks.
        sleep: Waits that long.
    """
    while (now := describe_run(client, run.arn)).status == RUNNING:
        sleep(poll_seconds)
    return now


def jobs_of(events: Iterable[HistoryEvent]) -> list[Job]:
    """Return the jobs of Personalize that an execution waited for, in order of their begin.

    Args:
        events: The execution's history.
    """
    jobs: dict[str, Job] = {}
    for event in events:
        job = json_object(event.get("stateExitedEventDetails", {}).get("output")).get("job")
        if isinstance(job, dict) and str(arn := job.get("arn", "")).startswith("arn:"):
            begun = jobs[arn].begun if arn in jobs else event["timestamp"]
            jobs[arn] = Job(arn, str(job.get("status", "")), begun, event["timestamp"])
    return list(jobs.values())


def jobs_left_running(events: Iterable[HistoryEvent]) -> list[str]:
    """Return the Personalize jobs that an execution waited for last: a stop does not end them.

    Args:
        events: The execution's history.
    """
    ended = {"ACTIVE", "CREATE FAILED", "CREATE STOPPED"}
    return [job.arn for job in jobs_of(events) if job.status not in ended]


def _run(described: dict[str, Any]) -> Run:
    return Run(
        name=described["name"],
        arn=described["executionArn"],
        status=described["status"],
        begun=described["startDate"],
        ended=described.get("stopDate"),
    )


def _machine(machine_arn: str) -> str:
    return machine_arn.rpartition(":")[2]


def _not_deployed(machine_arn: str) -> RunningError:
    account, region = machine_arn.split(":")[4], machine_arn.split(":")[3]
    return RunningError(
        f"the state machine '{_machine(machine_arn)}' is not deployed in account {account},"
        f" region {region}; 'retrain plan' shows what 'retrain deploy' would make"
    )


def _hint(client: Any, machine_arn: str, name: str) -> str:
    names = [run.name for run in latest_runs(client, machine_arn, limit=_SEARCHED)]
    if not names:
        return "there is none yet, 'retrain start' begins one"
    latest = f"the latest are {', '.join(names[:5])}"
    return suggestion(name, names, otherwise=latest, quote="'")
