"""The whole local AWS on a port of its own, with everything kept in a directory.

What is behind the port, from the outside in: faults that were ordered; Lambda, Glue and
Personalize, which keep what is theirs; the journal, which repeats the requests that made roles,
topics, rules, state machines and settings; the objects of buckets; the archive of executions; and
moto, which holds all of it in memory. So a directory that a killed server leaves opens again.

    with Served(directory=Path("aws"), account="123456789012", region="us-east-1") as served:
        print(served.environment)
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from localaws.errors import LocalAwsError
from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults
from localaws.moto_patches.determinism import pinned
from localaws.moto_patches.s3_contents import Contents
from localaws.persistence.documents import Documents
from localaws.persistence.executions import Archive
from localaws.persistence.requests import Journal, requested
from localaws.persistence.s3_objects import KeptObjects
from localaws.personalize import Quotas
from localaws.schedules import Schedules
from localaws.services import Services

DEFAULT_ACCOUNT, DEFAULT_REGION = "123456789012", "us-east-1"
_SWEEP_SECONDS = 0.5
_EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
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
)


_SIGNED_AS = {"stepfunctions": "states"}


class ServedError(LocalAwsError):
    """The directory cannot be served."""


class Served:
    """A local AWS that outlives its process.

    Args:
        directory: Where everything is kept; made if it is not there.
        account: Account number in every ARN; None takes the directory's.
        region: Region in every ARN; None takes the directory's.
        defaults: Account and region of a directory that has none yet and is asked for none.
        port: Of 127.0.0.1; 0 takes a free one.
        time_scale: Factor on Wait states and Retry intervals; 0 does not wait.
        database_url: What Glue jobs of this project read; see `Services`.
        quotas: Personalize's, where they are not AWS's own.
        auto_training: Whether Personalize trains solutions with performAutoTraining on schedule.
        say: Told each execution and each schedule that starts, a line each.

    Raises:
        ServedError: When it is entered: another process serves the directory, or it is another
            account's.
        EndpointError: When it is entered: the port is in use.
    """

    endpoint: Endpoint

    def __init__(
        self,
        *,
        directory: Path,
        account: str | None = None,
        region: str | None = None,
        defaults: tuple[str, str] = (DEFAULT_ACCOUNT, DEFAULT_REGION),
        port: int = 0,
        time_scale: float = 1.0,
        database_url: str | None = None,
        quotas: Quotas | None = None,
        auto_training: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._directory = directory.absolute()
        self._asked = {"account": account, "region": region}
        self._defaults = dict(zip(self._asked, defaults, strict=True))
        self._port = port
        self._time_scale = time_scale
        self._database_url = database_url
        self._quotas = quotas
        self._auto_training = auto_training
        self._say = say
        self._open = ExitStack()
        self._executions = 0
        self._used: set[str] = set()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            lock = opening.enter_context(_locked(self._directory))
            documents = Documents(self._directory / "aws.sqlite")
            opening.callback(documents.close)
            account, region = self._identity(documents)
            endpoint = Endpoint(
                account=account,
                region=region,
                port=self._port,
                time_scale=self._time_scale,
                knows_aws_policies=True,
            )
            opening.callback(endpoint.stop)
            archive = endpoint.wrap(
                lambda behind: Archive(
                    behind, documents, account=account, region=region, started=self._say_started
                )
            )
            objects = endpoint.wrap(
                lambda behind: KeptObjects(
                    behind, Contents(account, region), documents, self._directory / "s3"
                )
            )
            journal = endpoint.wrap(lambda behind: Journal(behind, documents, pinned))
            endpoint.wrap_all(Faults)
            endpoint.begin()
            self._used = self._services_in_use(documents)
            journal.repeat()
            objects.restore()
            self._executions = archive.open(now=time.time())
            for leftover in (self._directory / "functions" / "tmp", self._directory / "tmp"):
                shutil.rmtree(leftover, ignore_errors=True)
            services = Services(
                endpoint,
                directory=self._directory,
                account=account,
                region=region,
                database_url=self._database_url,
                documents=documents,
                quotas=self._quotas,
                auto_training=self._auto_training,
            )
            # On the way out: what runs is aborted and kept, and then what it ran on ends.
            opening.callback(services.close)
            opening.enter_context(_swept(archive))
            opening.callback(endpoint.abort_executions)
            # It is all there before the first request is taken.
            endpoint.open()
            lock.write_text(f"process {os.getpid()}, {endpoint.url}", encoding="utf-8")
            schedules = Schedules(
                endpoint.client,
                account=account,
                region=region,
                documents=documents,
                version=lambda: journal.length,
                say=self._say,
            )
            opening.callback(schedules.close)
            schedules.start()
            self.endpoint = endpoint
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a shell needs so that every AWS SDK and command calls here."""
        told = self.endpoint.environment
        proxies = {"HTTP_PROXY", "http_proxy"} & os.environ.keys()
        return {name: told[name] for name in (*_EXPORTED, *(["NO_PROXY"] if proxies else []))}

    def counts(self) -> dict[str, int]:
        """How much there was of each kind of resource when the directory was opened."""
        found = {}
        for kind, service, operation, member in _COUNTED:
            # A client costs a tenth of a second.
            if _SIGNED_AS.get(service, service) not in self._used:
                continue
            client = self.endpoint.client(service)
            if client.can_paginate(operation):
                pages: Any = client.get_paginator(operation).paginate()
            else:
                pages = [getattr(client, operation)()]
            found[kind] = sum(len(page[member]) for page in pages)
        found["execution"] = self._executions
        return {kind: count for kind, count in found.items() if count}

    def _services_in_use(self, documents: Documents) -> set[str]:
        """The signing names of the services of which there may be something."""
        kept = {"lambda": "function", "glue": "glue job"}
        return {
            *requested(documents),
            *(service for service, kind in kept.items() if any(documents.all(kind))),
            *("personalize" for _ in (self._directory / "personalize").glob("*")),
        }

    def _say_started(self, arn: str) -> None:
        machine, name = arn.split(":")[6:8]
        self._say(f"execution {name} of {machine} started")

    def _identity(self, documents: Documents) -> tuple[str, str]:
        """The account and region of the directory, which never change."""
        kept = documents.get("served", "identity")
        if kept is None:
            kept = {name: self._asked[name] or self._defaults[name] for name in self._asked}
            documents.put("served", "identity", kept)
        for name, asked in self._asked.items():
            if asked not in {None, kept[name]}:
                raise ServedError(
                    f"{self._directory} holds {name} {kept[name]}, and {asked} was asked for; name"
                    " another directory, or leave the option out"
                )
        return kept["account"], kept["region"]


@contextmanager
def _locked(directory: Path) -> Iterator[Path]:
    """Keep a directory to one process; the lock goes with the process, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServedError(
                f"{directory} is served already, by {path.read_text() or 'another process'}; stop"
                " that one, or name another directory"
            ) from None
        path.write_text(f"process {os.getpid()}")
        yield path


@contextmanager
def _swept(archive: Archive) -> Iterator[None]:
    """Keep executions when they end, and the last ones in the end."""
    closing = threading.Event()

    def follow() -> None:
        while not closing.wait(_SWEEP_SECONDS):
            archive.sweep()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()
        archive.sweep()
        archive.sweep()  # of what ended just now, the error may have been missing
