"""The live view of a run, on a terminal and elsewhere."""

import io
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console

from retrain.live import LineView, TableView, Work, run_view
from tests.histories import BEGIN, Event, entered, event, events, exited, iteration, map_started
from workflow.runs.history import Step, steps_of


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
