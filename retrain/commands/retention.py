"""The command that deletes what old runs left, or shows what would go."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from retrain.commands.deployment import Yes
from retrain.commands.options import DEFAULT_CONFIG, AsJson, ConfigFile, clients, out, print_json
from workflow.config import load_config
from workflow.errors import WorkflowError
from workflow.spelling import counted


class NoRetentionError(WorkflowError, ValueError):
    """A configuration without rules by which old runs are cleaned up."""


def clean(
    config: ConfigFile = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what goes and what stays; delete nothing.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete what old runs left, as [retention] says; shows it and prompts.

    Each run that published does the same at its end.

    Example: retrain clean --dry-run
    """
    from lambdas.retention import clean_up_of, delete, read_stock  # noqa: PLC0415  boto3
    from retrain.run_tables import show_clean_up  # noqa: PLC0415

    loaded = load_config(config)
    if loaded.retention is None:
        raise NoRetentionError(
            f"{config} has no rules by which runs are cleaned up; add the table [retention], for"
            " example with runs = 10, and try 'retrain clean --dry-run'"
        )
    account = clients(loaded)
    request = {**loaded.clean_up_request(), "run": ""}
    s3, personalize = account("s3"), account("personalize")
    clean_up = clean_up_of(
        read_stock(s3, account("stepfunctions"), personalize, request), loaded.retention.runs
    )
    if not as_json:
        show_clean_up(out, clean_up)
    if dry_run or clean_up.is_empty:
        if as_json:
            print_json(_as_json(clean_up))
        return
    if not yes and not typer.confirm("Delete this?"):
        out.print("nothing was touched")
        raise typer.Exit(1)
    deleted = delete(s3, personalize, loaded.bucket, clean_up, has_time=lambda: True)
    if as_json:
        print_json(asdict(deleted))
        return
    out.print(f"deleted {counted(deleted.files, 'file')} of {counted(len(deleted.runs), 'run')}")
    for name in deleted.solutions:
        out.print(f"deleted solution {escape(name)}")
    for name in deleted.left:
        out.print(f"left alone: {escape(name)} is used since it was looked at", style="yellow")


def _as_json(clean_up: Any) -> dict[str, Any]:
    return {
        "runs": [
            {
                "run": folder.run,
                "begun": folder.begun,
                "files": len(folder.removable),
                "bytes": folder.size,
            }
            for folder in clean_up.runs
        ],
        "kept": clean_up.kept,
        "solutions": [solution.name for solution in clean_up.solutions],
        "keptSolutions": clean_up.kept_solutions,
    }
