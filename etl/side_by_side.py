"""Spark jobs side by side: while one is planned, or has fewer tasks than cores, others run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

_T = TypeVar("_T")
# More would take memory, and a core has work already.
_AT_A_TIME = 4


class Begin(Protocol):
    """Begins a piece of work in a thread of its own."""

    def __call__(self, work: Callable[[Callable[[str], None]], _T]) -> Callable[[], _T]:
        """Begin it, as soon as there is a thread.

        Args:
            work: Called with what takes the lines of its log.

        Returns:
            What waits for the end, logs the lines, and returns the result or raises the error.
        """


@contextmanager
def side_by_side(*, log: Callable[[str], None]) -> Iterator[Begin]:
    """Do pieces of work side by side for the length of a `with` block.

    The lines of each stand together in the log. If the block fails, what has not begun does not.

    Args:
        log: Called with each line, in the block's own thread.
    """

    def begin(work: Callable[[Callable[[str], None]], _T]) -> Callable[[], _T]:
        lines: list[str] = []
        future = pool.submit(work, lines.append)

        def end() -> _T:
            try:
                return future.result()
            finally:
                for line in lines:
                    log(line)

        return end

    pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="work")
    try:
        yield begin
    finally:
        pool.shutdown(cancel_futures=True)
