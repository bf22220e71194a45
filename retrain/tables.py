"""What the commands about runs print: a list of runs, why one failed, what one costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workflow.deployment.permissions import Grant
from workflow.durations import duration
from workflow.runs.cost import NOT_COUNTED, Estimate
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
    for line in found.lines:
        many = f"{line.quantity:,.4g}" if line.quantity < 1_000 else f"{line.quantity:,.0f}"
        table.add_row(
            line.what,
            f"{many} {line.price.per}",
            f"{line.price.usd:.10f}".rstrip("0") + ("  " if line.price.verified else " *"),
            f"{line.usd:,.4f}",
            f"{line.usd * found.runs_a_month:,.2f}",
        )
    table.add_row("[bold]sum[/]", "", "", f"{found.usd_a_run:,.4f}", f"{found.usd_a_month:,.2f}")
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


def _utc(at: datetime) -> datetime:
    offset = at.utcoffset() or timedelta()
    return at.replace(tzinfo=None) - offset
