"""Names of jobs, unique per run, the response that the job handlers share, and each job once.

A task of a run may be called again: by a Retry, or by an execution that resumes the run. It finds
the job that it made before, and makes another one only where that has failed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

LONGEST_NAME = 63  # of a Personalize resource
OVER = frozenset({"CREATE FAILED", "CREATE STOPPING", "CREATE STOPPED"})
"""Statuses of a job that will never be ACTIVE."""

_DIGEST_LENGTH = 10


class Job(NamedTuple):
    """A job that exists: its ARN, its status, and why it failed."""

    arn: str
    status: str
    failure_reason: str | None = None


def solution_of(version_arn: str) -> str:
    """Return the ARN of a solution version's solution."""
    return version_arn.rpartition("/")[0]


def job_name(purpose: str, run: str, attempt: int = 1) -> str:
    """Return a Personalize job name for a run: the same run gives the same name.

    Args:
        purpose: The first part of the name, for example `users`.
        run: The run's name; any characters, of any length.
        attempt: The number of the job, where earlier ones failed.

    Returns:
        Up to 63 letters, digits and hyphens, such as `users-20240601T040000Z-1f2e3d4c5b`.
    """
    run = run if attempt == 1 else f"{run}.{attempt}"
    digest = hashlib.sha256(run.encode()).hexdigest()[:_DIGEST_LENGTH]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{purpose}-{run}").strip("-")
    return f"{readable[: LONGEST_NAME - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"


def purpose_of(job: str, event: Mapping[str, Any]) -> str:
    """Return the first part of a job's name: of several recommenders each has its own jobs.

    Args:
        job: For example `batch`.
        event: A handler's; `recommender` is left out, or empty, for the first.
    """
    recommender = event.get("recommender")
    return f"{job}-{recommender}" if recommender else job


def job_response(
    arn: str,
    status: str,
    wait_seconds: int,
    failure_reason: str | None = None,
    *,
    expected: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the object that a poll loop keeps.

    Args:
        arn: The job's.
        status: The job's.
        wait_seconds: Until the next poll.
        failure_reason: Of a job that failed; else it is empty.
        expected: How long it will take, `{"seconds", "spread"}`; None if nothing is known of it.
    """
    return {
        "arn": arn,
        "status": status,
        "waitSeconds": wait_seconds,
        "expected": expected,
        "failureReason": failure_reason or "",
    }


def create_once(
    purpose: str,
    run: str,
    *,
    create: Callable[[str], str],
    find: Callable[[str], Job | None],
    exists: type[Exception],
) -> Job:
    """Return a run's job: the one that it has, or a new one if it has none or all have failed.

    Args:
        purpose: The first part of its name, for example `users`.
        run: The run's name.
        create: Creates the job of a name, and returns its ARN.
        find: Returns the run's job of a name; None if it is somebody else's.
        exists: What `create` raises if there is a job of this name.

    Raises:
        ResourceAlreadyExistsException: If a job of this name is not the run's.
    """
    attempt = 0
    while True:
        attempt += 1
        name = job_name(purpose, run, attempt)
        try:
            return Job(create(name), "CREATE PENDING")
        except exists:
            job = find(name)
            if job is None:
                raise
        if job.status not in OVER:
            return job
