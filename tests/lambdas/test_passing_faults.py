"""Faults of S3 that pass: the function that publishes fails by a name that its Retry has."""

import re
import socket
import threading

import boto3
import pytest

import lambdas.filter_recommendations
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
    monkeypatch: pytest.MonkeyPatch, answer: bytes, name: str
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session())

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(1 << 16)
                path = re.match(rb"\w+ (\S+)", request)
                asked = path[1] if path else b""
                if b"manifest.json" in asked:
                    connection.sendall(whole(MANIFEST))
                elif b"list-type" in asked:
                    connection.sendall(whole(LISTING))
                elif request.startswith(b"GET"):
                    connection.sendall(answer)
                else:
                    connection.sendall(whole(b""))

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        serving = threading.Thread(target=serve, args=(server,), daemon=True)
        serving.start()
        with pytest.raises(Exception) as raised:
            lambdas.filter_recommendations.handler(EVENT, None)
        server.shutdown(socket.SHUT_RDWR)
        serving.join()

    assert type(raised.value).__name__ == name
    assert name in SERVICE_ERRORS
