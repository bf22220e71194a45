"""Background work: every resource's way through its life, from CREATE PENDING until it is gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.resource_types import CREATION, DELETE_RUNNING, LifeCycle

_log = logging.getLogger(__name__)

Report = Callable[[float], None]
"""Tells how far a job is, 0..1. It raises `StoppedError` once the job shall end."""

Work = Callable[[Report], Mapping[str, Any]]
"""What a job does; returns members that its resource gets when it is ACTIVE."""


class JobFailedError(Exception):
    """The job cannot succeed; the text becomes its ``failureReason``."""


class StoppedError(Exception):
    """The job was asked to end."""


@dataclass(frozen=True)
class JobProgress:
    """How far a running job is.

    Args:
        arn: The job's ARN.
        kind: What it does, e.g. ``dataset import``, ``training`` or ``batch inference``.
        fraction: 0..1.
    """

    arn: str
    kind: str
    fraction: float


@dataclass
class _Job:
    arn: str
    kind: str
    work: Work
    life: LifeCycle = CREATION
    done: Callable[[], None] | None = None
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
        registry: Where the jobs' resources are.
        max_workers: How many jobs run at a time.
    """

    def __init__(self, registry: Registry, max_workers: int) -> None:
        self._registry = registry
        self._jobs: dict[str, _Job] = {}
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="personalize-job")
        # What needs no work must not queue behind a training.
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="personalize-clerk")

    def activate(self, arn: str, through: str = "CREATE IN_PROGRESS", end: str = "ACTIVE") -> None:
        """Lead a resource that needs no work to a status, ACTIVE if no other is given."""
        self._clerk.submit(self._pass, arn, through, end)

    def activate_update(self, arn: str, member: str, **members: Any) -> None:
        """Lead a resource's update, the structure in `member`, to ACTIVE.

        Args:
            arn: The resource; its `member` has the status CREATE PENDING.
            member: E.g. ``latestCampaignUpdate``.
            members: What changes in the resource once the update is ACTIVE.
        """
        self._clerk.submit(self._pass_update, arn, member, members)

    def delete(self, going: list[Resource], gone: Callable[[Resource], None]) -> None:
        """Lead resources from DELETE PENDING to where there are none, then tell of each."""
        self._clerk.submit(self._remove, going, gone)

    def submit(
        self, arn: str, kind: str, work: Work, done: Callable[[], None] | None = None
    ) -> None:
        """Run a job when a worker is free.

        Args:
            arn: The job's resource.
            kind: What it does, for the progress.
            work: It itself.
            done: Called once the resource has the status of success.
        """
        job = _Job(arn, kind, work, self._registry.get(arn).kind.life or CREATION, done)
        with self._registry.lock:
            self._jobs[arn] = job
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
        """The jobs that run now, oldest first."""
        with self._registry.lock:
            jobs = [job for job in self._jobs.values() if job.running]
        return [JobProgress(job.arn, job.kind, job.fraction) for job in jobs]

    def close(self) -> None:
        """End all jobs and join the threads."""
        with self._registry.lock:
            for job in self._jobs.values():
                job.stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._clerk.shutdown(wait=True, cancel_futures=True)

    def _pass(self, arn: str, through: str, end: str) -> None:
        self._registry.update(arn, status=through)
        self._registry.update(arn, status=end)

    def _pass_update(self, arn: str, member: str, members: Mapping[str, Any]) -> None:
        for status in ("CREATE IN_PROGRESS", "ACTIVE"):
            with self._registry.lock:
                resource = self._registry.get(arn)
                update = {**resource.details[member], "status": status}
                rest = members if status == "ACTIVE" else {}
                self._registry.update(arn, **rest, **{member: update})

    def _remove(self, going: list[Resource], gone: Callable[[Resource], None]) -> None:
        for one in going:
            self._registry.update(one.arn, status=DELETE_RUNNING)
        for one in going:
            gone(one)
        self._registry.remove(*(one.arn for one in going))

    def _run(self, job: _Job) -> None:
        with self._registry.lock:
            job.running = True
            if not job.stopping.is_set():
                self._registry.update(job.arn, status=job.life.running)
        end = self._outcome(job)
        with self._registry.lock:
            if job.stopping.is_set() and end["status"] == job.life.done:
                end = {"status": "CREATE STOPPED"}
            self._jobs.pop(job.arn, None)
            self._registry.update(job.arn, **end)
            if job.done and end["status"] == job.life.done:
                job.done()

    @staticmethod
    def _outcome(job: _Job) -> dict[str, Any]:
        try:
            job.report(0.0)
            return {**job.work(job.report), "status": job.life.done}
        except StoppedError:
            return {"status": "CREATE STOPPED"}
        except JobFailedError as error:
            return {"status": job.life.failed, "failureReason": str(error)}
        except Exception as error:
            _log.exception("%s %s failed", job.kind, job.arn)
            reason = f"{type(error).__name__}: {error}"
            return {"status": job.life.failed, "failureReason": reason}
