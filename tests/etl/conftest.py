"""Fixtures of the job's tests: S3 over HTTP."""

from collections.abc import Iterator

import pytest

from localaws.http.endpoint import Endpoint
from tests.etl.runs import BUCKET


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account="123456789012", region="ap-northeast-1") as running:
        running.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        yield running
