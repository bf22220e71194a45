"""A database → its description: catalogue, counts and the values of some rows; nothing is written.

psycopg and PyMySQL are used, not Spark: a dozen small queries a table in Spark's JDBC reader would
cost half a second each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from etl.database import Database
from etl.datasets import Engine
from etl.errors import EtlError
from retrain.project.database.catalogue import Catalogue, CatalogueTable
from retrain.project.database.mysql import open_mysql
from retrain.project.database.postgresql import open_postgresql
from retrain.project.database.references import candidates, with_references
from retrain.project.database.schema import Schema
from retrain.project.errors import ProjectError
from retrain.project.roles import possible_events

MAX_TABLES = 300
_LIKELY_EVENTS = 3


def read_schema(url: str) -> Schema:
    """Return the description of a database.

    Args:
        url: `postgresql://user:password@host:port/name`, or mysql.

    Raises:
        ProjectError: If the database cannot be reached, or has no tables with columns.
    """
    database = _database(url)
    with _connected(database) as catalogue:
        listed = catalogue.tables()
        if not listed:
            raise ProjectError(
                f"{database.description}: has no tables that the user '{database.user}' may read;"
                " name another database, or give the user SELECT"
            )
        tables = [table for table in listed if not table.facts.is_view]
        if len(tables) > MAX_TABLES:
            raise ProjectError(
                f"{database.description}: has {len(tables):,} tables; init looks at"
                f" {MAX_TABLES} at most: give it a user who may read those that matter"
            )
        names = {table.facts.name: table.sql for table in listed}
        schema = _sampled(catalogue, Schema(database.engine, database.name, ()), tables, names)
        views = [table for table in listed if table.facts.is_view][: MAX_TABLES - len(tables)]
        if views and not _is_enough(schema):
            schema = _sampled(catalogue, schema, views, names)
        return replace(schema, active_users=_active_users(catalogue, schema, names))


def reach(url: str, engine: Engine) -> None:
    """Connect to a database of an engine, and do nothing with it.

    Raises:
        ProjectError: If the URL names no such database, or it cannot be reached.
    """
    database = _database(url, engine)
    with _connected(database):
        pass


def _database(url: str, engine: Engine | None = None) -> Database:
    try:
        database = Database.from_url(url)
        if engine:
            database.require(engine)
    except EtlError as error:
        raise ProjectError(str(error)) from None
    return database


def _connected(database: Database) -> AbstractContextManager[Catalogue]:
    return (open_postgresql if database.engine == "postgresql" else open_mysql)(database)


def _sampled(
    catalogue: Catalogue,
    schema: Schema,
    further: Sequence[CatalogueTable],
    names: Mapping[str, str],
) -> Schema:
    """Return the schema with further tables, and the references that are found then."""
    found = filter(None, (catalogue.sampled(table) for table in further))
    schema = replace(schema, tables=(*schema.tables, *found))
    shares = {each: catalogue.share_found(each, names) for each in candidates(schema)}
    return with_references(schema, shares)


def _is_enough(schema: Schema) -> bool:
    """Return whether the tables have events, users and items, so that no view is needed."""
    filled = (events for events in possible_events(schema) if events.table.rows)
    best = next(filled, None)
    return best is not None and best.users is not None and best.items is not None


def _active_users(
    catalogue: Catalogue, schema: Schema, names: Mapping[str, str]
) -> dict[str, float]:
    """Return what could be events → the share of its users that have any."""
    return {
        events.table.name: catalogue.share_used(
            users.by_name[key],
            events.user.column,
            names[events.user.table.name],
        )
        for events in possible_events(schema)[:_LIKELY_EVENTS]
        if events.users and events.table.rows
        for users, key in [events.users]
    }
