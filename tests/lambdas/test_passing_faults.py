"""Faults of S3 that pass: the function that publishes fails by a name that its Retry has."""

import re

import pytest

import lambdas.filter_recommendations
from tests.lambdas.conftest import Answering
from workflow.definition.polling import SERVICE_ERRORS

EVENT = {"bucket": "b", "run": "r", "keep": 5, "leastDifferentLists": 0.0, "job": {"model": {}}}
MANIFEST = b'{"version": 1, "run": "r", "createdAt": "2026-01-01T00:00:00Z", "datasets": {}}'
LISTING = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>runs/r/batch-output/"
    b"a.out</Key></Contents></ListBucketResult>"
)
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"
ERROR = (
    b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
)


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


@pytest.mark.parametrize(
    ("answer", "name"),
    [(CUT, "ConnectionFailed"), (whole(ERROR, b"500 Internal Server Error"), "InternalError")],
)
def test_a_fault_while_batch_output_is_read_is_retried(
    answering: Answering, answer: bytes, name: str
) -> None:
    def respond(request: bytes) -> bytes:
        path = re.match(rb"\w+ (\S+)", request)
        asked = path[1] if path else b""
        if b"manifest.json" in asked:
            return whole(MANIFEST)
        if b"list-type" in asked:
            return whole(LISTING)
        return answer if request.startswith(b"GET") else whole(b"")

    with answering(respond), pytest.raises(Exception) as raised:
        lambdas.filter_recommendations.handler(EVENT, None)

    assert type(raised.value).__name__ == name
    assert name in SERVICE_ERRORS
