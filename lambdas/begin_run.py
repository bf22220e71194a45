"""Begin Run: one run at a time; and whether a resumed run has its data sets already.

A table of DynamoDB that does not fit ends a run here, before anything is read or paid; that of the
database is judged by the Spark job, which reads there.

The lock is an object that names an execution, and is written on condition that it is what was read.
It is never released: it holds while that execution is RUNNING, which Step Functions is asked, and
not for longer than a run may take.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from lambdas.clients import client
from lambdas.deliver_recommendations import check_table
from lambdas.errors import (
    AnotherRunInProgress,
    DeliveryFailed,
    ExtractedOtherwise,
    InvalidInputException,
    ManifestNotFound,
    ResourceInUseException,
    named_errors,
)
from lambdas.list_datasets import read_manifest
from lambdas.records import SharedObject

LOCK = "recommendations/running.json"
_CONTENDERS = 20  # that can be faster, one after the other, before this one gives up


def begin(s3: Any, states: Any, event: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """Take the lock, and return whether the run's data sets are complete.

    Raises:
        InvalidInputException: If the execution's name is none that a run can have.
        AnotherRunInProgress: If another run holds the lock.
        ResourceInUseException: If an earlier execution of this run seems to hold it.
        ExtractedOtherwise: If the data sets are complete, and not what the workflow extracts now.
    """
    is_resumed = check_name(event["execution"], event["run"])
    take_lock(s3, states, event, now=now)
    return {"extracted": is_resumed and is_extracted(s3, event)}


def check_name(execution: str, run: str) -> bool:
    """Return whether an execution resumes a run.

    Raises:
        InvalidInputException: If what follows the run's name is no number of a resumption.
    """
    name = execution.rpartition(":")[2]
    number = name.removeprefix(run)
    if number and not (number[1:].isdecimal() and int(number[1:]) > 1):
        raise InvalidInputException(
            f"execution '{name}': a '.' in a name stands before the number of a resumption, as in"
            f" '{run}.2'; start a run under a name without it"
        )
    return bool(number)


def take_lock(s3: Any, states: Any, event: dict[str, Any], *, now: datetime) -> None:
    """Write the execution into the lock, unless another one that is in progress holds it."""
    mine = {
        "run": event["run"],
        "execution": event["execution"],
        "since": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "expires": f"{now + timedelta(hours=event['hours']):%Y-%m-%dT%H:%M:%SZ}",
    }
    for _ in range(_CONTENDERS):
        lock = SharedObject.read(s3, event["bucket"], LOCK)
        holder = lock.content
        if holder.get("execution") == mine["execution"]:
            return  # a further try of this task
        if is_held(states, holder, now=mine["since"]):
            raise _refusal(holder, event["run"])
        if lock.replace(mine):
            return
    raise ResourceInUseException(f"s3://{event['bucket']}/{LOCK} changes all the time")


def is_held(states: Any, holder: dict[str, Any], *, now: str) -> bool:
    """Return whether the execution that a lock names is in progress.

    Args:
        states: A client of Step Functions.
        holder: The lock's content.
        now: The time, UTC, as the lock has it.
    """
    if str(holder.get("expires", "")) <= now:
        return False
    try:
        described = states.describe_execution(executionArn=holder.get("execution"))
    except (states.exceptions.ExecutionDoesNotExist, states.exceptions.InvalidArn):
        return False
    return bool(described["status"] == "RUNNING")


def _refusal(holder: dict[str, Any], run: str) -> Exception:
    name = str(holder["execution"]).rpartition(":")[2]
    if holder.get("run") == run:
        # Step Functions may say so of an execution that has ended this moment.
        return ResourceInUseException(f"execution '{name}' of this run is in progress")
    return AnotherRunInProgress(
        f"run '{name}' is in progress since {holder.get('since')}, and one run goes at a time;"
        " `overlap` under [runs] says whether another one waits, is skipped or fails"
    )


def is_extracted(s3: Any, event: dict[str, Any]) -> bool:
    """Return whether the run's data sets are complete.

    Raises:
        ExtractedOtherwise: If they are not what the workflow extracts now.
    """
    try:
        manifest = read_manifest(s3, event["bucket"], event["run"])
    except ManifestNotFound:
        return False
    if manifest.get("extraction") != event["extraction"]:
        raise ExtractedOtherwise(
            f"the data sets of run '{event['run']}' were extracted by specification"
            f" {manifest.get('extraction')}, and the workflow's is {event['extraction']} now:"
            " columns, tables, filters, or what `[publish] from` holds out, have changed since, so"
            " that the run cannot be resumed; start a new one"
        )
    return True


def check_delivery(dynamodb: Any, delivery: dict[str, Any]) -> None:
    """Check the table that the run's list goes into: its `table`, and its `key`.

    Raises:
        InvalidInputException: If it is not there, or does not fit.
    """
    table = delivery["table"]
    try:
        check_table(dynamodb, table, delivery["key"])
    except DeliveryFailed as error:
        raise InvalidInputException(f"[delivery] table = '{table}': {error}") from None


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Begin a run: `{"bucket", "run", "execution", "extraction", "hours"}`.

    And `delivery`, if its list goes into a table of DynamoDB: `{"table", "key"}`.

    Returns:
        `{"extracted"}`: whether the run's data sets are complete.
    """
    begun = begin(client("s3"), client("stepfunctions"), event, now=datetime.now(UTC))
    if "delivery" in event:
        check_delivery(client("dynamodb"), event["delivery"])
    return begun
