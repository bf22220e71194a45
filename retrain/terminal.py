"""What a person sees when a run has ended: durations, lists, metrics, or why it failed."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workflow.runs.history import Failure


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
    table = Table(title="Metrics", title_justify="left", title_style="bold")
    table.add_column("metric", no_wrap=True)
    for title in ("trained version", "popularity", "ratio"):
        table.add_column(title, justify="right")
    baseline = metrics["baseline"]["metrics"]
    for name in sorted(metrics["metrics"], key=_by_name_and_cut_off):
        value, beside = metrics["metrics"][name], baseline.get(name, 0.0)
        ratio = f"{value / beside:.2f}" if beside else "–"
        table.add_row(_metric_label(name), f"{value:.4f}", f"{beside:.4f}", ratio)
    console.print(table)


def _by_name_and_cut_off(metric: str) -> tuple[str, int]:
    name, _, cut_off = metric.partition("_at_")
    return name, int(cut_off or 0)


def _metric_label(metric: str) -> str:
    """Return a metric's usual short name: NDCG@10 for Personalize's long one."""
    name, _, cut_off = metric.partition("_at_")
    short = {
        "normalized_discounted_cumulative_gain": "NDCG",
        "mean_reciprocal_rank": "MRR",
    }.get(name, name)
    return f"{short}@{cut_off}" if cut_off else short


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
