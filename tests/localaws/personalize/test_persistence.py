"""Persistence: resources, data and models are there when a directory is opened again."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localaws.persistence.documents import Documents
from localaws.personalize import Personalize
from localaws.personalize.data.files import Files
from localaws.personalize.data.store import Store
from localaws.personalize.data.tables import Table

from .account import ACCOUNT, HEADER, PREFIX, REGION, events
from .test_jobs import Alone, Bucket

DATASET = f"{PREFIX}:dataset/g/INTERACTIONS"
RECIPE = "arn:aws:personalize:::recipe/aws-user-personalization"


class Kept(Alone):
    """A service without a network whose directory outlives it."""

    def __init__(self, directory: Path, bucket: Any) -> None:
        self.service = Personalize(
            account=ACCOUNT,
            region=REGION,
            s3=lambda role: bucket,
            directory=directory,
            documents=Documents(directory / "aws.sqlite"),
        )


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(**{"events.csv": events()})


def trained(kept: Kept) -> str:
    """Import and train; the version's ARN."""
    group, [job] = kept.import_events()
    kept.until("ACTIVE", "DescribeDatasetImportJob", **job)
    solution = kept(
        "CreateSolution",
        name="s",
        datasetGroupArn=group,
        recipeArn=RECIPE,
        tags=[{"tagKey": "team", "tagValue": "求人"}],
    )["solutionArn"]
    kept.until("ACTIVE", "DescribeSolution", solutionArn=solution)
    version: str = kept("CreateSolutionVersion", solutionArn=solution)["solutionVersionArn"]
    assert kept.until("ACTIVE", "DescribeSolutionVersion", solutionVersionArn=version) == "ACTIVE"
    return version


def test_resources_data_and_models_are_there_again(tmp_path: Path, bucket: Bucket) -> None:
    before = Kept(tmp_path, bucket)
    version = trained(before)
    requests = (
        ("DescribeSolutionVersion", {"solutionVersionArn": version}),
        ("GetSolutionMetrics", {"solutionVersionArn": version}),
        ("ListSolutions", {}),
        ("ListDatasetImportJobs", {}),
        ("ListTagsForResource", {"resourceArn": f"{PREFIX}:solution/s"}),
    )
    responses = [before(operation, **request) for operation, request in requests]
    before.service.close()

    after = Kept(tmp_path, bucket)

    assert [after(operation, **request) for operation, request in requests] == responses
    again = after("CreateSolutionVersion", solutionArn=f"{PREFIX}:solution/s")
    assert after.until("ACTIVE", "DescribeSolutionVersion", **again) == "ACTIVE"
    assert after("GetSolutionMetrics", **again)["metrics"] == responses[1]["metrics"], (
        "the same data"
    )
    assert after("CreateSchema", name="s", schema="{}")["__type"] == "InvalidInputException"
    after.service.close()


def test_single_records_stay_apart_and_what_is_forgotten_stays_away(tmp_path: Path) -> None:
    clicks = Table({"USER_ID": texts("a", "b", "c"), "TIMESTAMP": np.array([1, 2, 3])})
    more = Table({"USER_ID": texts("d", None), "TIMESTAMP": np.array([4, 5])})
    documents = Documents()
    before = Store(Files(tmp_path, documents))
    before.replace("clicks", clicks, None)
    before.append("clicks", more.take(np.array([True, False])), None)
    before.append("clicks", more.take(np.array([False, True])), None)
    before.replace("gone", clicks, "USER_ID")
    before.drop("gone")

    after = Store(Files(tmp_path, documents))

    assert rows(after.bulk("clicks")) == [("a", 1), ("b", 2), ("c", 3)]
    assert rows(after.streamed("clicks")) == [("d", 4), (None, 5)]
    assert after.get("gone") is None
    assert after.changes >= 3
    assert after.keep("clicks", lambda table: table.columns["TIMESTAMP"] % 2 == 1) == 2
    assert rows(Store(Files(tmp_path, documents)).get("clicks")) == [("a", 1), ("c", 3), (None, 5)]


