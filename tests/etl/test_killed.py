"""The end of Java in the midst of the job, as the kernel ends it when the memory is used up."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import etl.job
from etl.datasets import Relation
from localaws.http.endpoint import Endpoint
from tests.etl.runs import BUCKET
from tests.etl.test_job import SHOP, SPEC, USERS, execute_sql

SLOW = "CREATE VIEW slow AS SELECT students.* FROM students, pg_sleep(60);"


def java_of(process: psutil.Process) -> psutil.Process | None:
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # Spark's script starts some of a moment
            if "SparkSubmit" in " ".join(child.cmdline()):
                return child
    return None


@pytest.mark.parametrize(
    ("moment", "told"), [("reading", "was killed by SIGKILL"), ("starting", "ended")]
)
def test_a_killed_java_is_told_as_what_it_is(
    endpoint: Endpoint, database: str, moment: str, told: str
) -> None:
    execute_sql(database, SHOP)
    execute_sql(database, SLOW)
    spec = replace(SPEC, datasets=(replace(USERS, relation=Relation("slow")),))
    key = "artifacts/slow.json"
    endpoint.client("s3").put_object(Bucket=BUCKET, Key=key, Body=spec.to_json().encode())
    job = Path(etl.job.__file__)
    options = {
        "runtime": "local",
        "run": "killed",
        "bucket": BUCKET,
        "spec": f"s3://{BUCKET}/{key}",
    }
    process = subprocess.Popen(
        [sys.executable, str(job), *(p for n, v in options.items() for p in (f"--{n}", v))],
        env={
            **os.environ,
            **endpoint.environment,
            "DATABASE_URL": database,
            "PYTHONPATH": str(job.parents[1]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    if moment == "reading":
        while "read slow" not in process.stdout.readline():
            pass
        time.sleep(1)
    deadline = time.monotonic() + 60
    while (java := java_of(psutil.Process(process.pid))) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    java.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == (
        f"ERROR: Java, in which Spark runs, {told} in the middle of the job; mostly there was not"
        " enough memory left"
    )
