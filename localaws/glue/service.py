"""Glue's API, with job runs as subprocesses of this machine.

`Glue` is a WSGI application that keeps job definitions and runs. A run executes the script and
libraries that its definition names, from a directory of its own. It is a process group with its
own log file; stopping a run, its timeout and `close` end the whole group, so that a Spark driver
takes its Java child with it.
"""

from __future__ import annotations

import logging
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
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from botocore.exceptions import BotoCoreError, ClientError

from localaws.exceptions_in_logs import last_exception
from localaws.glue.program import fetch_program, mask_passwords
from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.http.protocol import JsonService, operations_of
from localaws.log_delivery import deliver
from localaws.persistence.documents import Documents
from localaws.process_groups import end_group, kill_group, kill_left_behind

DEFAULT_TIMEOUT_MINUTES = 480
"""Glue's own, since version 5.0. https://docs.aws.amazon.com/glue/latest/webapi/API_Job.html"""

_log = logging.getLogger(__name__)

INTERRUPTED = "the local server ended while the run was going on, and was started again"

_ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT"})
_PROGRESS = re.compile(r"^progress (\d+)/(\d+) (.*)$", re.MULTILINE)
_JOBS, _RUNS = "glue job", "glue run"
_PAGE = 200
_KEPT = ("id", "job", "arguments", "timeout", "state", "error", "started", "completed")
_NO_GLUE_LIBRARY = (
    ", which is on AWS alone. A job that takes '--runtime local' runs here if the local AWS was"
    " given a database (retrain local serve --database-url …)"
)


@dataclass(frozen=True)
class JobProgress:
    """Progress of a job run, 0 to 1, by the last `progress DONE/ALL LABEL` line of its log."""

    run_id: str
    label: str
    fraction: float


@dataclass
class _Run:
    """A job run: changes state only under the service's lock.

    Attributes:
        timeout: Minutes.
        ending: The state in which a run that is being killed ends: STOPPED or TIMEOUT.
    """

    id: str
    job: str
    arguments: dict[str, str]
    timeout: int
    state: str = "STARTING"
    process: subprocess.Popen[bytes] | None = None
    ending: str = ""
    error: str = ""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed: datetime | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def describe(self) -> dict[str, Any]:
        """Return the run as GetJobRun shows it."""
        end = self.completed or datetime.now(UTC)
        return {
            "Id": self.id,
            "Attempt": 0,
            "JobName": self.job,
            "JobRunState": self.state,
            "Arguments": self.arguments,
            "ErrorMessage": self.error or None,
            "StartedOn": self.started,
            "LastModifiedOn": end,
            "CompletedOn": self.completed,
            "ExecutionTime": round((end - self.started).total_seconds()),
            "Timeout": self.timeout,
        }