def test_a_deletion_that_was_interrupted_is_completed(tmp_path: Path, bucket: Bucket) -> None:
    before = Kept(tmp_path, bucket)
    before("CreateDatasetGroup", name="gone")
    gone = {"datasetGroupArn": f"{PREFIX}:dataset-group/gone"}
    before.until("ACTIVE", "DescribeDatasetGroup", **gone)
    before("DeleteDatasetGroup", **gone)
    before.service.close()

    after = Kept(tmp_path, bucket)

    assert after("DescribeDatasetGroup", **gone)["__type"] == "ResourceNotFoundException"
    after.service.close()


def test_resources_that_an_earlier_version_kept_are_taken_over(
    tmp_path: Path, bucket: Bucket
) -> None:
    """It had a database of its own for them; the rows are what it wrote."""
    former = tmp_path / "resources.sqlite"
    with closing(sqlite3.connect(former)) as database:
        database.execute(
            "CREATE TABLE resources"
            " (arn TEXT PRIMARY KEY, kind TEXT, number INTEGER, details BLOB, tags BLOB)"
        )
        for number, (name, status) in enumerate({"g": "ACTIVE", "h": "CREATE PENDING"}.items()):
            arn = f"{PREFIX}:dataset-group/{name}"
            details = (
                f'{{"name":"{name}","datasetGroupArn":"{arn}",'
                '"creationDateTime":{"$moment":"2026-11-26T14:46:30.589610+00:00"},'
                '"lastUpdatedDateTime":{"$moment":"2026-11-26T14:46:30.591102+00:00"},'
                f'"status":"{status}"}}'
            ).encode()
            row = (arn, "DatasetGroup", number, details, '{"team":"求人"}'.encode())
            database.execute("INSERT INTO resources VALUES (?, ?, ?, ?, ?)", row)
        database.commit()

    for _ in range(2):
        kept = Kept(tmp_path, bucket)
        groups = kept("ListDatasetGroups")["datasetGroups"]
        tags = kept("ListTagsForResource", resourceArn=f"{PREFIX}:dataset-group/g")["tags"]
        kept.service.close()

        assert [(group["name"], group["status"]) for group in groups] == [
            ("g", "ACTIVE"),
            ("h", "CREATE FAILED"),
        ]
        assert groups[0]["creationDateTime"] == 1795704390.58961
        assert tags == [{"tagKey": "team", "tagValue": "求人"}]
        assert not former.exists()


def texts(*values: str | None) -> Any:
    return np.array(values, dtype=object)


def rows(table: Table | None) -> list[tuple[Any, ...]]:
    assert table is not None
    return list(zip(*(values.tolist() for values in table.columns.values()), strict=True))


KILLED = """
import sys
from pathlib import Path
from tests.localaws.personalize.test_persistence import Kept, waiting_bucket

kept = Kept(Path(sys.argv[1]), waiting_bucket())
group, [job] = kept.import_events()
kept.until("CREATE IN_PROGRESS", "DescribeDatasetImportJob", **job)
print("importing", flush=True)
sys.stdin.read()
"""


def waiting_bucket() -> Bucket:
    """Return a bucket that never responds."""
    bucket = Bucket(**{"events.csv": HEADER})
    bucket.open.clear()
    return bucket


def test_a_job_that_a_kill_interrupted_is_failed_with_its_reason(
    tmp_path: Path, bucket: Bucket
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "importing\n"
        time.sleep(0.05)
        program.send_signal(signal.SIGKILL)
        program.wait()

    kept = Kept(tmp_path, bucket)

    job = kept(
        "DescribeDatasetImportJob",
        datasetImportJobArn=f"{PREFIX}:dataset-import-job/job-0",
    )["datasetImportJob"]
    assert job["status"] == "CREATE FAILED"
    assert job["failureReason"] == (
        "The local Personalize ended while this was in progress; create it again."
    )
    again = kept(
        "CreateDatasetImportJob",
        jobName="again",
        datasetArn=DATASET,
        dataSource={"dataLocation": "s3://b/events.csv"},
    )
    assert kept.until("ACTIVE", "DescribeDatasetImportJob", **again) == "ACTIVE"
    kept.service.close()
