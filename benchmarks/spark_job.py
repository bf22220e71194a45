"""The Spark job on a large database, against PostgreSQL's COPY of the same results.

    python benchmarks/etl.py [--rows 1000000] [--students 50000] [--postings 8000]

The schema of the sample with events that numpy draws. COPY writes the same rows to nowhere: users,
items, interactions, and the pairs that are excluded. The job runs as the local Glue runs it, from
its start to its end. Memory is that of the job's processes, Python and Java; seconds of the
processor are those of the job and PostgreSQL, for other programs may run beside them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import psycopg

from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from retrain.local.postgres import Postgres
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from retrain.local.scratch import scratch_directory
from workflow import Config, parse_config

ROOT = Path(__file__).parents[1]
CHUNK = 1_000_000
_EPOCH = "extract(epoch from {})::bigint"
RESULTS = {
    "users": """
        SELECT s.id, d.name, d.faculty, s.prefecture, s.grade
        FROM students s LEFT JOIN departments d ON d.id = s.department_id
        WHERE s.status = 'active'""",
    "items": f"""
        SELECT p.id, c.industry, p.job_type, p.salary, p.title,
               concat_ws(' ', p.title, p.description), {_EPOCH.format("p.published_at")}
        FROM job_postings p JOIN companies c ON c.id = p.company_id""",
    "interactions": f"""
        SELECT student_id, job_posting_id, {_EPOCH.format("created_at")}, kind
        FROM events WHERE student_id IS NOT NULL""",
    "exclusions": """
        SELECT DISTINCT student_id, job_posting_id
        FROM events WHERE kind = 'apply' AND student_id IS NOT NULL""",
}


@dataclass(frozen=True)
class Taken:
    """What something took: seconds, seconds of the processor, and bytes at its peak."""

    seconds: float
    cpu: float
    peak: int = 0


def load(url: str, rows: int, students: int, postings: int) -> None:
    """Fill an empty database: the tables of the sample, and as many events."""
    load_sample(url, SampleSize(students=students, postings=postings, events=1))
    random = np.random.default_rng(0)
    with psycopg.connect(url) as connection:
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = 'events' AND indexname <> 'events_pkey'"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("TRUNCATE events")
        copy_from = "COPY events FROM STDIN (FORMAT csv)"
        for first in range(0, rows, CHUNK):
            frame = _events(random, first, min(CHUNK, rows - first), rows, students, postings)
            with connection.cursor().copy(copy_from) as copy:
                copy.write(frame.to_csv(index=False, header=False))
        for _, definition in indexes:
            connection.execute(definition)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _events(
    random: np.random.Generator, first: int, count: int, rows: int, students: int, postings: int
) -> pd.DataFrame:
    """Return events in the order of their times: many of a few postings, some of nobody."""
    posting = random.zipf(1.2, count) % postings + 1
    student = pd.Series(random.integers(1, students + 1, count), dtype="Int64")
    student[random.random(count) < 0.009] = pd.NA  # of a hundredth on the job refuses them
    kinds = np.array(["view", "favourite", "apply"], dtype=object)
    kind = kinds[np.searchsorted([0.8, 0.93], random.random(count))]
    seconds = 1_700_000_000 + np.arange(first, first + count) * (16_000_000 / rows)
    at = np.datetime_as_string(seconds.astype("datetime64[s]"), timezone="UTC")
    return pd.DataFrame(
        {"id": np.arange(first, first + count) + 1, "student": student, "posting": posting,
         "kind": kind, "at": at}
    )  # fmt: skip


def copied(url: str) -> Taken:
    """Copy the results to nowhere."""
    before, begun = _server_cpu(url), time.perf_counter()
    with psycopg.connect(url) as connection:
        for query in RESULTS.values():
            with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
                for _ in copy:
                    pass
    return Taken(time.perf_counter() - begun, _server_cpu(url) - before)


def _server_cpu(url: str) -> float:
    """Return the seconds of the processor of PostgreSQL's processes, those that ended too."""
    with psycopg.connect(url) as connection:
        ((backend,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        server = psutil.Process(psutil.Process(backend).ppid())
        ended = server.cpu_times()
        running = [each.cpu_times() for each in (server, *server.children())]
    seconds = ended.children_user + ended.children_system
    return float(seconds + sum(each.user + each.system for each in running))


def extracted(aws: LocalAws, config: Config, url: str) -> Taken:
    """Run the job as the workflow's first state does."""
    workflow = deploy(config, aws.client)
    arguments: dict[str, Any] = workflow.definition.to_dict()["States"]["ETL"]["Parameters"]
    of_run = {"--run": "benchmark"}
    of_run |= {k: v for k, v in arguments["Arguments"].items() if not k.endswith(".$")}
    glue, job = aws.client("glue"), config.glue_job
    before, begun = _server_cpu(url), time.perf_counter()
    run = glue.start_job_run(JobName=job, Arguments=of_run)["JobRunId"]
    cpu: dict[int, float] = {}
    peak = 0
    while True:
        resident = 0
        for process in _processes_of(run):
            try:
                times = process.cpu_times()
                resident += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            cpu[process.pid] = times.user + times.system
        peak = max(peak, resident)
        state = glue.get_job_run(JobName=job, RunId=run)["JobRun"]
        if state["JobRunState"] in ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT"):
            break
        time.sleep(0.05)
    seconds = time.perf_counter() - begun
    if state["JobRunState"] != "SUCCEEDED":
        raise SystemExit(f"the job is {state['JobRunState']}: {state.get('ErrorMessage')}")
    return Taken(seconds, sum(cpu.values()) + _server_cpu(url) - before, peak)


def _processes_of(run: str) -> list[psutil.Process]:
    """Return the job's Python, and its Java."""
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process().children():
            if run in process.cmdline():
                return [process, *_java(process)]
    return []


def _java(process: psutil.Process) -> list[psutil.Process]:
    """Return its Java; without what that forks, which has Java's memory until it is another."""
    java = [each for each in process.children(recursive=True) if each.name() == "java"]
    return [each for each in java if each.ppid() == process.pid]


@contextmanager
def local_aws(config: Config, rows: int, students: int, postings: int) -> Iterator[tuple[Any, str]]:
    """Start a local AWS beside a PostgreSQL with the events; yield it and the database's URL."""
    with (
        scratch_directory("benchmark-") as scratch,
        tempfile.TemporaryDirectory() as directory,
        Postgres(scratch / "postgres") as server,
    ):
        begun = time.perf_counter()
        load(server.url, rows, students, postings)
        print(f"database of {rows:,} events in {time.perf_counter() - begun:.0f} s\n")
        with LocalAws(
            directory=Path(directory),
            is_kept=False,
            account=config.aws.account,
            region=config.aws.region,
            database_url=server.url,
        ) as aws:
            yield aws, server.url


def main() -> None:
    """Print both, and the ratio of their seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--students", type=int, default=50_000)
    parser.add_argument("--postings", type=int, default=8_000)
    options = parser.parse_args()
    config = parse_config((ROOT / "retraining.toml").read_text(encoding="utf-8"))
    with local_aws(config, options.rows, options.students, options.postings) as (aws, url):
        copied(url)  # reads the tables into PostgreSQL's memory
        copy = min((copied(url) for _ in range(3)), key=lambda taken: taken.seconds)
        job = extracted(aws, config, url)
    print("| what | seconds | seconds of CPU | peak GB |\n|---|---|---|---|")
    print(f"| COPY of the four results | {copy.seconds:.2f} | {copy.cpu:.2f} | |")
    print(f"| the Spark job | {job.seconds:.1f} | {job.cpu:.1f} | {job.peak / 2**30:.2f} |")
    print(f"\nratio {job.seconds / copy.seconds:.1f}")


if __name__ == "__main__":
    main()
