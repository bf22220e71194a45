"""The commands that look at AWS and change it: `plan`, `deploy`, `destroy`, and `template`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from workflow.config import Config, load_config

if TYPE_CHECKING:
    from workflow.account import Clients
    from workflow.deploy import Change, Plan

deployment = typer.Typer(no_args_is_help=True)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration.", show_default=True)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Take the lock of a deployment that was killed.")
]
_DEFAULT_CONFIG = Path("retraining.toml")
_TEMPLATE = Path("asl/retraining.template.json")
_COLOURS = {
    "create": "green",
    "update": "yellow",
    "replace": "red",
    "delete": "red",
    "blocked": "bold red",
}

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


@deployment.command()
def plan(config: ConfigFile = _DEFAULT_CONFIG) -> None:
    """Compare AWS with the configuration and show what a deployment would do; changes nothing.

    Exits 1 if some of it cannot be done. Example: retrain plan --config retraining.toml
    """
    from workflow.deploy import plan as planned  # noqa: PLC0415  boto3 costs a second

    loaded = load_config(config)
    found = planned(loaded, _clients(loaded))
    _show(found)
    if found.blocked:
        raise typer.Exit(1)


@deployment.command()
def deploy(
    config: ConfigFile = _DEFAULT_CONFIG, yes: Yes = False, take_over: TakeOver = False
) -> None:
    """Create what is not on AWS, and bring up to date what is; asks before it begins.

    Example: retrain deploy --yes
    """
    from workflow.deploy import plan as planned  # noqa: PLC0415

    loaded = load_config(config)
    clients = _clients(loaded)
    found = planned(loaded, clients)
    _show(found)
    _carry_out(found, clients, "Deploy?", yes=yes, take_over=take_over)


@deployment.command()
def destroy(
    config: ConfigFile = _DEFAULT_CONFIG,
    yes: Yes = False,
    empty_bucket: Annotated[
        bool,
        typer.Option("--empty-bucket", help="Delete the bucket with everything that runs left."),
    ] = False,
    take_over: TakeOver = False,
) -> None:
    """Delete what a deployment made; shows what goes and asks. A bucket that holds anything stays.

    Example: retrain destroy
    """
    from workflow.deploy import destroy_plan  # noqa: PLC0415

    loaded = load_config(config)
    clients = _clients(loaded)
    found = destroy_plan(loaded, clients, empty_bucket=empty_bucket)
    _show(found)
    _carry_out(found, clients, "Delete all of this?", yes=yes, take_over=take_over)


@deployment.command()
def template(
    config: ConfigFile = _DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="The rendered template.")] = _TEMPLATE,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the file is stale.")
    ] = False,
) -> None:
    """Render the same resources as a CloudFormation template; calls nothing.

    Example: retrain template --check
    """
    from workflow.render import difference  # noqa: PLC0415
    from workflow.template import rendered_template  # noqa: PLC0415

    text = rendered_template(load_config(config))
    there = output.read_text(encoding="utf-8") if output.exists() else ""
    if there == text:
        _out.print(f"{output}: up to date")
    elif check:
        _out.print(f"{output}: stale", style="red")
        _out.print(escape(difference(there, text)), end="")
        _err.print("run 'retrain template' and commit what it writes")
        raise typer.Exit(1)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        _out.print(f"{output}: written")


def _clients(config: Config) -> Clients:
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from workflow.account import clients_of, explained  # noqa: PLC0415
    from workflow.errors import DeployError  # noqa: PLC0415

    try:
        return clients_of(boto3.Session(), config.aws.region)
    except BotoCoreError as error:
        raise DeployError(explained(error, "sts", config.aws.region)) from error


def _show(plan: Plan) -> None:
    from workflow.deploy import describe  # noqa: PLC0415

    for line in describe(plan):
        word, _, rest = line.partition(" ")
        colour = _COLOURS.get(word, "")
        shown = f"[{colour}]{word}[/] {escape(rest)}" if colour else escape(line)
        _out.print(shown, style="dim" if word in {"unchanged", "keep", "skip"} else None)


def _carry_out(plan: Plan, clients: Clients, question: str, *, yes: bool, take_over: bool) -> None:
    from workflow.deploy import apply  # noqa: PLC0415

    if plan.pending and not plan.blocked and not yes and not typer.confirm(question):
        _out.print("nothing was touched")
        raise typer.Exit(1)

    def tell(change: Change, done: bool) -> None:
        sign = "[green]✓[/]" if done else "[cyan]→[/]"
        _out.print(f"{sign} {change.action} {escape(change.resource.id)}")

    apply(plan, clients, now=datetime.now(UTC), progress=tell, take_over=take_over)
