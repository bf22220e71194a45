"""The pages that a notebook shows of a workflow and of an execution, also while it runs."""

import base64
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from workflow.picture import PictureError, picture
from workflow.picture.display import (
    DisplayError,
    Page,
    execution_page,
    follow_live,
    workflow_page,
)
from workflow.runs.progress import progress_of

ROOT = Path(__file__).parents[3]
BEGIN = datetime(2024, 6, 1, tzinfo=UTC)
DEFINITION = {
    "StartAt": "Imports",
    "States": {
        "Imports": {
            "Type": "Map",
            "Iterator": {
                "StartAt": "Import <one>",
                "States": {"Import <one>": {"Type": "Task", "Resource": "r", "End": True}},
            },
            "Next": "Train",
        },
        "Train": {
            "Type": "Task",
            "Resource": "r",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            "End": True,
        },
        "Failed": {"Type": "Fail"},
    },
}


def state_event(action, name, state_type="Task"):
    return {"type": f"{state_type}State{action}", f"state{action}EventDetails": {"name": name}}


EVENTS = (
    state_event("Entered", "Imports", "Map"),
    {"type": "MapStateStarted", "mapStateStartedEventDetails": {"length": 1}},
    {"type": "MapIterationStarted", "mapIterationStartedEventDetails": {"index": 0}},
    state_event("Entered", "Import <one>"),
    state_event("Exited", "Import <one>"),
    {"type": "MapIterationSucceeded", "mapIterationSucceededEventDetails": {"index": 0}},
    {"type": "MapStateSucceeded"},
    state_event("Exited", "Imports", "Map"),
    state_event("Entered", "Train"),
    {"type": "TaskScheduled"},
    {
        "type": "TaskFailed",
        "taskFailedEventDetails": {"error": "TooFew", "cause": "only <3> & no more"},
    },
    {"type": "TaskScheduled"},
    {
        "type": "TaskFailed",
        "taskFailedEventDetails": {"error": "TooFew", "cause": "only <3> & no more"},
    },
    state_event("Exited", "Train"),
    state_event("Entered", "Failed", "Fail"),
    {
        "type": "ExecutionFailed",
        "executionFailedEventDetails": {"error": "TooFew", "cause": "only <3> & no more"},
    },
)


def events(count=None):
    """Return the first events, or all, of an execution that fails, a second apart."""
    return [
        {"id": n, "previousEventId": n - 1, "timestamp": BEGIN + timedelta(seconds=n), **event}
        for n, event in enumerate(EVENTS[:count], start=1)
    ]


class Table(HTMLParser):
    """The rows of the tables in a page."""

    def __init__(self, html):
        super().__init__()
        self.rows, self._in_cell = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self._in_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in {"td", "th"}

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


class Output:
    """An output of a notebook that keeps every object shown in it."""

    def __init__(self):
        self.shown = []

    def display(self, obj):
        self.shown.append(("display", obj))

    def update(self, obj):
        self.shown.append(("update", obj))


def image(html):
    """Return the picture in a page."""
    return base64.b64decode(
        re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)[1]
    ).decode()


def test_a_workflow_is_shown_as_picture_and_legend():
    html = workflow_page(DEFINITION, title="Retraining").html

    assert image(html) == picture(DEFINITION, title="Retraining")
    names = ", ".join(DEFINITION["States"])
    assert f'alt="Retraining: 4 states: {names}"' in html
    assert "Dashed lines are taken on an error." in html


def test_an_execution_is_shown_with_its_reason_and_a_table_of_states():
    html = execution_page(DEFINITION, events(), title="night <1>").html

    assert image(html) == picture(DEFINITION, progress_of(events(), DEFINITION), title="night <1>")
    assert "TooFew in state &#x27;Train&#x27;: only &lt;3&gt; &amp; no more</pre>" in html
    assert "<p><strong>night &lt;1&gt;</strong> <span" in html
    assert "✗ FAILED</span> after 15 s</p>" in html
    assert "<p>✓ 2 succeeded, ✗ 2 failed. " in html
    assert Table(html).rows == [
        ["State", "Status", "Visits", "Attempts", "Items", "Time"],
        ["Imports", "✓ succeeded", "1", "1", "1 of 1", "7 s"],
        ["Import <one>", "✓ succeeded", "1", "1", "1 of 1", "1 s"],
        ["Train", "✗ failed", "1", "2", "", "5 s"],
        ["Failed", "✗ failed", "1", "1", "", "0 ms"],
    ]


