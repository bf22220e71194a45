"""Many retrainings in a row on one served local AWS, and what grows with each.

    python benchmarks/soak.py
    python benchmarks/soak.py --runs 50

The deployed workflow with a script in place of the Spark job, on `retrain local serve` with a data
directory. The last row is the growth per run: the slope of the straight line through all runs but
the first, which starts the functions.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from small_shop_aws import Served, deploy_small_shop, small_shop

from workflow.runs.executions import start_run, wait_for_end

COLUMNS: dict[str, Callable[[psutil.Process, Path], float]] = {
    "memory, MB": lambda server, _: server.memory_info().rss / 1e6,
    "data directory, MB": lambda _, directory: size_of(directory) / 1e6,
    "file descriptors": lambda server, _: server.num_fds(),
    "threads": lambda server, _: server.num_threads(),
    "processes": lambda server, _: len(server.children(recursive=True)),
}


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def retrain(client: Callable[[str], Any], machine: str, name: str) -> float:
    """Perform a run; return its seconds."""
    states, begun = client("stepfunctions"), time.monotonic()
    run = start_run(states, machine, name=name)
    ended = wait_for_end(states, run, poll_seconds=0.02, sleep=time.sleep)
    if ended.status != "SUCCEEDED":
        raise SystemExit(f"{name} is {ended.status}")
    return time.monotonic() - begun


def growth(values: Sequence[float]) -> float:
    """Return the slope of a straight line through values."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def main() -> None:
    """Print a row for each run, and the growth."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    rows: list[list[float]] = []
    print(f"| run | seconds | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}")
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "aws"
        config = small_shop()
        with Served(directory, config) as served:
            deploy_small_shop(config, served.client)
            server = psutil.Process(served.pid)
            for number in range(1, runs + 1):
                seconds = retrain(served.client, config.state_machine_arn, f"run-{number}")
                time.sleep(0.5)  # logs are delivered after the run
                row = [seconds, *(measure(server, directory) for measure in COLUMNS.values())]
                rows.append(row)
                print(f"| {number} | {' | '.join(f'{each:.1f}' for each in row)} |", flush=True)
    slopes = [growth(column) for column in zip(*rows[1:], strict=True)]
    print(f"| growth per run | {' | '.join(f'{slope:+.3f}' for slope in slopes)} |")


if __name__ == "__main__":
    main()
