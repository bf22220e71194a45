"""Begin Run: one run at a time by a lock on S3, and what a resumed run has already."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.begin_run import LOCK, begin, check_name
from lambdas.errors import (
    AnotherRunInProgress,
    ExtractedOtherwise,
    InvalidInputException,
    ResourceInUseException,
)

NOW = datetime(2024, 6, 1, 4, tzinfo=UTC)
WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3_600, "End": True}}}


@pytest.fixture
def local_aws_options() -> dict[str, Any]:
    return {"time_scale": 1.0, "region": "ap-northeast-1"}


class Runs:
    """A workflow whose executions wait, and what Begin Run says to each."""

    def __init__(self, aws: Any) -> None:
        self.s3, self.states = aws.client("s3"), aws.client("stepfunctions")
        self.s3.create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        self.machine = self.states.create_state_machine(
            name="labbase-retraining",
            definition=json.dumps(WAITING),
            roleArn="arn:aws:iam::123456789012:role/states",
        )["stateMachineArn"]

    def start(self, name: str) -> str:
        arn = self.states.start_execution(stateMachineArn=self.machine, name=name)["executionArn"]
        return str(arn)

    def stop(self, arn: str) -> None:
        self.states.stop_execution(executionArn=arn)
        while self.states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            time.sleep(0.01)

    def begin(self, arn: str, *, now: datetime = NOW, extraction: str = "s1") -> dict[str, Any]:
        run = arn.rpartition(":")[2].partition(".")[0]
        event = {
            "bucket": "bucket",
            "run": run,
            "execution": arn,
            "extraction": extraction,
            "hours": 24,
        }
        return begin(self.s3, self.states, event, now=now)

    def holder(self) -> Any:
        body = self.s3.get_object(Bucket="bucket", Key=LOCK)["Body"].read()
        return json.loads(body)["execution"].rpartition(":")[2]

    def put_manifest(self, run: str, **members: Any) -> None:
        manifest = {"version": 1, "run": run, "datasets": {}, **members}
        self.s3.put_object(
            Bucket="bucket", Key=f"runs/{run}/manifest.json", Body=json.dumps(manifest).encode()
        )


@pytest.fixture
def runs(local_aws: Any) -> Runs:
    return Runs(local_aws)


def test_a_run_that_begins_while_another_is_in_progress_is_refused(runs: Runs) -> None:
    first, second = runs.start("first"), runs.start("second")

    assert runs.begin(first) == {"extracted": False}
    with pytest.raises(AnotherRunInProgress, match="run 'first' is in progress since 2024-06-01T"):
        runs.begin(second)
    assert runs.begin(first) == {"extracted": False}  # a further try of the same task
    assert runs.holder() == "first"


def test_the_lock_of_a_run_that_has_ended_or_is_gone_is_taken_over(runs: Runs) -> None:
    first, second = runs.start("first"), runs.start("second")
    runs.begin(first)
    runs.stop(first)

    runs.begin(second)
    assert runs.holder() == "second"

    gone = f"{second}-never-started"
    runs.stop(second)
    runs.begin(gone)
    runs.begin(runs.start("third"))
    assert runs.holder() == "third"


def test_a_lock_holds_no_longer_than_a_run_may_take(runs: Runs) -> None:
    first, second = runs.start("first"), runs.start("second")
    runs.begin(first)

    with pytest.raises(AnotherRunInProgress):
        runs.begin(second, now=NOW + timedelta(hours=23, minutes=59))
    runs.begin(second, now=NOW + timedelta(hours=24))

    assert runs.holder() == "second"


def test_a_lock_that_is_no_json_is_nobody_s(runs: Runs) -> None:
    runs.s3.put_object(Bucket="bucket", Key=LOCK, Body=b"by hand")

    runs.begin(runs.start("first"))

    assert runs.holder() == "first"


@pytest.mark.parametrize("before", [None, "ended"])
def test_of_many_runs_that_begin_at_once_one_takes_the_lock(runs: Runs, before: str | None) -> None:
    if before:
        ended = runs.start(before)
        runs.begin(ended)
        runs.stop(ended)
    arns = [runs.start(f"run-{number}") for number in range(8)]

    def outcome(arn: str) -> str:
        try:
            runs.begin(arn)
        except AnotherRunInProgress:
            return "refused"
        return arn.rpartition(":")[2]

    with ThreadPoolExecutor(len(arns)) as threads:
        outcomes = list(threads.map(outcome, arns))

    assert outcomes.count("refused") == 7
    assert runs.holder() in outcomes


def test_an_earlier_execution_of_the_same_run_is_waited_for(runs: Runs) -> None:
    """Step Functions may say for a moment that an execution goes on which has ended."""
    first, again = runs.start("nightly"), runs.start("nightly.2")
    runs.begin(first)

    with pytest.raises(ResourceInUseException, match="'nightly' of this run is in progress"):
        runs.begin(again)

    runs.stop(first)
    assert runs.begin(again) == {"extracted": False}


def test_a_resumed_run_has_its_data_sets_if_its_manifest_is_there(runs: Runs) -> None:
    runs.put_manifest("nightly", extraction="s1")

    assert runs.begin("arn:aws:states:r:1:execution:m:nightly.2") == {"extracted": True}


def test_a_first_execution_extracts_whatever_has_its_name_already(runs: Runs) -> None:
    """A name may be used again, once Step Functions has forgotten it."""
    runs.put_manifest("nightly", extraction="s1")

    assert runs.begin(runs.start("nightly")) == {"extracted": False}


@pytest.mark.parametrize("members", [{"extraction": "s0"}, {}])
def test_data_sets_of_another_specification_are_not_gone_on_from(
    runs: Runs, members: dict[str, str]
) -> None:
    runs.put_manifest("nightly", **members)

    with pytest.raises(ExtractedOtherwise, match=r"workflow's is s1 now.*start a new one"):
        runs.begin("arn:aws:states:r:1:execution:m:nightly.2")


@pytest.mark.parametrize("name", ["weekly.1", "weekly.b", "weekly.", "weekly.2.3"])
def test_a_name_with_a_dot_is_that_of_a_resumed_run_alone(name: str) -> None:
    with pytest.raises(InvalidInputException, match=r"before the number of a resumption"):
        check_name(f"arn:aws:states:r:1:execution:m:{name}", "weekly")


@pytest.mark.parametrize(("name", "is_resumed"), [("weekly", False), ("weekly.12", True)])
def test_a_resumed_run_is_known_by_its_name(name: str, *, is_resumed: bool) -> None:
    assert check_name(f"arn:aws:states:r:1:execution:m:{name}", "weekly") is is_resumed
