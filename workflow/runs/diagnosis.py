"""Why a run failed: the state, the cause and who reported it, the logs, and what to do next.

Only reads: DescribeExecution, GetExecutionHistory, DescribeStateMachine, and the log groups of
Lambda and Glue. A log that does not exist, or may not be read, is noted in the explanation, which
goes on without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from workflow.config import Config
from workflow.runs.advice import advice
from workflow.runs.executions import Run, RunningError, failure_in, jobs_left_running
from workflow.runs.history import SAGEMAKER_JOBS, Failure, failed_visit, history
from workflow.runs.visits import Visit, Visits, details, json_object

_JOB_ERRORS = frozenset({"DatasetImportFailed", "SolutionVersionFailed", "BatchInferenceFailed"})
_ABORTED = "ABORTED"
_OPERATION = re.compile(r"^([A-Z][A-Za-z]+): ")
_AROUND = timedelta(minutes=2)  # logs arrive late, and clocks differ
_PLATFORM = re.compile(r"(START|END|REPORT|INIT_START) |\{.*\"type\": ?\"platform\.")


@dataclass(frozen=True)
class LogExcerpt:
    """The last lines of one log.

    Attributes:
        group: The log group.
        stream: The stream in it; empty for all.
        lines: Oldest first.
        note: The reason if there are none; empty if there are.
    """

    group: str
    stream: str = ""
    lines: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """Why a run failed.

    Attributes:
        run: The execution.
        failure: The state, the error's name and the cause.
        item: The item of a Map in which it began, for example `USERS` or `index 2`; empty outside.
        speaker: Who reported the cause.
        logs: Excerpts of the logs about it.
        advice: What to do next.
        left_running: Personalize jobs that go on although the execution ended.
    """

    run: Run
    failure: Failure
    item: str
    speaker: str
    logs: tuple[LogExcerpt, ...]
    advice: str
    left_running: tuple[str, ...]


@dataclass(frozen=True)
class _Call:
    """The call to AWS that a state made."""

    service: str
    target: str
    begun: datetime
    ended: datetime
    request_id: str
    glue_run: str
    glue_logs: str
    sagemaker_job: str
    sagemaker_kind: str


def explain(states: Any, logs: Any, run: Run, config: Config, *, lines: int = 20) -> Explanation:
    """Return why an execution failed.

    Args:
        states: A boto3 `stepfunctions` client.
        logs: A boto3 `logs` client.
        run: The execution.
        config: The workflow's.
        lines: Number of lines of each log, at most.

    Raises:
        RunningError: If it still runs, or it succeeded.
    """
    events = history(states, run.arn)
    visits = Visits(events)
    failed, visit = failure_in(states, run, visits), failed_visit(visits)
    if failed is None:
        raise RunningError(
            f"execution '{run.name}' is {run.status}: there is no failure to explain;"
            " 'retrain executions' lists the others"
        )
    call = _last_call(visit) if visit else None
    speaker, groups = _speaker(failed, call, stopped=visits.status == _ABORTED)
    if visit and visit.state_type == "Choice":
        speaker = f"the workflow, by its Choice '{visit.state}'"
    return Explanation(
        run=run,
        failure=failed,
        item=_item(visit) if visit else "",
        speaker=speaker,
        logs=tuple(_excerpts(logs, call, groups, lines)) if call else (),
        advice=advice_on(failed, visits, config, run.run),
        left_running=tuple(jobs_left_running(events)),
    )


def advice_on(failed: Failure, visits: Visits, config: Config, run: str) -> str:
    """Return what to do next about an execution that failed.

    Args:
        failed: Why it failed.
        visits: Made of its history.
        config: The workflow's.
        run: The execution's name.
    """
    visit = failed_visit(visits)
    # Whoever stops an execution gives it an error and a cause of any words.
    stopped = visits.status == _ABORTED
    return advice(
        "ExecutionAborted" if stopped else failed.error,
        "" if stopped else failed.cause,
        bucket=config.bucket,
        run=run,
        connection=config.source.connection,
        source=_own_source(config, _last_call(visit) if visit else None),
    )


def _own_source(config: Config, call: _Call | None) -> str:
    """Return the source of a team's own function that was called; empty if it was none of them."""
    sources = {config.function(name): own.source for name, own in config.functions.items()}
    return sources.get(call.target, "") if call and call.service == "lambda" else ""


def _speaker(failed: Failure, call: _Call | None, *, stopped: bool) -> tuple[str, tuple[str, ...]]:
    """Return who reported the cause, and the log groups that may hold more."""
    if stopped:
        return "whoever stopped it", ()
    if failed.error in _JOB_ERRORS:
        return "Amazon Personalize, of a job that it could not finish", ()
    by_states = failed.error.startswith("States.") and failed.error != "States.TaskFailed"
    if call is None or failed.error == "ExecutionTimedOut":
        return "AWS Step Functions", ()
    if call.service == "lambda":
        log = (f"/aws/lambda/{call.target}",)
        operation = _OPERATION.match(failed.cause)
        if by_states:
            return f"AWS Step Functions, of the function '{call.target}'", log
        if operation and not failed.error.startswith("Lambda."):
            return f"AWS, answering {operation[1]} to the function '{call.target}'", log
        return f"the function '{call.target}'", log
    if call.service == "glue":
        groups = (f"{call.glue_logs}/error", f"{call.glue_logs}/output") if call.glue_run else ()
        run = f", run {call.glue_run}" if call.glue_run else ""
        of = "AWS Step Functions, of the" if by_states else "the"
        return f"{of} Spark job '{call.target}'{run}", groups
    return _speaker_of_service(call, by_states=by_states)


