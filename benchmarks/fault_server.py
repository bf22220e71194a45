"""The local AWS in a process of its own, which spoils one call of a run: for `faults.py`.

Calls are named by the state that causes them, so that the same call is found again in each run.
Lines of JSON on standard input say which call gets which fault; each is answered by a line on
standard output. The end of standard input ends the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import psutil

from localaws.aws import LocalAws
from localaws.http.calls import Call, call_of
from localaws.http.faults import HEADER
from localaws.http.wsgi import perform
from localaws.moto_patches import stepfunctions_parser_backends

# Of a job whose start was cut the Retry has to wait for the end: 30 s, then twice as long.
TIME_SCALE = 0.02
TIME_OUT = "time-out"
DENIED = "error AccessDeniedException 403"
FAULTS = {
    "throttle": "throttle",
    "server error": "error InternalFailure 500",
    "persistent error": DENIED,
    TIME_OUT: "drop 1",  # as a load balancer does with a connection on which nothing comes
    "cut body": "cut",
}
LATE = "delay 9"  # a function's clients wait 8 s, and try again before the call has its effect
PERSISTENT = "persistent error"
STOPPED, FAILED_JOB = "stopped execution", "failed job"
KILLED_SERVER, KILLED_PROCESS = "killed server", "killed process"
# Who calls, by the end of the role's name.
CALLERS = {"states": "the state", "functions": "function", "glue": "Glue job", "personalize": "job"}
# What a state creates is polled by another, during whose visits it runs.
POLLED_AT = {
    "CreateDatasetImportJob": "Get Job Status",
    "CreateSolutionVersion": "Get Solution Version Status",
    "CreateBatchInferenceJob": "Get Batch Inference Status",
}
# A job begins while the state that creates it still ends.
CREATED_AT = {
    "Get Job Status": "Import Dataset",
    "Get Solution Version Status": "Create Solution Version",
    "Get Batch Inference Status": "Trigger Batch Inference",
}
JOBS = {"StartJobRun": "Glue job", **dict.fromkeys(POLLED_AT, "job")}


@dataclass(frozen=True)
class StateCall:
    """One call during the first visit of a state.

    Attributes:
        state: The state's name.
        caller: One of `CALLERS`' values.
        operation: botocore's name of it.
        number: Counted from 1 among calls that are alike.
    """

    state: str
    caller: str
    operation: str
    number: int

    def __str__(self) -> str:
        number = f" {self.number}" if self.number > 1 else ""
        return f"{self.caller}: {self.operation}{number}"


class Spoiler:
    """In front of everything: lets a fault happen to one call of an execution."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.aws: LocalAws
        self.watch("", [], "")

    def watch(self, execution: str, targets: Sequence[StateCall], fault: str) -> None:
        """Name the calls of an execution from now on, and spoil the given ones."""
        with self._lock:
            self._execution, self._targets, self._fault = execution, targets, fault
            self._denied_caller = ""
            self._polled, self._created = "", Counter[str]()
            self._numbers = Counter[tuple[str, str, str]]()
            self.calls: list[StateCall] = []
            self.spoilt: list[StateCall] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        caller: Any = None
        execution = self._execution  # which another thread may end meanwhile
        if execution:
            call = call_of(environ)
            # Logs are written beside the work: a fault there loses a line, and nothing else.
            caller = call.service != "logs" and CALLERS.get(call.principal.rpartition("-")[2])
        if not caller:
            return self._application(environ, start_response)
        named = self._named(execution, call, caller)
        if self._is_spoilt(named, caller):
            return self._spoil(environ, call, caller)(environ, start_response)
        return self._application(environ, start_response)

    def _named(self, execution: str, call: Call, caller: str) -> StateCall | None:
        """Return the call's name; None after the first visit of its state, and of later polls."""
        state, visits = _state(execution)
        with self._lock:
            if call.operation in POLLED_AT:
                self._created[call.operation] += 1
                self._polled = call.operation
            if caller == "job":
                state, visits = POLLED_AT.get(self._polled, ""), self._created[self._polled]
            if visits != 1:
                return None
            key = (state, caller, call.operation)
            self._numbers[key] += 1
            named = StateCall(*key, self._numbers[key])
            if caller == "the state" and named.number > 1:
                return None
            self.calls.append(named)
            return named

    def _is_spoilt(self, named: StateCall | None, caller: str) -> bool:
        """Return whether a call gets the fault, and note it."""
        with self._lock:
            if caller == self._denied_caller:
                return True
            is_target = named is not None and any(
                replace(named, number=each.number) == each
                and (named.number == each.number or self._is_beyond(named, each))
                for each in self._targets
            )
            if is_target and named:
                self.spoilt.append(named)
            return is_target

    def _is_beyond(self, named: StateCall, target: StateCall) -> bool:
        return self._fault == PERSISTENT and named.number > target.number

    def _spoil(self, environ: WSGIEnvironment, call: Call, caller: str) -> WSGIApplication:
        if self._denied_caller:
            environ[HEADER] = DENIED
        elif self._fault == TIME_OUT and caller == "function":
            environ[HEADER] = LATE
        elif self._fault in FAULTS:
            environ[HEADER] = FAULTS[self._fault]
        elif self._fault == STOPPED:
            self.aws.client("stepfunctions").stop_execution(executionArn=self._execution)
        elif self._fault == KILLED_PROCESS:
            _kill_client(environ)
        elif self._fault == KILLED_SERVER:
            perform(self._application, environ)  # done, and nobody hears of it
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._fault == FAILED_JOB:
            return self._with_failing_job(environ, call)
        return self._application

    def _with_failing_job(self, environ: WSGIEnvironment, call: Call) -> WSGIApplication:
        """Let the job fail that a call creates: all its calls are denied, or it is stopped."""
        if call.operation != "CreateSolutionVersion":
            self._denied_caller = JOBS[call.operation]
            return self._application
        response = perform(self._application, environ)
        version = json.loads(response.get_data())["solutionVersionArn"]
        self.aws.client("personalize").stop_solution_version_creation(solutionVersionArn=version)
        return response


