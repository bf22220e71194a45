"""The fixture `local_aws`: AWS in the test's own process, empty for each test.

def test_upload(local_aws):
    local_aws.client("s3").create_bucket(Bucket="rows")
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from localaws.aws import LocalAws


@pytest.fixture
def local_aws(tmp_path: Path) -> Iterator[LocalAws]:
    """Answer the clients of boto3's default session, and those of the AWS itself."""
    # Every pytest run of an environment loads this module; the rest only a test that uses it.
    from localaws import in_process  # noqa: PLC0415

    with in_process.local_aws(directory=tmp_path / "aws") as aws:
        yield aws
