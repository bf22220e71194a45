"""Fixtures: Personalize and S3 without AWS, and boto3's session."""

from collections.abc import Iterator
from typing import Any

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
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