class Glue:
    """A WSGI application for Glue's jobs and job runs.

    Args:
        directory: Holds each run's log, as RUNID.log, and its files, in RUNID/.
        environment: The ARN of a job's role → the environment of a run's process, which signs for
            AWS by it; PYTHONPATH is replaced by the job's own.
        s3: The ARN of a job's role → the client that reads its script and libraries.
        logs: The ARN of a job's role → the client that writes what its runs print to CloudWatch
            Logs; None keeps it in files alone.
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
        environment: Callable[[str], Mapping[str, str]],
        s3: Callable[[str], Any] | None = None,
        logs: Callable[[str], Any] | None = None,
        overrides: Mapping[str, str] | None = None,
        grace: float = 5.0,
        minute: float = 60.0,
        documents: Documents | None = None,
    ) -> None:
        self._environment = environment
        self._s3 = s3
        self._logs = logs
        self._overrides = dict(overrides or {})
        self._directory = directory.absolute()
        self._grace = grace
        self._minute = minute
        self._lock = threading.RLock()
        self._documents = documents or Documents()
        # A job's definition and tags, as its document holds them.
        self._jobs: dict[str, dict[str, Any]] = dict(self._documents.all(_JOBS))
        self._runs: dict[str, _Run] = {}
        self._restore_runs()
        self._service = JsonService("glue", operations_of("glue", self))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._service(environ, start_response)

    def log(self, run_id: str) -> str:
        """Return the standard output and error of a run so far, without passwords.

        Raises:
            KeyError: If there is no such run.
        """
        path = self._log_file(self._runs[run_id])
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        return mask_passwords(text)

    def progress(self) -> list[JobProgress]:
        """Return the progress of each run that has not ended, in the order of their starts."""
        return [self._progress_of(run) for run in self._running()]

    def close(self) -> None:
        """Stop every run and wait until its processes are gone."""
        running = self._running()
        for run in running:
            self._kill(run, "STOPPED")
        for run in running:
            run.ended.wait(self._grace + 5)

    # Jobs

    def create_job(self, request: dict[str, Any]) -> dict[str, Any]:
        name, tags = request["Name"], request.pop("Tags", {})  # the tags have their own API
        with self._lock:
            if name in self._jobs:
                raise ServiceError("AlreadyExistsException", f"Job already exists: {name}")
            now = datetime.now(UTC)
            self._put_job({**request, "CreatedOn": now, "LastModifiedOn": now}, tags)
        return {"Name": name}

    def update_job(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            document = self._job(request["JobName"])
            # UpdateJob replaces the definition: what it does not mention is gone.
            job = {
                **request["JobUpdate"],
                "Name": request["JobName"],
                "CreatedOn": document["job"]["CreatedOn"],
                "LastModifiedOn": datetime.now(UTC),
            }
            self._put_job(job, document["tags"])
        return {"JobName": request["JobName"]}

    def get_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Job": self._job(request["JobName"])["job"]}

    def get_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            jobs = [(name, document["job"]) for name, document in sorted(self._jobs.items())]
        return _page("Jobs", jobs, request, scope="jobs")

    def delete_job(self, request: dict[str, Any]) -> dict[str, Any]:
        self._documents.drop(_JOBS, request["JobName"])
        self._jobs.pop(request["JobName"], None)
        return {"JobName": request["JobName"]}

    def get_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._job_of_arn(request["ResourceArn"])["tags"]}

    def tag_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            document = self._job_of_arn(request["ResourceArn"])
            self._put_job(document["job"], {**document["tags"], **request["TagsToAdd"]})
        return {}

    def untag_resource(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            document = self._job_of_arn(request["ResourceArn"])
            removed = request["TagsToRemove"]
            tags = {key: value for key, value in document["tags"].items() if key not in removed}
            self._put_job(document["job"], tags)
        return {}

    def _job(self, name: str) -> dict[str, Any]:
        if name not in self._jobs:
            known = ", ".join(sorted(self._jobs)) or "none"
            raise ServiceError(
                "EntityNotFoundException", f"no job {name!r}; the jobs here are: {known}"
            )
        return self._jobs[name]

    def _job_of_arn(self, arn: str) -> dict[str, Any]:
        return self._job(arn.rpartition(":job/")[2])

    def _put_job(self, job: dict[str, Any], tags: dict[str, str]) -> None:
        document = {"job": job, "tags": tags}
        self._documents.put(_JOBS, job["Name"], document)
        self._jobs[job["Name"]] = document

    # Runs

    def start_job_run(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            job = self._job(request["JobName"])["job"]
            limit = job.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1)
            if sum(run.job == job["Name"] for run in self._running()) >= limit:
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
            run = _Run(run_id, job["Name"], arguments, timeout)
            self._put_run(run, can_wait=False)
            self._runs[run_id] = run
        threading.Thread(target=self._execute, args=(run, job), daemon=True).start()
        return {"JobRunId": run_id}

    def get_job_run(self, request: dict[str, Any]) -> dict[str, Any]:
        run = self._run(request["JobName"], request["RunId"])
        with self._lock:
            return {"JobRun": run.describe()}

    def get_job_runs(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._job(request["JobName"])["job"]["Name"]
        with self._lock:
            runs = [run for run in self._runs.values() if run.job == name]
            newest_first = [(-n, run.describe()) for n, run in enumerate(runs)][::-1]
        return _page("JobRuns", newest_first, request, scope=f"runs of {name}")

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

    def _running(self) -> list[_Run]:
        with self._lock:
            return [run for run in self._runs.values() if run.state not in _ENDED]

    def _put_run(self, run: _Run, *, can_wait: bool = True) -> None:
        """Keep a run as it is; its process's id too, as long as there is one."""
        state = {name: getattr(run, name) for name in _KEPT}
        process = run.process.pid if run.process and run.state not in _ENDED else None
        document = {"run": state, "process": process}
        self._documents.put(_RUNS, run.id, document, can_wait=can_wait)

    def _restore_runs(self) -> None:
        """Read the runs that are kept; end processes that an earlier server has left behind."""
        for run_id, document in list(self._documents.all(_RUNS)):
            run = _Run(**document["run"])
            self._runs[run_id] = run
            if run.state not in _ENDED:
                if process := document["process"]:
                    kill_left_behind(process, run_id)
                run.state, run.error, run.completed = "FAILED", INTERRUPTED, datetime.now(UTC)
                self._put_run(run)
            run.ended.set()

    def _execute(self, run: _Run, job: dict[str, Any]) -> None:
        """Run the job's process to its end, and record how it ended, whatever happens."""
        try:
            self._launch(run, job)
            self._wait(run)
        except Exception as error:
            run.error = f"{type(error).__name__}: {error}"
            if run.process is not None:
                kill_group(run.process.pid)
                run.process.wait()
        code = run.process.returncode if run.process else None
        try:
            self._deliver_log(run, job["Role"])
        except Exception as error:
            _log.warning("the log of run %s is not delivered: %s", run.id, error)
        with self._lock:
            run.state = run.ending or ("SUCCEEDED" if code == 0 else "FAILED")
            if run.state == "FAILED" and not run.error:
                run.error = _reason(self.log(run.id), code)
            if run.state == "TIMEOUT":
                run.error = f"the run took longer than its Timeout of {run.timeout} minutes"
            run.completed = datetime.now(UTC)
            self._put_run(run)
        run.ended.set()

    def _launch(self, run: _Run, job: dict[str, Any]) -> None:
        role, directory = job["Role"], self._directory / run.id
        directory.mkdir(parents=True)
        s3 = self._s3(role) if self._s3 else None
        command, python_path = fetch_program(job, run.arguments, directory=directory, s3=s3)
        variables = {**self._environment(role), "PYTHONPATH": python_path}
        with self._lock, self._log_file(run).open("wb") as log:
            if run.ending:
                return
            run.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=variables,
                start_new_session=True,
            )
            run.state = "RUNNING"
            self._put_run(run)

    def _wait(self, run: _Run) -> None:
        if run.process is None:
            return
        try:
            run.process.wait(run.timeout * self._minute)
        except subprocess.TimeoutExpired:
            self._kill(run, "TIMEOUT")
            run.process.wait()
        # The driver is gone; children that it left behind would go on writing.
        kill_group(run.process.pid)
        path = self._log_file(run)
        written = path.read_text(encoding="utf-8", errors="surrogateescape")
        if (masked := mask_passwords(written)) != written:
            path.write_text(masked, encoding="utf-8", errors="surrogateescape")

    def _kill(self, run: _Run, ending: str) -> None:
        """Ask the run's processes to end; kill what is left after the grace."""
        with self._lock:
            if run.state in _ENDED or run.ending:
                return
            run.ending = ending
            if ending == "STOPPED":
                run.state = "STOPPING"
            if run.process is not None:
                arguments = (run.process, self._grace)
                threading.Thread(target=end_group, args=arguments, daemon=True).start()

    # Logs

    def _log_file(self, run: _Run) -> Path:
        return self._directory / f"{run.id}.log"

    def _deliver_log(self, run: _Run, role: str) -> None:
        """Send a run's log and its last error to Glue's log groups for output and for errors."""
        if self._logs is None:
            return
        written = self.log(run.id)
        errors = [run.error or _error_in(written) or ""]
        for stream, lines in (("output", written.splitlines()), ("error", errors)):
            group = f"/aws-glue/jobs/{stream}"
            # The endpoint may be closing: the file still has it all.
            with suppress(ClientError, BotoCoreError):
                deliver(self._logs(role), group, run.id, lines, make_group=True)

    def _progress_of(self, run: _Run) -> JobProgress:
        lines = _PROGRESS.findall(self.log(run.id))
        done, total, label = lines[-1] if lines else ("0", "1", run.state.lower())
        fraction = min(1.0, int(done) / int(total)) if int(total) else 0.0
        return JobProgress(run.id, label, fraction)


