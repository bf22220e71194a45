"""A workflow, or an execution of it, as notebooks show it: the picture, a legend, a table.

Static HTML without scripts and without network: it stays what it was in a saved notebook, and in
what nbconvert makes of one. Where HTML or SVG is taken out, the table or the Mermaid text is left.
Only `follow_live` needs a notebook; it alone imports IPython.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Protocol

from workflow.definition.asl import Definition, states
from workflow.definition.mermaid import mermaid
from workflow.durations import duration
from workflow.errors import WorkflowError
from workflow.picture import picture
from workflow.picture.style import page_style
from workflow.runs.history import failure_of
from workflow.runs.progress import Progress, StateRecord, progress_of
from workflow.runs.visits import SIGNS, HistoryEvent, Status, Visits

_ENDINGS: Mapping[str, Status] = {
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timed out",
    "ABORTED": "aborted",
}
_SMALLEST = 0.6
"""The factor to which a picture shrinks before it scrolls: its letters stay readable."""


class DisplayError(WorkflowError, RuntimeError):
    """A page that cannot be shown live, because there is no notebook."""


class Handle(Protocol):
    """An output of a notebook that can be replaced, as IPython's DisplayHandle is."""

    def display(self, obj: Any) -> None:
        """Show an object for the first time."""

    def update(self, obj: Any) -> None:
        """Show another one instead."""


@dataclass(frozen=True)
class Page:
    """The same contents in each MIME type that a notebook may show."""

    html: str
    svg: str
    markdown: str
    text: str

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        forms = {
            "text/html": self.html,
            "image/svg+xml": self.svg,
            "text/markdown": self.markdown,
            "text/plain": self.text,
        }
        return {
            form: value
            for form, value in forms.items()
            if (include is None or form in include) and (exclude is None or form not in exclude)
        }


def workflow_page(definition: Definition, *, title: str = "Workflow", unfold: bool = False) -> Page:
    """Return a definition as a notebook shows it.

    Args:
        definition: Amazon States Language, as JSON gives it.
        title: The picture's.
        unfold: Draw the states of poll loops one by one, not each loop as one box.

    Raises:
        PictureError: If the definition cannot be drawn.
    """
    svg = picture(definition, title=title, unfold=unfold)
    legend = '<div class="legend">Dashed lines are taken on an error.</div>'
    text = f"{title}: {len(list(states(definition)))} states"
    return Page(_page(svg, after=legend), svg, _markdown(definition, unfold=unfold), text)


def execution_page(
    definition: Definition,
    events: Iterable[HistoryEvent] | Visits,
    *,
    title: str = "Execution",
    now: datetime | None = None,
    unfold: bool = False,
) -> Page:
    """Return an execution as a notebook shows it: the status of each state, and why it failed.

    Args:
        definition: Of the state machine, Amazon States Language, as JSON gives it.
        events: The execution's history, oldest first, or the visits made of it.
        title: The execution's, for example its name.
        now: UTC, for the durations of what still runs; left out, those are not shown.
        unfold: Draw the states of poll loops one by one, not each loop as one box.

    Raises:
        PictureError: If the definition cannot be drawn.
    """
    visits = Visits.of(events)
    progress = progress_of(visits, now=now)
    svg = picture(definition, progress, title=title, unfold=unfold)
    ending = _ENDINGS[progress.status]
    took = "" if progress.seconds is None else duration(progress.seconds)
    head = (
        f'<div class="head">{escape(title)} {_chip(ending, progress.status)}'
        f'<span class="plain">{took}</span></div>'
    )
    text = f"{title}: {progress.status}{f' after {took}' if took else ''}"
    if failure := failure_of(visits):
        state = f" in state '{failure.state}'" if failure.state else ""
        reason = f"{failure.error}{state}: {failure.cause}".removesuffix(": ")
        head += f'<div class="failure"><p>{escape(reason)}</p></div>'
        text += f", {reason}"
    html = _page(svg, before=head, after=_legend(progress) + _table(definition, progress))
    return Page(html, svg, _markdown(definition, unfold=unfold), text)


