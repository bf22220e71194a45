"""What the job handlers share: names that are unique per run, and the one shape of an answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

LONGEST_NAME = 63  # of a Personalize resource
_DIGEST = 10


def job_name(kind: str, run: str) -> str:
    """Return a Personalize job name for a run: the same run gives the same name.

    Args:
        kind: what the job is for, for example `users`.
        run: the execution's name; any characters, of any length.

    Returns:
        Up to 63 letters, digits and hyphens, such as `users-20240601T040000Z-1f2e3d4c5b`.
    """
    digest = hashlib.sha256(run.encode()).hexdigest()[:_DIGEST]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{kind}-{run}").strip("-")
    return f"{readable[: LONGEST_NAME - _DIGEST - 1].rstrip('-')}-{digest}"


def pages(call: Callable[..., Any], key: str, **arguments: Any) -> Iterator[Any]:
    """Yield the items of every page of a List operation."""
    token: dict[str, str] = {}
    while True:
        answer = call(**arguments, **token)
        yield from answer[key]
        if not answer.get("nextToken"):
            return
        token = {"nextToken": answer["nextToken"]}


def job_answer(
    arn: str, status: str, wait_seconds: int, failure_reason: str | None = None
) -> dict[str, Any]:
    """Return what a poll loop keeps of a job; the reason is empty unless it failed."""
    return {
        "arn": arn,
        "status": status,
        "waitSeconds": wait_seconds,
        "failureReason": failure_reason or "",
    }
