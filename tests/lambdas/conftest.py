"""Fixtures: Personalize and S3 without AWS, and boto3's session."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws


@pytest.fixture(scope="module")
def personalize() -> Any:
    return boto3.client(
        "personalize",
        region_name="ap-northeast-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )


@pytest.fixture
def calls(personalize: Any) -> Iterator[Stubber]:
    """Yield the stubber of Personalize, which expects its calls in order and no others."""
    with Stubber(personalize) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


class Session:
    """A fake of boto3's default session, from which a handler takes its clients."""

    def __init__(self, **clients: Any) -> None:
        self.clients = clients

    def client(self, service: str, config: Any = None) -> Any:
        return self.clients[service]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, personalize: Any) -> Session:
    session = Session(personalize=personalize)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return session


@pytest.fixture
def own_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give handlers a fresh session of boto3, whose endpoint a test sets."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session())


Answering: TypeAlias = Callable[[Callable[[bytes], bytes]], AbstractContextManager[None]]


@pytest.fixture
def answering(own_aws: None, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Return a context in which a function answers each request, and its connection is closed."""

    def serve(server: socket.socket, answer: Callable[[bytes], bytes]) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(answer(connection.recv(1 << 16)))

    @contextmanager
    def context(answer: Callable[[bytes], bytes]) -> Iterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
            serving = threading.Thread(target=serve, args=(server, answer), daemon=True)
            serving.start()
            try:
                yield
            finally:
                server.shutdown(socket.SHUT_RDWR)
                serving.join()

    return context


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
