"""Tables that the commands print: durations, metrics, recommendations, costs, permissions."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column

from retrain.whole_table import WholeTable, plain_table
from workflow.durations import duration
from workflow.runs.cost import Estimate, columns, price_notes, rows, star_note
from workflow.spelling import counted

if TYPE_CHECKING:
    from workflow.deployment.permissions import Grant

_USERS, _ITEMS = 3, 5  # of the recommendations that are shown


def show_cost(console: Console, estimate: Estimate) -> None:
    """Print the cost of a run and a month, line by line, with prices and assumptions."""
    console.print(f"[bold]US dollars[/], {estimate.region}")
    _, *others = columns(estimate)
    numbers = (Column(title, justify="right", no_wrap=True) for title in others)
    table = plain_table("", *numbers)
    *lines, total = rows(estimate)
    for title, quantity, usd, *amounts in lines:
        table.add_row(title, quantity, usd if usd.endswith("*") else f"{usd}  ", *amounts)
    table.add_row(f"[bold]{total[0]}[/]", *total[1:])
    console.print(table)
    schedule = (
        f"{counted(estimate.runs_a_month, 'run', ',.4g')} a month by the schedule"
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
    """Print the trained version's metrics beside the popularity baseline's; nothing without any.

    Args:
        console: Where to print.
        metrics: As a local run's `metrics.json` holds them.
    """
    from analysis.metrics import metric_names, short_name  # noqa: PLC0415  pandas costs time

    trained, baseline = (
        {short_name(name): value for name, value in version.get("metrics", {}).items()}
        for version in (metrics, metrics.get("baseline", {}))
    )
    if not trained:
        return
    numbers = (
        Column(title, justify="right") for title in ("trained version", "popularity", "ratio")
    )
    table = _titled_table("Metrics", Column("metric", no_wrap=True), *numbers)
    for name in dict.fromkeys([*metric_names(), *trained]):
        if name in trained:
            value, beside = trained[name], baseline.get(name)
            ratio = f"{value / beside:.2f}" if beside else "–"
            table.add_row(name, f"{value:.4f}", "–" if beside is None else f"{beside:.4f}", ratio)
    console.print(table)


def show_comparison(console: Console, record: Mapping[str, Any]) -> None:
    """Print the metrics of models on what was held out from all of them, the best one first.

    Args:
        console: Where to print.
        record: `record/comparison.json` of the run.
    """
    from analysis.comparisons import comparison_table  # noqa: PLC0415  pandas costs time
    from analysis.tables import wide  # noqa: PLC0415

    compared = wide(comparison_table(record))
    table = _titled_table(
        f"Models compared on {record['users']:,} users; the best is {record['best']}",
        Column("metric", no_wrap=True),
        *(Column(escape(str(name)), justify="right") for name in compared.columns),
    )
    for metric, values in zip(compared.index, compared.fillna("–").to_numpy(), strict=True):
        table.add_row(metric, *values)
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


def _titled_table(title: str, *columns: Column | str) -> WholeTable:
    return WholeTable(*columns, title=title, title_justify="left", title_style="bold")
