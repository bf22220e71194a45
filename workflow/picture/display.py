"""A workflow, or an execution of it, as notebooks show it: the picture, a legend, a table.

Viewers change what a notebook holds. JupyterLab takes inline SVG and style sheets out of a notebook
that it does not trust, as every cloned one, and typesets what stands between two dollar signs;
others take all styles. So the picture is an image in the page, the page has inline styles alone and
reads well without them, and nothing is for MathJax. GitHub takes scripts and inline SVG away, and
not every viewer shows an SVG that is an image: its alternative text says what is drawn. There is no
script and no network. Only `follow_live` needs a notebook; it alone imports IPython.
"""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Protocol

from workflow.definition.asl import Definition, states
from workflow.durations import duration
from workflow.errors import WorkflowError
from workflow.picture import picture
from workflow.picture.style import on_light
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

NO_MATHS = "mathjax_ignore tex2jax_ignore"
"""The classes of elements in which MathJax (3 and later; 2, nbconvert's) sees no formulas."""

_TEXT = "text-align:left"
_FIGURE = "text-align:right;white-space:nowrap"


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
    """What a notebook shows.

    Attributes:
        html: The whole page, for every viewer.
        svg: The picture alone, as a file would hold it.
        text: A line, for terminals.
    """

    html: str
    svg: str
    text: str

    def __repr__(self) -> str:
        """Return the line: the pages are long."""
        return self.text

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        # Two forms: a notebook keeps all, and viewers that show no HTML show no SVG either.
        forms = {"text/html": self.html, "text/plain": self.text}
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
    text = f"{title}: {len(list(states(definition)))} states"
    # Where no picture is shown, this is.
    alternative = f"{text}: {', '.join(definition['States'])}"
    legend = "<p>Dashed lines are taken on an error.</p>"
    return Page(_page(_image(svg, alternative), legend), svg, text)


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
    progress = progress_of(visits, definition, now=now)
    svg = picture(definition, progress, title=title, unfold=unfold)
    took = "" if progress.seconds is None else f" after {duration(progress.seconds)}"
    text = f"{title}: {progress.status}{took}"
    parts = [f"<p><strong>{escape(title)}</strong> {_badge(progress.status)}{took}</p>"]
    if failure := failure_of(visits, definition):
        text += f", {failure.reason}"
        parts.append(
            '<pre style="white-space:pre-wrap;padding:8px 12px;'
            f'border-left:3px solid {on_light("failed")}">{escape(failure.reason)}</pre>'
        )
    parts += [_image(svg, text), _legend(progress), _table(definition, progress)]
    return Page(_page(*parts), svg, text)


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
        progress = progress_of(visits, definition, now=now)
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


def _page(*parts: str) -> str:
    return "\n".join((f'<div class="{NO_MATHS}">', *parts, "</div>"))


def _image(svg: str, text: str) -> str:
    """Return a picture as an image that shrinks to the page's width, and then scrolls."""
    width = float(svg.partition(' width="')[2].partition('"')[0])
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
    size = f"width:100%;min-width:{width * _SMALLEST:.0f}px;max-width:{width:.0f}px"
    return (
        f'<div style="overflow-x:auto"><img src="{source}" alt="{escape(text)}"'
        f' style="{size}"></div>'
    )


def _badge(ending: str) -> str:
    status = _ENDINGS[ending]
    colour = on_light("failed" if status == "timed out" else status)
    style = f"color:{on_light('on-accent')};background-color:{colour};border-radius:10px"
    return (
        f'<span style="{style};padding:1px 9px;white-space:nowrap">{SIGNS[status]} {ending}</span>'
    )


def _legend(progress: Progress) -> str:
    counts = [record.status for record in progress.states.values()]
    found = ", ".join(
        f"{SIGNS[status]} {counts.count(status)} {status}" for status in SIGNS if status in counts
    )
    return (
        f"<p>{found or 'No state was reached'}. States and lines in pale were not reached, dashed"
        " lines are taken on an error; “×” counts visits and retries.</p>"
    )


def _table(definition: Definition, progress: Progress) -> str:
    rows = [
        _row(name, scope.depth, progress.states.get(name)) for scope, name, _ in states(definition)
    ]
    heads = [("State", _TEXT), ("Status", _TEXT)]
    heads += [(name, _FIGURE) for name in ("Visits", "Attempts", "Items", "Time")]
    head = "".join(f'<th style="{style}">{name}</th>' for name, style in heads)
    return (
        f"<details><summary>{len(progress.states)} of {len(rows)} states reached</summary>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table></details>"
    )


def _row(name: str, depth: int, record: StateRecord | None) -> str:
    state = f'<td style="{_TEXT};padding-left:{8 + depth * 16}px">{escape(name)}</td>'
    if record is None:
        return f'<tr>{state}<td style="{_TEXT}">not reached</td>{"<td></td>" * 4}</tr>\n'
    items = "" if record.items is None else f"{record.done} of {record.items}"
    took = "" if record.seconds is None else duration(record.seconds)
    figures = (str(record.visits), str(record.attempts), items, took)
    cells = "".join(f'<td style="{_FIGURE}">{figure}</td>' for figure in figures)
    status = f"{SIGNS[record.status]} {record.status}"
    return f'<tr>{state}<td style="{_TEXT};white-space:nowrap">{status}</td>{cells}</tr>\n'
