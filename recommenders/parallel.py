"""Blocks of work on several threads, with results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")


def map_in_order(block: Callable[[int], T], starts: range, workers: int) -> Iterator[T]:
    """Yield `block(start)` for each start in order, never more than `workers` ahead.

    0 workers means as many as there are cores, or blocks if those are fewer.
    """
    workers = workers or min(os.cpu_count() or 1, len(starts))
    if workers <= 1:
        yield from map(block, starts)
        return
    # Threads of BLAS beside the workers would compete with them for the cores.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[T]] = deque()
        for start in starts:
            pending.append(pool.submit(block, start))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
