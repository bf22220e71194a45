"""The service without a network: jobs that wait, run and are stopped, races, regions."""

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from werkzeug.test import Client

from localaws.personalize import JobProgress, Personalize

from .account import ACCOUNT, INTERACTIONS, PREFIX, REGION, avro, events


class Bucket:
    """An S3 in memory, whose listing waits until `open` is set."""

    def __init__(self, **objects: str) -> None:
        self.objects = objects
        self.open = threading.Event()
        self.open.set()

    def get_paginator(self, operation: str) -> "Bucket":
        """Return the paginator of the only list, that of the objects."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        """Every object."""
        self.open.wait(10)
        yield {"Contents": [{"Key": k, "Size": len(v)} for k, v in self.objects.items()]}

    def get_object(self, **request: Any) -> dict[str, Any]:
        """Return an object."""
        return {"Body": io.BytesIO(self.objects[request["Key"]].encode())}


class Alone:
    """A service without a network: its operations called through WSGI."""

    def __init__(self, directory: Path, bucket: Any, region: str = REGION) -> None:
        self.service = Personalize(
            account=ACCOUNT, region=region, s3=lambda role: bucket, directory=directory
        )

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation; an error is its code."""
        headers = {"X-Amz-Target": f"AmazonPersonalize.{operation}"}
        response = Client(self.service).post("/", data=json.dumps(request), headers=headers)
        answer: dict[str, Any] = json.loads(response.data)
        return answer

    def until(self, status: str, operation: str, **request: Any) -> str:
        """Poll until a status, or another final one, comes; return it."""
        for _ in range(1000):
            answer = next(iter(self(operation, **request).values()))["status"]
            if answer == status or answer in {"ACTIVE", "CREATE FAILED", "CREATE STOPPED"}:
                return str(answer)
            time.sleep(0.01)
        raise AssertionError(f"{operation} {request} stays {answer}")

    def import_events(self, jobs: int = 1) -> tuple[str, list[dict[str, Any]]]:
        """Return a group with an Interactions dataset, and import jobs into it."""
        group = self("CreateDatasetGroup", name="g")["datasetGroupArn"]
        text = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        schema = self("CreateSchema", name="s", schema=text)["schemaArn"]
        self.until("ACTIVE", "DescribeDatasetGroup", datasetGroupArn=group)
        dataset = self(
            "CreateDataset",
            name="d",
            schemaArn=schema,
            datasetGroupArn=group,
            datasetType="Interactions",
        )["datasetArn"]
        self.until("ACTIVE", "DescribeDataset", datasetArn=dataset)
        return group, [
            self(
                "CreateDatasetImportJob",
                jobName=f"job-{number}",
                datasetArn=dataset,
                dataSource={"dataLocation": "s3://b/events.csv"},
            )
            for number in range(jobs)
        ]


def test_jobs_run_behind_the_request_and_at_most_five_wait(tmp_path: Path) -> None:
    """Two of five run, the sixth is refused; what runs is in the progress."""
    bucket = Bucket(**{"events.csv": events()})
    bucket.open.clear()
    alone = Alone(tmp_path, bucket)
    _, jobs = alone.import_events(6)
    arns = [job.get("datasetImportJobArn") for job in jobs]
    try:
        assert jobs[5]["__type"] == "LimitExceededException"
        assert jobs[5]["message"] == "More than 5 resources with PENDING or IN_PROGRESS status."
        seen = [
            alone.until(status, "DescribeDatasetImportJob", datasetImportJobArn=arn)
            for status, arn in zip(
                ["CREATE IN_PROGRESS"] * 2 + ["CREATE PENDING"] * 3, arns[:5], strict=True
            )
        ]
        assert seen == ["CREATE IN_PROGRESS"] * 2 + ["CREATE PENDING"] * 3
        assert alone.service.progress() == [
            JobProgress(f"{PREFIX}:dataset-import-job/job-{number}", "dataset import", 0.0)
            for number in (0, 1)
        ]
        dataset = f"{PREFIX}:dataset/g/INTERACTIONS"
        assert alone("DeleteDataset", datasetArn=dataset)["__type"] == "ResourceInUseException"
        bucket.open.set()
        ends = [
            alone.until("ACTIVE", "DescribeDatasetImportJob", datasetImportJobArn=arn)
            for arn in arns[:5]
        ]
        assert ends == ["ACTIVE"] * 5
    finally:
        bucket.open.set()
        alone.service.close()
    assert alone.service.progress() == []


def test_trainings_can_be_stopped_and_close_ends_the_rest(tmp_path: Path) -> None:
    """Two searches that would take many seconds run, eighteen versions wait, all end at once."""
    alone = Alone(tmp_path, Bucket(**{"events.csv": events(20_000, users=1000, items=600)}))
    try:
        group, (job,) = alone.import_events()
        assert alone.until("ACTIVE", "DescribeDatasetImportJob", **job) == "ACTIVE"
        solution = alone(
            "CreateSolution",
            name="s",
            datasetGroupArn=group,
            recipeArn="arn:aws:personalize:::recipe/aws-user-personalization",
            performHPO=True,
            solutionConfig={"hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": "8"}}},
        )
        alone.until("ACTIVE", "DescribeSolution", **solution)
        versions = [alone("CreateSolutionVersion", **solution) for _ in range(21)]
        refused = versions.pop()
        assert (refused["__type"], refused["message"]) == (
            "LimitExceededException",
            "More than 20 resources with PENDING or IN_PROGRESS status.",
        )
        running, last = versions[0], versions[-1]
        describe = "DescribeSolutionVersion"
        assert alone.until("CREATE IN_PROGRESS", describe, **running) == "CREATE IN_PROGRESS"
        assert {job.task for job in alone.service.progress()} == {"training"}
        assert alone("DeleteSolution", **solution)["__type"] == "ResourceInUseException"
        assert alone("GetSolutionMetrics", **running)["__type"] == "ResourceInUseException"
        begun = time.monotonic()
        for version in (last, running):
            assert alone("StopSolutionVersionCreation", **version) == {}
            assert alone.until("CREATE STOPPED", describe, **version) == "CREATE STOPPED"
        assert time.monotonic() - begun < 3
        again = alone("StopSolutionVersionCreation", **running)
        assert again["__type"] == "ResourceInUseException"
    finally:
        begun = time.monotonic()
        alone.service.close()
    assert time.monotonic() - begun < 3
    assert alone.service.progress() == []
    assert list(tmp_path.rglob("*.npz")) == []


def test_of_many_creations_of_a_name_at_once_one_succeeds(tmp_path: Path) -> None:
    alone = Alone(tmp_path, Bucket())
    text = avro("Users", ("USER_ID", "string"), ("AGE", "int"))
    try:
        with ThreadPoolExecutor(8) as threads:
            responses = list(
                threads.map(lambda _: alone("CreateSchema", name="s", schema=text), range(24))
            )
    finally:
        alone.service.close()
    codes = [response.get("__type", "created") for response in responses]
    assert codes.count("created") == 1
    assert codes.count("ResourceAlreadyExistsException") == 23


def test_the_partition_follows_the_region(tmp_path: Path) -> None:
    alone = Alone(tmp_path, Bucket(), region="cn-north-1")
    try:
        group = alone("CreateDatasetGroup", name="g")["datasetGroupArn"]
        recipe = alone("ListRecipes", maxResults=1)["recipes"][0]["recipeArn"]
    finally:
        alone.service.close()
    assert group == f"arn:aws-cn:personalize:cn-north-1:{ACCOUNT}:dataset-group/g"
    assert recipe == "arn:aws-cn:personalize:::recipe/aws-user-personalization-v2"
