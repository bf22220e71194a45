"""The endpoint that all tests of the interpreter share."""

import os
from collections.abc import Iterator

import pytest

from localaws.functions.service import Functions
from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults

from .aws import Aws


@pytest.fixture(scope="package")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    directory = tmp_path_factory.mktemp("aws")
    endpoint = Endpoint(account="210987654321", region="ap-northeast-1", time_scale=0.0)
    functions = Functions(
        account="210987654321", region="ap-northeast-1", directory=directory / "functions"
    )
    glue = Glue(directory=directory / "glue", environment=lambda _: dict(os.environ), grace=1.0)
    endpoint.mount("lambda", functions)
    endpoint.mount("glue", glue)
    with endpoint:
        yield Aws(endpoint, functions, glue, directory)
        glue.close()


@pytest.fixture(scope="package")
def installed_faults(aws: Aws) -> Faults:
    return aws.endpoint.wrap_all(Faults)


@pytest.fixture
def faults(installed_faults: Faults) -> Iterator[Faults]:
    yield installed_faults
    installed_faults.clear()
