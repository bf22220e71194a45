"""Work that is done again and again beside a block, until the block ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(work: Callable[[], None], seconds: float) -> Iterator[None]:
    """Do work each time that so many seconds have passed, for the time of a block.

    Args:
        work: Called by a thread of its own, never after the block; it raises nothing.
        seconds: Between the end of one call and the begin of the next.
    """
    ending = threading.Event()

    def repeat() -> None:
        while not ending.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