def _state(arn: str) -> tuple[str, int]:
    """Return the Task that an execution entered last, and how often it was."""
    _, _, _, region, account, *_ = arn.split(":")
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for machine in stepfunctions_parser_backends[account][region].state_machines
        for execution in machine.executions
        if execution.execution_arn == arn
        for event in execution.to_history_output()["events"]
        if event["type"] == "TaskStateEntered"
    ]
    return (entered[-1], entered.count(entered[-1])) if entered else ("", 0)


def _kill_client(environ: WSGIEnvironment) -> None:
    """Kill the process that sends a request: a function's or a Glue job's."""
    port = int(environ["REMOTE_PORT"])
    for process in psutil.Process().children(recursive=True):
        if any(each.laddr.port == port for each in process.net_connections("tcp")):
            process.kill()
            return
    raise LookupError(f"no process of this server sends from port {port}")


def main() -> None:
    """Serve a data directory in an account and a region, and obey the lines."""
    directory, account, region, database_url = sys.argv[1:]
    aws = LocalAws(
        directory=Path(directory),
        account=account,
        region=region,
        time_scale=TIME_SCALE,
        database_url=database_url or None,
    )
    with aws:
        spoiler = aws.endpoint.wrap_all(Spoiler)
        spoiler.aws = aws
        _say(aws.environment)
        for line in sys.stdin:
            order: dict[str, Any] = json.loads(line)
            if "execution" in order:
                targets = [StateCall(**target) for target in order["targets"]]
                calls, spoilt = map(asdict, spoiler.calls), map(asdict, spoiler.spoilt)
                answer = {"calls": [*calls], "spoilt": [*spoilt]}
                spoiler.watch(order["execution"], targets, order["fault"])
                _say(answer)


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
