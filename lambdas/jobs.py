"""Names of jobs, unique per run, and the response that the job handlers share."""

from __future__ import annotations

import hashlib
import re
from typing import Any

LONGEST_NAME = 63  # of a Personalize resource
_DIGEST_LENGTH = 10


def job_name(purpose: str, run: str) -> str:
    """Return a Personalize job name for a run: the same run gives the same name.

    Args:
        purpose: The first part of the name, for example `users`.
        run: The execution's name; any characters, of any length.

    Returns:
        Up to 63 letters, digits and hyphens, such as `users-20240601T040000Z-1f2e3d4c5b`.
    """
    digest = hashlib.sha256(run.encode()).hexdigest()[:_DIGEST_LENGTH]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{purpose}-{run}").strip("-")
    return f"{readable[: LONGEST_NAME - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"


def job_response(
    arn: str, status: str, wait_seconds: int, failure_reason: str | None = None
) -> dict[str, Any]:
    """Return the object that a poll loop keeps; the reason is empty unless the job failed."""
    return {
        "arn": arn,
        "status": status,
        "waitSeconds": wait_seconds,
        "failureReason": failure_reason or "",
    }
