"""The whole local run as the data grow: seconds of each stage for a million events.

    python benchmarks/scale.py [--millions 1 3 10]

A million events have 100,000 users and 10,000 items, and so on in proportion. A stage whose time
grows with the data, and no faster, has the same figure in each column, or a smaller one in the next
where its start counts. Each size is a run in a process of its own.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from pipeline import EXECUTION, Measured, measure, show

from retrain.local.sample_size import SampleSize

MILLION = 1_000_000
USERS, ITEMS = 100_000, 10_000  # of a million events


def measure_apart(millions: int) -> Measured:
    """Run once, in a process of its own."""
    size = SampleSize(
        students=USERS * millions, postings=ITEMS * millions, events=MILLION * millions
    )
    print(f"{size}\n", flush=True)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        measured = process.submit(measure, size).result()
    show(measured, None)
    return measured


def stages(measured: Measured) -> dict[str, float]:
    """Return the seconds of each stage, of the execution by its states."""
    parts = {stage: of_it for stage, of_it in measured.seconds.items() if stage != EXECUTION}
    parts |= measured.states
    # It begins with the size, which differs.
    return {name: of_it for name, of_it in parts.items() if not name.startswith("Sample")}


def main() -> None:
    """Print each run, and then the stages beside each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 3, 10])
    runs = {millions: measure_apart(millions) for millions in parser.parse_args().millions}
    print("Seconds for a million events:\n")
    print("|".join(["| stage ", *(f" {millions} M " for millions in runs), ""]))
    print("|---" * (1 + len(runs)) + "|")
    for stage in stages(next(iter(runs.values()))):
        cells = (f" {stages(run)[stage] / millions:.2f} " for millions, run in runs.items())
        print("|".join([f"| {stage} ", *cells, ""]))
    cells = (f" {run.total / millions:.2f} " for millions, run in runs.items())
    print("|".join(["| all ", *cells, ""]))
    cells = (f" {run.users_per_second:,.0f} " for run in runs.values())
    print("|".join(["| users_per_second ", *cells, ""]))
    cells = (f" {run.peak_bytes / 2**30:.2f} " for run in runs.values())
    print("|".join(["| peak_memory, GB ", *cells, ""]))


if __name__ == "__main__":
    main()
