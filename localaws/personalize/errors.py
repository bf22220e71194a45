"""Errors of requests to the local Personalize, and of its jobs."""

from __future__ import annotations

from localaws.http.errors import ServiceError


class JobFailedError(Exception):
    """The job cannot succeed; the text becomes its `failureReason`."""


def invalid(message: str) -> ServiceError:
    """Return the error of an invalid request."""
    return ServiceError("InvalidInputException", message)
