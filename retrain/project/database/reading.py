"""A database → its description: catalogue, counts and the values of some rows; nothing is written.

psycopg and PyMySQL are used, not Spark: a dozen small queries a table in Spark's JDBC reader would
cost half a second each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from etl.database import Database
from etl.errors import EtlError
from retrain.project.database.catalogue import Catalogue
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
    try:
        database = Database.from_url(url)
    except EtlError as error:
        raise ProjectError(str(error)) from None
    connect = open_postgresql if database.engine == "postgresql" else open_mysql
    with connect(database) as catalogue:
        tables = catalogue.tables()
        if not tables:
            raise ProjectError(
                f"{database.description}: has no tables that the user '{database.user}' may read;"
                " name another database, or give the user SELECT"
            )
        if len(tables) > MAX_TABLES:
            raise ProjectError(
                f"{database.description}: has {len(tables):,} tables; init looks at"
                f" {MAX_TABLES} at most: give it a user who may read those that matter"
            )
        sampled = tuple(filter(None, (catalogue.sampled(table) for table in tables)))
        schema = Schema(database.engine, database.name, sampled)
        names = {table.facts.name: table.sql for table in tables}
        shares = {each: catalogue.share_found(each, names) for each in candidates(schema)}
        schema = with_references(schema, shares)
        return replace(schema, active_users=_active_users(catalogue, schema, names))


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
