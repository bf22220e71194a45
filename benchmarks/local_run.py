"""The whole local run against its limits: 60 s, 2 GB, and 1.3 times the popularity baseline.

    python benchmarks/local_run.py [--runs 3]

Memory is the sum of the resident pages of all processes of the run (the command, the Spark job, its
JVM, PostgreSQL), sampled ten times a second; shared pages count once for each process, so the
figure is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_SECONDS = 60.0
LIMIT_BYTES = 2 * 2**30
LIMIT_NDCG_RATIO = 1.3
PAGE = os.sysconf("SC_PAGE_SIZE")


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


def measure_run(output: Path) -> tuple[float, int]:
    """Run once; return seconds and peak bytes."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from retrain.main import main; main()",
            "local",
            "run",
            "--output",
            str(output),
        ],
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_bytes(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"the run failed with exit code {process.returncode}")
    return time.monotonic() - begun, peak


def main() -> None:
    """Print each run's figures as ratios against the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print("| run | seconds | of 60 s | peak GB | of 2 GB | NDCG@10 | × popularity | of 1.3 |")
    print("|---|---|---|---|---|---|---|---|")
    for number in range(1, runs + 1):
        with tempfile.TemporaryDirectory() as directory:
            seconds, peak = measure_run(Path(directory))
            metrics = json.loads((Path(directory) / "metrics.json").read_text())
        metric = "normalized_discounted_cumulative_gain_at_10"
        ndcg, baseline = metrics["metrics"][metric], metrics["baseline"]["metrics"][metric]
        print(
            f"| {number} | {seconds:.1f} | {seconds / LIMIT_SECONDS:.2f}"
            f" | {peak / 2**30:.2f} | {peak / LIMIT_BYTES:.2f}"
            f" | {ndcg:.3f} | {ndcg / baseline:.2f} | {ndcg / baseline / LIMIT_NDCG_RATIO:.2f} |"
        )


if __name__ == "__main__":
    main()
