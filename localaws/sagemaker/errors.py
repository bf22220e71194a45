"""Errors of the local SageMaker: those of requests, and those with which jobs fail."""

from __future__ import annotations

from localaws.http.errors import ServiceError

LONGEST_REASON = 1024
"""Characters of a FailureReason, by the service model."""


class JobFailedError(Exception):
    """A job fails; the text is its FailureReason, with AWS's kind of error before it.

    `ClientError: …` is at fault in the request or its data, `AlgorithmError: …` in the script.
    """


class StoppedError(Exception):
    """A job shall end now."""


def invalid(message: str) -> ServiceError:
    """Return the error of an invalid request."""
    return ServiceError("ValidationException", message)
