"""The local AWS that the tests of SageMaker share."""

from collections.abc import Iterator

import pytest

from localaws.aws import LocalAws

from .world import ACCOUNT, REGION, World


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("aws")
    with LocalAws(
        directory=directory, is_kept=False, account=ACCOUNT, region=REGION, time_scale=0.0
    ) as aws:
        yield World(aws)
