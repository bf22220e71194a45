"""A run in which nothing has changed, beside the one that did everything.

    python benchmarks/nothing_changed.py

The whole local sample with [increments], on the local AWS, without its start: deployed once, run
twice. The Spark job has to read what is new, and is counted apart. Limit: two seconds for the rest.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localaws.aws import LocalAws
from retrain.local.database import sample_database
from retrain.local.deployment import deploy
from retrain.local.sample_size import SampleSize
from retrain.local.scratch import scratch_directory
from workflow import Config, parse_config
from workflow.runs.history import HistoryReader, follow
from workflow.runs.visits import Visits

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 2.0


@contextmanager
def local_aws(config: Config) -> Iterator[LocalAws]:
    """Start a local AWS beside a PostgreSQL with the sample."""
    with (
        scratch_directory("benchmark-") as scratch,
        tempfile.TemporaryDirectory() as directory,
        sample_database(scratch, SampleSize()) as url,
        LocalAws(
            directory=Path(directory),
            is_kept=False,
            account=config.aws.account,
            region=config.aws.region,
            time_scale=0,
            database_url=url,
        ) as aws,
    ):
        yield aws


def main() -> None:
    """Print the seconds of both runs, and of their states."""
    text = (ROOT / "retraining.toml").read_text(encoding="utf-8")
    config = parse_config(f"{text}\n[increments]\n")
    rest = 0.0
    print("| run | seconds | the Spark job | the rest | ends at |\n|---|---|---|---|---|")
    with local_aws(config) as aws:
        workflow = deploy(config, aws.client)
        for run in ("everything is new", "nothing has changed"):
            begun = time.monotonic()
            execution = workflow.execute()
            reader = HistoryReader(aws.client("stepfunctions"), execution.execution_arn)
            for _ in follow(reader, poll_seconds=0.05):
                pass
            taken = time.monotonic() - begun
            visits = Visits(reader.read_all())
            spark = sum(visit.seconds(None) or 0 for visit in visits.all if visit.state == "ETL")
            rest = taken - spark
            last = visits.all[-1].state
            print(f"| {run} | {taken:.1f} | {spark:.1f} | {rest:.1f} | {last} |")
    print(f"\nthe rest is {rest / LIMIT_SECONDS:.2f} of {LIMIT_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
