"""The commands on what runs have published: list it, go back to an earlier list."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrain.campaigns import campaigns, take_along
from retrain.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigFile,
    Recommender,
    clients,
    out,
    print_json,
)
from retrain.publications import (
    NothingPublishedError,
    Publication,
    delivery_command,
    publications,
    publish_again,
    published_now,
)
from retrain.run_tables import show_publications
from workflow.config import Config, load_config
from workflow.run_names import run_of
from workflow.runs.executions import RunningError

if TYPE_CHECKING:
    from workflow.deployment.account import Clients


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
    client = clients(loaded)
    listed = publications(client("s3"), loaded.bucket, recommender)
    shown = listed[:limit]
    if as_json:
        print_json([_as_json(each) for each in shown])
    elif shown:
        current = next((each for each in listed if each.is_current), None)
        show_publications(out, shown, current)
        if current and loaded.campaigns:
            for campaign in campaigns(client("personalize"), loaded, current.version):
                out.print(escape(str(campaign)))
    else:
        out.print("nothing is published yet; 'retrain start' begins a run")


def publish(
    run: Annotated[str, typer.Argument(help="The run whose list is published again.")],
    config: ConfigFile = DEFAULT_CONFIG,
    with_campaigns: Annotated[
        bool,
        typer.Option("--campaigns", help="Update the configured campaigns to its version too."),
    ] = False,
    recommender: Recommender = "",
    as_json: AsJson = False,
) -> None:
    """Publish the list of an earlier run again, until a later run publishes its own.

    Campaigns go on to serve what they served, unless --campaigns; it is said which. Of a run whose
    list is the published one, --campaigns updates them alone.

    Example: retrain publish 20240601T040000Z-3fa9c1 --campaigns
    """
    loaded = load_config(config).of_recommender(recommender)
    if with_campaigns and not loaded.campaigns:
        raise RunningError(
            "--campaigns: the configuration has no table [campaigns.NAME]; add one, or leave it out"
        )
    client, run = clients(loaded), run_of(run)
    current = published_now(client("s3"), loaded.bucket, recommender)
    if with_campaigns and current and current.run == run:
        publication = current
    else:
        publication = _published_again(client, loaded, run)
    change = take_along if with_campaigns else campaigns
    listed = (
        list(change(client("personalize"), loaded, publication.version)) if loaded.campaigns else []
    )
    if as_json:
        also = {"campaigns": [asdict(each) for each in listed]} if listed else {}
        print_json({**_as_json(publication), **also})
    else:
        out.print(escape(f"published {run}: {publication.content['csv']}"))
        if loaded.delivery:
            out.print(
                escape(
                    f"table '{loaded.delivery.table}' has the list that was delivered last; this"
                    " one goes there by:"
                )
            )
            out.print(escape(delivery_command(loaded, run)), soft_wrap=True)
        for each in listed:
            out.print(escape(str(each)))
    if faulty := [each.name for each in listed if each.fault]:
        raise RunningError(
            f"the list of run '{run}' is published, but not updated: campaign {', '.join(faulty)};"
            " 'retrain publish' with the same arguments tries it again"
        )


def _published_again(client: Clients, loaded: Config, run: str) -> Publication:
    """Go back to the list of a run; if it has none, say why."""
    s3, now = client("s3"), datetime.now(UTC)
    try:
        return publish_again(s3, loaded.bucket, run, loaded.recommender, now=now)
    except NothingPublishedError:
        from retrain.run_ends import why_unpublished  # noqa: PLC0415  boto3

        reason = why_unpublished(client("stepfunctions"), s3, loaded, run)
        raise RunningError(reason) from None


def _as_json(publication: Publication) -> dict[str, Any]:
    return {**publication.content, "current": publication.is_current}
