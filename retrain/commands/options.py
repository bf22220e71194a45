"""What the commands share: common options, the two consoles, clients of the configured account."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from retrain.files import write_whole
from workflow.config import Config

if TYPE_CHECKING:
    from workflow.deployment.account import Clients

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration.", show_default=True)
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit 1 if what is written is stale.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

DEFAULT_CONFIG = Path("retraining.toml")
RENDERED = Path("asl")
DEFINITION = RENDERED / "retraining.asl.json"

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def clients(config: Config) -> Clients:
    """Return clients of the configured account, with the credentials that boto3 finds.

    Raises:
        DeployError: there are none, they have expired, or they are another account's.
    """
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from workflow.deployment.account import check_identity, clients_of, explained  # noqa: PLC0415
    from workflow.errors import DeployError  # noqa: PLC0415

    try:
        found = clients_of(boto3.Session(), config.aws.region)
    except BotoCoreError as error:
        raise DeployError(explained(error, "sts", config.aws.region)) from error
    check_identity(config, found)
    return found


def write_or_compare(path: Path, text: str, *, check: bool) -> bool:
    """Write a rendered file, or show how the one that is there differs; return whether it is stale.

    Args:
        path: the file.
        text: what it is to hold.
        check: compare only.
    """
    from workflow.definition.render import difference  # noqa: PLC0415  the SDK costs half a second

    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if there == text:
        out.print(f"{path}: up to date")
        return False
    if check:
        out.print(f"{path}: stale", style="red")
        out.print(escape(difference(there, text)), end="")
        return True
    out.print(f"{write_whole(path, text)}: written")
    return False


def print_json(value: Any) -> None:
    """Print a value as JSON; times in UTC as ISO 8601."""

    def text(other: Any) -> str:
        return other.astimezone(UTC).isoformat() if isinstance(other, datetime) else str(other)

    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=text))
