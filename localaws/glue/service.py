"""Glue's API, with job runs as subprocesses of this machine.

`Glue` is a WSGI application that keeps job definitions and runs. A run executes the script and
libraries that its definition names, from a directory of its own. It is a process group with its
own log file; stopping a run, its timeout and `close` end the whole group, so that a Spark driver
takes its Java child with it.
"""

import os
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from localaws.glue.program import fetch_program, without_passwords
from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.http.protocol import JsonService, operations_of
from localaws.log_delivery import deliver
from localaws.persistence.documents import Documents

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

DEFAULT_TIMEOUT_MINUTES = 480
"""Glue's own, since version 5.0. https://docs.aws.amazon.com/glue/latest/webapi/API_Job.html"""

_ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT"})
_PROGRESS = re.compile(r"^progress (\d+)/(\d+) (.*)$", re.MULTILINE)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt)\b.*$")
INTERRUPTED = "the local server ended while the run was going on, and was started again"
_JOB, _RUN = "glue job", "glue run"
_PAGE = 200
_KEPT = ("id", "job", "arguments", "timeout", "state", "error", "started", "completed")
_NO_GLUE_LIBRARY = (
    ", which is on AWS alone. A job that takes '--runtime local' runs here if the local AWS was"
    " given a database (retrain local serve --database-url …)"
)
_PROCESS_LOST = "the job's process ended without an error message"


@dataclass(frozen=True)
class JobProgress:
    """How far a running job is.

    `fraction` is between 0 and 1, from the job's last `progress DONE/ALL LABEL` log line.
    """

    arn_or_id: str
    kind: Literal["glue"]
    label: str
    fraction: float


