"""The whole local run: seconds of each stage, users a second, memory, and how good the lists are.

    python benchmarks/pipeline.py [--events 1000000] [--students 50000] [--postings 8000] [--runs 3]

Without options it is the run of `make run`. Its limits are 20 s, 2 GB, and 1.3 times the popularity
baseline. Memory is the sum of the resident pages of all processes of the run (this one, the Spark
job, its JVM, the functions), sampled twice a second; shared pages count once for each process, so
the figure is an upper bound. PostgreSQL, which stands for a company's server, is not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from retrain.live import RunView
from retrain.local.run import run_locally
from retrain.local.sample_size import SampleSize
from workflow import load_config
from workflow.runs.history import Step
from workflow.runs.visits import Visit

CONFIG = Path(__file__).parents[1] / "retraining.toml"
EXECUTION = "The execution"
METRIC = "normalized_discounted_cumulative_gain_at_10"
LIMIT_BYTES = 2 * 2**30
LIMIT_NDCG_RATIO = 1.3
LIMIT_SECONDS = {150_000: 20.0, 1_000_000: 75.0}
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """What a run took.

    Attributes:
        seconds: By stage; together they are the whole run.
        states: Of the stages of the execution, which is one of them.
        users: Users with a list.
        peak_bytes: Resident bytes of all processes together, at most.
        ndcg: NDCG@10 of the trained version.
        popularity: That of the popularity baseline.
    """

    seconds: dict[str, float]
    states: dict[str, float]
    users: int
    peak_bytes: int
    ndcg: float
    popularity: float

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return sum(self.seconds.values())

    @property
    def users_per_second(self) -> float:
        """Users of a second of batch inference."""
        return self.users / self.states["batch inference"]


class Clock(RunView):
    """Notes when each stage begins."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.begins: list[tuple[str, float]] = []

    def stage(self, text: str) -> None:
        """Note a step outside the state machine."""
        self.begins.append((text, time.monotonic()))

    def step(self, step: Step) -> None:
        """Note the first state."""
        if EXECUTION not in dict(self.begins):
            self.stage(EXECUTION)

    def end(self, failed: Visit | None) -> None:
        """Note the end of the execution."""
        self.stage("Writing the results")

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage until now."""
        ends = [*(at for _, at in self.begins[1:]), time.monotonic()]
        taken = {}
        for (stage, begun), ended in zip(self.begins, ends, strict=True):
            taken[stage] = ended - begun
        return taken


def tree_bytes(root: int) -> int:
    """Return the resident bytes of a process and all its descendants."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            pages = int((entry / "statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(stat[1])
        resident[int(entry.name)] = pages * PAGE
    tree = {root}
    while children := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= children
    return sum(resident.get(pid, 0) for pid in tree)


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Yield a list that holds the greatest sum of resident bytes of this process and its own."""
    peak, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(0.5):
            peak[0] = max(peak[0], tree_bytes(os.getpid()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def measure(size: SampleSize) -> Measured:
    """Run once with a sample of this size."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as output, peak_memory() as peak:
        outcome = run_locally(
            load_config(CONFIG), output=Path(output), database_url=None, sample=size, view=clock
        )
        seconds = clock.seconds()
        if outcome.failure:
            raise SystemExit(f"the run failed: {outcome.failure.cause}")
        with (Path(output) / "recommendations.csv").open(encoding="utf-8") as lines:
            users = sum(line.split(",", 3)[2] == "1" for line in lines)
    return Measured(
        seconds=seconds,
        states=outcome.durations,
        users=users,
        peak_bytes=peak[0],
        ndcg=outcome.metrics["metrics"][METRIC],
        popularity=outcome.metrics["baseline"]["metrics"][METRIC],
    )


def show(measured: Measured, limit: float | None) -> None:
    """Print a run's figures."""
    print("| stage | seconds |\n|---|---|")
    for stage, seconds in measured.seconds.items():
        if seconds >= 0.05:
            print(f"| {stage} | {seconds:.1f} |")
        if stage == EXECUTION:
            for state, of_it in measured.states.items():
                print(f"| – {state} | {of_it:.1f} |")
    print(f"| all | {measured.total:.1f} |\n")
    ratio = measured.ndcg / measured.popularity
    print(f"ndcg_at_10 {measured.ndcg:.3f}, {ratio:.2f} times the popularity baseline,", end=" ")
    print(f"{ratio / LIMIT_NDCG_RATIO:.2f} of {LIMIT_NDCG_RATIO}")
    print(f"users_per_second {measured.users_per_second:,.0f}")
    print(f"peak_memory {measured.peak_bytes / 2**30:.2f} GB,", end=" ")
    print(f"{measured.peak_bytes / LIMIT_BYTES:.2f} of {LIMIT_BYTES / 2**30:.0f} GB")
    of_limit = f", {measured.total / limit:.2f} of {limit:.0f} s" if limit else ""
    print(f"seconds {measured.total:.1f}{of_limit}\n", flush=True)


def main() -> None:
    """Print the figures of each run."""
    default = SampleSize()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=default.events)
    parser.add_argument("--students", type=int, help="events / 20 if they are not the default")
    parser.add_argument("--postings", type=int, help="events / 125 if they are not the default")
    parser.add_argument("--runs", type=int, default=1)
    given = parser.parse_args()
    is_default = given.events == default.events
    size = SampleSize(
        students=given.students or (default.students if is_default else given.events // 20),
        postings=given.postings or (default.postings if is_default else given.events // 125),
        events=given.events,
    )
    print(f"{size}\n")
    for _ in range(given.runs):
        show(measure(size), LIMIT_SECONDS.get(size.events))


if __name__ == "__main__":
    main()
