"""The fixture `local_aws`: AWS in the test's own process, empty for each test.

def test_upload(local_aws):
    local_aws.client("s3").create_bucket(Bucket="rows")

Override the fixture `local_aws_options` for another account or region, quotas, or the database of
Glue jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from localaws.aws import LocalAws


@pytest.fixture
def local_aws_options() -> dict[str, Any]:
    """Return the arguments of `localaws.in_process.local_aws`; none unless a test overrides it."""
    return {}


@pytest.fixture
def local_aws(tmp_path: Path, local_aws_options: dict[str, Any]) -> Iterator[LocalAws]:
    """Answer the clients of boto3's default session, and those of the AWS itself."""
    # Every pytest run of an environment loads this module; the rest only a test that uses it.
    from localaws import in_process  # noqa: PLC0415

    with in_process.local_aws(**{"directory": tmp_path / "aws", **local_aws_options}) as aws:
        yield aws
