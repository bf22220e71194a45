"""The database of a local run: the one that a URL names, or a PostgreSQL with the sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from etl.database import Database
from etl.errors import EtlError
from localaws.errors import LocalAwsError
from retrain.local.sample_size import SampleSize
from workflow.config import Config

_DAY = 86_400
_MOVE = "WITH m AS (DELETE FROM {} WHERE {} RETURNING *) INSERT INTO {} SELECT * FROM m"


class DatabaseError(LocalAwsError):
    """The database is not of the configured engine, or its URL cannot be read."""


def check_database(config: Config, database_url: str | None) -> None:
    """Raise an error unless the configuration fits the engine, and the sample if that is read.

    Args:
        config: Its `source.engine` is compared; of the sample the tables too.
        database_url: URL of the database; None stands for the sample in a PostgreSQL.

    Raises:
        DatabaseError: If it is of another engine, the URL cannot be read, or the sample is not what
            the configuration describes.
    """
    engine = config.source.engine
    if database_url is None and engine != "postgresql":
        raise DatabaseError(
            f'the configuration says engine = "{engine}", and only a PostgreSQL is started here;'
            " name a database of yours by --database-url or DATABASE_URL"
        )
    if database_url is None:
        _check_sample_has_tables(config)
    else:
        try:
            Database.from_url(database_url).require(engine)
        except EtlError as error:
            raise DatabaseError(str(error)) from None


def _check_sample_has_tables(config: Config) -> None:
    from retrain.local.sample import TABLES  # noqa: PLC0415  numpy costs time

    relations = [data_set.relation for data_set in config.data_sets]
    for each in config.each_recommender:
        relations += [lookup.relation for lookup in each.lists().lookups]
    named = {name for r in relations for name in (r.table, *(join.table for join in r.joins))}
    if not named & TABLES:  # of a misspelt name the job says more
        raise DatabaseError(
            f"the configuration reads {', '.join(sorted(named))}, and the sample database has none"
            " of these tables; name a database of yours by --database-url or DATABASE_URL"
        )


@contextmanager
def sample_database(directory: Path, size: SampleSize) -> Iterator[str]:
    """Run a PostgreSQL with the sample for the length of a `with` block, and yield its URL.

    Args:
        directory: Holds the cluster. Every user can reach it, and the caller removes it.
        size: Of the sample.

    Raises:
        LocalAwsError: If PostgreSQL cannot be started, or the sample is too small.
    """
    # They cost seconds that a caller with a database need not pay.
    from retrain.local.postgres import Postgres  # noqa: PLC0415
    from retrain.local.sample import load_sample  # noqa: PLC0415

    with Postgres(directory / "postgres") as server:
        load_sample(server.url, size)
        yield server.url


@contextmanager
def growing_sample(database_url: str, *, steps: int, days: int) -> Iterator[Callable[[], None]]:
    """Take the newest events out of a sample database, and yield a function that brings them back.

    Args:
        database_url: URL of a database that `load_sample` filled.
        steps: Number of periods whose events are taken out.
        days: Length of a period; each call of the function brings the next one back.
    """
    import psycopg  # noqa: PLC0415

    from retrain.local.sample import NOW  # noqa: PLC0415

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE to_come (LIKE events)")
        until = NOW.timestamp() - steps * days * _DAY
        later = _MOVE.format("events", "created_at >= to_timestamp(%s)", "to_come")
        connection.execute(later, [until])

        def grow() -> None:
            nonlocal until
            until += days * _DAY
            back = _MOVE.format("to_come", "created_at < to_timestamp(%s)", "events")
            connection.execute(back, [until])

        yield grow
