"""The requests that made the resources, kept so that they can be repeated after a restart.

For services that hold their state in memory and are changed by small requests: roles, topics,
queues, rules, state machines, a bucket's settings. Each request that succeeded is an entry, written
before it is carried out; at the next start the requests are repeated, in their order, with the
ids and the times of the first time. What runs (an execution), what passes through (a message, an
event, a log line) and the objects of buckets are not in it. A request that replaces all that an
earlier one has set takes the place of that one's entry, unless a request of another kind came
between them, which may have depended on it.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.calls import Call, call_of, is_s3, signature_of
from localaws.http.wsgi import Response, environ_of, perform, request_body
from localaws.moto_patches.determinism import pinned
from localaws.persistence.documents import Documents
from localaws.persistence.s3_objects import bucket_and_key

_COLLECTION = "request"
_READING = (
    "Get", "List", "Describe", "Head", "Search", "Lookup", "Simulate", "Test", "Validate",
    "BatchGet", "Select", "Query", "Scan", "Filter", "Check", "Estimate", "Decode", "View",
)  # fmt: skip
_PASSING_THROUGH = (
    "PublishBatch", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility",
    "PurgeQueue", "PutEvents", "PutLogEvents", "CreateLogStream", "PutMetricData", "AssumeRole",
    "StartExecution", "StartSyncExecution", "StopExecution", "RedriveExecution", "SendTask",
)  # fmt: skip
_REPLACING: dict[str, tuple[str, ...]] = {
    "PutRolePolicy": ("RoleName", "PolicyName"),
    "UpdateAssumeRolePolicy": ("RoleName",),
    "PutRetentionPolicy": ("logGroupName",),
    "PutMetricAlarm": ("AlarmName",),
    "PutRule": ("Name", "EventBusName"),
    "UpdateSchedule": ("Name", "GroupName"),
    "SetTopicAttributes": ("TopicArn", "AttributeName"),
    "UpdateStateMachine": ("stateMachineArn",),
    "PutBucketPolicy": ("Bucket",),
    "PutBucketTagging": ("Bucket",),
    "PutBucketEncryption": ("Bucket",),
    "PutBucketLifecycleConfiguration": ("Bucket",),
    "PutBucketOwnershipControls": ("Bucket",),
    "PutPublicAccessBlock": ("Bucket",),
}
"""Operations that leave nothing of what the same members were set to before, and their subject."""

_HEADERS = ("AUTHORIZATION", "HOST", "X_AMZ_TARGET", "ACCEPT", "SMITHY_PROTOCOL")

log = logging.getLogger(__name__)


class RequestLog:
    """Writes down the requests that change something, and repeats them.

    Attributes:
        length: How many entries this object has written.
    """

    def __init__(self, application: WSGIApplication, documents: Documents) -> None:
        self._application = application
        self._documents = documents
        # One at a time: the order of the entries is the order in which they were answered.
        self._lock = threading.Lock()
        self._last: dict[tuple[str, ...], str] = {}  # entries by what they set
        self.length = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not _changes_resources(environ):
            return self._application(environ, start_response)
        entry = {
            "method": environ["REQUEST_METHOD"],
            "path": _path(environ),
            "query": environ.get("QUERY_STRING", ""),
            "headers": _headers(environ),
            "body": request_body(environ),
            "seed": secrets.randbits(63),
            "moment": datetime.now(UTC),
        }
        key, call = f"{entry['moment'].isoformat()} {entry['seed']}", call_of(environ)
        with self._lock:
            # Before the request: what cannot be kept must not happen.
            self._documents.put(_COLLECTION, key, entry)
            response: Response | None = None
            try:
                with pinned(entry["seed"], entry["moment"]):
                    response = perform(self._application, environ)
            finally:
                if response is not None and response.succeeded:
                    self.length += 1
                    self._note(key, call, signature_of(environ).region)
                else:
                    self._documents.drop(_COLLECTION, key, can_wait=True)
        return response(environ, start_response)

    def repeat(self) -> None:
        """Repeat every request. One that fails now is left out, with a warning."""
        for key, entry in self._documents.all(_COLLECTION):
            host = entry["headers"].get("HOST", "127.0.0.1")
            url = f"http://{host}{entry['path']}?{entry['query']}"
            environ = environ_of(entry["method"], url, entry["headers"], entry["body"])
            call = call_of(environ)
            with pinned(entry["seed"], entry["moment"]):
                response = perform(self._application, environ)
            if not response.succeeded:
                reason = response.get_data(as_text=True)
                log.warning("%s %s cannot be repeated: %s", entry["method"], entry["path"], reason)
                call = Call()
            self._note(key, call, signature_of(environ).region)

    def _note(self, key: str, call: Call, region: str) -> None:
        """Drop the entry whose place this one takes; a kill before that leaves both, and the same.

        Args:
            key: The entry's.
            call: Its call; without an operation or parameters, one of which nothing is known.
            region: Of the call.
        """
        members, parameters = _REPLACING.get(call.operation), call.parameters
        if not members or not parameters or parameters.get("publish"):
            self._last.clear()
            return
        named = [str(parameters.get(member)) for member in members]
        subject = (region, call.service, call.operation, *named, *sorted(parameters))
        if earlier := self._last.get(subject):
            self._documents.drop(_COLLECTION, earlier, can_wait=True)
        self._last[subject] = key


def services_in_log(documents: Documents) -> set[str]:
    """Return the signing names of the services that have entries."""
    return {
        signature_of({"HTTP_AUTHORIZATION": entry["headers"].get("AUTHORIZATION", "")}).service
        for _, entry in documents.all(_COLLECTION)
    }


def _changes_resources(environ: WSGIEnvironment) -> bool:
    if environ["REQUEST_METHOD"] in {"HEAD", "OPTIONS"} or bucket_and_key(environ):
        return False
    operation = call_of(environ).operation
    if not operation:
        return is_s3(environ) and environ["REQUEST_METHOD"] != "GET"
    # SNS's Publish is no beginning: what else is published, as a state machine's version, stays.
    return operation != "Publish" and not operation.startswith(_READING + _PASSING_THROUGH)


def _path(environ: WSGIEnvironment) -> str:
    """Return the path as it was sent, percent-encoded."""
    path = environ.get("RAW_URI") or quote(environ["PATH_INFO"], encoding="latin-1")
    return str(path).partition("?")[0]


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    """Return the headers by which services, protocols and settings differ."""
    headers = {
        name.removeprefix("HTTP_"): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_") or name.removeprefix("HTTP_") in _HEADERS
    }
    headers["CONTENT_TYPE"] = environ.get("CONTENT_TYPE", "")
    headers["X_MOTO_ACCOUNT_ID"] = environ.get("HTTP_X_MOTO_ACCOUNT_ID", "")
    return {name.replace("_", "-"): value for name, value in headers.items() if value}
