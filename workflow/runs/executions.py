"""Executions of the deployed workflow: start, list, find, stop.

A run that failed may have several, `RUN`, `RUN.2` and so on: `retrain resume` starts the next one.
`start_execution`, `stop_run` and `stop_training` are the only calls that change anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from workflow.errors import WorkflowError
from workflow.personalize import FAILED_STATUSES
from workflow.run_names import LONGEST, execution_name, is_run_name, run_of
from workflow.runs.history import Failure, failed_visit, failure_of, history
from workflow.runs.visits import RUNNING, HistoryEvent, Visits, json_object
from workflow.spelling import suggestion

LATEST = "latest"
"""In place of an execution's name or ARN: the one that was started last."""

ENDED_BADLY = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})
"""The statuses of executions that did not do their work; one that was stopped is ABORTED."""

_SOLUTION_VERSION = re.compile(r":solution/[^/]+/")
_SEARCHED = 1_000  # newest executions that are searched for a misspelt name


class RunningError(WorkflowError, RuntimeError):
    """A request to the deployed workflow that fails; the text says why and what to do."""


@dataclass(frozen=True)
class Run:
    """An execution.

    Attributes:
        name: Its name.
        arn: Its ARN.
        status: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE.
        begun: Time of its start.
        ended: Time of its end; None while it runs.
    """

    name: str
    arn: str
    status: str
    begun: datetime
    ended: datetime | None

    @property
    def run(self) -> str:
        """The name of the run, whose files are below `runs/RUN/`."""
        return run_of(self.name)

    @property
    def machine_arn(self) -> str:
        """ARN of its state machine."""
        return self.arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")

    def seconds(self, now: datetime) -> float:
        """Return its duration, or that until `now` while it runs."""
        return ((self.ended or now) - self.begun).total_seconds()


@dataclass(frozen=True)
class Job:
    """A job of Personalize that an execution waited for.

    Attributes:
        arn: Of the import job, the solution version or the batch inference job.
        status: The last in the execution's history, for example `CREATE IN_PROGRESS`.
        begun: Time of its first event there.
        seen: Time of its last event there.
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
        name: The run's: 1–76 letters, digits, `-` and `_`, never used before.
        inputs: JSON value for the first state; `{}` if left out.

    Raises:
        RunningError: If the name cannot be used, or the workflow is not deployed.
    """
    if not is_run_name(name):
        dot = " (a '.' stands in the names of resumed runs: 'retrain resume RUN')"
        raise RunningError(
            f"run name '{name}': write 1 to {LONGEST} letters, digits, '-' and '_'"
            f"{dot if '.' in name else ''}; it becomes part of S3 keys"
        )
    return start_execution(client, machine_arn, name=name, inputs=inputs)


def start_execution(client: Any, machine_arn: str, *, name: str, inputs: Any = None) -> Run:
    """Start an execution, under a name that is a run's, or that of a resumed run.

    Raises:
        RunningError: If the name is used already, or the workflow is not deployed.
    """
    try:
        response = client.start_execution(
            stateMachineArn=machine_arn,
            name=name,
            input=json.dumps({} if inputs is None else inputs, ensure_ascii=False),
        )
    except client.exceptions.StateMachineDoesNotExist:
        raise _not_deployed_error(machine_arn) from None
    except client.exceptions.ExecutionAlreadyExists:
        raise RunningError(
            f"an execution named '{name}' exists already and names are never reused;"
            " leave --name out for one made from the time, or choose another"
        ) from None
    return describe_run(client, response["executionArn"])


def latest_runs(client: Any, machine_arn: str, *, limit: int, status: str = "") -> list[Run]:
    """Return the newest executions of a workflow, newest first.

    Args:
        client: A boto3 `stepfunctions` client.
        machine_arn: The state machine's ARN.
        limit: Number of executions, at most.
        status: Only those of this status, for example `RUNNING`.

    Raises:
        RunningError: If the workflow is not deployed.
    """
    pages = client.get_paginator("list_executions").paginate(
        stateMachineArn=machine_arn,
        **({"statusFilter": status} if status else {}),
        PaginationConfig={"MaxItems": limit},
    )
    try:
        return [_run(execution) for page in pages for execution in page["executions"]]
    except client.exceptions.StateMachineDoesNotExist:
        raise _not_deployed_error(machine_arn) from None


