"""What a person sees while a run goes on, on a terminal and elsewhere."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from retrain.live import LineView, TableView, run_view
from workflow.runs.history import Step

BEGIN = datetime(2024, 6, 1, 4, tzinfo=UTC)


@dataclass
class Bar:
    """Long work."""

    label: str
    fraction: float


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def step(kind: Any, state: str, second: float, seconds: float | None = None, **more: Any) -> Step:
    told = {"state_type": "Task", "iteration": None, "label": "", **more}
    return Step(kind=kind, state=state, at=at(second), seconds=seconds, **told)


def poll_loop() -> list[Step]:
    """A task, and a loop that looks three times."""
    steps = [step("entered", "Create", 0), step("exited", "Create", 1, 1.0)]
    for number in range(3):
        second = 1 + number * 2
        wait = {"state_type": "Wait"}
        steps += [
            step("entered", "Wait", second, **wait),
            step("exited", "Wait", second + 1, 1.0, **wait),
            step("entered", "Look", second + 1),
            step("exited", "Look", second + 2, 0.5),
        ]
    return [*steps, step("entered", "After", 8)]


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    shown = Console(
        file=file, force_terminal=terminal, width=80, color_system=None, highlight=False
    )
    return shown, file


def test_lines_tell_a_loop_s_first_round_and_count_the_rest() -> None:
    shown, file = console(terminal=False)

    with run_view(shown) as view:
        view.stage("Deploying")
        for each in poll_loop():
            view.step(each)
        view.work([Bar("Spark", 0.5)])

    assert file.getvalue().splitlines() == [
        "Deploying",
        "04:00:00  → Create",
        "04:00:01  ✓ Create  1.0 s",
        "04:00:01  → Wait",
        "04:00:02  ✓ Wait  1.0 s",
        "04:00:02  → Look",
        "04:00:03  ✓ Look  0.5 s",
        "04:00:08  ⟳ looked again 2 times",
        "04:00:08  → After",
    ]


def test_items_of_a_map_are_indented_and_named() -> None:
    shown, file = console(terminal=False)

    with LineView(shown) as view:
        view.step(step("entered", "Import Dataset", 0, iteration=1, label="USERS"))

    assert file.getvalue() == "04:00:00    → Import Dataset (USERS)\n"


def drawn(view: TableView) -> list[str]:
    """What the table looks like now."""
    shown, file = console(terminal=False)
    shown.print(view)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_terminal_gets_a_table_that_counts() -> None:
    shown, _ = console(terminal=True)
    view = run_view(shown)
    assert isinstance(view, TableView)

    for each in poll_loop()[:-1]:
        view.step(each)
    for number, label in enumerate(("USERS", "ITEMS")):
        view.step(step("entered", "Import", 9, iteration=number, label=label))
        view.step(step("exited", "Import", 9, 1.0, iteration=number, label=label))

    assert drawn(view) == [
        " ✓  Create    1.0 s",
        " ✓  Wait      3.0 s  ×3",
        " ✓  Look      1.5 s  ×3",
        " ✓    Import  2.0 s  ×2    ITEMS, USERS",
    ]


def test_what_goes_on_counts_up_and_long_work_has_a_bar() -> None:
    shown, _ = console(terminal=True)
    view = TableView(shown, now=lambda: at(7))

    view.step(step("entered", "ETL", 0))
    view.work([Bar("Spark: reading", 0.25)])
    state, bar = drawn(view)
    view.work([])

    assert state.endswith("ETL  7.0 s")
    assert bar.startswith("  Spark: reading ━")
    assert " 25 %" in bar
    assert len(drawn(view)) == 1


def test_a_failing_state_has_its_own_sign() -> None:
    shown, _ = console(terminal=True)
    view = TableView(shown, now=lambda: at(0))

    view.step(step("entered", "Retraining Failed", 0, state_type="Fail"))

    assert drawn(view) == [" ✗  Retraining Failed  0.0 s"]


def test_the_last_picture_stays_on_the_terminal() -> None:
    shown, file = console(terminal=True)

    with TableView(shown, now=lambda: at(1)) as view:
        view.stage("Deploying")
        view.step(step("entered", "ETL", 0))
        view.step(step("exited", "ETL", 1, 1.0))

    assert "Deploying" in file.getvalue()
    assert "✓  ETL  1.0 s" in file.getvalue()