def _speaker_of_service(call: _Call, *, by_states: bool) -> tuple[str, tuple[str, ...]]:
    """Return the same of a call to another service than Lambda and Glue."""
    if call.sagemaker_job:
        who = "AWS Step Functions" if by_states else "SageMaker"
        job = f"{call.sagemaker_kind.lower()} job '{call.sagemaker_job}'"
        return f"{who}, of the {job}", (f"/aws/sagemaker/{call.sagemaker_kind}Jobs",)
    who = "AWS Step Functions, of the call" if by_states else "AWS, answering a call"
    return f"{who} to {call.service.removeprefix('aws-sdk:')}", ()


def _last_call(visit: Visit) -> _Call | None:
    """Return the call to AWS that a state made last; None if it made none."""
    scheduled = visit.scheduled
    if scheduled is None:
        return None
    call = [details(event) for event in visit.events if event["id"] >= scheduled["id"]]
    causes = (fields["cause"] for fields in reversed(call) if fields.get("cause"))
    outputs = (fields["output"] for fields in call if fields.get("output"))
    cause, submitted = json_object(next(causes, "")), json_object(next(outputs, ""))
    service = call[0]["resourceType"]
    requested = json_object(str(call[0].get("parameters", ""))) if service == "sagemaker" else {}
    kind = next((kind for kind in SAGEMAKER_JOBS if f"{kind}JobName" in requested), "")
    return _Call(
        service=service,
        target=visit.target,
        begun=scheduled["timestamp"],
        ended=visit.events[-1]["timestamp"],
        request_id=str(cause.get("requestId", "")),
        glue_run=str(cause.get("Id") or submitted.get("JobRunId", "")) if service == "glue" else "",
        glue_logs=str(cause.get("LogGroupName") or "/aws-glue/jobs"),
        sagemaker_job=str(requested.get(f"{kind}JobName", "")),
        sagemaker_kind=kind,
    )


def _excerpts(logs: Any, call: _Call, groups: Sequence[str], lines: int) -> Iterator[LogExcerpt]:
    stream = call.glue_run or call.sagemaker_job
    for group in groups:
        try:
            if call.service == "glue":
                excerpt = _tail_of_stream(logs, group, call.glue_run, lines)
            elif call.sagemaker_job:
                excerpt = _lines_of_job(logs, group, call.sagemaker_job)[-lines:]
            else:
                excerpt = _lines_of_call(logs, group, call)[-lines:]
        except ClientError as error:
            code = error.response["Error"]["Code"]
            note = (
                "there is no such log"
                if code == "ResourceNotFoundException"
                else f"it cannot be read: {code}"
            )
            yield LogExcerpt(group, stream, note=note)
            continue
        note = "" if excerpt else "nothing was logged at that time"
        yield LogExcerpt(group, stream, tuple(excerpt), note)


def _tail_of_stream(logs: Any, group: str, stream: str, lines: int) -> list[str]:
    response = logs.get_log_events(
        logGroupName=group, logStreamName=stream, limit=lines, startFromHead=False
    )
    return [_readable(event["message"]) for event in response["events"]]


def _lines_of_job(logs: Any, group: str, job: str) -> list[str]:
    """Return the log of a job of SageMaker, of all of its instances."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, logStreamNamePrefix=f"{job}/"
    )
    return [_readable(event["message"]) for page in pages for event in page["events"]]


def _lines_of_call(logs: Any, group: str, call: _Call) -> list[str]:
    """Return the log of a function during a call; of that request alone where it is known."""
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=int((call.begun - _AROUND).timestamp() * 1_000),
        endTime=int((call.ended + _AROUND).timestamp() * 1_000),
    )
    logged = [event for page in pages for event in page["events"]]
    of_call = _of_request(logged, call.request_id) if call.request_id else []
    messages = [event["message"] for event in of_call or logged]
    own = [message for message in messages if not _PLATFORM.match(message)]
    return [_readable(message) for message in own or messages]


def _of_request(logged: Sequence[Mapping[str, Any]], request_id: str) -> list[Mapping[str, Any]]:
    """Return what was logged during a request: in its stream from its first line to its last.

    A stream is that of one environment, which serves one request at a time; what a function prints
    does not name the request.
    """
    streams: dict[str, list[Mapping[str, Any]]] = {}
    for event in logged:
        streams.setdefault(event.get("logStreamName", ""), []).append(event)
    found: list[Mapping[str, Any]] = []
    for events in streams.values():
        named = [n for n, event in enumerate(events) if request_id in event["message"]]
        found += events[named[0] : named[-1] + 1] if named else []
    return found


def _readable(line: str) -> str:
    """Return a log line as plain text; Lambda's JSON format wraps the message."""
    entry = json_object(line)
    message = entry.get("message") or entry.get("errorMessage")
    if not message:
        return line.rstrip()
    level = entry.get("level") or entry.get("errorType") or ""
    trace = (str(frame).rstrip() for frame in entry.get("stackTrace") or ())
    return "\n".join([f"{level} {message}".strip(), *trace])


def _item(visit: Visit) -> str:
    """Return the item of a Map that a state was visited for; empty outside a Map."""
    return visit.label or (f"index {visit.item.index}" if visit.item else "")
