"""Helpers of the commands: common options, the two consoles, clients of the configured account."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape

from retrain.files import json_text, write_whole
from workflow.config import Config

if TYPE_CHECKING:
    from workflow.deployment.account import Clients

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration.", show_default=True)
]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if the file is stale.")]
Recommender = Annotated[
    str,
    typer.Option(
        help="Of [recommenders.NAME], by its name; the first one if left out.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

DEFAULT_CONFIG = Path("retraining.toml")
RENDERED = Path("asl")
DEFINITION = RENDERED / "retraining.asl.json"
TEMPLATE = RENDERED / "retraining.template.json"

_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def clients(config: Config) -> Clients:
    """Return clients of the configured account, with the credentials that boto3 finds.

    Raises:
        DeployError: If there are none, they have expired, or they are another account's.
    """
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from workflow.deployment.account import check_identity, clients_of, explain_error  # noqa: PLC0415
    from workflow.errors import DeployError  # noqa: PLC0415

    try:
        account_clients = clients_of(boto3.Session(), config.aws.region)
    except BotoCoreError as error:
        raise DeployError(explain_error(error, "sts", config.aws.region)) from error
    check_identity(config, account_clients)
    return account_clients


def command(text: str, config: Path) -> str:
    """Return a command to type next, in quotes, with the configuration where it is not the usual.

    Args:
        text: For example `start --wait`.
        config: The file that was named.
    """
    named = "" if config == DEFAULT_CONFIG else f" --config {shlex.quote(str(config))}"
    return f"'retrain {text}{named}'"


def is_aws(account: Clients) -> bool:
    """Return whether an account's endpoint is AWS's own, so that it bills what a run took."""
    host = urlsplit(account("stepfunctions").meta.endpoint_url).hostname or ""
    return host.endswith(_AWS_DOMAINS)


def write_or_compare(path: Path, text: str, *, check: bool) -> bool:
    """Write a rendered file, or print how the written one differs; return whether it is stale.

    Args:
        path: The file.
        text: What it is to hold.
        check: Compare only.
    """
    from workflow.definition.render import difference  # noqa: PLC0415  the SDK costs half a second

    written = path.read_text(encoding="utf-8") if path.exists() else ""
    if written == text:
        out.print(f"{escape(str(path))}: up to date")
        return False
    if check:
        out.print(f"{escape(str(path))}: stale", style="red")
        out.print(escape(difference(written, text)), end="")
        return True
    out.print(f"{escape(str(write_whole(path, text)))}: written")
    return False


def print_json(value: Any) -> None:
    """Print a value as JSON; times are ISO 8601 in UTC."""
    typer.echo(json_text(value), nl=False)


def show_notes(notes: Iterable[str]) -> None:
    """Print what a person should know, beside what a program reads."""
    for note in notes:
        err.print(f"note: {escape(note)}", style="yellow")
