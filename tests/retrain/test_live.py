"""The live view of a run, on a terminal and elsewhere."""

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from retrain.live import LineView, TableView, Work, run_view
from tests.histories import (
    BEGIN,
    Event,
    entered,
    event,
    events,
    execution_failed,
    exited,
    iteration,
    map_started,
    scheduled,
    task_failed,
)
from workflow.runs.history import Step, failed_visit, steps_of
from workflow.runs.progress import progress_of
from workflow.runs.visits import SIGNS, Visits


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def steps(*history: Event) -> list[Step]:
    return list(steps_of(events(*history)))


def task(
    name: str, begun: float, ended: float, state_type: str = "Task", **more: Any
) -> list[Event]:
    return [
        entered(name, state_type, timestamp=at(begun), **more),
        exited(name, state_type, timestamp=at(ended)),
    ]


def poll_loop() -> list[Event]:
    """Return a task, and a loop that polls three times."""
    history = task("Create", 0, 1)
    for number in range(3):
        second = 1 + number * 2
        history += task("Wait", second, second + 1, "Wait")
        history += task("Poll", second + 1.5, second + 2)
    return history


def imports(second: float, name: str = "Import") -> list[Event]:
    """Return two items of a Map that take a second each."""
    users, items = {"datasetType": "USERS"}, {"datasetType": "ITEMS"}
    return [
        entered("Imports", "Map", timestamp=at(second)),
        map_started(2),
        iteration("Started", 0),
        *task(name, second, second + 1, data=users),
        iteration("Started", 1),
        *task(name, second, second + 1, data=items),
    ]


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    shown = Console(
        file=file, force_terminal=terminal, width=80, color_system=None, highlight=False
    )
    return shown, file


def test_lines_show_a_loop_s_first_round_and_count_the_rest() -> None:
    shown, file = console(terminal=False)

    with run_view(shown) as view:
        view.stage("Deploying")
        for each in steps(*poll_loop(), entered("After", timestamp=at(8))):
            view.step(each)
        view.work([Work("Spark", 0.5)])

    assert file.getvalue().splitlines() == [
        "Deploying",
        "04:00:00  → Create",
        "04:00:01  ✓ Create  1.0 s",
        "04:00:01  → Wait",
        "04:00:02  ✓ Wait  1.0 s",
        "04:00:02  → Poll",
        "04:00:03  ✓ Poll  0.5 s",
        "04:00:08  ⟳ polled again 2 times",
        "04:00:08  → After",
    ]


def test_items_of_a_map_are_indented_and_named() -> None:
    shown, file = console(terminal=False)

    with LineView(shown) as view:
        view.step(steps(*imports(0, "Import Dataset"))[1])

    assert file.getvalue() == "04:00:00    → Import Dataset (USERS)\n"


def drawn(view: TableView) -> list[str]:
    """Return the lines of the table."""
    shown, file = console(terminal=False)
    shown.print(view)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_terminal_gets_a_table_that_counts() -> None:
    shown, _ = console(terminal=True)
    view = run_view(shown)
    assert isinstance(view, TableView)

    for each in steps(*poll_loop(), *imports(9)):
        if each.state != "Imports":
            view.step(each)

    assert drawn(view) == [
        " ✓  Create    1.0 s",
        " ✓  Wait      3.0 s  ×3",
        " ✓  Poll      1.5 s  ×3",
        " ✓    Import  1.0 s  ×2    ITEMS, USERS",
    ]


def test_a_running_state_counts_up_and_long_work_has_a_bar() -> None:
    shown, _ = console(terminal=True)
    view = TableView(shown, now=lambda: at(7))

    view.step(*steps(entered("ETL", timestamp=at(0))))
    view.work([Work("Spark: reading", 0.25)])
    state, bar = drawn(view)
    view.work([])

    assert state.endswith("ETL  7.0 s")
    assert bar.startswith("  Spark: reading ━")
    assert " 25 %" in bar
    assert len(drawn(view)) == 1


def test_long_work_of_which_nobody_knows_how_much_is_done_has_a_bar_without_a_share() -> None:
    shown, _ = console(terminal=True)
    view = TableView(shown, now=lambda: at(7))

    view.work([Work("SageMaker: own, training", None)])
    (bar,) = drawn(view)

    assert bar.startswith("  SageMaker: own, training ")
    assert "%" not in bar