@dataclass
class _Run:
    """A job run: changes state only under the service's lock."""

    id: str
    job: str
    arguments: dict[str, str]
    timeout: int
    log: Path
    state: str = "STARTING"
    process: "subprocess.Popen[bytes] | None" = None
    ending: str = ""
    """The state in which a run that is being killed ends: STOPPED or TIMEOUT."""
    error: str = ""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed: datetime | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Glue:
    """A WSGI application for Glue's jobs and job runs.

    Args:
        directory: Where each run's log goes, as RUNID.log, and its files, in RUNID/.
        environment: The environment of a run's process, asked for at each start; its PYTHONPATH
            is replaced by the job's own.
        credentials: The ARN of a job's role → the variables over `environment` with which its
            runs sign for AWS.
        s3: The ARN of a job's role → the client that reads its script and libraries.
        logs: The ARN of a job's role → the client with which CloudWatch Logs gets what its runs
            write; None keeps it in files alone.
        overrides: Arguments over those of every definition and run that has them, e.g.
            `--runtime local`: what this machine does otherwise than Glue.
        grace: Seconds between asking a run's processes to end and killing them.
        minute: Seconds in a minute of a job's Timeout.
        documents: Where definitions and runs are kept; the ones that are there already are taken
            up, and a run that was cut off has FAILED. None forgets them.
    """

    def __init__(
        self,
        *,
        directory: Path,
        environment: Callable[[], Mapping[str, str]],
        credentials: Callable[[str], Mapping[str, str]] = lambda _: {},
        s3: Callable[[str], Any] | None = None,
        logs: Callable[[str], Any] | None = None,
        overrides: Mapping[str, str] | None = None,
        grace: float = 5.0,
        minute: float = 60.0,
        documents: Documents | None = None,
    ) -> None:
        self._environment = environment
        self._credentials = credentials
        self._s3 = s3
        self._logs = logs
        self._overrides = dict(overrides or {})
        self._directory = directory.absolute()
        self._grace = grace
        self._minute = minute
        self._jobs: dict[str, dict[str, Any]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._runs: dict[str, _Run] = {}
        self._lock = threading.RLock()
        self._documents = documents or Documents()
        self._restore()
        self._service = JsonService("glue", operations_of("glue", self))

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        return self._service(environ, start_response)

    def log(self, run_id: str) -> str:
        """What a run has written so far to its standard output and error, without passwords.

        Raises:
            KeyError: If there is no such run.
        """
        path = self._runs[run_id].log
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return without_passwords(text)

    def progress(self) -> list[JobProgress]:
        """Each run that has not ended, in the order of their starts."""
        with self._lock:
            running = [run for run in self._runs.values() if run.state not in _ENDED]
        return [self._progress_of(run) for run in running]

    def close(self) -> None:
        """Stop every run and wait until its processes are gone."""
        with self._lock:
            running = [run for run in self._runs.values() if run.state not in _ENDED]
        for run in running:
            self._kill(run, "STOPPED")
        for run in running:
            run.ended.wait(self._grace + 5)

    # Jobs

    def create_job(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if request["Name"] in self._jobs:
                raise ServiceError(
                    "AlreadyExistsException", f"Job already exists: {request['Name']}"
                )
            now = datetime.now(UTC)
            self._jobs[request["Name"]] = {
                **_without_tags(request),
                "CreatedOn": now,
                "LastModifiedOn": now,
            }
            self._tags[request["Name"]] = dict(request.get("Tags", {}))
            self._keep_job(request["Name"])
        return {"Name": request["Name"]}

    def update_job(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            job = self._job(request["JobName"])
            # UpdateJob replaces the definition: what it does not mention is gone.
            self._jobs[job["Name"]] = {
                **request["JobUpdate"],
                "Name": job["Name"],
                "CreatedOn": job["CreatedOn"],
                "LastModifiedOn": datetime.now(UTC),
            }
            self._keep_job(job["Name"])
        return {"JobName": request["JobName"]}

    def get_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Job": self._job(request["JobName"])}

    def get_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            jobs = sorted(self._jobs.items())
        return _paged("Jobs", jobs, request, scope="jobs")

    def delete_job(self, request: dict[str, Any]) -> dict[str, Any]:
        self._jobs.pop(request["JobName"], None)
        self._tags.pop(request["JobName"], None)
        self._documents.drop(_JOB, request["JobName"])
        return {"JobName": request["JobName"]}

    def _job(self, name: str) -> dict[str, Any]:
        if name not in self._jobs:
            known = ", ".join(sorted(self._jobs)) or "none"
            raise ServiceError(
                "EntityNotFoundException", f"no job {name!r}; the jobs here are: {known}"
            )
        return self._jobs[name]

    def get_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": dict(self._tags_of(request["ResourceArn"]))}

    def tag_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._tags_of(request["ResourceArn"]).update(request["TagsToAdd"])
            self._keep_job(_job_name(request["ResourceArn"]))
        return {}

    def untag_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            tags = self._tags_of(request["ResourceArn"])
            for key in request["TagsToRemove"]:
                tags.pop(key, None)
            self._keep_job(_job_name(request["ResourceArn"]))
        return {}

    def _tags_of(self, arn: str) -> dict[str, str]:
        """A job's own tags, by the job's ARN."""
        return self._tags[self._job(_job_name(arn))["Name"]]

    # What is kept

    def _keep_job(self, name: str) -> None:
        self._documents.put(_JOB, name, {"job": self._jobs[name], "tags": self._tags[name]})

    def _keep_run(self, run: _Run) -> None:
        """Keep a run as it is; its process's id too, as long as there is one."""
        told = {name: getattr(run, name) for name in _KEPT}
        process = run.process.pid if run.process and run.state not in _ENDED else None
        self._documents.put(_RUN, run.id, {"run": told, "process": process})

    def _restore(self) -> None:
        """Take up what is kept; end the processes that the last life has left behind."""
        for name, document in self._documents.all(_JOB):
            self._jobs[name], self._tags[name] = document["job"], document["tags"]
        for run_id, document in list(self._documents.all(_RUN)):
            run = _Run(log=self._directory / f"{run_id}.log", **document["run"])
            self._runs[run_id] = run
            if run.state not in _ENDED:
                if process := document["process"]:
                    _end_left_behind(process, run_id)
                run.state, run.error, run.completed = "FAILED", INTERRUPTED, datetime.now(UTC)
                self._keep_run(run)
            run.ended.set()

    # Runs

    def start_job_run(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            job = self._job(request["JobName"])
            limit = job.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1)
            runs = [run for run in self._runs.values() if run.job == job["Name"]]
            if sum(run.state not in _ENDED for run in runs) >= limit:
                raise ServiceError(
                    "ConcurrentRunsExceededException",
                    f"Concurrent runs exceeded for {job['Name']}: its MaxConcurrentRuns is {limit}",
                )
            run_id = f"jr_{uuid.uuid4().hex}"
            arguments = {
                "--JOB_NAME": job["Name"],
                "--JOB_RUN_ID": run_id,
                **job.get("DefaultArguments", {}),
                **request.get("Arguments", {}),
            }
            # A script that does not know an argument may refuse it.
            arguments |= {k: v for k, v in self._overrides.items() if k in arguments}
            timeout = request.get("Timeout") or job.get("Timeout") or DEFAULT_TIMEOUT_MINUTES
            log = self._directory / f"{run_id}.log"
            run = _Run(run_id, job["Name"], arguments, timeout, log)
            self._runs[run_id] = run
            self._keep_run(run)
        threading.Thread(target=self._execute, args=(run, dict(job)), daemon=True).start()
        return {"JobRunId": run_id}

    def _execute(self, run: _Run, job: dict[str, Any]) -> None:
        """Run the job's process to its end, and say how it ended."""
        try:
            self._launch(run, job)
            self._await(run)
        except Exception as error:
            run.error = f"{type(error).__name__}: {error}"
        code = run.process.returncode if run.process else None
        self._deliver_log(run, job["Role"])
        with self._lock:
            if run.ending:
                run.state = run.ending
            else:
                run.state = "SUCCEEDED" if code == 0 else "FAILED"
            if run.state == "FAILED" and not run.error:
                run.error = _error_in(self.log(run.id)) or f"{_PROCESS_LOST} (exit code {code})"
            if run.state == "TIMEOUT":
                run.error = f"the run took longer than its Timeout of {run.timeout} minutes"
            run.completed = datetime.now(UTC)
            self._keep_run(run)
        run.ended.set()

    def _deliver_log(self, run: _Run, role: str) -> None:
        """Send a run's log to where Glue's logs are; its last error to theirs."""
        if self._logs is None:
            return
        written = self.log(run.id)
        errors = [run.error or _error_in(written) or ""]
        for kind, lines in (("output", written.splitlines()), ("error", errors)):
            group = f"/aws-glue/jobs/{kind}"
            # The endpoint may be closing: the file still has it all.
            with suppress(ClientError, BotoCoreError):
                deliver(self._logs(role), group, run.id, lines, make_group=True)

    def _launch(self, run: _Run, job: dict[str, Any]) -> None:
        role = job["Role"]
        self._directory.mkdir(parents=True, exist_ok=True)
        place = self._directory / run.id
        place.mkdir()
        s3 = self._s3(role) if self._s3 else None
        program = fetch_program(job, run.arguments, directory=place, s3=s3)
        environment = {**self._environment(), **self._credentials(role), **program.environment}
        with self._lock, run.log.open("wb") as log:
            if run.ending:
                return
            run.process = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=place,
                env=environment,
                start_new_session=True,
            )
            run.state = "RUNNING"
            self._keep_run(run)

    def _await(self, run: _Run) -> None:
        if run.process is None:
            return
        try:
            run.process.wait(run.timeout * self._minute)
        except subprocess.TimeoutExpired:
            self._kill(run, "TIMEOUT")
            run.process.wait()
        # The driver is gone; children that it left behind would go on writing.
        _signal_group(run.process.pid, signal.SIGKILL)
        written = run.log.read_text(encoding="utf-8", errors="surrogateescape")
        if (kept := without_passwords(written)) != written:
            run.log.write_text(kept, encoding="utf-8", errors="surrogateescape")

    def _kill(self, run: _Run, ending: str) -> None:
        """Ask the run's processes to end; kill what is left after the grace."""
        with self._lock:
            if run.state in _ENDED or run.ending:
                return
            run.ending = ending
            process = run.process
            if ending == "STOPPED":
                run.state = "STOPPING"
        if process is not None:
            threading.Thread(target=_end, args=(process, self._grace), daemon=True).start()

    def get_job_run(self, request: dict[str, Any]) -> dict[str, Any]:
        run = self._run(request["JobName"], request["RunId"])
        with self._lock:
            return {"JobRun": self._described(run)}

    def get_job_runs(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._job(request["JobName"])
        with self._lock:
            runs = [run for run in self._runs.values() if run.job == job["Name"]]
            newest_first = [(-n, self._described(run)) for n, run in enumerate(runs)][::-1]
        return _paged("JobRuns", newest_first, request, scope=f"runs of {job['Name']}")

    def batch_stop_job_run(self, request: dict[str, Any]) -> dict[str, Any]:
        name, stopped, errors = request["JobName"], [], []
        for run_id in request["JobRunIds"]:
            try:
                run = self._run(name, run_id)
                if run.state in _ENDED:
                    raise ServiceError(
                        "IllegalJobRunStateException", f"run {run_id!r} is {run.state} already"
                    )
            except ServiceError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": detail})
            else:
                self._kill(run, "STOPPED")
                stopped.append({"JobName": name, "JobRunId": run_id})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def _run(self, job: str, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None or run.job != job:
            raise ServiceError("EntityNotFoundException", f"job {job!r} has no run {run_id!r}")
        return run

    def _described(self, run: _Run) -> dict[str, Any]:
        end = run.completed or datetime.now(UTC)
        return {
            "Id": run.id,
            "Attempt": 0,
            "JobName": run.job,
            "JobRunState": run.state,
            "Arguments": run.arguments,
            "ErrorMessage": run.error or None,
            "StartedOn": run.started,
            "LastModifiedOn": end,
            "CompletedOn": run.completed,
            "ExecutionTime": round((end - run.started).total_seconds()),
            "Timeout": run.timeout,
        }

    def _progress_of(self, run: _Run) -> JobProgress:
        found = _PROGRESS.findall(self.log(run.id))
        done, total, label = found[-1] if found else ("0", "1", run.state.lower())
        fraction = min(1.0, int(done) / int(total)) if int(total) else 0.0
        return JobProgress(arn_or_id=run.id, kind="glue", label=label, fraction=fraction)


def _paged(
    member: str,
    entries: Sequence[tuple[Any, dict[str, Any]]],
    request: Mapping[str, Any],
    *,
    scope: str,
) -> dict[str, Any]:
    found, more = page(
        entries,
        token=request.get("NextToken"),
        size=request.get("MaxResults", _PAGE),
        scope=scope,
        refusal="InvalidInputException",
    )
    return {member: found, "NextToken": more}


def _without_tags(request: dict[str, Any]) -> dict[str, Any]:
    """CreateJob's request as GetJob shows it: the tags have their own API."""
    return {name: value for name, value in request.items() if name != "Tags"}


def _job_name(arn: str) -> str:
    return arn.rpartition(":job/")[2]


def _end_left_behind(process: int, run_id: str) -> None:
    """Kill a run's process group, if the process of this id still is the run's."""
    command = ["ps", "-ww", "-o", "args=", "-p", str(process)]
    with suppress(FileNotFoundError):  # a machine without ps
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if run_id in told.stdout:
            _signal_group(process, signal.SIGKILL)


def _error_in(log: str) -> str:
    """The line that says why: the last `ERROR …`, else the last exception, else the last line."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    told = [line.removeprefix("ERROR ") for line in lines if line.startswith("ERROR ")]
    raised = [line for line in lines if _EXCEPTION.match(line)]
    found = (told or raised or lines or [""])[-1]
    return found + (_NO_GLUE_LIBRARY if found.endswith("No module named 'awsglue'") else "")


def _end(process: "subprocess.Popen[bytes]", grace: float) -> None:
    """Ask a process group to end, and kill it if its first process lives on."""
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    """Signal every process of a group; one that is gone is no error."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
