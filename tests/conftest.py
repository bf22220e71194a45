"""Fixtures of all tests: one PostgreSQL, MariaDB, Spark and Java of jobs for the whole test run."""

import fcntl
import json
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import botocore.session
import psycopg
import pytest
from pyspark.sql import SparkSession

from etl.database import driver_settings
from etl.session import local_spark
from retrain.local.postgres import Postgres
from retrain.local.run import run_locally
from retrain.local.sample_size import SampleSize
from tests.local_runs import EXAMPLE, RecordingView, WholeRun
from tests.mariadb import MariaDb, MariaDbDatabase
from tests.shared_java import shared_java
from workflow import parse_config

# A command makes a session of its own, which reads the models of services again: 0.3 s of CPU.
botocore.session.create_loader = cache(botocore.session.create_loader)

NAMES = count(1)
LONG_FIRST = ("retrain", "workflow/deployment/permissions", "etl", "docs", "analysis")
"""Folders whose tests take longest: they begin, so that both processes end at about one time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: the process that is free takes the next one (`--no-loadscope-reorder`)."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(here).as_posix()
        prefixes = (number for number, name in enumerate(LONG_FIRST) if path.startswith(f"{name}/"))
        return next(prefixes, len(LONG_FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Make a directory that PostgreSQL's user can reach too, unlike pytest's."""
    directory = Path(tempfile.mkdtemp(prefix="retraining-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL with an empty database."""
    with Postgres(scratch / "postgres") as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """Yield the URL of an empty database."""
    with _new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(postgres: Postgres) -> Iterator[str]:
    """Yield the URL of a database that is empty when the first test of a module begins."""
    with _new_database(postgres) as url:
        yield url


@contextmanager
def _new_database(postgres: Postgres) -> Iterator[str]:
    name = f"database{next(NAMES)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


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


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> WholeRun:
    """Perform a local run with a small sample, over the results of an earlier run.

    The process that first needs it performs it for all.
    """
    directory = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        directory = directory.parent
    kept = directory / "whole-run.pickle"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(_whole_run(directory / "whole-run")))
    run: WholeRun = pickle.loads(kept.read_bytes())  # noqa: S301  of the other process
    return run


def _whole_run(output: Path) -> WholeRun:
    view = RecordingView()
    output.mkdir(exist_ok=True)
    before = {"metrics": {"normalized_discounted_cumulative_gain_at_10": 0.125}}
    (output / "metrics.json").write_text(json.dumps(before))
    (output / "recommendations.csv").write_text("USER_ID,ITEM_ID,RANK,SCORE\n1,1,1,0.5\n")
    outcome = run_locally(
        parse_config(EXAMPLE.replace("keep = 25", "keep = 5")),
        output=output,
        database_url=None,
        sample=SampleSize(students=60, postings=40, events=4_000),
        view=view,
    )
    return WholeRun(output, outcome, view)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark as the job starts it on this machine, with both databases' drivers."""
    directory = tmp_path_factory.mktemp("spark")
    session = local_spark(directory, drivers=driver_settings("postgresql"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def java_of_jobs() -> Iterator[Mapping[str, str]]:
    """Run a Java for Spark jobs; yield the variables by which a job takes it."""
    with shared_java() as variables:
        yield variables


@pytest.fixture(scope="module")
def warm_java(java_of_jobs: Mapping[str, str]) -> Iterator[None]:
    """Let the Spark jobs of a module's tests run in the Java that such modules share."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in java_of_jobs.items():
            patch.setenv(name, value)
        yield
