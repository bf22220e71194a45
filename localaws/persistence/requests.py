"""The requests that made what is there, kept so that they can be answered again after a restart.

For services that hold their state in memory and are changed by small requests: roles, topics,
queues, rules, state machines, a bucket's settings. Each request that succeeded is a line, written
before its response goes out; at the next start the lines are answered again, in their order, with
the ids and the times of the first time. What runs (an execution), what passes through (a message,
an event, a log line) and the objects of buckets are not in it.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from localaws.http.calls import call_of, is_s3, signature_of
from localaws.http.wsgi import environ_of, perform, request_body
from localaws.persistence.documents import Documents
from localaws.persistence.s3_objects import bucket_and_key

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_KIND = "request"
_LOOKING = (
    "Get", "List", "Describe", "Head", "Search", "Lookup", "Simulate", "Test", "Validate",
    "BatchGet", "Select", "Query", "Scan", "Filter", "Check", "Estimate", "Decode", "View",
)  # fmt: skip
_PASSING = (
    "Publish", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility",
    "PurgeQueue", "PutEvents", "PutLogEvents", "CreateLogStream", "PutMetricData", "AssumeRole",
    "StartExecution", "StartSyncExecution", "StopExecution", "RedriveExecution", "SendTask",
)  # fmt: skip
_HEADERS = ("AUTHORIZATION", "HOST", "X_AMZ_TARGET", "ACCEPT", "SMITHY_PROTOCOL")

log = logging.getLogger(__name__)


class Journal:
    """Writes down what changes, and repeats it.

    Args:
        application: Answers the requests.
        documents: Where the lines go.
        pinned: Makes the ids and the times of a request the same every time, from a seed and a
            moment.

    Attributes:
        length: How many lines this object has written.
    """

    def __init__(
        self,
        application: WSGIApplication,
        documents: Documents,
        pinned: Callable[[int, datetime], AbstractContextManager[None]],
    ) -> None:
        self._application = application
        self._documents = documents
        self._pinned = pinned
        # One at a time: the order of the lines is the order in which they were answered.
        self._lock = threading.Lock()
        self.length = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not changes(environ):
            return self._application(environ, start_response)
        line = {
            "method": environ["REQUEST_METHOD"],
            "path": _path(environ),
            "query": environ.get("QUERY_STRING", ""),
            "headers": _headers(environ),
            "body": request_body(environ),
            "seed": secrets.randbits(63),
            "moment": datetime.now(UTC),
        }
        with self._lock:
            with self._pinned(line["seed"], line["moment"]):
                response = perform(self._application, environ)
            if response.succeeded:
                self._documents.put(_KIND, f"{line['moment'].isoformat()} {line['seed']}", line)
                self.length += 1
        return response(environ, start_response)

    def repeat(self) -> None:
        """Answer every line again. One that fails now is left out, and said in the log."""
        for _, line in self._documents.all(_KIND):
            host = line["headers"].get("HOST", "127.0.0.1")
            url = f"http://{host}{line['path']}?{line['query']}"
            environ = environ_of(line["method"], url, line["headers"], line["body"])
            with self._pinned(line["seed"], line["moment"]):
                response = perform(self._application, environ)
            if not response.succeeded:
                reason = response.get_data(as_text=True)
                log.warning("%s %s cannot be repeated: %s", line["method"], line["path"], reason)


def requested(documents: Documents) -> set[str]:
    """Return the signing names of the services that have lines."""
    return {
        signature_of({"HTTP_AUTHORIZATION": line["headers"].get("AUTHORIZATION", "")}).service
        for _, line in documents.all(_KIND)
    }


def changes(environ: WSGIEnvironment) -> bool:
    """Whether a request changes something that is made of requests."""
    if environ["REQUEST_METHOD"] in {"HEAD", "OPTIONS"} or bucket_and_key(environ):
        return False
    operation = call_of(environ).operation
    if not operation:
        return is_s3(environ) and environ["REQUEST_METHOD"] != "GET"
    return not operation.startswith(_LOOKING + _PASSING)


def _path(environ: WSGIEnvironment) -> str:
    """The path as it was sent, percent-encoded."""
    return str(environ.get("RAW_URI") or quote(environ["PATH_INFO"], encoding="latin-1")).partition(
        "?"
    )[0]


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    """What tells services, protocols and settings apart; a header's name in WSGI's way."""
    headers = {
        name.removeprefix("HTTP_"): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_") or name.removeprefix("HTTP_") in _HEADERS
    }
    if content_type := environ.get("CONTENT_TYPE"):
        headers["CONTENT_TYPE"] = content_type
    headers["X_MOTO_ACCOUNT_ID"] = environ.get("HTTP_X_MOTO_ACCOUNT_ID", "")
    return {name.replace("_", "-"): value for name, value in headers.items() if value}