def test_a_state_that_waits_to_be_tried_again_says_why() -> None:
    cause = "run 'x' is in progress since 04:00, and one run goes at a time: nothing was done"
    failed = task_failed("AnotherRunInProgress", cause, timestamp=at(1))
    (begun,) = steps(entered("Begin Run", timestamp=at(0)), scheduled(), failed)
    view, (lines, file) = (
        TableView(console(terminal=True)[0], now=lambda: at(7)),
        console(terminal=False),
    )
    waits = Step("waits", begun.visit, cause)

    with LineView(lines) as line_view:
        for each in (begun, waits):
            view.step(each)
            line_view.step(each)

    assert [line.strip() for line in drawn(view)] == [
        "⠋  Begin Run  7.0 s",
        "Begin Run is tried again: run 'x' is in progress since 04:00, and one run",
        "goes at a time: nothing was done",
    ]
    printed = " ".join(file.getvalue().split())
    assert printed == f"04:00:00 → Begin Run 04:00:01 ⟳ Begin Run is tried again: {cause}"
    view.step(Step("exited", begun.visit))
    assert len(drawn(view)) == 1


def test_a_failing_state_has_its_own_sign() -> None:
    shown, _ = console(terminal=True)
    view = TableView(shown, now=lambda: at(0))

    view.step(*steps(entered("Retraining Failed", "Fail", timestamp=at(0))))

    assert drawn(view) == [" ✗  Retraining Failed  0.0 s"]


def test_a_state_whose_error_was_caught_is_no_success() -> None:
    history = [
        entered("ETL", timestamp=at(0)),
        event("TaskFailed", taskFailedEventDetails={"error": "Glue.AWSGlueException"}),
        exited("ETL", timestamp=at(3)),
        entered("Report Failure", timestamp=at(3)),
    ]
    table, lines = TableView(console(terminal=True)[0], now=lambda: at(3)), console(terminal=False)
    printed = LineView(lines[0])

    for each in steps(*history):
        table.step(each)
        printed.step(each)

    assert drawn(table)[0] == " !  ETL             3.0 s"
    assert "04:00:03  ! ETL  3.0 s" in lines[1].getvalue()


REPORTING: dict[str, Any] = {
    "StartAt": "ETL",
    "States": {
        "ETL": {
            "Type": "Task",
            "Next": "Poll",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Report Failure"}],
        },
        "Poll": {
            "Type": "Task",
            "Next": "Done?",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Fallback"}],
        },
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.s", "StringEquals": "FAILED", "Next": "Report Failure"}],
            "Default": "Fallback",
        },
        "Fallback": {"Type": "Pass", "End": True},
        "Report Failure": {"Type": "Task", "Next": "Retraining Failed"},
        "Retraining Failed": {"Type": "Fail"},
    },
}
REPORTED = [
    *task("Report Failure", 4, 5),
    entered("Retraining Failed", "Fail", timestamp=at(5)),
]


def polled(error: str, cause: str) -> list[Event]:
    """Return a task that found that a job had failed."""
    job = {"status": "CREATE FAILED", "Error": error, "Cause": cause}
    return [
        entered("Poll", timestamp=at(0)),
        exited("Poll", data={"job": job}, timestamp=at(1)),
    ]


def shown_signs(history: list[Event], *, terminal: bool) -> list[str]:
    """Return sign and name of each state, in both forms of the view."""
    shown, file = console(terminal=terminal)
    view = run_view(shown, REPORTING)
    visits = Visits()
    for each in steps_of(events(*history), visits):
        view.step(each)
    view.end(failed_visit(visits))
    if isinstance(view, TableView):
        return [" ".join(line.split()[:2]) for line in drawn(view)]
    lines = (line[10:].split() for line in file.getvalue().splitlines() if "→" not in line)
    return [" ".join(words[:2]) for words in lines]


@pytest.mark.parametrize("terminal", [False, True])
def test_the_state_that_failed_has_the_cross_and_its_report_no_tick(terminal: bool) -> None:
    failed = event("TaskFailed", taskFailedEventDetails={"error": "E", "cause": "no column"})
    begun, ended = task("ETL", 0, 3)

    signs = shown_signs(
        [begun, failed, ended, *REPORTED, execution_failed("E", "no column")], terminal=terminal
    )

    assert signs[:2] == ["✗ ETL", "! Report"]


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        (False, ["✓ Poll", "✓ Done?", "! Report", "✗ Poll"]),
        (True, ["✗ Poll", "✓ Done?", "! Report", "✗ Retraining"]),
    ],
)
def test_a_job_that_failed_is_shown_at_the_state_that_polled_it(terminal, expected) -> None:
    history = [
        *polled("JobFailed", "bad data"),
        *task("Done?", 1, 2, "Choice"),
        *REPORTED,
        execution_failed("JobFailed", "bad data"),
    ]

    assert shown_signs(history, terminal=terminal) == expected


