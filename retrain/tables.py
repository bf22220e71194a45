"""What the commands print about runs: lists, durations, metrics, failures, costs, permissions."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workflow.deployment.permissions import Grant
from workflow.durations import duration
from workflow.runs.cost import NOT_COUNTED, Estimate, rows
from workflow.runs.diagnosis import Explanation
from workflow.runs.executions import Run
from workflow.runs.history import Failure

_STYLES = {"SUCCEEDED": "green", "RUNNING": "cyan"}


def show_runs(
    console: Console, runs: Sequence[Run], failures: Mapping[str, Failure | None], *, now: datetime
) -> None:
    """Print runs as a table.

    Args:
        console: where to.
        runs: the newest first.
        failures: of each run, by its ARN.
        now: UTC, for the duration of what still runs.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("execution", "status", "begun (UTC)"):
        table.add_column(title, no_wrap=True)
    table.add_column("duration", justify="right", no_wrap=True)
    table.add_column("failed in")
    for run in runs:
        failure = failures.get(run.arn)
        table.add_row(
            escape(run.name),
            f"[{_STYLES.get(run.status, 'red')}]{run.status}[/]",
            f"{_utc(run.begun):%Y-%m-%d %H:%M:%S}",
            duration(run.seconds(now), whole=True),
            escape(failure.state or failure.error) if failure else "",
        )
    console.print(table)


def show_explanation(console: Console, found: Explanation) -> None:
    """Print why a run failed, in whose words, what was logged, and what to do."""
    run, failure = found.run, found.failure
    item = f" ({found.item})" if found.item else ""
    ended = f", {_utc(run.ended):%Y-%m-%d %H:%M:%S} UTC" if run.ended else ""
    console.print(f"[bold]{escape(run.name)}[/]: [red]{run.status}[/]{ended}")
    if failure.state:
        console.print(f"  state    {escape(failure.state)}{escape(item)}")
    console.print(f"  error    {escape(failure.error)}")
    console.print(f"  says     {escape(found.speaker)}:")
    for line in failure.cause.splitlines() or ["(no cause was given)"]:
        console.print(f"             {escape(line)}")
    for log in found.logs:
        stream = f", stream {log.stream}" if log.stream else ""
        note = f": {log.note}" if log.note else ""
        console.print(f"  log      {escape(log.group + stream + note)}")
        for line in (part for entry in log.lines for part in entry.splitlines()):
            console.print(f"             [dim]{escape(line)}[/]")
    for arn in found.left_running:
        console.print(f"  goes on  {escape(arn)}")
    console.print(f"  to do    {escape(found.advice)}")


def show_cost(console: Console, found: Estimate) -> None:
    """Print what a run and a month cost, line by line, and what that rests on."""
    console.print(f"[bold]US dollars[/], prices of {found.table.date}, {found.table.region}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for title in ("a run uses", "price", "a run", "a month"):
        table.add_column(title, justify="right", no_wrap=True)
    *lines, total = rows(found)
    for what, quantity, usd, a_run, a_month in lines:
        aligned = usd if usd.endswith("*") else f"{usd}  "
        table.add_row(what, quantity, aligned, a_run, a_month)
    table.add_row(f"[bold]{total[0]}[/]", *total[1:])
    console.print(table)
    console.print(
        f"{found.runs_a_month:,.4g} runs a month by the schedule;"
        f" a run takes about {duration(found.run_hours * 3_600)}"
    )
    if unverified := [line.price for line in found.lines if not line.price.verified]:
        console.print("* not verified; look at them, and give your own by --prices:")
        for price in unverified:
            console.print(f"    {price.name}  {escape(price.source)}")
    console.print("Assumptions; --assume NAME=VALUE sets one, --execution takes a run's:")
    for one in found.assumptions:
        console.print(
            f"    {one.name:<19}{one.value:>10,.4g} {one.unit:<8} {one.meaning}"
            f" [dim]({escape(one.origin)})[/]"
        )
    console.print(f"Not counted: {NOT_COUNTED}.")


def show_grants(console: Console, granted: Iterable[Grant]) -> None:
    """Print permissions: who, what for, the actions, the ARNs, the condition."""
    for who, grants in itertools.groupby(granted, key=lambda grant: grant.who):
        console.print(f"[bold]{who}[/]")
        for grant in grants:
            console.print(f"  [cyan]{grant.purpose}[/]")
            console.print(f"    {', '.join(grant.actions)}")
            for resource in grant.resources:
                console.print(f"      on {escape(resource)}")
            for test, keys in grant.condition.items():
                for key, value in keys.items():
                    console.print(
                        f"      if {test} {escape(key)} = {escape(str(value))}", style="dim"
                    )
    console.print(
        "Statements whose name begins with Service are what AWS does by itself under a role."
    )


def show_durations(console: Console, durations: Mapping[str, float]) -> None:
    """Print how long each stage took, in seconds."""
    table = Table(title="Durations", title_justify="left", title_style="bold")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for stage, seconds in durations.items():
        table.add_row(stage, f"{seconds:.1f}")
    console.print(table)


def show_metrics(console: Console, metrics: Mapping[str, Any]) -> None:
    """Print the trained version's metrics beside the popularity baseline's."""
    from analysis.metrics import short_name  # noqa: PLC0415  pandas costs time

    table = Table(title="Metrics", title_justify="left", title_style="bold")
    table.add_column("metric", no_wrap=True)
    for title in ("trained version", "popularity", "ratio"):
        table.add_column(title, justify="right")
    baseline = metrics["baseline"]["metrics"]
    for name in sorted(metrics["metrics"], key=_by_name_and_cut_off):
        value, beside = metrics["metrics"][name], baseline.get(name, 0.0)
        ratio = f"{value / beside:.2f}" if beside else "–"
        table.add_row(short_name(name), f"{value:.4f}", f"{beside:.4f}", ratio)
    console.print(table)


def show_recommendations(console: Console, path: Path, *, users: int = 5, items: int = 5) -> None:
    """Print the first items of the first users of a recommendations CSV."""
    lists: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["USER_ID"] not in lists and len(lists) == users:
                break
            lists.setdefault(row["USER_ID"], []).append(row["ITEM_ID"])
    table = Table(title="Top items of some users", title_justify="left", title_style="bold")
    table.add_column("user")
    for rank in range(1, items + 1):
        table.add_column(str(rank), justify="right")
    for user, recommended in lists.items():
        table.add_row(escape(user), *map(escape, recommended[:items]))
    console.print(table)


def show_failure(console: Console, failure: Failure) -> None:
    """Print why a run failed, in the words of whoever raised it."""
    where = f" in state '{failure.state}'" if failure.state else ""
    console.print(f"[bold red]The run failed{escape(where)}: {escape(failure.error)}[/]")
    for line in re.sub(r" (?=\(\d+\) )", "\n", failure.cause).splitlines():
        console.print(f"  {escape(line)}")


def _by_name_and_cut_off(metric: str) -> tuple[str, int]:
    name, _, cut_off = metric.partition("_at_")
    return name, int(cut_off or 0)


def _utc(at: datetime) -> datetime:
    offset = at.utcoffset() or timedelta()
    return at.replace(tzinfo=None) - offset
