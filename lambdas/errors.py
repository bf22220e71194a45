"""Errors by AWS's names, so that Retry and Catch of the state machine can match them.

Lambda reports an exception by its class's name. botocore raises modelled errors under their own
names, but everything else, throttling among it, as `ClientError`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from botocore.exceptions import ClientError

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class InvalidInputException(Exception):  # noqa: N818  Personalize's name
    """What the handler was given cannot be used."""


class ResourceNotFoundException(Exception):  # noqa: N818  Personalize's name
    """Something that ought to be there is not."""


class ManifestNotFound(Exception):  # noqa: N818  as S3 names its own: NoSuchKey, NoSuchBucket
    """The run has no manifest: the Spark job did not finish it."""


class NoRecommendations(Exception):  # noqa: N818
    """Nothing is left to publish; the published list stays as it was."""


def named_errors(handler: Handler) -> Handler:
    """Let AWS's errors leave `handler` as exceptions whose class is named by the error code."""

    @wraps(handler)
    def named(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except ClientError as error:
            code = str(error.response["Error"].get("Code", "ClientError"))
            name = code.rpartition(".")[2] or "ClientError"
            message = f"{error.operation_name}: {error.response['Error'].get('Message', '')}"
            raise type(name, (Exception,), {})(message) from error

    return named
