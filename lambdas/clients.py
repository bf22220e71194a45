"""boto3's clients for the handlers, which give up before the function's own time is over.

With boto3's defaults one call that nobody answers takes five minutes; Lambda ends a function of a
minute before that, with an error that no Retry can tell from any other time-out. Here a call fails
in time, and `named_errors` raises it as `ConnectionFailed`. So does a response that breaks off,
which botocore reads as an empty one.
"""

from __future__ import annotations

from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import IncompleteReadError

_SECONDS_TO_CONNECT = 3
_SECONDS_TO_ANSWER = 8
_ATTEMPTS = 3

_CONFIG = Config(
    connect_timeout=_SECONDS_TO_CONNECT,
    read_timeout=_SECONDS_TO_ANSWER,
    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
)


def client(
    service: Literal["dynamodb", "events", "personalize", "s3", "sns", "stepfunctions"],
) -> Any:
    """Return a client of boto3's default session."""
    made = boto3.client(service, config=_CONFIG)
    made.meta.events.register("before-parse", raise_if_cut, unique_id="whole-responses")
    return made


def raise_if_cut(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Compare a response's length with its Content-Length; a streaming body does it by itself.

    A handler for botocore's event `before-parse`.

    Raises:
        IncompleteReadError: If the response is shorter.
    """
    body, length = response_dict["body"], response_dict["headers"].get("Content-Length")
    if isinstance(body, bytes) and length and operation_model.http.get("method") != "HEAD":
        expected = int(length)
        if len(body) < expected:
            raise IncompleteReadError(actual_bytes=len(body), expected_bytes=expected)