@pytest.mark.parametrize("fails", ["ETL", "Poll"])
def test_the_picture_has_the_terminal_s_signs(fails: str) -> None:
    """`Poll` finds a job that failed; `ETL` fails itself."""
    begun, ended = task("ETL", 0, 3)
    failed = event("TaskFailed", taskFailedEventDetails={"error": "E", "cause": "no"})
    found = [*polled("E", "no"), *task("Done?", 1, 2, "Choice")]
    before = found if fails == "Poll" else [begun, failed, ended]
    history = [*before, *REPORTED, execution_failed("E", "no")]

    drawn_states = progress_of(events(*history), REPORTING).states

    assert shown_signs(history, terminal=True) == [
        f"{SIGNS[record.status]} {name.split()[0]}" for name, record in drawn_states.items()
    ]


def test_an_error_that_the_workflow_recovers_from_is_no_failure() -> None:
    failed = event("TaskFailed", taskFailedEventDetails={"error": "E", "cause": "c"})
    begun, ended = task("Poll", 0, 3)
    history = [begun, failed, ended, *task("Fallback", 3, 4, "Pass"), event("ExecutionSucceeded")]

    assert shown_signs(history, terminal=True) == ["! Poll", "✓ Fallback"]


def test_an_aborted_state_does_not_count_up() -> None:
    """As the other items of a Map when one fails, and what runs when an execution is stopped."""
    shown, _ = console(terminal=True)
    view = TableView(shown, now=lambda: at(100))

    for each in steps(
        entered("Imports", "Map", timestamp=at(0)),
        map_started(2),
        iteration("Started", 0),
        iteration("Started", 1, previousEventId=2),
        entered("Import", timestamp=at(0), previousEventId=3),
        entered("Import Failed", "Fail", timestamp=at(1), previousEventId=4),
        iteration("Failed", 1),
        event("MapStateFailed"),
        exited("Imports", "Map", timestamp=at(2)),
        entered("Report Failure", timestamp=at(2)),
        event("ExecutionAborted", previousEventId=0, timestamp=at(5)),
    ):
        view.step(each)

    assert drawn(view) == [
        " !  Imports          2.0 s",
        " □    Import         2.0 s",
        " ✗    Import Failed  0.0 s",
        " □  Report Failure   3.0 s",
    ]


def test_the_last_picture_stays_on_the_terminal() -> None:
    shown, file = console(terminal=True)

    with TableView(shown, now=lambda: at(1)) as view:
        view.stage("Deploying")
        for each in steps(*task("ETL", 0, 1)):
            view.step(each)

    assert "Deploying" in file.getvalue()
    assert "✓  ETL  1.0 s" in file.getvalue()


@pytest.mark.parametrize(
    ("error", "sign"), [("NewerListPublished", "! Publish"), ("NoRecommendations", "✗ Publish")]
)
def test_an_error_that_ends_a_run_well_has_no_cross(error: str, sign: str) -> None:
    """A state may lead one error to an end without a failure, and all others to the report."""
    definition: dict[str, Any] = {
        "StartAt": "Publish",
        "States": {
            "Publish": {
                "Type": "Task",
                "End": True,
                "Catch": [
                    {"ErrorEquals": ["NewerListPublished"], "Next": "Newer List Stays Published"},
                    {"ErrorEquals": ["States.ALL"], "Next": "Retraining Failed"},
                ],
            },
            "Newer List Stays Published": {"Type": "Succeed"},
            "Retraining Failed": {"Type": "Fail"},
        },
    }
    failed = event("TaskFailed", taskFailedEventDetails={"error": error, "cause": "why"})
    begun, ended = task("Publish", 0, 3)
    file = io.StringIO()
    view = run_view(Console(file=file, width=80), definition)
    for each in steps_of(events(begun, failed, ended)):
        view.step(each)

    assert f"{sign}  3.0 s" in file.getvalue()
