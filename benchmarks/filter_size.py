"""The filter as a function and as a Spark job: what a user costs, and where Lambda's limits are.

    python benchmarks/filter_size.py [--users 20000] [--pairs 1000000] [--spark]

S3 is a fake in memory that makes the batch output while it is read, so that the handler's own work
is measured, in seconds of CPU: what else runs on the machine counts little. The limits are those of
the function as it is deployed: its memory gives it a share of a CPU, a whole one for 1,769 MB. That
is taken to be as fast as this machine's.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from etl.database import Database, driver_settings
from etl.datasets import JobSpec, Lookup, Relation
from etl.filtering import filter_lists
from etl.runtime import LocalRuntime, RunFolder
from etl.session import local_spark
from lambdas.filter_recommendations import RunFiles, filter_recommendations
from workflow import parse_config

ROOT = Path(__file__).parents[1]
ITEMS, KEEP = 100, 25
SECONDS, WHOLE_CPU, DISK = 900, 1_769, 2_048 * 2**20
DATABASE = "postgresql://nobody:none@127.0.0.1:1/none"
SPEC = JobSpec(
    engine="postgresql",
    datasets=(),
    batch_input=Lookup("batch-input/", Relation("users"), {"USER_ID": "id"}),
)


class FakeS3:
    """S3 that makes batch output and excluded pairs while they are read, and forgets the list.

    Ids have 12 characters, as those of many databases.
    """

    def __init__(self, users: int, pairs: int) -> None:
        self.users, self.pairs = users, pairs
        self.manifest = {
            "filter": {"exclusions": {"path": "filter/exclusions/"} if pairs else None}
        }
        self.exceptions = SimpleNamespace(NoSuchKey=KeyError)
        self.read = self.written = 0

    def get_paginator(self, _operation: str) -> FakeS3:
        """Return what pages."""
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Any:  # noqa: N803  as S3 spells it
        """Return one page of one object."""
        return [{"Contents": [{"Key": f"{Prefix}part-00000.out"}]}]

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        """Return an object that is made while it is read."""
        if Key.endswith("manifest.json"):
            return {"Body": Body(iter([json.dumps(self.manifest).encode()]))}
        return {"Body": Body(self.output() if "batch-output" in Key else self.excluded())}

    def put_object(self, **_: Any) -> None:
        """Forget a small object."""

    def download_file(self, _bucket: str, key: str, file: str) -> None:
        """Write an object into a file."""
        Path(file).write_bytes(b"".join(self.output() if "output" in key else self.excluded()))

    def upload_fileobj(self, content: Any, _bucket: str, _key: str, **_: Any) -> None:
        """Read what is uploaded, and count its bytes."""
        while chunk := content.read(1 << 20):
            self.written += len(chunk)

    def output(self) -> Iterator[bytes]:
        """Yield the batch output."""
        chance = random.Random(1)
        lists = [_line(chance) for _ in range(100)]
        for start in range(0, self.users, 400):
            users = range(start, min(start + 400, self.users))
            chunk = b"".join(lists[user % 100].replace(b"USER", b"%012d" % user) for user in users)
            self.read += len(chunk)
            yield chunk

    def excluded(self) -> Iterator[bytes]:
        """Yield the CSV of excluded pairs."""
        chance = random.Random(2)
        yield b"USER_ID,ITEM_ID\n"
        for start in range(0, self.pairs, 10_000):
            pairs = range(start, min(start + 10_000, self.pairs))
            yield b"".join(
                b"%012d,%012d\n" % (chance.randrange(self.users), chance.randrange(10**6))
                for _ in pairs
            )


class Body:
    """The body of an object."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        """Return the chunks."""
        return self.chunks

    def read(self) -> bytes:
        """Return all of it."""
        return b"".join(self.chunks)

    def close(self) -> None:
        """Release nothing."""


def _line(chance: random.Random) -> bytes:
    items = [f"{chance.randrange(10**6):012d}" for _ in range(ITEMS)]
    output = {"recommendedItems": items, "scores": [chance.random() / 100 for _ in items]}
    return (
        json.dumps({"input": {"userId": "USER"}, "output": output, "error": None}).encode() + b"\n"
    )


def by_function(users: int, pairs: int) -> tuple[float, int, FakeS3]:
    """Return the seconds of CPU that the function takes, the bytes of its disk, and S3."""
    s3 = FakeS3(users, pairs)
    begun = time.process_time()
    for making in (s3.output(), s3.excluded()):
        for _ in making:
            pass
    made = time.process_time() - begun
    s3 = FakeS3(users, pairs)
    with tempfile.TemporaryDirectory() as directory:
        begun = time.process_time()
        files = RunFiles(s3, "bucket", "run")
        filter_recommendations(files, s3.manifest, keep=KEEP, directory=Path(directory))
        seconds = time.process_time() - begun - made
        return seconds, (Path(directory) / "exclusions.sqlite").stat().st_size, s3


def by_spark(users: int, pairs: int) -> float:
    """Return the seconds of CPU that the Spark job takes, without its start, in all processes."""
    s3 = FakeS3(users, pairs)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        spark = local_spark(directory, drivers=driver_settings("postgresql", None))
        runtime = LocalRuntime(
            spark=spark,
            folder=RunFolder(s3, "bucket", "run"),
            database=Database.from_url(DATABASE),
            spec=SPEC,
            directory=directory,
        )
        for each in (FakeS3(10, 10), s3):  # the first one starts Spark's workers
            runtime.folder = RunFolder(each, "bucket", "run")
            begun = _cpu_seconds()
            filter_lists(runtime, keep=KEEP, log=lambda _: None)
        seconds = _cpu_seconds() - begun
        spark.stop()
    return seconds


def _bytes_of_id() -> float:
    """Return the memory that an eligible item takes."""
    tracemalloc.start()
    ids = frozenset(f"{number:012d}" for number in range(100_000))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken / len(ids)


def _cpu_seconds() -> float:
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--spark", action="store_true")
    options = parser.parse_args()
    users, pairs = options.users, options.pairs
    config = parse_config((ROOT / "retraining.toml").read_text(encoding="utf-8"))
    megabytes = config.function_megabytes("filter-recommendations")
    share = min(1.0, megabytes / WHOLE_CPU)

    of_users, _, s3 = by_function(users, 0)
    user = of_users / users
    print(f"a user with {ITEMS} items, of which {KEEP} are kept: {user * 1e6:.0f} µs of CPU,")
    print(f"  {s3.read / users:,.0f} bytes of output, {s3.written / users:,.0f} of the list")
    of_pairs, disk, _ = by_function(users, pairs)
    pair = (of_pairs - of_users) / pairs
    print(
        f"an excluded pair among {pairs:,}: {pair * 1e6:.1f} µs, {disk / pairs:.0f} bytes of disk"
    )
    print(f"  {user / pair:.1f} pairs take as long as a user")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(f"peak of memory: {peak:.0f} MB; and an eligible item: {_bytes_of_id():.0f} bytes")
    print(f"{SECONDS} s with {megabytes:,} MB, {share:.2f} of a CPU:")
    print(f"  users alone: {SECONDS * share / user / 1e6:.1f} million")
    print(f"  pairs alone: {SECONDS * share / pair / 1e6:.0f} million")
    print(f"  pairs that the disk holds: {DISK / (disk / pairs) / 1e6:.0f} million")
    if options.spark:
        for number in (0, pairs):
            seconds = by_spark(users, number)
            beside = of_pairs if number else of_users
            ratio = seconds / beside
            print(f"Spark, {number:,} pairs: {seconds:.1f} s of CPU, {ratio:.1f} × the function")


if __name__ == "__main__":
    main()
