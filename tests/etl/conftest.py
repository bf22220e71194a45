"""Fixtures of the job's tests: databases that really run, and S3 over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from localaws.http.endpoint import Endpoint
from retrain.local.postgres import Postgres
from tests.etl.runs import BUCKET, NAMES
from tests.mariadb import MariaDb, MariaDbDatabase


@pytest.fixture(scope="session")
def mariadb_server(scratch: Path) -> Iterator[MariaDb]:
    """Run a MariaDB in the zone +09:00."""
    directory = scratch / "mariadb"
    directory.mkdir()
    with MariaDb(directory) as server:
        yield server


@pytest.fixture
def mariadb(mariadb_server: MariaDb) -> Iterator[MariaDbDatabase]:
    """Yield an empty database of the MariaDB."""
    with mariadb_server.database() as database:
        yield database


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account="123456789012", region="ap-northeast-1") as running:
        running.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        yield running


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """Yield the URL of an empty database."""
    name = f"job{next(NAMES)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
