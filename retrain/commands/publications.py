"""The commands on what runs have published: list it, go back to an earlier list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from retrain.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigFile,
    Recommender,
    clients,
    out,
    print_json,
)
from retrain.publications import Publication, publications, publish_again
from retrain.tables import show_publications
from workflow.config import load_config


def published(
    config: ConfigFile = DEFAULT_CONFIG,
    recommender: Recommender = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List what runs have published: when, users, recommendations, the CSV; and which is current.

    Example: retrain published --limit 30
    """
    loaded = load_config(config).of_recommender(recommender)
    listed = publications(clients(loaded)("s3"), loaded.bucket, recommender)
    shown = listed[:limit]
    if as_json:
        print_json([_as_json(each) for each in shown])
    elif shown:
        show_publications(out, shown)
    else:
        out.print("nothing is published yet; 'retrain start' begins a run")


def publish(
    run: Annotated[str, typer.Argument(help="The run whose list is published again.")],
    config: ConfigFile = DEFAULT_CONFIG,
    recommender: Recommender = "",
    as_json: AsJson = False,
) -> None:
    """Publish the list of an earlier run again, until a later run publishes its own.

    Example: retrain publish 20240601T040000Z-3fa9c1
    """
    loaded, now = load_config(config).of_recommender(recommender), datetime.now(UTC)
    publication = publish_again(clients(loaded)("s3"), loaded.bucket, run, recommender, now=now)
    if as_json:
        print_json(_as_json(publication))
    else:
        out.print(escape(f"published {run}: {publication.content['csv']}"))


def _as_json(publication: Publication) -> dict[str, Any]:
    return {**publication.content, "current": publication.is_current}