def follow_live(
    poll: Callable[[], Sequence[HistoryEvent]],
    definition: Definition,
    *,
    title: str = "Execution",
    display: Handle | None = None,
    poll_seconds: float = 2.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Progress:
    """Show an execution in a notebook and redraw it until it ends.

    Interrupting the kernel ends the watching, not the execution.

    Args:
        poll: Returns the execution's history so far, oldest first, for example
            `HistoryReader(client, execution_arn).read_all`.
        definition: Of the state machine, Amazon States Language, as JSON gives it.
        title: The execution's, for example its name.
        display: Where it is shown; a new output below the cell if left out.
        poll_seconds: Pause between two polls of the history.
        sleep: Waits that long; a parameter for tests.
        clock: Returns the time, UTC; a parameter for tests.

    Returns:
        How far the execution had come at the last poll.

    Raises:
        DisplayError: If `display` is left out, and IPython is not installed.
    """
    handle = display or _notebook_output()
    previous: Page | None = None
    visits, seen = Visits(), 0
    while True:
        events, now = poll(), clock()
        for event in events[seen:]:
            visits.add(event)
        seen = len(events)
        page = execution_page(definition, visits, title=title, now=now)
        if previous is None:
            handle.display(page)
        elif page != previous:
            handle.update(page)
        previous = page
        progress = progress_of(visits, now=now)
        if progress.ended:
            return progress
        try:
            sleep(poll_seconds)
        except KeyboardInterrupt:
            return progress


def in_notebook() -> bool:
    """Return whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def _notebook_output() -> Handle:
    try:
        from IPython.display import DisplayHandle  # noqa: PLC0415 - scripts do without
    except ImportError as error:
        raise DisplayError(
            "an execution is shown live in a notebook, and IPython is not installed: "
            "run 'pip install ipykernel', or use 'retrain watch' in a terminal"
        ) from error
    handle: Handle = DisplayHandle()  # type: ignore[no-untyped-call]
    return handle


def _page(svg: str, *, before: str = "", after: str = "") -> str:
    """Return a picture with the HTML before and after it as one element with its own style."""
    digest = hashlib.sha256("\0".join((before, svg, after)).encode()).hexdigest()[:10]
    root = f"#page-{digest}"
    width = float(svg.partition(' width="')[2].partition('"')[0])
    size = f"{root} .scroll>svg{{width:clamp({width * _SMALLEST:.0f}px,100%,{width:.0f}px)}}"
    return (
        f'<div id="{root[1:]}"><style>\n{page_style(root)}\n{size}\n</style>'
        f'{before}<div class="scroll">{svg}</div>{after}</div>'
    )


def _chip(status: Status, words: str) -> str:
    colour = "failed" if status == "timed out" else status
    style = f"color:var(--{colour});border-color:var(--{colour});background:var(--{colour}-card)"
    return f'<span class="chip" style="{style}"><i>{SIGNS[status]}</i>{escape(words)}</span>'


def _legend(progress: Progress) -> str:
    counts = [record.status for record in progress.states.values()]
    chips = "".join(
        _chip(status, f"{status} {counts.count(status)}") for status in SIGNS if status in counts
    )
    return (
        f'<div class="legend">{chips}States and lines in pale were not reached, dashed lines are'
        " taken on an error; “×” counts visits and retries.</div>"
    )


def _table(definition: Definition, progress: Progress) -> str:
    rows = [
        _row(name, scope.depth, progress.states.get(name)) for scope, name, _ in states(definition)
    ]
    return (
        f"<details><summary>{len(progress.states)} of {len(rows)} states"
        ' reached</summary><div class="scroll"><table><thead><tr><th>State</th><th>Status</th>'
        '<th class="figure">Visits</th><th class="figure">Attempts</th>'
        '<th class="figure">Items</th><th class="figure">Time</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _row(name: str, depth: int, record: StateRecord | None) -> str:
    state = f'<td style="padding-left:{depth * 16}px">{escape(name)}</td>'
    if record is None:
        return f"<tr>{state}<td>not reached</td>{'<td></td>' * 4}</tr>"
    items = "" if record.items is None else f"{record.done} of {record.items}"
    took = "" if record.seconds is None else duration(record.seconds)
    figures = (str(record.visits), str(record.attempts), items, took)
    cells = "".join(f'<td class="figure">{figure}</td>' for figure in figures)
    return f"<tr>{state}<td>{SIGNS[record.status]} {record.status}</td>{cells}</tr>"


def _markdown(definition: Definition, *, unfold: bool) -> str:
    return f"```mermaid\n{mermaid(definition, unfold=unfold)}```\n"
