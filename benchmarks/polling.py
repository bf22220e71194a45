"""Polling schedules beside each other: the share of a job that is lost, and the number of polls.

    python benchmarks/polling.py [--jobs 10000]

Jobs of Personalize are simulated, not run: each data set has durations of its own around the median
of a type of job, and its jobs vary around them, log-normally both. The schedules of this project
are its handlers' own functions, `expected_duration` and `next_wait`. Lost is the time from a job's
end to the poll that sees it, as a share of the job's duration.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lambdas.polling import Expected, expected_duration, next_wait
from workflow.settings import PollingSettings

MEDIANS = {"import": 12 * 60, "training": 50 * 60, "batch inference": 28 * 60}
OF_DATA_SETS = 0.3  # standard deviation of the logarithms: a data set's median is twice another's
OF_JOBS = 0.15
EARLIER_JOBS = 10
BOUNDS = PollingSettings().min_seconds, PollingSettings().max_seconds
LOST_LIMIT, POLLS_LIMIT = 0.02, 12

Pauses = Callable[[float, int, Expected | None], float]
"""Seconds waited, polls so far, how long the job is expected to take → the next pause."""


@dataclass(frozen=True)
class Job:
    """A job that ends after `seconds`, and what is expected of it by the jobs before it."""

    seconds: float
    expected: Expected | None


def jobs(median: float, number: int, of_jobs: float, chance: random.Random) -> Iterator[Job]:
    """Yield jobs of as many data sets, each after some earlier ones of the same data set."""
    begun = datetime(2024, 6, 1, tzinfo=UTC)
    for _ in range(number):
        own = median * math.exp(chance.gauss(0, OF_DATA_SETS))
        *earlier, seconds = (
            own * math.exp(chance.gauss(0, of_jobs)) for _ in range(EARLIER_JOBS + 1)
        )
        listed = [
            {
                "status": "ACTIVE",
                "creationDateTime": begun + timedelta(days=day),
                "lastUpdatedDateTime": begun + timedelta(days=day, seconds=took),
            }
            for day, took in enumerate(earlier)
        ]
        yield Job(seconds, expected_duration(listed))


def poll(job: Job, pauses: Pauses) -> tuple[float, int]:
    """Return the share of a job that is lost, and the number of polls."""
    clock, polls = 0.0, 0
    while clock < job.seconds:
        clock += pauses(clock, polls, job.expected)
        polls += 1
    return (clock - job.seconds) / job.seconds, polls


SCHEDULES: dict[str, Pauses] = {
    "every 600 s: the original": lambda waited, polls, expected: 600,
    "60 s, then 1.02 times as long each: AWS's own solution": lambda waited, polls, expected: (
        60 * 1.02**polls
    ),
    "a tenth of the time waited, 15 to 300 s": lambda waited, polls, expected: next_wait(
        waited, 15, 300
    ),
    "ours, of the first job of its kind": lambda waited, polls, expected: next_wait(
        waited, *BOUNDS
    ),
    "ours": lambda waited, polls, expected: next_wait(waited, *BOUNDS, *(expected or ())),
}


def measure(
    pauses: Pauses, number: int, of_jobs: float = OF_JOBS
) -> dict[str, tuple[float, float]]:
    """Return, of each type of job, the mean share that is lost, and the mean number of polls."""
    means = {}
    for name, median in MEDIANS.items():
        polled = [poll(job, pauses) for job in jobs(median, number, of_jobs, random.Random(name))]
        means[name] = tuple(sum(figures) / number for figures in zip(*polled, strict=True))
    return means


def row(title: str, means: dict[str, tuple[float, float]]) -> str:
    """Return a row of the table: the mean of the types of job, and each type."""
    lost, polls = (sum(figures) / len(means) for figures in zip(*means.values(), strict=True))
    each = " | ".join(f"{100 * lost:.1f} % / {polls:.1f}" for lost, polls in means.values())
    return f"| {title} | {100 * lost:.1f} % | {polls:.1f} | {each} |"


def main() -> None:
    """Print the figures of every schedule, then of ours for jobs that vary less and more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="of each type")
    number = parser.parse_args().jobs
    print(f"| schedule | lost | polls | {' | '.join(MEDIANS)} |\n|---|---|---|---|---|---|")
    for title, pauses in SCHEDULES.items():
        print(row(title, measure(pauses, number)))
    ours = SCHEDULES["ours"]
    for of_jobs in (0.05, 0.3, 0.6):
        print(row(f"ours, jobs vary by {100 * of_jobs:.0f} %", measure(ours, number, of_jobs)))
    means = measure(ours, number).values()
    lost, polls = (sum(figures) / len(means) for figures in zip(*means, strict=True))
    print(
        f"\nlost {lost / LOST_LIMIT:.2f} of {LOST_LIMIT:.0%}; polls {polls / POLLS_LIMIT:.2f} of 12"
    )


if __name__ == "__main__":
    main()