def test_states_that_were_not_reached_are_listed_too():
    html = execution_page(DEFINITION, events(4), now=BEGIN + timedelta(seconds=64)).html

    assert "… RUNNING</span> after 1 min 3 s" in html
    assert Table(html).rows[1:] == [
        ["Imports", "… running", "1", "1", "0 of 1", "1 min 3 s"],
        ["Import <one>", "… running", "1", "1", "0 of 1", "1 min"],
        ["Train", "not reached", "", "", "", ""],
        ["Failed", "not reached", "", "", "", ""],
    ]


def test_an_execution_without_events_is_running():
    page = execution_page(DEFINITION, [])

    assert page.text == "Execution: RUNNING"
    assert "0 of 4 states reached" in page.html


def test_a_saved_history_shows_the_same_as_a_fresh_one():
    saved = json.loads(json.dumps(events(), default=str))

    assert execution_page(DEFINITION, saved).html == execution_page(DEFINITION, events()).html


def test_pages_are_static_and_fetch_nothing():
    for html in (workflow_page(DEFINITION).html, execution_page(DEFINITION, events()).html):
        assert re.findall(r"https?://[^\"'\s<]*", html) == []
        assert re.findall(r"https?://[^\"'\s<]*", image(html)) == ["http://www.w3.org/2000/svg"]
        for active in ("<script", "<iframe", "href", "url(", "@import", " onload", " onclick"):
            assert active not in html + image(html)


def test_a_page_has_no_style_but_that_of_its_elements():
    """A style sheet or inline SVG is taken out of a notebook that is not trusted."""
    html = execution_page(DEFINITION, events()).html

    assert "<style" not in html
    assert "<svg" not in html
    assert "var(--" not in html


def test_a_page_is_html_and_a_line():
    page = workflow_page(DEFINITION, title="Retraining")

    assert page.svg == picture(DEFINITION, title="Retraining")
    assert page._repr_mimebundle_() == {
        "text/html": page.html,
        "text/plain": "Retraining: 4 states",
    }
    assert list(page._repr_mimebundle_(include={"text/plain"})) == ["text/plain"]
    assert "text/html" not in page._repr_mimebundle_(exclude={"text/html"})


def test_the_text_of_an_execution_has_its_status_and_error():
    assert execution_page(DEFINITION, events(), title="night").text == (
        "night: FAILED after 15 s, TooFew in state 'Train': only <3> & no more"
    )


def test_a_definition_that_cannot_be_drawn_is_refused():
    with pytest.raises(PictureError):
        workflow_page({"StartAt": "A", "States": {}})


def test_an_execution_is_redrawn_in_one_output_until_it_ends():
    output, slept = Output(), []
    polls = iter([events(2), events(2), events(9), events()])

    progress = follow_live(
        lambda: next(polls),
        DEFINITION,
        title="night",
        display=output,
        poll_seconds=3.0,
        sleep=slept.append,
        clock=lambda: BEGIN + timedelta(seconds=20),
    )

    assert [method for method, _ in output.shown] == ["display", "update", "update"]
    assert all(isinstance(page, Page) for _, page in output.shown)
    assert output.shown[-1][1] == execution_page(DEFINITION, events(), title="night")
    assert slept == [3.0, 3.0, 3.0]
    assert progress == progress_of(events(), DEFINITION)


def test_interrupting_ends_the_watching_only():
    def interrupted(seconds):
        raise KeyboardInterrupt

    output = Output()
    progress = follow_live(lambda: events(4), DEFINITION, display=output, sleep=interrupted)

    assert progress.status == "RUNNING"
    assert len(output.shown) == 1


def test_without_a_notebook_the_error_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)

    with pytest.raises(DisplayError) as refused:
        follow_live(events, DEFINITION)

    assert str(refused.value) == (
        "an execution is shown live in a notebook, and IPython is not installed: "
        "run 'pip install ipykernel', or use 'retrain watch' in a terminal"
    )


def test_a_real_kernel_shows_the_last_state_in_one_output(tmp_path, monkeypatch):
    """The pages of a running execution replace each other, by display_id as in JupyterLab."""
    # The kernel is a process of its own: it must find the project without an installation.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "execution.json").write_text(
        json.dumps({"definition": DEFINITION, "events": events()}, default=str), encoding="utf-8"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "import json\n"
                "from pathlib import Path\n"
                "from workflow.picture.display import follow_live\n"
                "saved = json.loads(Path('execution.json').read_text(encoding='utf-8'))\n"
                "polls = iter([2, 9, 16])\n"
                "end = follow_live(lambda: saved['events'][:next(polls)], saved['definition'],\n"
                "                  title='night', sleep=lambda seconds: None)\n"
            )
        ]
    )

    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith("night: FAILED after 15 s")
    assert "✗ FAILED" in output.data["text/html"]
