"""Tables that the commands print: lists, durations, metrics, failures, costs, permissions."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

from workflow.durations import duration
from workflow.runs.cost import Estimate, columns, price_notes, rows, star_note

if TYPE_CHECKING:
    from lambdas.retention import CleanUp
    from retrain.publications import Publication
    from workflow.deployment.permissions import Grant
    from workflow.runs.diagnosis import Explanation
    from workflow.runs.executions import Run
    from workflow.runs.history import Failure

_STYLES = {"SUCCEEDED": "green", "RUNNING": "cyan"}
_SENTENCE = 20  # letters of a cause that a log does not hold by chance
_USERS, _ITEMS = 3, 5  # of the recommendations that are shown


def show_runs(
    console: Console, runs: Sequence[Run], failures: Mapping[str, Failure | None], *, now: datetime
) -> None:
    """Print runs as a table.

    Args:
        console: Where to print.
        runs: The newest first.
        failures: By a run's ARN, why it failed, or published nothing.
        now: UTC, for the duration of what still runs.
    """
    table = Table(
        *(Column(title, no_wrap=True) for title in ("execution", "status", "begun (UTC)")),
        *(
            Column("duration", justify="right", no_wrap=True),
            "ended by",
        ),
        box=None,
        padding=(0, 2, 0, 0),
    )
    for run in runs:
        failure = failures.get(run.arn)
        table.add_row(
            escape(run.name),
            f"[{_STYLES.get(run.status, 'red')}]{run.status}[/]",
            f"{run.begun.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            duration(run.seconds(now), whole=True),
            escape(failure.state or failure.error) if failure else "",
        )
    console.print(table)


def show_publications(console: Console, publications: Sequence[Publication]) -> None:
    """Print lists that were published, one a line; `*` marks the current one."""
    titles = ("", "run", "published (UTC)", "data of (UTC)")
    numbers = (
        Column(title, justify="right", no_wrap=True) for title in ("users", "recommendations")
    )
    table = Table(
        *(Column(title, no_wrap=True) for title in titles),
        *numbers,
        box=None,
        padding=(0, 2, 0, 0),
    )
    for each in publications:
        content = each.content
        table.add_row(
            "*" if each.is_current else "",
            escape(each.run),
            _without_zone(content.get("createdAt", "")),
            _without_zone(content.get("extractedAt", "")),
            f"{content.get('users', 0):,}",
            f"{content.get('recommendations', 0):,}",
        )
    console.print(table)
    newest = publications[0]
    csv_uri = str(newest.content.get("csv", "")).replace(f"/runs/{newest.run}/", "/runs/RUN/")
    console.print(
        escape(f"* is published now; 'retrain publish RUN' goes back to another\n{csv_uri}")
    )


def show_clean_up(console: Console, clean_up: CleanUp) -> None:
    """Print what stays and why, one a line, then what goes, as a table with sizes."""
    kept_solutions = {f"solution {name}": why for name, why in clean_up.kept_solutions.items()}
    for name, why in {**clean_up.kept, **kept_solutions}.items():
        console.print(escape(f"keep    {name}: {why}"), style="dim")
    if clean_up.is_empty:
        console.print("nothing goes")
        return
    table = Table(
        *(Column(no_wrap=True) for _ in ("action", "name", "begun")),
        *(Column(justify="right", no_wrap=True) for _ in ("files", "size")),
        box=None,
        padding=(0, 2, 0, 0),
        show_header=False,
    )
    for folder in clean_up.runs:
        table.add_row(
            "[red]delete[/]",
            escape(folder.run),
            f"{folder.begun.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            f"{len(folder.removable):,} files",
            decimal(folder.size),
        )
    for solution in clean_up.solutions:
        table.add_row("[red]delete[/]", f"solution {escape(solution.name)}", "with its versions")
    console.print(table)
    files = sum(len(folder.removable) for folder in clean_up.runs)
    size = decimal(sum(folder.size for folder in clean_up.runs))
    console.print(f"{files:,} files, {size}; what each run decided, in its record/, stays")


def _without_zone(time: str) -> str:
    return time.removesuffix("Z").replace("T", " ")


def show_explanation(console: Console, explanation: Explanation) -> None:
    """Print the error of a run, its source, the log, and advice."""
    run, failure = explanation.run, explanation.failure
    item = f" ({explanation.item})" if explanation.item else ""
    ended = f", {run.ended.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if run.ended else ""
    console.print(f"[bold]{escape(run.name)}[/]: [red]{run.status}[/]{ended}")
    if failure.state:
        console.print(f"  state    {escape(failure.state)}{escape(item)}")
    console.print(f"  error    {escape(failure.error)}")
    console.print(f"  says     {escape(explanation.speaker)}:")
    sentences = _sentences(failure.cause)
    for line in sentences or ["(no cause was given)"]:
        console.print(f"             {escape(line)}")
    if failure.decision:
        console.print(f"  decided  {escape(failure.decided)}")
    said = [words for line in sentences if len(words := " ".join(line.split())) >= _SENTENCE]
    for log in explanation.logs:
        logged = [line for entry in log.lines for line in entry.splitlines()]
        # The log of a job ends with the cause, which is said already.
        new = [line for line in logged if not any(each in " ".join(line.split()) for each in said)]
        if logged and not new:
            continue
        stream = f", stream {log.stream}" if log.stream else ""
        note = f": {log.note}" if log.note else ""
        console.print(f"  log      {escape(log.group + stream + note)}")
        for line in new:
            console.print(f"             [dim]{escape(line)}[/]")
    for arn in explanation.left_running:
        console.print(f"  goes on  {escape(arn)}")
    console.print(f"  to do    {escape(explanation.advice)}")


def show_cost(console: Console, estimate: Estimate) -> None:
    """Print the cost of a run and a month, line by line, with prices and assumptions."""
    console.print(f"[bold]US dollars[/], {estimate.region}")
    _, *others = columns(estimate)
    table = Table(
        Column("", no_wrap=True),
        *(Column(title, justify="right", no_wrap=True) for title in others),
        box=None,
        padding=(0, 2, 0, 0),
    )
    *lines, total = rows(estimate)
    for title, quantity, usd, *amounts in lines:
        table.add_row(title, quantity, usd if usd.endswith("*") else f"{usd}  ", *amounts)
    table.add_row(f"[bold]{total[0]}[/]", *total[1:])
    console.print(table)
    schedule = (
        f"{estimate.runs_a_month:,.4g} runs a month by the schedule"
        if estimate.runs_a_month
        else "There is no schedule"
    )
    console.print(f"{schedule}; a run takes about {duration(estimate.run_hours * 3_600)}")
    for way in estimate.ways:
        console.print(f"Assuming {escape(way)}")
    console.print("Prices:")
    for name, note, source in price_notes(estimate):
        console.print(f"    {name:<27}{escape(note):<31}{escape(source)}")
    if note := star_note(estimate):
        console.print(escape(note))
    console.print("Assumptions; --assume NAME=VALUE sets one, 'retrain cost latest' takes a run's:")
    for assumption in estimate.assumptions:
        console.print(
            f"    {assumption.name:<19}{assumption.value:>10,.4g} {assumption.unit:<8}"
            f" {assumption.meaning} [dim]({escape(assumption.origin)})[/]"
        )
    console.print(escape(f"Not counted: {estimate.not_counted}."))


def show_grants(console: Console, grants: Iterable[Grant]) -> None:
    """Print permissions: of whom, what for, the actions, the ARNs, the condition."""
    for who, of_one in itertools.groupby(grants, key=lambda grant: grant.who):
        console.print(f"[bold]{who}[/]")
        for grant in of_one:
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
    """Print the duration of each stage, in seconds."""
    table = _titled_table("Durations", "stage", Column("seconds", justify="right"))
    for stage, seconds in durations.items():
        table.add_row(stage, f"{seconds:.1f}")
    console.print(table)


def show_metrics(console: Console, metrics: Mapping[str, Any]) -> None:
    """Print the trained version's metrics beside the popularity baseline's.

    Args:
        console: Where to print.
        metrics: As a local run's `metrics.json` holds them.
    """
    from analysis.metrics import metric_names, short_name  # noqa: PLC0415  pandas costs time

    trained, baseline = (
        {short_name(name): value for name, value in version["metrics"].items()}
        for version in (metrics, metrics["baseline"])
    )
    numbers = (
        Column(title, justify="right") for title in ("trained version", "popularity", "ratio")
    )
    table = _titled_table("Metrics", Column("metric", no_wrap=True), *numbers)
    for name in metric_names():
        if name in trained:
            value, beside = trained[name], baseline.get(name, 0.0)
            ratio = f"{value / beside:.2f}" if beside else "–"
            table.add_row(name, f"{value:.4f}", f"{beside:.4f}", ratio)
    console.print(table)


def show_recommendations(console: Console, path: Path, titles: Mapping[str, str]) -> None:
    """Print the first items of the first users of a recommendations CSV.

    Args:
        console: Where to print.
        path: The CSV.
        titles: Item → its title.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        noun = "item" if next(rows)[1] == "RELATED_ITEM_ID" else "user"
        shown = [
            (of, [item for _, item, *_rest in itertools.islice(items, _ITEMS)])
            for of, items in itertools.islice(itertools.groupby(rows, key=itemgetter(0)), _USERS)
        ]
    named = {
        item: titles.get(item, item).removesuffix(f" ({item})").removeprefix(f"{item} · ")
        for _, top in shown
        for item in top
    }
    has_titles = any(item != title for item, title in named.items())
    numbers = (Column(title, justify="right", no_wrap=True) for title in ("rank", "item"))
    title_column = [Column("title")] if has_titles else []
    table = _titled_table(
        f"Top items of some {noun}s", Column(f"for {noun}"), *numbers, *title_column
    )
    for of, top in shown:
        name = titles.get(of, of) if noun == "item" else of
        for rank, item in enumerate(top, start=1):
            title = [escape(named[item])] if has_titles else []
            table.add_row(escape(name), str(rank), escape(item), *title)
            name = ""
        table.add_section()
    console.print(table)


def show_failure(console: Console, failure: Failure) -> None:
    """Print why a run failed, in the words of whoever raised the error."""
    state = f" in state '{failure.state}'" if failure.state else ""
    console.print(f"[bold red]The run failed{escape(state)}: {escape(failure.error)}[/]")
    for line in [*_sentences(failure.cause), *filter(None, [failure.decided])]:
        console.print(f"  {escape(line)}")


def _sentences(cause: str) -> list[str]:
    """Return a cause as lines; each of several problems begins one."""
    return re.sub(r" (?=\(\d+\) )", "\n", cause).splitlines()


def _titled_table(title: str, *columns: Column | str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold")
