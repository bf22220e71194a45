"""SageMaker's API: training, processing and batch transform as processes of this machine.

`SageMaker` is a WSGI application. A job's script runs in a process with SageMaker's directories
and variables, and the packages of its image; what it needs comes from S3, and what it leaves goes
there.
What differs: the Python and the packages are those of this machine, whatever the image's are; a
job of several instances has one of them; there are no endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from localaws.http.errors import error_to
from localaws.http.protocol import JsonService, Operation, operations_of
from localaws.persistence.documents import Documents
from localaws.python_environments import Environments
from localaws.sagemaker.jobs import Backend, JobProgress, Jobs
from localaws.sagemaker.models import Models
from localaws.sagemaker.processing_jobs import ProcessingJobs
from localaws.sagemaker.registry import Registry
from localaws.sagemaker.training_jobs import TrainingJobs
from localaws.sagemaker.transform_jobs import TransformJobs

_CLOSE_SECONDS = 5.0
_utc_now = partial(datetime.now, UTC)


class SageMaker:
    """A WSGI application for SageMaker's jobs and models.

    Args:
        account: Account number of all ARNs.
        region: Region of all ARNs, and of all images.
        directory: Holds the jobs' private directories, logs, and installed packages.
        environment: The ARN of a role → the variables with which a job's process finds AWS and
            signs by that role.
        s3: The ARN of a role → the client that reads inputs and writes outputs.
        logs: The ARN of a role → the client that writes what jobs print to CloudWatch Logs; None
            keeps it in files alone.
        iam: Returns the client that knows the roles; None takes any role.
        clock: The time, aware.
        mounts: Whether scripts see `/opt/ml` by a mount of their own; None where the machine allows
            it, and else the path is translated.
        documents: Where jobs and models are kept; those that are there already are taken up, and a
            job that was cut off has failed. None forgets them.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        directory: Path,
        environment: Callable[[str], Mapping[str, str]],
        s3: Callable[[str], Any],
        logs: Callable[[str], Any] | None = None,
        iam: Callable[[], Any] | None = None,
        clock: Callable[[], datetime] = _utc_now,
        mounts: bool | None = None,
        documents: Documents | None = None,
    ) -> None:
        directory = directory.absolute()
        self._registry = Registry(
            account=account, region=region, clock=clock, documents=documents or Documents()
        )
        backend = Backend(
            registry=self._registry,
            directory=directory,
            environments=Environments(directory / "packages"),
            environment=environment,
            s3=s3,
            logs=logs,
            iam=iam,
            clock=clock,
            mounts=mounts,
        )
        self._jobs: tuple[Jobs, ...] = (
            TrainingJobs(backend),
            ProcessingJobs(backend),
            TransformJobs(backend),
        )
        self._models = Models(backend)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if "HTTP_X_AMZ_TARGET" not in environ:
            message = (
                "the local SageMaker has no endpoints, and serves no sagemaker-runtime: make"
                " predictions by a transform job"
            )
            return error_to(environ, "ValidationException", message)(environ, start_response)
        return self._service(environ, start_response)

    def log(self, job: str) -> str:
        """Return what a job has printed so far, without or with its type: `training-job/NAME`."""
        type_, _, name = job.rpartition("/")
        logs = [jobs.log(name) for jobs in self._jobs if type_ in {"", jobs.type.path}]
        return "".join(logs)

    def progress(self) -> list[JobProgress]:
        """Return the jobs that run now."""
        return [job for jobs in self._jobs for job in jobs.progress()]

    def close(self) -> None:
        """Stop every job, and wait until its processes are gone."""
        for jobs in self._jobs:
            jobs.close(_CLOSE_SECONDS)

    @property
    def operations(self) -> list[str]:
        """The names of the operations that it has."""
        return sorted(self._operations)

    @cached_property
    def _service(self) -> JsonService:
        # SageMaker's model is large: it is read at the first request.
        return JsonService("sagemaker", self._operations)

    @cached_property
    def _operations(self) -> dict[str, Operation]:
        operations: dict[str, Operation] = operations_of("sagemaker", self, self._models)
        for jobs in self._jobs:
            name = jobs.type.name
            operations |= {
                f"Create{name}": jobs.create,
                f"Describe{name}": jobs.describe,
                f"List{name}s": jobs.listed,
                f"Stop{name}": jobs.stop,
            }
            if jobs.type.name in {"TrainingJob", "ProcessingJob"}:
                operations[f"Delete{name}"] = jobs.delete
        return operations

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._registry.tag(request["ResourceArn"], request["Tags"], [])
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._registry.listed_tags(request)

    def delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        self._registry.tag(request["ResourceArn"], [], request["TagKeys"])
        return {}