def find_run(client: Any, machine_arn: str, name_or_arn: str = "", *, status: str = "") -> Run:
    """Return the execution of this name or ARN; the latest if it is left out, or `latest`.

    The name of a run stands for its latest execution, an ARN for itself alone.

    Args:
        client: A boto3 `stepfunctions` client.
        machine_arn: The state machine's ARN.
        name_or_arn: The execution's name or ARN, or `latest`.
        status: The status that the latest must have.

    Raises:
        RunningError: If there is none; the text proposes a name near to a misspelt one.
    """
    if name_or_arn in {"", LATEST}:
        latest = latest_runs(client, machine_arn, limit=1, status=status)
        if not latest:
            raise RunningError(
                f"'{_machine(machine_arn)}' has no {f'{status} execution'.strip()};"
                " 'retrain start' begins one, 'retrain executions' lists them"
            )
        return latest[0]
    prefix = f"{machine_arn.replace(':stateMachine:', ':execution:')}:"
    name = name_or_arn.removeprefix(prefix)
    if name.startswith("arn:"):
        raise RunningError(
            f"{name} is no execution of '{_machine(machine_arn)}', whose executions begin with"
            f" {prefix}; name the other workflow's file by --config"
        )
    try:
        found = describe_run(client, prefix + name)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        hint = _hint(client, machine_arn, name)
        raise RunningError(f"no execution '{name}'; {hint}") from None
    if name_or_arn != name or name != found.run:
        return found
    return executions_of(client, machine_arn, name)[-1]


def latest_failed(client: Any, machine_arn: str) -> tuple[Run, Run | None]:
    """Return the run that failed last, as its newest execution, and one that succeeded since.

    A run that was resumed and succeeded then has not failed. Which failed last goes by the end: of
    two runs at once the one that had to give way ended first, and did nothing that could be kept.

    Args:
        client: A boto3 `stepfunctions` client.
        machine_arn: The state machine's ARN.

    Raises:
        RunningError: If none of the newest executions failed.
    """
    newest: dict[str, Run] = {}
    for each in latest_runs(client, machine_arn, limit=_SEARCHED):
        newest.setdefault(each.run, each)
    ended = (each for each in newest.values() if each.ended)
    latest = sorted(ended, key=lambda each: each.ended or each.begun, reverse=True)
    failed = next((each for each in latest if each.status in ENDED_BADLY), None)
    if failed is None:
        raise RunningError(
            f"no run of '{_machine(machine_arn)}' has failed, was stopped, or timed out;"
            " 'retrain executions' lists the latest"
        )
    return failed, latest[0] if latest[0] is not failed else None


def executions_of(client: Any, machine_arn: str, run: str) -> list[Run]:
    """Return the executions of a run, the first one first; none if there is no such run."""
    prefix = f"{machine_arn.replace(':stateMachine:', ':execution:')}:"
    executions: list[Run] = []
    while True:
        name = execution_name(run, len(executions) + 1)
        try:
            executions.append(describe_run(client, prefix + name))
        except client.exceptions.ExecutionDoesNotExist:
            return executions


def next_execution_name(client: Any, machine_arn: str, run: str) -> str:
    """Return the name of a run's next execution, which reads and adds to the run's files."""
    return execution_name(run, len(executions_of(client, machine_arn, run)) + 1)


def describe_run(client: Any, arn: str) -> Run:
    """Return an execution with its present status."""
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
    return failure_in(client, run, Visits(history(client, run.arn)))


def failure_in(client: Any, run: Run, visits: Visits) -> Failure | None:
    """Return why the execution of a history failed; the definition is read if a Choice decided."""
    failed, definition = failed_visit(visits), None
    if failed and failed.state_type == "Choice":
        machine = client.describe_state_machine(stateMachineArn=run.machine_arn)
        definition = json.loads(machine["definition"])
    return failure_of(visits, definition)


