"""Pieces of work side by side: results and log are those of one after the other."""

import threading
from collections.abc import Callable

import pytest

from etl.side_by_side import side_by_side


def test_they_go_on_at_the_same_time_and_the_lines_of_each_stand_together() -> None:
    """Each waits for the other in the middle of its work; the first to begin is the last to end."""
    both, second_ended = threading.Barrier(2), threading.Event()
    lines: list[str] = []

    def first(log: Callable[[str], None]) -> int:
        log("first begins")
        both.wait(30)
        second_ended.wait(30)
        log("first ends")
        return 1

    def second(log: Callable[[str], None]) -> int:
        log("second begins")
        both.wait(30)
        log("second ends")
        second_ended.set()
        return 2

    with side_by_side(log=lines.append) as begin:
        ends = [begin(first), begin(second)]
        assert [end() for end in ends] == [1, 2]

    assert lines == ["first begins", "first ends", "second begins", "second ends"]


def test_an_error_is_that_of_the_work_and_what_has_not_begun_does_not() -> None:
    lines: list[str] = []
    running, failed = threading.Barrier(5), threading.Event()
    begun: list[int] = []

    def fails(log: Callable[[str], None]) -> None:
        log("read")
        running.wait(30)
        raise ValueError("no column")

    def goes_on(_: Callable[[str], None]) -> None:
        running.wait(30)
        failed.wait(30)

    def waits(_: Callable[[str], None]) -> None:
        begun.append(1)
        failed.wait(30)

    with (
        pytest.raises(ValueError, match="no column"),
        side_by_side(log=lines.append) as begin,
    ):
        end = begin(fails)
        for _ in range(3):
            begin(goes_on)
        for _ in range(8):
            begin(waits)
        running.wait(30)
        try:
            end()
        finally:
            threading.Timer(1, failed.set).start()

    assert lines == ["read"]
    assert len(begun) <= 1  # in the thread of the one that failed
