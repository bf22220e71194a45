"""The tables of runs and lists, on terminals of several widths and in a pipe."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.text import Text

from lambdas.retention import CleanUp, RunFolder, Solution
from lambdas.send_notification import End, Records, notification_of
from retrain.publications import Publication
from retrain.run_ends import RunEnd
from retrain.run_tables import show_clean_up, show_publications, show_runs
from workflow.runs.executions import Run
from workflow.runs.history import Failure

BEGUN = datetime(2026, 11, 27, 5, 37, 9, tzinfo=UTC)
RUN = "20261127T053709Z-69d0aa"
LONG = "nightly-" + 68 * "x"
STATE = "Get Batch Inference Status"


def printed(show: Callable[[Console], None], *, width: int, is_terminal: bool = True) -> str:
    file = io.StringIO()
    show(
        Console(
            width=width,
            file=file,
            force_terminal=is_terminal,
            no_color=True,
            highlight=False,
            soft_wrap=True,
        )
    )
    return Text.from_ansi(file.getvalue()).plain


def shown_runs(name: str) -> Callable[[Console], None]:
    ended = BEGUN + timedelta(hours=1, minutes=42)
    failed = Run(name, "arn", "TIMED_OUT", BEGUN, ended)
    ends = [RunEnd(failed, failure=Failure(STATE, "States.Timeout", ""))]
    return lambda console: show_runs(console, ends, now=BEGUN)


def shown_lists(name: str) -> Callable[[Console], None]:
    content = {
        "run": name,
        "createdAt": "2026-11-27T05:38:02Z",
        "extractedAt": "2026-11-27T05:37:31Z",
        "users": 5_000,
        "recommendations": 124_980,
        "csv": f"s3://bucket/runs/{name}/recommendations/recommendations.csv",
        "degraded": {"reason": "coverage is 0.0310, minimum 0.1"},
    }
    listed = [Publication(content, is_current=True)]
    return lambda console: show_publications(console, listed, listed[0])


def shown_clean_up(name: str) -> Callable[[Console], None]:
    folder = RunFolder(name, BEGUN, {"manifest.json": 1_234_567})
    solution = Solution(f"arn:aws:personalize:r:1:solution/{name}")
    clean_up = CleanUp([folder], {"kept": "the last run"}, [solution], {})
    return lambda console: show_clean_up(console, clean_up)


@pytest.mark.parametrize(
    ("shown", "marks"),
    [
        (shown_runs, ["TIMED_OUT", "2026-11-27 05:37", "1 h 42 min"]),
        (shown_lists, ["*!", "2026-11-27 05:38", "2026-11-27 05:37", "5,000", "124,980"]),
        (shown_clean_up, ["delete", "2026-11-27 05:37", "1 file", "1.2 MB"]),
    ],
)
def test_nothing_of_a_table_is_cut(
    shown: Callable[[str], Callable[[Console], None]], marks: list[str]
) -> None:
    for width in (40, 80, 120):
        for name in (RUN, f"{RUN}.2", LONG):
            text = printed(shown(name), width=width)

            row = next(line for line in text.splitlines() if name in line)
            assert [mark for mark in marks if mark not in row] == []
            assert "…" not in text
    rows = printed(shown(RUN), width=80).splitlines()
    assert max(len(line) for line in rows if RUN in line and "s3:" not in line) <= 80


def test_the_state_that_ended_a_run_breaks_between_words_and_not_in_a_pipe() -> None:
    narrow = printed(shown_runs(RUN), width=80)
    piped = printed(shown_runs(RUN), width=80, is_terminal=False)

    assert [line[66:].strip() for line in narrow.splitlines()[1:]] == [
        "Get Batch",
        "Inference",
        "Status",
    ]
    assert len(piped.splitlines()) == 2
    assert piped.splitlines()[1].rstrip().endswith(STATE)


def test_below_the_lists_stands_what_degraded_them() -> None:
    text = printed(shown_lists(RUN), width=80)

    assert text.splitlines()[-1] == f"! {RUN} degraded: coverage is 0.0310, minimum 0.1"


def test_a_run_that_was_degraded_and_failed_then_is_marked() -> None:
    ended = BEGUN + timedelta(hours=1)
    described = {
        "executionArn": f"arn:aws:states:r:1:execution:m:{RUN}",
        "status": "FAILED",
        "error": "CleanUpFailed",
        "cause": "x cannot be deleted",
        "startDate": BEGUN,
        "stopDate": ended,
    }
    records = Records(campaigns={"degraded": True, "reason": "campaign 'live' serves v1"})
    end = RunEnd(
        Run(RUN, described["executionArn"], "FAILED", BEGUN, ended),
        notification_of(End.of(described), records),
        Failure("Clean Up Old Runs", "CleanUpFailed", "x cannot be deleted"),
    )

    lines = printed(lambda console: show_runs(console, [end], now=ended), width=120).splitlines()

    assert lines[1].startswith("!")
    assert lines[-1] == f"! {RUN} degraded: campaign 'live' serves v1"


def test_lists_name_their_models_where_there_are_some() -> None:
    of_model = Publication({"run": "b", "model": {"name": "hybrid"}}, is_current=True)
    of_personalize = Publication({"run": "a"}, is_current=False)

    def shown(*listed: Publication) -> list[str]:
        text = printed(lambda console: show_publications(console, listed, listed[0]), width=80)
        return [line for line in text.splitlines() if line.startswith("made by")]

    assert shown(of_personalize) == []
    assert shown(of_model, of_personalize) == ["made by hybrid: b", "made by personalize: a"]
