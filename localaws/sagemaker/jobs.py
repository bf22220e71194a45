"""What training, processing and transform jobs have in common: statuses, threads, logs, ends.

A request is answered at once, the work is done on a thread of its own, and its outcome appears in
the job's status.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from localaws.exceptions_in_logs import last_exception
from localaws.http.errors import ServiceError
from localaws.log_delivery import deliver, followed
from localaws.principals import SAGEMAKER
from localaws.process_groups import end_group, exit_code, kill_group, kill_left_behind
from localaws.python_environments import Environments
from localaws.sagemaker.containers.container import Container, can_mount, remove_container
from localaws.sagemaker.containers.images import Image
from localaws.sagemaker.errors import LONGEST_REASON, JobFailedError, StoppedError, invalid
from localaws.sagemaker.members import check_members
from localaws.sagemaker.registry import (
    IN_PROGRESS,
    RUNNING,
    STOPPING,
    Registry,
    Resource,
    ResourceType,
)

STOP_SECONDS = 120.0
"""Between asking a job's process to end and killing it.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html"""

MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"

_INTERRUPTED = (
    "InternalServerError: the local SageMaker ended while the job was in progress; create it again"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """What all jobs share.

    Attributes:
        registry: Their resources.
        directory: Holds a private directory for each job.
        environments: Packages of images.
        environment: The ARN of a role → the variables with which a process signs for AWS by it.
        s3: The ARN of a role → the client that reads inputs and writes outputs.
        logs: The same for CloudWatch Logs; None keeps logs in files alone.
        iam: Returns the client that knows roles; None takes any role.
        clock: The time, aware.
        mounts: Whether scripts see `/opt/ml` by a mount; None where the machine allows it.
    """

    registry: Registry
    directory: Path
    environments: Environments
    environment: Callable[[str], Mapping[str, str]]
    s3: Callable[[str], Any]
    logs: Callable[[str], Any] | None
    iam: Callable[[], Any] | None
    clock: Callable[[], datetime]
    mounts: bool | None

    @property
    def region(self) -> str:
        """The region of all jobs."""
        return self.registry.region

    def check_role(self, arn: str) -> None:
        """Refuse a role that does not exist, or that SageMaker may not assume.

        Raises:
            ServiceError: ValidationException, as AWS's.
        """
        if self.iam is None:
            return
        try:
            role = self.iam().get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except ClientError:
            role = {"Arn": "", "AssumeRolePolicyDocument": {}}
        trust = json.dumps(role["AssumeRolePolicyDocument"])
        if role["Arn"] != arn or SAGEMAKER not in trust:
            raise invalid(
                f"Could not assume role {arn}. Please ensure that the role exists and allows"
                f" principal '{SAGEMAKER}' to assume the role."
            )


@dataclass(frozen=True)
class JobProgress:
    """A job that runs now; how much of it is done, nobody knows.

    Attributes:
        name: The job's name.
        phase: What it does, e.g. `Downloading`, `Training` or `Transform`.
    """

    name: str
    phase: str


@dataclass
class Run:
    """The work of one job.

    Attributes:
        resource: The job as it was created.
        directory: Private to it.
        ending: Why it shall end before its work is done: `Stopped` or `MaxRuntimeExceeded`.
        process: What does the work now, if a process does.
    """

    resource: Resource
    directory: Path
    ending: str = ""
    process: subprocess.Popen[bytes] | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def request(self) -> Mapping[str, Any]:
        """The create request, with defaults."""
        return self.resource.details

    def check(self) -> None:
        """End the work here if the job shall end.

        Raises:
            StoppedError: If it shall.
        """
        if self.ending:
            raise StoppedError


class Jobs(ABC):
    """Operations on the jobs of one type.

    Args:
        backend: What all jobs share.
    """

    type: ClassVar[ResourceType]
    log_group: ClassVar[str]

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry = backend.registry
        self._runs: dict[str, Run] = {}
        for resource in self._registry.running():
            if resource.type is self.type:
                self._interrupt(resource)

    @abstractmethod
    def _check(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a create request with its defaults.

        Raises:
            ServiceError: If AWS refuses it, or this machine cannot serve it.
        """

    @abstractmethod
    def _work(self, run: Run) -> None:
        """Do a job's work.

        Raises:
            JobFailedError: If it fails.
            StoppedError: If it was stopped.
        """

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create a job, and start its work."""
        name = request[self.type.name_member]
        checked = self._check(request)
        check_members(self.type, request)
        with self._registry.lock:
            if self._registry.find(self.type, name):
                raise ServiceError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this"
                    f" name already exists ({self._registry.arn(self.type, name)})",
                )
            status = {self.type.status_member: IN_PROGRESS, **self._phase("Starting", {})}
            resource = self._registry.create(self.type, checked, **status)
            run = Run(resource, self._directory(name))
            self._runs[name] = run
        threading.Thread(target=self._execute, args=(run,), daemon=True).start()
        return {f"{self.type.name}Arn": resource.arn}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the response of the Describe operation."""
        return self._registry.describe(self.type, request[self.type.name_member])

    def listed(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the response of the List operation."""
        return self._registry.listed(self.type, request)

    def stop(self, request: dict[str, Any]) -> None:
        """Ask a job to end."""
        with self._registry.lock:
            resource = self._registry.get(self.type, request[self.type.name_member])
            if resource.status not in RUNNING:
                raise invalid(
                    f"The request was rejected because the {self.type.phase.lower()} job is in"
                    f" status {resource.status}."
                )
            self._end(self._runs[resource.name], "Stopped", STOP_SECONDS)

    def delete(self, request: dict[str, Any]) -> None:
        """Forget a job that has ended."""
        with self._registry.lock:
            resource = self._registry.get(self.type, request[self.type.name_member])
            if resource.status in RUNNING:
                raise ServiceError(
                    "ResourceInUse", f"{resource.arn} is {resource.status}; stop it first"
                )
            self._registry.delete(resource)
            self._runs.pop(resource.name, None)
            shutil.rmtree(self._directory(resource.name), ignore_errors=True)

    def progress(self) -> list[JobProgress]:
        """Return the jobs that run now, in the order of their starts."""
        with self._registry.lock:
            return [
                JobProgress(name, self._registry.get(self.type, name).phase)
                for name, run in self._runs.items()
                if not run.ended.is_set()
            ]

    def log(self, name: str) -> str:
        """Return what a job's processes have written so far; empty if there is no such job."""
        path = self._directory(name) / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def close(self, grace: float) -> None:
        """Stop every job, and wait until its processes are gone."""
        running = [run for run in self._runs.values() if not run.ended.is_set()]
        for run in running:
            self._end(run, "Stopped", grace)
        for run in running:
            run.ended.wait(grace + 5)

    def _directory(self, name: str) -> Path:
        return self._backend.directory / self.type.path / name

    def _container(self, run: Run, image: Image) -> Container:
        """Make a job's container."""
        mounts = self._backend.mounts
        return Container(
            run.directory,
            image,
            environments=self._backend.environments,
            variables=self._backend.environment(_role_of(run.request)),
            mounts=can_mount() if mounts is None else mounts,
            on_pip=lambda pip: self._set_process(run, pip),
        )

    def _wait(self, run: Run, start: Callable[[], subprocess.Popen[bytes]], seconds: float) -> int:
        """Start a process and return its exit status; end it when its time is over.

        What pip installs before counts.

        Raises:
            StoppedError: If the job shall end before the process starts.
        """
        limit = threading.Timer(seconds, self._end, (run, MAX_RUNTIME_EXCEEDED, STOP_SECONDS))
        limit.daemon = True
        limit.start()
        try:
            process = self._start(run, start)
            process.wait()
        finally:
            limit.cancel()
        kill_group(process.pid)  # its children would go on writing
        return exit_code(process.returncode)

    def _start(
        self, run: Run, start: Callable[[], subprocess.Popen[bytes]]
    ) -> subprocess.Popen[bytes]:
        """Start a process of a job, unless the job shall end."""
        with self._registry.lock:
            run.check()
        process = start()  # packages may have to be installed first
        self._set_process(run, process)
        return process

    def _set_process(self, run: Run, process: subprocess.Popen[bytes] | None) -> None:
        """Note the process that a job has now, which ends with it."""
        with self._registry.lock:
            run.process = process
            if process is not None:
                self._registry.update(run.resource, process=process.pid)
                if run.ending:
                    kill_group(process.pid)

    def _end(self, run: Run, ending: str, grace: float) -> None:
        with self._registry.lock:
            if run.ending or run.ended.is_set():
                return
            run.ending = ending
            status = {self.type.status_member: STOPPING}
            if ending == MAX_RUNTIME_EXCEEDED:
                status = {}
            self._update(run, STOPPING, status)
            if run.process is not None:
                arguments = (run.process, grace)
                threading.Thread(target=end_group, args=arguments, daemon=True).start()

    def _update(self, run: Run, phase: str, details: Mapping[str, Any], message: str = "") -> None:
        """Change a job's members, among them those of the phase that it enters."""
        with self._registry.lock:
            now = self._registry.find(self.type, run.resource.name)
            if now is not None:
                pid = run.process.pid if run.process else None
                phases = self._phase(phase, now.details, message)
                self._registry.update(now, process=pid, **phases, **details)

    def _phase(
        self, phase: str, details: Mapping[str, Any], message: str = ""
    ) -> Mapping[str, Any]:
        """Return the members that describe the phase which a job enters; most types have none."""
        return {}

    def _execute(self, run: Run) -> None:
        """Do a job's work to its end, and record how it ended."""
        time_member = f"{self.type.phase}StartTime"
        self._update(run, "", {time_member: self._backend.clock()})
        shutil.rmtree(run.directory, ignore_errors=True)
        with self._delivered_log(run):
            outcome, reason = self._outcome(run)
        remove_container(run.directory)
        with self._registry.lock:
            run.process = None
            details: dict[str, Any] = {
                self.type.status_member: outcome,
                f"{self.type.phase}EndTime": self._backend.clock(),
                **({"FailureReason": reason[:LONGEST_REASON]} if reason else {}),
            }
            self._finish(run, outcome, details)
            run.ended.set()

    def _finish(self, run: Run, outcome: str, details: dict[str, Any]) -> None:
        """Record a job's end; `details` are the members that it changes."""
        self._update(run, outcome, details)

    def _outcome(self, run: Run) -> tuple[str, str]:
        """Return a job's last status and, if it failed, the reason."""
        try:
            run.check()
            self._work(run)
            run.check()
        except StoppedError:
            return "Stopped", ""
        except JobFailedError as error:
            return ("Stopped", "") if run.ending else ("Failed", str(error))
        except Exception as error:
            if run.ending:  # the endpoint is closing, for example
                return "Stopped", ""
            _log.exception("%s failed", run.resource.arn)
            return "Failed", f"InternalServerError: {type(error).__name__}: {error}"
        return "Completed", ""

    def _delivered_log(self, run: Run) -> AbstractContextManager[None]:
        """Send what a job writes to CloudWatch Logs while it runs, under its role."""
        if self._backend.logs is None:
            return nullcontext()
        stream = f"{run.resource.name}/{self._stream()}"
        client = self._backend.logs(_role_of(run.request))

        def send(lines: list[str]) -> None:
            deliver(client, self.log_group, stream, lines, make_group=True)

        return followed(run.directory / "log", send)

    def _stream(self) -> str:
        """Return the part of a log stream's name after the job's."""
        return f"algo-1-{int(time.time())}"

    def _interrupt(self, resource: Resource) -> None:
        """End a job that an earlier server has left behind."""
        if resource.process:
            kill_left_behind(resource.process, str(self._directory(resource.name)))
        run = Run(resource, self._directory(resource.name))
        run.ended.set()
        details: dict[str, Any] = {f"{self.type.phase}EndTime": self._backend.clock()}
        outcome = "Stopped" if resource.status == STOPPING else "Failed"
        details[self.type.status_member] = outcome
        if outcome == "Failed":
            details["FailureReason"] = _INTERRUPTED
        self._finish(run, outcome, details)


def error_in(container: Container) -> str:
    """Return the last error of a container's log: an exception, or else the last line."""
    log = container.end_of_log()
    lines = [line for line in log.splitlines() if line.strip()]
    return last_exception(log) or (lines or [""])[-1]


def _role_of(request: Mapping[str, Any]) -> str:
    """Return the role of a job; that of a transform job is its model's."""
    return str(request.get("RoleArn") or request["ExecutionRoleArn"])
