"""The live view of a run.

On a terminal a table of the states that fills and counts, with a bar for long work; elsewhere, as
in CI, one plain line for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from workflow.definition.asl import Definition
from workflow.runs.endings import Endings
from workflow.runs.history import Step
from workflow.runs.lines import QUIET, Lines
from workflow.runs.visits import SIGNS, Branch, Status, Visit

_STYLES: Mapping[Status, str] = {
    "failed": "red",
    "timed out": "red",
    "aborted": "dim",
    "caught": "yellow",
    "running": "cyan",
    "succeeded": "green",
}
"""The style of each status; of a state with several, the first one counts."""


@dataclass(frozen=True)
class Work:
    """Long work that is going on, and how much of it is done (0..1); None if nobody knows."""

    label: str
    fraction: float | None


class RunView:
    """Shows a run; a context manager. By itself it prints the stages alone.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stage(self, text: str) -> None:
        """Print a step outside the state machine."""
        self._console.print(f"[bold]{escape(text)}[/]")

    def step(self, step: Step) -> None:
        """Show a state that was entered or left."""

    def work(self, work: Iterable[Work]) -> None:
        """Show the long work that is going on now."""

    def end(self, failed: Visit | None) -> None:
        """Show in which visit the failure of the run began; None if it succeeded."""


def run_view(console: Console, definition: Definition | None = None) -> RunView:
    """Return the view that fits a console: a live table on a terminal, lines elsewhere.

    Args:
        console: Where to print.
        definition: Of the state machine; it says which states lead to a failure.
    """
    endings = Endings.of(definition)
    return TableView(console, endings) if console.is_terminal else LineView(console, endings)


class LineView(RunView):
    """Prints a run's states as they are entered and left; of a poll loop only the first round."""

    def __init__(self, console: Console, endings: Endings | None = None) -> None:
        super().__init__(console)
        self._lines = Lines(endings)

    def step(self, step: Step) -> None:
        """Print a state that was entered or left."""
        for line in self._lines.of(step):
            style = "cyan" if line.sign == "→" else "dim" if line.quiet else _STYLES[line.status]
            took = f"  [{style}]{line.took}[/]" if line.took else ""
            self._console.print(
                f"[dim]{step.at:%H:%M:%S}[/]{line.indent}[{style}]{line.sign}[/]"
                f" {escape(line.text)}{took}"
            )

    def end(self, failed: Visit | None) -> None:
        """Print the visit in which the failure began, unless its line says so already."""
        if failed is None or self._lines.endings.status(failed) not in {"succeeded", "caught"}:
            return
        label = f" ({failed.label})" if failed.item and failed.label else ""
        at = failed.ended or failed.begun
        self._console.print(f"[dim]{at:%H:%M:%S}[/]  [red]✗[/] {escape(failed.state + label)}")


@dataclass
class _Row:
    """A state in the table, in all items of a Map.

    Attributes:
        state_type: `Task`, `Wait`, `Map`, ….
        inside: Whether it is inside a Map or Parallel.
        visits: Number of visits.
        latest: The latest visit in each item of a Map, or branch.
        seconds: Of the visits that have ended, in each item or branch.
        items: Labels of the Map's items, for example `USERS`.
        waits: Why it waits to be tried again; empty if it does not.
    """

    state_type: str
    inside: bool
    visits: int = 0
    latest: dict[Branch | None, Visit] = field(default_factory=dict)
    seconds: dict[Branch | None, float] = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    waits: str = ""

    def status(self, endings: Endings, failed: Visit | None) -> Status:
        """Return the status that counts of all items or branches; a running one before all."""
        statuses = {endings.status(visit, failed) for visit in self.latest.values()}
        order = ("running", *_STYLES)
        return min(statuses, key=order.index)

    def took(self, now: datetime) -> float:
        """Return the seconds of its visits together, of items and branches the longest."""
        return max(
            self.seconds.get(branch, 0.0) + (0.0 if visit.ended else visit.seconds(now) or 0.0)
            for branch, visit in self.latest.items()
        )


class TableView(RunView):
    """A table of a run's states that is redrawn several times a second.

    Args:
        console: A terminal.
        endings: Which states lead to a failure.
        now: The clock, for how long a state has been going on.
    """

    def __init__(
        self,
        console: Console,
        endings: Endings | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(console)
        self._endings = endings or Endings()
        self._failed: Visit | None = None
        self._now = now
        self._rows: dict[str, _Row] = {}
        self._spinner = Spinner("dots", style="cyan")
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[share]:>5}"),
            TimeElapsedColumn(),
        )
        self._tasks: dict[str, TaskID] = {}
        self._live = Live(get_renderable=self.__rich__, console=console, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.work(())
        self._live.stop()

    def step(self, step: Step) -> None:
        """Count a state that was entered or left; note why it waits."""
        visit = step.visit
        row = self._rows.setdefault(step.state, _Row(visit.state_type, visit.branch is not None))
        row.waits = step.reason
        if step.type == "entered":
            row.visits += 1
            row.latest[visit.branch] = visit
            row.items |= {step.label} if step.label else set()
        elif step.type == "exited":
            row.seconds[visit.branch] = row.seconds.get(visit.branch, 0.0) + (step.seconds or 0.0)

    def work(self, work: Iterable[Work]) -> None:
        """Show the long work that is going on now, a bar for each."""
        fractions = {item.label: item.fraction for item in work}
        for label in self._tasks.keys() - fractions.keys():
            self._bars.remove_task(self._tasks.pop(label))
        for label, fraction in fractions.items():
            if label not in self._tasks:
                self._tasks[label] = self._bars.add_task(escape(label), share="")
            if fraction is None:
                self._bars.update(self._tasks[label], total=None)
            else:
                share = f"{fraction:.0%}".replace("%", " %")
                self._bars.update(self._tasks[label], total=1.0, completed=fraction, share=share)

    def end(self, failed: Visit | None) -> None:
        """Mark the state in which the failure began."""
        self._failed = failed

    def __rich__(self) -> RenderableType:
        columns = (
            Column(width=1),
            Column(no_wrap=True),
            Column(justify="right", no_wrap=True),
            Column(style="dim"),
        )
        table = Table(*columns, box=None, padding=(0, 1), show_header=False)
        for state, row in self._rows.items():
            status = row.status(self._endings, self._failed)
            quiet = status == "succeeded" and row.state_type in QUIET
            style = "dim" if quiet else _STYLES[status]
            sign = self._spinner if status == "running" else Text(SIGNS[status], style=style)
            title = Text(f"{'  ' if row.inside else ''}{state}", style="dim" if quiet else "")
            seconds = max(0.0, row.took(self._now()))
            table.add_row(sign, title, f"{seconds:.1f} s", _counts(row))
        notes = [
            Padding(Text(f"{state} is tried again: {row.waits}", style="dim"), (0, 0, 0, 4))
            for state, row in self._rows.items()
            if row.waits
        ]
        return Group(table, *notes, *([self._bars] if self._tasks else []))


def _counts(row: _Row) -> str:
    """Return the number of visits of a state, and the items of a Map."""
    times = f"×{row.visits}" if row.visits > 1 else ""
    items = ", ".join(sorted(row.items))
    return f"{times:<5} {items}".rstrip()
