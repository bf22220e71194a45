"""What a person sees while a run goes on: states as they come and go, a bar for long work.

Colours and moving parts only on a terminal; elsewhere one plain line for each event.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from workflow.execution import Failure, Step

_QUIET = frozenset({"Wait", "Choice", "Succeed", "Pass"})


class Work(Protocol):
    """Long work: what it is, and how much of it is done (0..1)."""

    @property
    def label(self) -> str:
        """What is being done."""

    @property
    def fraction(self) -> float:
        """How much of it is done."""


class RunView:
    """Prints a run's states as they are entered and left; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._visits: Counter[tuple[int | None, str]] = Counter()
        self._rounds: Counter[int | None] = Counter()

    def __enter__(self) -> RunView:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage(self, text: str) -> None:
        """Say what is being done, outside the state machine."""
        self._console.print(f"[bold]{escape(text)}[/]")

    def step(self, step: Step) -> None:
        """Show a state that was entered or left; of a poll loop only the first round."""
        place = (step.iteration, step.state)
        if step.kind == "entered":
            self._visits[place] += 1
            if self._visits[place] == 1:
                self._tell_rounds(step)
                self._line(step, "[cyan]→[/]", "")
            elif step.state_type == "Task":
                self._rounds[step.iteration] += 1
        elif self._visits[place] == 1:
            style = "dim" if step.state_type in _QUIET else "green"
            self._line(step, f"[{style}]✓[/]", f"  [{style}]{step.seconds or 0:.1f} s[/]")

    def _tell_rounds(self, step: Step) -> None:
        """Say how often the loop that `step` leaves went round again."""
        rounds = self._rounds.pop(step.iteration, 0)
        if rounds:
            times = "once" if rounds == 1 else f"{rounds} times"
            self._line(replace(step, state=f"looked again {times}"), "[dim]⟳[/]", "")

    def _line(self, step: Step, sign: str, after: str) -> None:
        indent = "  " if step.iteration is None else "    "
        name = f"{step.state} ({step.label})" if step.label else step.state
        self._console.print(f"[dim]{step.at:%H:%M:%S}[/]{indent}{sign} {escape(name)}{after}")

    def work(self, work: Iterable[Work]) -> None:
        """Show the long work that is going on now, a bar for each."""
        now = {item.label: item.fraction for item in work}
        for label in [label for label in self._tasks if label not in now]:
            self._bars.remove_task(self._tasks.pop(label))
        for label, fraction in now.items():
            if label not in self._tasks:
                self._tasks[label] = self._bars.add_task(escape(label), total=1.0)
            self._bars.update(self._tasks[label], completed=fraction)


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