def last_state(client: Any, run: Run) -> str:
    """Return the state that an execution entered last; empty if it entered none."""
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=run.arn,
        includeExecutionData=False,
        reverseOrder=True,
        PaginationConfig={"PageSize": 10},
    )
    entered = (
        event["stateEnteredEventDetails"]["name"]
        for page in pages
        for event in page["events"]
        if "stateEnteredEventDetails" in event
    )
    return str(next(entered, ""))


def wait_for_end(
    client: Any, run: Run, *, poll_seconds: float, sleep: Callable[[float], None]
) -> Run:
    """Return an execution once it has ended.

    Args:
        client: A boto3 `stepfunctions` client.
        run: The execution.
        poll_seconds: Pause between two polls.
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
    for event, job in _left_by_states(events):
        # Without a status it is no job that was polled: a version that the quality gate kept.
        if not job.get("status"):
            continue
        if str(arn := job.get("arn", "")).startswith("arn:"):
            begun = jobs[arn].begun if arn in jobs else event["timestamp"]
            jobs[arn] = Job(arn, str(job.get("status", "")), begun, event["timestamp"])
    return list(jobs.values())


def trainings_of(events: Iterable[HistoryEvent]) -> list[str]:
    """Return the names of the training jobs of one's own models that an execution has completed.

    Args:
        events: The execution's history.
    """
    trained = (job.get("trained") for _, job in _left_by_states(events))
    return list(dict.fromkeys(each["name"] for each in trained if isinstance(each, dict)))


def models_of(events: Iterable[HistoryEvent]) -> dict[str, dict[str, Any]]:
    """Return the models of one's own whose lists an execution has, by their names.

    Args:
        events: The execution's history.

    Returns:
        Name → `{name, trainingJobArn, data}`, as `latest.json` has the `model` of a list.
    """
    models = (job.get("model") for _, job in _left_by_states(events))
    return {model["name"]: model for model in models if isinstance(model, dict)}


def _left_by_states(
    events: Iterable[HistoryEvent],
) -> Iterator[tuple[HistoryEvent, dict[str, Any]]]:
    """Yield the end of each state that left a `$.job`, and that."""
    for event in events:
        job = json_object(event.get("stateExitedEventDetails", {}).get("output")).get("job")
        if isinstance(job, dict):
            yield event, job


def jobs_left_running(events: Iterable[HistoryEvent]) -> list[str]:
    """Return the Personalize jobs that an execution waited for last: they do not end with it.

    Args:
        events: The execution's history.
    """
    ended = {"ACTIVE", *FAILED_STATUSES}
    return [job.arn for job in jobs_of(events) if job.status not in ended]


def stop_training(personalize: Any, arn: str) -> str:
    """Stop a job if it is a training: Personalize bills what was trained until then.

    Args:
        personalize: A boto3 `personalize` client.
        arn: Of the job; imports and batch inference jobs cannot be stopped.

    Returns:
        `stopped`, `ended` if it had ended by itself, or why it goes on.
    """
    if not _SOLUTION_VERSION.search(arn):
        return "Personalize cannot stop it"
    try:
        personalize.stop_solution_version_creation(solutionVersionArn=arn)
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        if code in {"ResourceInUseException", "ResourceNotFoundException"}:
            return "ended"
        return f"{code}: {error.response['Error'].get('Message', '')}"
    return "stopped"


def is_stopped(personalize: Any, arn: str) -> bool:
    """Return whether a job is a training that failed, was stopped, or is not there any more.

    Args:
        personalize: A boto3 `personalize` client.
        arn: Of the job; imports and batch inference jobs cannot be stopped.
    """
    if not _SOLUTION_VERSION.search(arn):
        return False
    try:
        described = personalize.describe_solution_version(solutionVersionArn=arn)
    except personalize.exceptions.ResourceNotFoundException:
        return True
    status = str(described["solutionVersion"]["status"])
    return status in FAILED_STATUSES or "STOP" in status


def _run(execution: dict[str, Any]) -> Run:
    return Run(
        name=execution["name"],
        arn=execution["executionArn"],
        status=execution["status"],
        begun=execution["startDate"],
        ended=execution.get("stopDate"),
    )


def _machine(machine_arn: str) -> str:
    return machine_arn.rpartition(":")[2]


def _not_deployed_error(machine_arn: str) -> RunningError:
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
