"""Errors of requests to the local Personalize, and of its jobs."""

from __future__ import annotations

from localaws.http.errors import ServiceError


class JobFailedError(Exception):
    """The job cannot succeed; the text becomes its `failureReason`."""


class DamagedRowsError(JobFailedError, ServiceError):
    """Rows on the disk are damaged: a job that needs them fails, and a request is refused."""

    def __init__(self, reason: str) -> None:
        ServiceError.__init__(self, "InvalidInputException", reason)

    def __str__(self) -> str:
        return self.message


def invalid(message: str) -> ServiceError:
    """Return the error of an invalid request."""
    return ServiceError("InvalidInputException", message)
