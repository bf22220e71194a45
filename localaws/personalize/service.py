"""The local Amazon Personalize: three APIs behind one signing name, as on AWS.

A request is answered at once, work goes to background threads: a job's resource is created, its
work is submitted, and the outcome appears in the resource's status. The operations that all types
of resources have follow from one table (`resources.types`); `operations` holds the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localaws.http.protocol import JsonService, Service, operations_of
from localaws.http.rest_protocol import RestService
from localaws.persistence.documents import Documents
from localaws.personalize.backend import Backend, Models
from localaws.personalize.damage import mark_damaged
from localaws.personalize.data.files import Files
from localaws.personalize.data.groups import DatasetGroups
from localaws.personalize.data.store import Store
from localaws.personalize.filters import Filters
from localaws.personalize.operations.batch_jobs import BatchJobs
from localaws.personalize.operations.campaigns import Campaigns, Recommenders
from localaws.personalize.operations.datasets import Datasets
from localaws.personalize.operations.events import Events, EventTrackers
from localaws.personalize.operations.metric_attributions import MetricAttributions
from localaws.personalize.operations.recipes import Recipes
from localaws.personalize.operations.resources import Resources
from localaws.personalize.operations.runtime import Runtime
from localaws.personalize.operations.solutions import Solutions
from localaws.personalize.resources.former import take_over
from localaws.personalize.resources.jobs import JobProgress, Workers
from localaws.personalize.resources.quotas import Quotas
from localaws.personalize.resources.registry import Registry

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mypy_boto3_s3 import S3Client

_SCHEDULE_SECONDS = 60.0
_WORKERS = 2
_RUNTIME_PATHS = frozenset({"/recommendations", "/personalize-ranking", "/action-recommendations"})
_OTHER_ERRORS = "InvalidInputException"
"""E.g. of an unknown parent where the model has no ResourceNotFoundException, or of a campaign that
is not ACTIVE: the runtime API has no ResourceInUseException."""

_utc_now = partial(datetime.now, UTC)


class Personalize:
    """An Amazon Personalize that trains on this machine, as a WSGI application.

    Args:
        account: Account number of all ARNs, 12 digits.
        region: Region of all ARNs.
        s3: Returns the S3 client with which a job reads and writes, by the ARN of its role; called
            once per job, on the job's thread.
        directory: Trained models and unfinished output go here.
        seed: Same data and same seed give the same recommendations.
        clock: The time, aware.
        cloudwatch: Returns the CloudWatch client to which metric attributions send, by the ARN of
            their role; None sends nothing.
        quotas: Those of the account, where they are not AWS's own.
        auto_training: Whether solutions with performAutoTraining are trained on their schedule.
            On AWS they are, and cost; here the schedule is reported and nothing happens, unless
            this is set or `train_due` is called.
        documents: Where resources are kept; rows are kept in the directory then, and all is loaded
            when both are opened again, jobs that were running as CREATE FAILED. None keeps nothing.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        s3: Callable[[str], S3Client],
        directory: Path,
        seed: int = 0,
        clock: Callable[[], datetime] = _utc_now,
        cloudwatch: Callable[[str], Any] | None = None,
        quotas: Quotas | None = None,
        auto_training: bool = False,
        documents: Documents | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        if documents is not None:
            take_over(directory / "resources.sqlite", documents)
        registry = Registry(
            account=account,
            region=region,
            clock=clock,
            quotas=quotas or Quotas(),
            documents=documents,
        )
        store = Store(Files(directory / "data", documents) if documents is not None else None)
        groups = DatasetGroups(registry, store)
        backend = Backend(
            registry=registry,
            workers=Workers(registry, _WORKERS),
            store=store,
            groups=groups,
            filters=Filters(registry, groups),
            models=Models(directory / "models"),
            s3=s3,
            directory=directory,
            seed=seed,
            clock=clock,
            cloudwatch=cloudwatch,
        )
        if documents is not None:
            mark_damaged(backend)
        self._workers = backend.workers
        self._mount(backend)
        self._closing = threading.Event()
        self._schedule = threading.Thread(target=self._follow_schedule, daemon=True)
        if auto_training:
            self._schedule.start()

    def _mount(self, backend: Backend) -> None:
        """Bring every operation under the API that has it."""
        attributions, campaigns = MetricAttributions(backend), Campaigns(backend)
        self._solutions = Solutions(backend, campaigns.deploy_latest)
        resources = Resources(backend)
        control = operations_of(
            "personalize",
            resources,
            Datasets(backend, attributions),
            self._solutions,
            campaigns,
            Recommenders(backend, self._solutions.train_recommender),
            BatchJobs(backend),
            Recipes(backend),
            EventTrackers(backend),
            attributions,
        )
        runtime = operations_of("personalize-runtime", Runtime(backend))
        events = operations_of("personalize-events", Events(backend, attributions))
        # A type's own operation replaces that of all types.
        control = {**resources.by_type(), **control}
        self._control = JsonService("personalize", control, other_errors=_OTHER_ERRORS)
        self._runtime = RestService("personalize-runtime", runtime, other_errors=_OTHER_ERRORS)
        self._events = RestService("personalize-events", events, other_errors=_OTHER_ERRORS)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request: by its X-Amz-Target if it has one, else by its path."""
        service: Service = self._control
        if "HTTP_X_AMZ_TARGET" not in environ:
            path = environ.get("PATH_INFO", "/").rstrip("/")
            service = self._runtime if path in _RUNTIME_PATHS else self._events
        return service(environ, start_response)

    def progress(self) -> list[JobProgress]:
        """Return the progress of the jobs that run now."""
        return self._workers.progress()

    def train_due(self) -> list[str]:
        """Begin the automatic trainings that are due, and return the new versions' ARNs."""
        return self._solutions.train_due()

    def close(self) -> None:
        """Stop running jobs and join the threads; the models on disk stay."""
        self._closing.set()
        if self._schedule.ident is not None:
            self._schedule.join()
        self._workers.close()

    def _follow_schedule(self) -> None:
        while not self._closing.wait(_SCHEDULE_SECONDS):
            self.train_due()
