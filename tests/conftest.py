"""What the tests share: one PostgreSQL and one Spark for the whole run."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.postgres import Postgres


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory that PostgreSQL's own user can reach too, unlike pytest's."""
    directory = Path(tempfile.mkdtemp(prefix="retraining-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[Postgres]:
    """A running PostgreSQL with an empty database."""
    with Postgres(scratch / "postgres") as server:
        yield server
