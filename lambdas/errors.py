"""Errors under AWS's names, so that Retry and Catch of the state machine can match them.

Lambda reports an exception by the name of its class. botocore raises modelled errors under their
own names, but all others, throttling among them, as `ClientError`; and where no answer comes at
all, it has a class for each way in which a connection breaks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
)

_SERVER_ERROR = 500  # the first of the HTTP statuses that are not the caller's fault
# Time-outs, refused, closed and broken connections; of `HTTPClientError` botocore derives what
# happens while an answer is read.
NO_ANSWER = (ConnectionError, HTTPClientError, IncompleteReadError)

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class InvalidInputException(Exception):  # noqa: N818  Personalize's name
    """The handler cannot use its input."""


class ResourceNotFoundException(Exception):  # noqa: N818  Personalize's name
    """A resource or file that the handler needs does not exist."""


class ManifestNotFound(Exception):  # noqa: N818  as S3 names its own: NoSuchKey, NoSuchBucket
    """The run has no manifest: the Spark job did not finish it."""


class AnotherRunInProgress(Exception):  # noqa: N818
    """Another run is in progress: this one skips, waits or fails, as `[runs] overlap` says."""


class ResourceInUseException(Exception):  # noqa: N818  Personalize's name, retried for an hour
    """An earlier execution of the same run is still in progress."""


class ExtractedOtherwise(Exception):  # noqa: N818
    """The run's data sets were made by another specification than the present one."""


class CleanUpFailed(Exception):  # noqa: N818
    """A file of an old run cannot be deleted; what is published is so all the same."""


class ExecutionStopped(Exception):  # noqa: N818
    """The execution has ended before its list was published; the published list stays."""


class ExecutionNotEnded(Exception):  # noqa: N818
    """Step Functions does not know the end of an execution yet: Lambda calls again in a minute."""


class NotificationNotTaken(Exception):  # noqa: N818
    """EventBridge did not take the event of a run's end: Lambda calls again in a minute."""


class NewerListPublished(Exception):  # noqa: N818
    """A list of newer data is published already; it stays."""


class NoRecommendations(Exception):  # noqa: N818
    """Nothing is left to publish; the published list stays as it was."""


class ConnectionFailed(Exception):  # noqa: N818
    """AWS gave no answer, or not all of it, in every attempt: retried as AWS's own faults are."""


class DeliveryFailed(Exception):  # noqa: N818
    """The published list could not be delivered to the table, which keeps the one that it had."""


class ListsAlike(Exception):  # noqa: N818
    """Too many users have the same list; the published list stays as it was."""


class IncompleteInput(Exception):  # noqa: N818
    """A file of the run holds other rows than its manifest says; the published list stays."""


class LinesDoNotMatch(Exception):  # noqa: N818
    """A model's output has other lines than its input; the published list stays as it was."""


class QualityGateFailed(Exception):  # noqa: N818
    """No solution version may make the run's lists; the published list stays as it was."""


class CampaignQuotaReached(Exception):  # noqa: N818
    """There are as many campaigns as there may be, until somebody deletes one: no retry helps."""


class CampaignUpdateFailed(Exception):  # noqa: N818
    """A campaign serves another version than the published list's; the list is published."""


def named_errors(handler: Handler) -> Handler:
    """Return the handler; AWS's errors leave it as exceptions with the error code as class name.

    An answer without a code, as load balancers send them, is known by its HTTP status alone: one
    from 500 on leaves it as `ServiceUnavailable`. No answer leaves it as `ConnectionFailed`.
    """

    @wraps(handler)
    def wrapper(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except ClientError as error:
            message = f"{error.operation_name}: {error.response['Error'].get('Message', '')}"
            raise type(_name(error), (Exception,), {})(message) from error
        except NO_ANSWER as error:
            raise ConnectionFailed(str(error)) from error

    return wrapper


def _name(error: ClientError) -> str:
    code = str(error.response["Error"].get("Code", "")).rpartition(".")[2]
    if code.isdecimal() and int(code) >= _SERVER_ERROR:
        return "ServiceUnavailable"
    return code or "ClientError"


def sentence(cause: str) -> str:
    """Return the sentence inside a cause: Lambda and Glue wrap theirs in JSON."""
    wrapped = json_object(cause)
    for key in ("errorMessage", "ErrorMessage", "Cause", "Message"):
        if wrapped.get(key):
            return sentence(str(wrapped[key]))
    return _sentences(cause)


def _sentences(cause: str) -> str:
    """Return the cause of several failures, which ends with a JSON list of them, as a sentence."""
    before, bracket, rest = cause.partition("[{")
    try:
        said = [
            f"{each['failed']}: {each['Error']}: {sentence(each['Cause'])}"
            for each in json.loads(bracket + rest)
        ]
    except (ValueError, KeyError, TypeError):
        return cause
    return before + "; ".join(said)


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for any other text."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
