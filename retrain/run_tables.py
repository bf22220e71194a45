"""What the commands print of runs: lists of them and of what they published, ends, failures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column

from retrain.whole_table import plain_table
from workflow.durations import duration
from workflow.options.models import PERSONALIZE
from workflow.spelling import counted

if TYPE_CHECKING:
    from lambdas.retention import CleanUp
    from retrain.publications import Publication
    from retrain.run_ends import RunEnd
    from workflow.runs.diagnosis import Explanation
    from workflow.runs.history import Failure

_STYLES = {"SUCCEEDED": "green", "RUNNING": "cyan"}
_DEGRADED = "!"  # stands before what is degraded
_ENDED = {"ABORTED": "was stopped", "TIMED_OUT": "timed out"}
_SENTENCE = 20  # letters of a cause that a log does not hold by chance


def show_runs(console: Console, ends: Sequence[RunEnd], *, now: datetime) -> None:
    """Print executions as a table, then why some succeeded without doing all their work.

    Args:
        console: Where to print.
        ends: Of the executions, the newest first.
        now: UTC, for the duration of what still runs.
    """
    marks = [""] if any(each.is_degraded for each in ends) else []
    table = plain_table(
        *marks,
        "execution",
        "status",
        "begun (UTC)",
        Column("duration", justify="right", no_wrap=True),
        Column("ended by"),
    )
    for end in ends:
        run = end.run
        table.add_row(
            *(_DEGRADED * end.is_degraded for _ in marks),
            escape(run.name),
            f"[{_STYLES.get(run.status, 'red')}]{run.status}[/]",
            _minute(run.begun),
            duration(run.seconds(now), whole=True),
            escape(end.ended_by),
        )
    console.print(table)
    for end in ends:
        if end.remark:
            mark = f"{_DEGRADED} " * end.is_degraded
            console.print(escape(f"{mark}{end.run.name} {end.remark}"))


def show_end(console: Console, end: RunEnd, published: Iterable[str]) -> None:
    """Print how an execution ended that did not fail: its figures, or what stays as it was.

    Args:
        console: Where to print.
        end: Of the execution.
        published: Which lists are published now, in clauses.
    """
    remark = f", {end.remark}" if end.remark else ""
    console.print(escape(f"{end.run.name}: {end.run.status}{remark}"))
    for clause in [*end.figures(), *(published if end.skipped_at else ())]:
        console.print(escape(f"  {clause}"))


def show_publications(
    console: Console, publications: Sequence[Publication], current: Publication | None
) -> None:
    """Print lists that were published, one a line, the current and degraded ones marked.

    Args:
        console: Where to print.
        publications: The lists, of the newest data first.
        current: The published one, which may not be among them.
    """
    numbers = (Column(title, justify="right", no_wrap=True) for title in ("users", "rows"))
    table = plain_table("", "run", "published (UTC)", "data of (UTC)", *numbers)
    for each in publications:
        content = each.content
        table.add_row(
            f"{'*' * each.is_current}{_DEGRADED * bool(each.degraded)}",
            escape(each.run),
            _minute_of(content.get("createdAt", "")),
            _minute_of(content.get("extractedAt", "")),
            f"{content.get('users', 0):,}",
            f"{content.get('recommendations', 0):,}",
        )
    console.print(table)
    if current and current not in publications:
        console.print(escape(f"* {current.run} is published now, and further down"))
    newest = publications[0]
    csv_uri = str(newest.content.get("csv", "")).replace(f"/runs/{newest.run}/", "/runs/RUN/")
    console.print(
        escape(f"* is published now; 'retrain publish RUN' goes back to another\n{csv_uri}")
    )
    for each in publications:
        if each.degraded:
            console.print(escape(f"{_DEGRADED} {each.run} degraded: {each.degraded}"))
    by_model: dict[str, list[str]] = {}
    for each in publications:
        by_model.setdefault(each.model or PERSONALIZE, []).append(each.run)
    if by_model.keys() != {PERSONALIZE}:
        for model, runs in by_model.items():
            console.print(escape(f"made by {model}: {', '.join(runs)}"))


def show_clean_up(console: Console, clean_up: CleanUp) -> None:
    """Print what stays and why, one a line, then what goes, as a table with sizes."""
    kept_solutions = {f"solution {name}": why for name, why in clean_up.kept_solutions.items()}
    for name, why in {**clean_up.kept, **kept_solutions}.items():
        console.print(escape(f"keep    {name}: {why}"), style="dim")
    if clean_up.is_empty:
        console.print("nothing goes")
        return
    numbers = (Column(justify="right", no_wrap=True) for _ in ("files", "size"))
    table = plain_table("", "", "", *numbers, show_header=False)
    for folder in clean_up.runs:
        table.add_row(
            "[red]delete[/]",
            escape(folder.run),
            _minute(folder.begun),
            counted(len(folder.removable), "file"),
            decimal(folder.size),
        )
    for solution in clean_up.solutions:
        table.add_row("[red]delete[/]", f"solution {escape(solution.name)}", "with its versions")
    console.print(table)
    files = sum(len(folder.removable) for folder in clean_up.runs)
    size = decimal(sum(folder.size for folder in clean_up.runs))
    console.print(f"{counted(files, 'file')}, {size}; what each run decided, in its record/, stays")


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _minute_of(text: str) -> str:
    """Return a time that a run wrote, without its seconds; a text that is no time as it is."""
    try:
        return _minute(datetime.fromisoformat(text))
    except ValueError:
        return text


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


def show_failure(console: Console, failure: Failure, *, status: str = "FAILED") -> None:
    """Print why a run failed, or was stopped, in the words of whoever raised the error."""
    state = f" in state '{failure.state}'" if failure.state else ""
    ended = _ENDED.get(status, "failed")
    console.print(f"[bold red]The run {ended}{escape(state)}: {escape(failure.error)}[/]")
    for line in [*_sentences(failure.cause), *filter(None, [failure.decided])]:
        console.print(f"  {escape(line)}")


def _sentences(cause: str) -> list[str]:
    """Return a cause as lines; each of several problems begins one."""
    return re.sub(r" (?=\(\d+\) )", "\n", cause).splitlines()