def _page(
    member: str,
    entries: Sequence[tuple[Any, dict[str, Any]]],
    request: Mapping[str, Any],
    *,
    scope: str,
) -> dict[str, Any]:
    shown, next_token = page(
        entries,
        token=request.get("NextToken"),
        size=request.get("MaxResults", _PAGE),
        scope=scope,
        refusal="InvalidInputException",
    )
    return {member: shown, "NextToken": next_token}


def _reason(log: str, code: int | None) -> str:
    """Return why a run failed whose process ended with a code."""
    if code is not None and code < 0:
        by = f"the job's process was killed by {signal.Signals(-code).name}"
        return f"{by}; mostly there was not enough memory left"
    unknown = f"the job's process ended without an error message (exit code {code})"
    return _error_in(log) or unknown


def _error_in(log: str) -> str:
    """Return the line with the error, the most telling one.

    The last `ERROR: …`, which a script ends with; else the last `ERROR …`, which Spark's log has
    too; else the last exception; else the last line.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    last_words = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    errors = last_words or [
        line.removeprefix("ERROR ") for line in lines if line.startswith("ERROR ")
    ]
    error = errors[-1] if errors else last_exception(log) or (lines or [""])[-1]
    return error + (_NO_GLUE_LIBRARY if error.endswith("No module named 'awsglue'") else "")
