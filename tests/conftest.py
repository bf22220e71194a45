"""What the tests share: one PostgreSQL and one Spark for the whole run."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl.database import driver_settings
from etl.session import local_spark
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


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark as the job starts it on this machine, with PostgreSQL's driver."""
    directory = tmp_path_factory.mktemp("spark")
    session = local_spark(directory, drivers=driver_settings("postgresql"))
    yield session
    session.stop()
