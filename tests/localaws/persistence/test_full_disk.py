"""A full disk is told, nothing is half done, and what ended meanwhile has ended."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint
from localaws.persistence.documents import Documents
from localaws.persistence.executions import ExecutionArchive
from localaws.persistence.requests import RequestLog

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/steps"
WAIT = '{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 1, "End": true}}}'


class Disk:
    """The disk of a database: SQLite itself says that it is full, whatever the machine has."""

    def __init__(self, documents: Documents) -> None:
        self._file = documents._file

    def fill(self) -> None:
        self._file.execute("PRAGMA max_page_count = 1")  # at least as many as it has
        (pages,) = self._file.execute("PRAGMA page_count").fetchone()
        self._file.execute(f"PRAGMA max_page_count = {pages}")
        # A page that is begun still has room.
        with pytest.raises(Exception, match="database or disk is full"):
            for number in range(1_000):
                self._file.execute(
                    "INSERT INTO documents (kind, key, document) VALUES ('filler', ?, ?)",
                    (str(number), "x" * 50),
                )

    def make_room(self) -> None:
        self._file.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[Documents]:
    documents = Documents(tmp_path / "documents.sqlite")
    yield documents
    documents.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_document_that_can_wait_is_kept_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    documents = Documents(path)
    documents.put("job", "a", {"state": "RUNNING"})
    documents.put("job", "b", {"state": "RUNNING"})
    Disk(documents).fill()

    with pytest.raises(Exception, match="full"):
        documents.put("job", "c", {"state": "x" * 9000})
    documents.put("job", "a", {"state": "x" * 9000}, can_wait=True)
    documents.put("job", "d", {"state": "y" * 9000}, can_wait=True)

    assert documents.get("job", "a") == {"state": "x" * 9000}
    assert [key for key, _ in documents.all("job")] == ["a", "b", "d"]
    Disk(documents).make_room()
    documents.drop("job", "b")
    documents.close()
    again = Documents(path)
    assert [(key, len(job["state"])) for key, job in again.all("job")] == [("a", 9000), ("d", 9000)]
    again.close()


@pytest.fixture
def aws(documents: Documents, tmp_path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(account=ACCOUNT, region=REGION, time_scale=0.0)
    endpoint.wrap(
        lambda behind: ExecutionArchive(
            behind, documents, account=ACCOUNT, region=REGION, on_start=lambda _: None
        )
    )
    endpoint.wrap(lambda behind: RequestLog(behind, documents))
    glue = Glue(directory=tmp_path / "glue", environment=lambda _: {}, documents=documents)
    endpoint.mount("glue", glue)
    with endpoint:
        yield endpoint
        glue.close()


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as error:
        call(**request)
    response = error.value.response
    return (
        response["Error"]["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Message"].partition(":")[0],
    )


def test_a_run_that_ends_on_a_full_disk_has_ended(
    aws: Endpoint, documents: Documents, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    script = tmp_path / "job.py"
    script.write_text(
        f"import os, time\nwhile not os.path.exists({str(release)!r}): time.sleep(0.01)\n"
    )
    glue = aws.client("glue")
    command = {"Name": "glueetl", "ScriptLocation": str(script)}
    glue.create_job(Name="etl", Role=ROLE, Command=command)
    first = glue.start_job_run(JobName="etl", Arguments={"--text": "x" * 3000})["JobRunId"]

    def states() -> list[str]:
        return [run["JobRunState"] for run in glue.get_job_runs(JobName="etl")["JobRuns"]]

    until(lambda: states() == ["RUNNING"])
    disk = Disk(documents)
    disk.fill()

    release.touch()

    until(lambda: states() == ["SUCCEEDED"])
    full = ("InternalFailure", 500, "the disk of the local AWS is full")
    arguments = {"--text": "x" * 9000}
    assert refused(glue.start_job_run, JobName="etl", Arguments=arguments) == full
    assert states() == ["SUCCEEDED"]  # and none that never began
    disk.make_room()
    second = glue.start_job_run(JobName="etl")["JobRunId"]
    until(lambda: states() == ["SUCCEEDED", "SUCCEEDED"])
    kept = {run: document["run"]["state"] for run, document in documents.all("glue run")}
    assert kept == {first: "SUCCEEDED", second: "SUCCEEDED"}


def test_what_cannot_be_kept_does_not_happen(aws: Endpoint, documents: Documents) -> None:
    sns = aws.client("sns")
    disk = Disk(documents)
    disk.fill()

    full = ("InternalFailure", 500, "the disk of the local AWS is full")
    attributes = {"DisplayName": "x" * 9000}
    assert refused(sns.create_topic, Name="failures", Attributes=attributes) == full

    assert sns.list_topics()["Topics"] == []
    disk.make_room()
    sns.create_topic(Name="failures", Attributes=attributes)
    assert len(sns.list_topics()["Topics"]) == 1


def test_an_execution_goes_on_and_is_kept_later(aws: Endpoint, documents: Documents) -> None:
    states = aws.client("stepfunctions")
    machine = states.create_state_machine(name="wait", roleArn=ROLE, definition=WAIT)
    disk = Disk(documents)
    disk.fill()

    started = states.start_execution(
        stateMachineArn=machine["stateMachineArn"], input=f'{{"x": "{"x" * 9000}"}}'
    )
    arn = started["executionArn"]
    until(lambda: states.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")

    disk.make_room()
    states.describe_execution(executionArn=arn)
    documents.put("other", "one", {})
    again = documents.get("execution", arn)
    assert again
    assert (again["description"]["status"], again["events"][-1]["type"]) == (
        "SUCCEEDED",
        "ExecutionSucceeded",
    )
