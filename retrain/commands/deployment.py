"""The commands that compare AWS with the configuration, and change it, and `permissions`."""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from retrain.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigFile,
    clients,
    command,
    out,
    print_json,
    show_notes,
)
from retrain.files import json_text, write_whole
from workflow.config import load_config

if TYPE_CHECKING:
    from workflow.deployment.account import Clients
    from workflow.deployment.deploy import Change, Plan

Yes = Annotated[bool, typer.Option("--yes", help="Do not prompt.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Take the lock of a deployment that was killed.")
]
_COLOURS = {
    "create": "green",
    "update": "yellow",
    "replace": "red",
    "delete": "red",
    "blocked": "bold red",
}


def plan(
    config: ConfigFile = DEFAULT_CONFIG,
    show_all: Annotated[bool, typer.Option("--all", help="Name what does not change too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare AWS with the configuration and show the plan of a deployment; changes nothing.

    Exits 1 if some of it cannot be done.

    Example: retrain plan --config retraining.toml
    """
    from workflow.deployment.deploy import plan as compare  # noqa: PLC0415  boto3 costs time
    from workflow.deployment.derived_permissions import derive  # noqa: PLC0415

    loaded = load_config(config)
    changes = compare(loaded, clients(loaded))
    show_notes(derive(loaded).notes)
    if as_json:
        print_json([_as_json(change) for change in changes.changes])
    else:
        _show(changes, unchanged=show_all)
    if changes.blocked:
        raise typer.Exit(1)


def deploy(
    config: ConfigFile = DEFAULT_CONFIG, yes: Yes = False, take_over: TakeOver = False
) -> None:
    """Create the resources on AWS, or bring them up to date; shows the plan and prompts.

    Example: retrain deploy --yes
    """
    from workflow.deployment.deploy import plan as compare  # noqa: PLC0415
    from workflow.deployment.derived_permissions import derive  # noqa: PLC0415

    loaded = load_config(config)
    account = clients(loaded)
    show_notes(derive(loaded).notes)
    _carry_out(compare(loaded, account), account, "Deploy?", yes=yes, take_over=take_over)
    out.print(f"{escape(command('start --wait', config))} begins a run")


def destroy(
    config: ConfigFile = DEFAULT_CONFIG,
    yes: Yes = False,
    empty_bucket: Annotated[
        bool,
        typer.Option("--empty-bucket", help="Delete the bucket with everything that runs left."),
    ] = False,
    take_over: TakeOver = False,
) -> None:
    """Delete a deployment; shows the plan and prompts. A bucket that is not empty stays.

    Example: retrain destroy
    """
    from workflow.deployment.deploy import destroy_plan  # noqa: PLC0415

    loaded = load_config(config)
    account = clients(loaded)
    deletions = destroy_plan(loaded, account, empty_bucket=empty_bucket)
    _carry_out(deletions, account, "Delete all of this?", yes=yes, take_over=take_over)


def permissions(
    who: Annotated[
        str,
        typer.Argument(
            help="Print this policy alone, as IAM takes it: states, functions, glue, personalize,"
            " scheduler, deployer, operator, analyst.",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the policy of WHO, or those of all people, into this folder, in files of a"
            " size that IAM takes as a managed policy.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the permissions of each role and of the people who deploy or run; calls nothing.

    Exits 1 if the state machine's role needs some that do not follow from the definition.

    Example: retrain permissions --output iam
    """
    from retrain.tables import show_grants  # noqa: PLC0415
    from workflow.deployment.derived_permissions import check_derived  # noqa: PLC0415
    from workflow.deployment.permissions import (  # noqa: PLC0415
        PEOPLE,
        grants,
        permission_policy,
        principal,
    )

    loaded = load_config(config)
    if output:
        for name in [who] if who else PEOPLE:
            _write_policies(output, name, permission_policy(loaded, principal(name)))
    elif who:
        print_json(permission_policy(loaded, principal(who)))
    elif as_json:
        print_json([asdict(grant) for grant in grants(loaded)])
    else:
        show_grants(out, grants(loaded))
    if who in {"", "states"}:
        show_notes(check_derived(loaded).notes)


def _write_policies(folder: Path, who: str, policy: dict[str, Any]) -> None:
    """Write a policy as `WHO.json`, or as `WHO-1.json`, `WHO-2.json` and so on."""
    from workflow.deployment.policies import managed_policies, size_of  # noqa: PLC0415

    parts = managed_policies(policy)
    names = [f"{who}-{number}.json" for number, _ in enumerate(parts, 1)]
    if len(parts) == 1:
        names = [f"{who}.json"]
    for name, part in zip(names, parts, strict=True):
        path = write_whole(folder / name, json_text(part))
        out.print(escape(f"{path}: {size_of(part):,} characters"))
    # What an earlier configuration was allowed is not to be attached again.
    for path in folder.glob(f"{who}*.json"):
        if re.fullmatch(rf"{who}(-\d+)?\.json", path.name) and path.name not in names:
            path.unlink()


def _as_json(change: Change) -> dict[str, Any]:
    return {
        "id": change.resource.id,
        "type": change.resource.type,
        "name": change.resource.name,
        "action": change.action,
        "destructive": change.destructive,
        "note": change.note,
        "differences": [asdict(difference) for difference in change.differences],
    }


def _show(plan: Plan, *, unchanged: bool = False) -> None:
    from workflow.deployment.deploy import describe  # noqa: PLC0415

    for line in describe(plan, unchanged=unchanged):
        action, _, rest = line.partition(" ")
        colour = _COLOURS.get(action, "")
        text = f"[{colour}]{action}[/] {escape(rest)}" if colour else escape(line)
        out.print(text, style="dim" if action in {"unchanged", "keep", "skip"} else None)


def _carry_out(plan: Plan, account: Clients, question: str, *, yes: bool, take_over: bool) -> None:
    """Show a plan, ask, and apply it."""
    from workflow.deployment.deploy import apply  # noqa: PLC0415

    _show(plan)
    if plan.pending and not plan.blocked and not yes and not typer.confirm(question):
        out.print("nothing was touched")
        raise typer.Exit(1)
    if not plan.pending:
        return
    numbers, total = itertools.count(1), len(plan.pending)
    with out.status("comparing once more, under a lock") as status:

        def show_progress(change: Change, done: bool) -> None:
            text = f"{change.action} {escape(change.resource.id)}"
            if done:
                out.print(f"[green]✓[/] [dim]{next(numbers):>2}/{total}[/] {text}")
            else:
                status.update(text)

        apply(plan, account, now=datetime.now(UTC), progress=show_progress, take_over=take_over)
