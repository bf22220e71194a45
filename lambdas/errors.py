"""Errors under AWS's names, so that Retry and Catch of the state machine can match them.

Lambda reports an exception by the name of its class. botocore raises modelled errors under their
own names, but all others, throttling among them, as `ClientError`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from botocore.exceptions import ClientError

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class InvalidInputException(Exception):  # noqa: N818  Personalize's name
    """The handler cannot use its input."""


class ResourceNotFoundException(Exception):  # noqa: N818  Personalize's name
    """A resource or file that the handler needs does not exist."""


class ManifestNotFound(Exception):  # noqa: N818  as S3 names its own: NoSuchKey, NoSuchBucket
    """The run has no manifest: the Spark job did not finish it."""


class NoRecommendations(Exception):  # noqa: N818
    """Nothing is left to publish; the published list stays as it was."""


def named_errors(handler: Handler) -> Handler:
    """Return the handler; AWS's errors leave it as exceptions with the error code as class name."""

    @wraps(handler)
    def wrapper(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except ClientError as error:
            code = str(error.response["Error"].get("Code", "ClientError"))
            name = code.rpartition(".")[2] or "ClientError"
            message = f"{error.operation_name}: {error.response['Error'].get('Message', '')}"
            raise type(name, (Exception,), {})(message) from error

    return wrapper
