"""The local AWS: one endpoint, the services behind it, and, in a data directory, all that is kept.

A request passes, from the outside in: injected faults; Lambda, Glue, Personalize and SageMaker;
with a data directory, its log of requests, its store of S3 objects, of messages and log events, and
its archive of executions; and moto, which holds the rest in memory.

    with LocalAws(directory=Path("aws"), account="123456789012", region="us-east-1") as aws:
        print(aws.environment)

This module alone composes it: `retrain local serve`, a local run, notebooks and the
`local_aws` of tests differ by arguments.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3

from localaws.functions.service import Functions
from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults
from localaws.http.service_names import service_model
from localaws.http.wsgi import answer_in_process
from localaws.persistence.data_directory import DataDirectory, Repair
from localaws.personalize import Personalize, Quotas
from localaws.principals import CALLER, SAGEMAKER, access_key
from localaws.sagemaker.service import SageMaker
from localaws.schedules import Schedules

DEFAULT_ACCOUNT, DEFAULT_REGION = "123456789012", "us-east-1"
_EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_DISABLE_HOST_PREFIX_INJECTION",
)
_COUNTED = (
    ("bucket", "s3", "list_buckets", "Buckets"),
    ("role", "iam", "list_roles", "Roles"),
    ("topic", "sns", "list_topics", "Topics"),
    ("function", "lambda", "list_functions", "Functions"),
    ("Glue job", "glue", "get_jobs", "Jobs"),
    ("state machine", "stepfunctions", "list_state_machines", "stateMachines"),
    ("rule", "events", "list_rules", "Rules"),
    ("schedule", "scheduler", "list_schedules", "Schedules"),
    ("dataset group", "personalize", "list_dataset_groups", "datasetGroups"),
    ("model", "sagemaker", "list_models", "Models"),
)


class LocalAws:
    """AWS on one machine, for the length of a `with` block.

    Args:
        directory: For code, logs, data and models; made if it is not there.
        is_kept: Keep everything in the directory, where it is found again the next time, and start
            what is scheduled. If not, the caller removes the directory.
        account: Account number in every ARN; None takes the directory's.
        region: Region in every ARN; None takes the directory's.
        defaults: Account and region of a directory that has none yet, where none are given.
        port: Of 127.0.0.1; 0 takes a free one; None opens one when its URL is first read, and
            leaves the environment of the process as it is.
        time_scale: Factor on Wait states and Retry intervals; 0 does not wait.
        database_url: The database of Glue jobs that have the argument `--runtime`: they get
            `local` for it, and this as DATABASE_URL. None leaves the arguments of jobs as they are.
        seed: Of every model that Personalize trains.
        quotas: Personalize's, where they are not AWS's own.
        auto_training: Whether Personalize trains solutions with performAutoTraining on schedule.
        allowed_origin: The origin of web pages that may send requests to the port; empty for none.
        repair: Is told what is moved aside where the data directory's database is lost, and returns
            whether to do it; None refuses to start.
        log: Called with a line for each execution and each schedule that starts.

    Attributes:
        endpoint: Answers all requests.
        functions: Lambda.
        glue: Glue.
        personalize: Personalize.
        sagemaker: SageMaker.
        faults: Injects faults: `aws.faults.inject("throttle", operation="PutObject")`.

    Raises:
        DataDirectoryError: When it is entered: another process holds the directory, it holds
            another account or region, or its database is lost.
        EndpointError: When it is entered: the port is in use, or an endpoint runs in this process
            already.
    """

    endpoint: Endpoint
    functions: Functions
    glue: Glue
    personalize: Personalize
    sagemaker: SageMaker
    faults: Faults

    def __init__(
        self,
        *,
        directory: Path,
        is_kept: bool = True,
        account: str | None = None,
        region: str | None = None,
        defaults: tuple[str, str] = (DEFAULT_ACCOUNT, DEFAULT_REGION),
        port: int | None = 0,
        time_scale: float = 1.0,
        database_url: str | None = None,
        seed: int = 0,
        quotas: Quotas | None = None,
        auto_training: bool = False,
        allowed_origin: str = "",
        repair: Repair | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._directory = directory.absolute()
        self._account = account or defaults[0]
        self._region = region or defaults[1]
        self._data = (
            DataDirectory(
                self._directory, account=account, region=region, defaults=defaults, repair=repair
            )
            if is_kept
            else None
        )
        self._port = port
        self._time_scale = time_scale
        self._database_url = database_url
        self._seed = seed
        self._quotas = quotas
        self._auto_training = auto_training
        self._allowed_origin = allowed_origin
        self._log = log
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            if self._data is not None:
                data = opening.enter_context(self._data)
                self._account, self._region = data.account, data.region
            self._begin(opening)
            self._mount_services()
            # At the end, executions are aborted, what they run on is closed, and all of it is kept.
            if self._data is not None:
                opening.enter_context(self._data.archived())
            for service in (self.personalize, self.sagemaker, self.glue, self.functions):
                opening.callback(service.close)
            opening.callback(self.endpoint.abort_executions)
            # It is all there before the first request is taken.
            if self._port is not None:
                self.endpoint.open()
            if self._data is not None:
                self._data.record_server(self.endpoint.url)
                self._start_schedules(opening, self._data)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def client(self, service: str) -> Any:
        """Return a client, for example `client("s3")`; it does not wait and retry as boto3's do."""
        return self.endpoint.client(service)

    @cached_property
    def session(self) -> boto3.Session:
        """A boto3 session whose clients are answered in this process."""
        session = boto3.Session(
            aws_access_key_id=CALLER,
            aws_secret_access_key="local",  # noqa: S106  nothing checks it
            region_name=self._region,
        )
        answer_in_process(session.events, self.endpoint)
        return session

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a shell exports so that every AWS SDK and command calls here."""
        variables = self.endpoint.environment
        proxies = {"HTTP_PROXY", "http_proxy"} & os.environ.keys()
        return {name: variables[name] for name in (*_EXPORTED, *(["NO_PROXY"] if proxies else []))}

    def counts(self) -> dict[str, int]:
        """Count the resources of each type that the data directory held when it was opened."""
        if self._data is None:
            return {}
        counts = {}
        for resource_type, service, operation, member in _COUNTED:
            # A client costs a tenth of a second.
            if service_model(service).signing_name not in self._data.services_in_use:
                continue
            client = self.client(service)
            if client.can_paginate(operation):
                pages: Any = client.get_paginator(operation).paginate()
            else:
                pages = [getattr(client, operation)()]
            counts[resource_type] = sum(len(page[member]) for page in pages)
        counts["execution"] = self._data.executions
        return {resource_type: count for resource_type, count in counts.items() if count}

    def _begin(self, opening: ExitStack) -> None:
        """Let the endpoint answer in this process, with what the data directory holds."""
        self.endpoint = Endpoint(
            account=self._account,
            region=self._region,
            port=self._port,
            time_scale=self._time_scale,
            knows_aws_policies=True,
            allowed_origin=self._allowed_origin,
        )
        opening.callback(self.endpoint.stop)
        if self._data is not None:
            self._data.wrap(self.endpoint, on_start=self._log_start)
        self.faults = self.endpoint.wrap_all(Faults)
        self.endpoint.begin()
        if self._data is not None:
            self._data.restore()

    def _mount_services(self) -> None:
        """Mount the services of our own; each call is signed by the role of what makes it."""
        endpoint, documents = self.endpoint, self._data.documents if self._data else None

        def s3(role: str = "") -> Any:
            return endpoint.client("s3", role)

        def logs(role: str) -> Any:
            return endpoint.client("logs", role)

        self.functions = Functions(
            account=self._account,
            region=self._region,
            directory=self._directory / "functions",
            environment=self._role_environment,
            s3=s3,  # Lambda reads a package with the permissions of whoever deploys it
            logs=logs,
            documents=documents,
        )
        self.glue = Glue(
            directory=self._directory / "glue",
            environment=self._job_environment,
            s3=s3,
            logs=logs,
            overrides={"--runtime": "local"} if self._database_url else {},
            documents=documents,
        )
        self.personalize = Personalize(
            account=self._account,
            region=self._region,
            s3=s3,
            cloudwatch=lambda role: endpoint.client("cloudwatch", role),
            directory=self._directory / "personalize",
            seed=self._seed,
            quotas=self._quotas,
            auto_training=self._auto_training,
            documents=documents,
        )
        self.sagemaker = SageMaker(
            account=self._account,
            region=self._region,
            directory=self._directory / "sagemaker",
            environment=self._role_environment,
            s3=s3,
            logs=logs,
            iam=lambda: endpoint.client("iam", SAGEMAKER),
            documents=documents,
        )
        endpoint.mount("lambda", self.functions)
        endpoint.mount("glue", self.glue)
        endpoint.mount("personalize", self.personalize)
        endpoint.mount("sagemaker", self.sagemaker)

    def _role_environment(self, role: str) -> dict[str, str]:
        return self.endpoint.environment | {"AWS_ACCESS_KEY_ID": access_key(role)}

    def _job_environment(self, role: str) -> dict[str, str]:
        temporary = self._directory / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {
            **os.environ,
            **self._role_environment(role),
            **({"DATABASE_URL": self._database_url} if self._database_url else {}),
            # What a job that is killed leaves goes with the directory.
            "TMPDIR": str(temporary),
        }

    def _start_schedules(self, opening: ExitStack, data: DataDirectory) -> None:
        schedules = Schedules(
            self.endpoint.client,
            account=self._account,
            region=self._region,
            documents=data.documents,
            version=lambda: data.changes,
            log=self._log,
        )
        opening.callback(schedules.close)
        schedules.start()

    def _log_start(self, arn: str) -> None:
        machine, name = arn.split(":")[6:8]
        self._log(f"execution {name} of {machine} started")
