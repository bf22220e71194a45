"""Background work: every resource's statuses, from CREATE PENDING until it is deleted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from localaws.personalize.errors import JobFailedError
from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.types import DELETE_RUNNING, Lifecycle

_log = logging.getLogger(__name__)

Report = Callable[[float], None]
"""Reports a job's progress, 0..1. It raises `StoppedError` once the job shall end."""

Work = Callable[[Report], Mapping[str, Any]]
"""A job's work; returns members that its resource gets when it is ACTIVE."""


class StoppedError(Exception):
    """The job shall end."""


@dataclass(frozen=True)
class JobProgress:
    """The progress of a running job.

    Attributes:
        arn: The job's ARN.
        task: E.g. `dataset import`, `training` or `batch inference`.
        fraction: 0..1.
    """

    arn: str
    task: str
    fraction: float


@dataclass
class _Job:
    arn: str
    task: str
    work: Work
    lifecycle: Lifecycle
    on_success: Callable[[], None] | None
    fraction: float = 0.0
    running: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)
    future: Future[None] | None = None

    def report(self, fraction: float) -> None:
        if self.stopping.is_set():
            raise StoppedError
        self.fraction = min(max(fraction, self.fraction), 1.0)


class Workers:
    """Threads that run jobs and write each job's status into the registry.

    Args:
        registry: Holds the jobs' resources.
        max_workers: How many jobs run at a time.
    """

    def __init__(self, registry: Registry, max_workers: int) -> None:
        self._registry = registry
        self._jobs: dict[str, _Job] = {}
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="personalize-job")
        # What needs no work must not queue behind a training.
        self._status_pool = ThreadPoolExecutor(1, thread_name_prefix="personalize-status")

    def activate(self, arn: str, *statuses: str) -> None:
        """Lead a resource that needs no work through statuses, to ACTIVE if there are none."""

        def activate() -> None:
            for status in statuses or ("CREATE IN_PROGRESS", "ACTIVE"):
                self._registry.update(arn, status=status)

        self._status_pool.submit(activate)

    def update(self, arn: str, member: str, update: Mapping[str, Any], **changes: Any) -> None:
        """Begin a resource's update, CREATE PENDING, and lead it to ACTIVE.

        Args:
            arn: The resource.
            member: The member that describes its update, e.g. `latestCampaignUpdate`.
            update: What this member shows.
            changes: The members that change once the update is ACTIVE.
        """

        def activate() -> None:
            for status, members in (("CREATE IN_PROGRESS", {}), ("ACTIVE", changes)):
                with self._registry.lock:
                    shown = {**self._registry.get(arn).details[member], "status": status}
                    self._registry.update(arn, **members, **{member: shown})

        self._registry.begin_update(arn, member, {**update, "status": "CREATE PENDING"})
        self._status_pool.submit(activate)

    def delete(self, resources: list[Resource], on_delete: Callable[[Resource], None]) -> None:
        """Delete resources that are DELETE PENDING, each with what `on_delete` deletes of it."""

        def delete() -> None:
            for resource in resources:
                self._registry.update(resource.arn, status=DELETE_RUNNING)
            for resource in resources:
                on_delete(resource)
            self._registry.remove(resources)

        self._status_pool.submit(delete)

    def submit(
        self,
        resource: Resource,
        task: str,
        work: Work,
        on_success: Callable[[], None] | None = None,
    ) -> None:
        """Run a job when a worker is free; `on_success` is called once its resource is ACTIVE."""
        lifecycle = resource.type.lifecycle or Lifecycle()
        job = _Job(resource.arn, task, work, lifecycle, on_success)
        with self._registry.lock:
            self._jobs[resource.arn] = job
            job.future = self._pool.submit(self._run, job)

    def stop(self, arn: str) -> None:
        """Ask a pending or running job to end; it becomes CREATE STOPPED."""
        with self._registry.lock:
            job = self._jobs.get(arn)
            if job is None:
                return
            job.stopping.set()
            if job.future is not None and job.future.cancel():
                del self._jobs[arn]
                self._registry.update(arn, status="CREATE STOPPED")
            else:
                self._registry.update(arn, status="CREATE STOPPING")

    def progress(self) -> list[JobProgress]:
        """Return the progress of the jobs that run now, oldest first."""
        with self._registry.lock:
            jobs = [job for job in self._jobs.values() if job.running]
        return [JobProgress(job.arn, job.task, job.fraction) for job in jobs]

    def close(self) -> None:
        """End all jobs and join the threads."""
        with self._registry.lock:
            for job in self._jobs.values():
                job.stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._status_pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: _Job) -> None:
        with self._registry.lock:
            job.running = True
            if not job.stopping.is_set():
                self._registry.update(job.arn, status=job.lifecycle.running)
        outcome = self._outcome(job)
        with self._registry.lock:
            if job.stopping.is_set() and outcome["status"] == job.lifecycle.done:
                outcome = {"status": "CREATE STOPPED"}
            self._jobs.pop(job.arn, None)
            self._registry.update(job.arn, **outcome)
            if job.on_success and outcome["status"] == job.lifecycle.done:
                job.on_success()

    @staticmethod
    def _outcome(job: _Job) -> dict[str, Any]:
        try:
            job.report(0.0)
            return {**job.work(job.report), "status": job.lifecycle.done}
        except StoppedError:
            return {"status": "CREATE STOPPED"}
        except JobFailedError as error:
            return {"status": job.lifecycle.failed, "failureReason": str(error)}
        except Exception as error:
            _log.exception("%s %s failed", job.task, job.arn)
            reason = f"{type(error).__name__}: {error}"
            return {"status": job.lifecycle.failed, "failureReason": reason}
