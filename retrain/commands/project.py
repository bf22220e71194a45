"""The commands of a new project: `init` proposes it from a database, `preview` shows its rows."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from retrain.commands.options import DEFAULT_CONFIG, ConfigFile, out
from workflow.config import load_config

DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar="DATABASE_URL",
        help="The database: postgresql://user:password@host:port/name, or mysql://….",
        show_default=False,
    ),
]


def preview(
    database_url: DatabaseUrl,
    config: ConfigFile = DEFAULT_CONFIG,
    rows: Annotated[int, typer.Option(min=0, help="Rows that are shown of each.")] = 3,
    sample: Annotated[int, typer.Option(min=1, help="Rows that are read of each table.")] = 1_000,
) -> None:
    """Show some rows of each data set as they will be written, and which are rejected, and why.

    The job's own code reads the first rows of each table, by LIMIT, and of joined tables their
    partners: shares and counts are of these rows. Nothing is written.

    Exit code 1: something does not fit the database, or a table that is needed has no rows.

    Example: retrain preview --database-url postgresql://me:secret@127.0.0.1:5432/shop --rows 5
    """
    from retrain.preview_tables import show_preview  # noqa: PLC0415
    from retrain.project.preview import preview_database, remarks  # noqa: PLC0415

    loaded = load_config(config)
    share = loaded.etl.max_rejected_share
    has_rows = preview_database(
        loaded.job_spec(),
        database_url,
        source=str(config),
        rows=rows,
        sample=sample,
        environment=os.environ,
        show=lambda each: show_preview(out, each, remarks(each, share)),
    )
    if not has_rows:
        raise typer.Exit(1)
