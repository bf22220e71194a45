"""Speed and memory of training and of batch recommendations, against bare implicit in the same run.

    python benchmarks/recommenders_speed.py [--events 2000000] [--users 100000] [--items 50000]

Training is compared with implicit's alternating least squares on the same matrix and parameters,
plus the counting of transitions; recommending with implicit's own batch call. The data are random:
a few items have most events, and half of the events are near the ones before. Beside wall-clock
time it prints CPU time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recommenders import Exploration, Hybrid, Interactions
from recommenders.models.transitions import transitions

LIMIT_TRAINING = 1.5
LIMIT_RATE = 4_000.0
LIMIT_SHARE = 0.5
LIMIT_BYTES = 2**30
N = 25
PAGE = os.sysconf("SC_PAGE_SIZE")


def events(n_events: int, n_users: int, n_items: int) -> Interactions:
    """Return random events of every user, in visits to items near each other."""
    random = np.random.default_rng(0)
    users = np.concatenate([np.arange(n_users), random.integers(n_users, size=n_events - n_users)])
    users.sort()
    start = (n_items * random.random(n_events) ** 3).astype(np.int64)
    walk = np.cumsum(random.integers(-3, 4, size=n_events)) % 50
    items = (start[users % n_events] + walk * (random.random(n_events) < 0.5)) % n_items
    items = np.where(random.random(n_events) < 0.3, start, items)
    item_ids = np.char.add("p", np.char.zfill(np.arange(n_items).astype(str), 6))
    user_ids = np.char.add("u", np.char.zfill(np.arange(n_users).astype(str), 7))
    return Interactions(
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        timestamps=1_700_000_000 + np.arange(n_events),
        user_ids=user_ids,
        item_ids=item_ids,
    )


def measure_seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock and the CPU seconds of a call."""
    clock, cores = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - cores


def resident() -> int:
    """Return the resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def bare_model() -> AlternatingLeastSquares:
    """Return implicit's model with the hybrid's parameters."""
    with threadpool_limits(1, "blas"):
        return AlternatingLeastSquares(
            factors=64, regularization=10.0, alpha=5.0, iterations=15, random_state=0
        )


def measure_training(data: Interactions) -> tuple[Hybrid, AlternatingLeastSquares]:
    """Print the times of training, and return both models."""
    bare, hybrid = bare_model(), Hybrid()
    matrix = data.matrix()
    with threadpool_limits(1, "blas"):
        als = measure_seconds(lambda: bare.fit(matrix, show_progress=False))
    steps = measure_seconds(lambda: transitions(data))
    ours = measure_seconds(lambda: hybrid.fit(data))
    for clock, index in (("wall clock", 0), ("CPU", 1)):
        peer = als[index] + steps[index]
        print(
            f"training, {clock}: {ours[index]:.1f} s; bare ALS {als[index]:.1f} s + transitions"
            f" {steps[index]:.1f} s; ratio {ours[index] / peer:.2f} of {LIMIT_TRAINING}"
        )
    return hybrid, bare


def measure_recommendations(
    hybrid: Hybrid, bare: AlternatingLeastSquares, data: Interactions
) -> None:
    """Print the rates and the memory of batch recommendations."""
    users = data.user_ids.tolist()
    matrix = data.matrix()
    some = np.arange(min(20_000, data.n_users))
    peer = [
        len(some) / seconds
        for seconds in measure_seconds(
            lambda: bare.recommend(some, matrix[some], N=N, filter_already_liked_items=False)
        )
    ]
    for name, exploration in (("recommend", None), ("with exploration", Exploration())):
        before, memory = resident(), [0]

        def recommend(
            exploration: Exploration | None = exploration,
            memory: list[int] = memory,
            before: int = before,
        ) -> None:
            for _block in hybrid.recommend(users, N, exploration=exploration, workers=2):
                memory.append(resident() - before)

        rate = [len(users) / seconds for seconds in measure_seconds(recommend)]
        fifth = max(memory[: len(memory) // 5 + 1])
        print(
            f"{name}: {rate[0]:,.0f} users/s of {LIMIT_RATE:,.0f}; bare implicit {peer[0]:,.0f},"
            f" share {rate[0] / peer[0]:.2f} of {LIMIT_SHARE}"
        )
        print(
            f"{name}: {rate[1]:,.0f} users per CPU second, at least {LIMIT_RATE / 2:,.0f};"
            f" bare implicit {peer[1]:,.0f}, share {rate[1] / peer[1]:.2f} of {LIMIT_SHARE};"
            f" memory at most {fifth / 2**20:.0f} MB in the first fifth,"
            f" {max(memory) / 2**20:.0f} MB in all"
        )
    print(f"resident {resident() / LIMIT_BYTES:.2f} of {LIMIT_BYTES / 2**30:.0f} GB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak of the whole run, training included: {peak / 2**30:.2f} GB")


def main() -> None:
    """Print each figure beside its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    arguments = parser.parse_args()
    data = events(arguments.events, arguments.users, arguments.items)
    print(f"{data.n_users:,} users, {data.n_items:,} items, {data.n_events:,} events")
    hybrid, bare = measure_training(data)
    measure_recommendations(hybrid, bare, data)


if __name__ == "__main__":
    main()
