"""Retention: what of old runs and former solutions goes, what stays and why, and its deletion."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from lambdas.errors import CleanUpFailed, InvalidInputException
from lambdas.records import latest_key
from lambdas.retention import (
    CleanUp,
    RunFolder,
    Solution,
    Stock,
    clean_up_of,
    delete,
    read_stock,
)

BEGUN = datetime(2024, 6, 1, 4, tzinfo=UTC)
GROUP = "arn:aws:personalize:ap-northeast-1:123456789012:dataset-group/labbase"
SOLUTIONS = GROUP.replace("dataset-group/labbase", "solution/")
MACHINE = "arn:aws:states:ap-northeast-1:123456789012:stateMachine:labbase-retraining"
PUBLISHED = {"record/publication.json": 1, "recommendations/recommendations.csv": 10}
DATA = {"users/part-0.csv": 100, "manifest.json": 5, "record/gate.json": 2}


def folder(run: str, day: int, *, published: bool = True, **files: int) -> RunFolder:
    return RunFolder(
        run, BEGUN + timedelta(days=day), {**DATA, **(PUBLISHED if published else {}), **files}
    )


def gone(stock: Stock, keep: int) -> list[str]:
    return [each.run for each in clean_up_of(stock, keep).runs]


def test_all_but_the_newest_runs_go_the_oldest_first() -> None:
    folders = [folder(f"r{day}", day) for day in (3, 1, 5, 2, 4)]

    assert gone(Stock(folders, published=["r5"]), 2) == ["r1", "r2", "r3"]
    assert gone(Stock(folders, published=["r5"]), 5) == []
    assert gone(Stock([]), 1) == []


def test_the_published_run_stays_however_old_it_is() -> None:
    folders = [folder(f"r{day}", day) for day in range(6)]

    clean_up = clean_up_of(Stock(folders, published=["r1"]), 2)

    assert [each.run for each in clean_up.runs] == ["r0", "r2", "r3"]
    assert clean_up.kept == {
        "r5": "one of the last 2 runs",
        "r4": "one of the last 2 runs",
        "r1": "its list is published",
    }


def test_runs_that_fail_do_not_drive_out_lists_to_which_one_can_go_back() -> None:
    folders = [
        *(folder(f"good{day}", day) for day in range(4)),
        *(folder(f"failed{day}", day + 10, published=False) for day in range(5)),
    ]

    clean_up = clean_up_of(Stock(folders, published=["good3"]), 2)

    assert [each.run for each in clean_up.runs] == [
        "good0",
        "good1",
        "failed0",
        "failed1",
        "failed2",
    ]
    assert clean_up.kept["good2"] == "one of the last 2 lists that were published"


def test_lists_are_kept_for_each_recommender() -> None:
    """The first one publishes each time, the other one did so twice."""
    similar = {f"recommenders/similar/{path}": size for path, size in PUBLISHED.items()}
    folders = [folder(f"r{day}", day, **(similar if day in (1, 2) else {})) for day in range(6)]

    clean_up = clean_up_of(Stock(folders, published=["r5", "r2"]), 1)

    assert [each.run for each in clean_up.runs] == ["r0", "r1", "r3", "r4"]
    assert clean_up.kept == {"r5": "its list is published", "r2": "its list is published"}
    assert "recommenders/similar/record/publication.json" in list(folders[1].removable)[:2]
    assert clean_up_of(Stock(folders), 1).kept["r2"] == ("the last list that was published")


def test_a_list_without_its_csv_counts_as_none() -> None:
    folders = [folder(f"r{day}", day) for day in range(3)]
    without = RunFolder("r9", BEGUN + timedelta(days=9), {"record/publication.json": 1, **DATA})

    assert gone(Stock([*folders, without], published=["r2"]), 1) == ["r0", "r1"]


def test_what_is_in_use_stays() -> None:
    folders = [folder(f"r{day}", day, published=False) for day in range(4)]
    in_use = {"r0": "it is in progress", "r1": "a job of Personalize uses them"}

    clean_up = clean_up_of(Stock(folders, in_use=in_use), 1)

    assert [each.run for each in clean_up.runs] == ["r2"]
    assert clean_up.kept == {"r3": "the last run", **in_use}


def test_what_a_run_decided_stays_and_the_way_back_to_its_list_goes_first() -> None:
    old = folder("old", 0)

    assert list(old.removable)[:2] == ["record/publication.json", "manifest.json"]
    assert set(old.removable) == {*PUBLISHED, "users/part-0.csv", "manifest.json"}
    assert old.size == 116
    decided = RunFolder("older", BEGUN, {"record/gate.json": 2, "record/increment.json": 3})
    assert gone(Stock([decided, folder("new", 2)], published=["new"]), 1) == []


def test_a_former_solution_that_nobody_uses_goes() -> None:
    solutions = [
        Solution(f"{SOLUTIONS}unused"),
        Solution(f"{SOLUTIONS}campaign", "campaign shop uses it"),
        Solution(f"{SOLUTIONS}list"),
        Solution(f"{SOLUTIONS}old-list"),
    ]
    makers = {"r2": [f"{SOLUTIONS}list"], "r0": [f"{SOLUTIONS}old-list"]}
    folders = [folder(f"r{day}", day) for day in range(3)]

    clean_up = clean_up_of(Stock(folders, ["r2"], {}, solutions, makers), 1)

    assert [each.name for each in clean_up.solutions] == ["unused", "old-list"]
    assert clean_up.kept_solutions == {
        "campaign": "campaign shop uses it",
        "list": "made the list of run 'r2'",
    }


@pytest.fixture
def local_aws_options() -> dict[str, Any]:
    return {"region": "ap-northeast-1", "time_scale": 1.0}


class Account:
    """Runs in a bucket, a workflow, and clients."""

    def __init__(self, aws: Any) -> None:
        self.s3, self.states = aws.client("s3"), aws.client("stepfunctions")
        self.personalize = aws.client("personalize")
        self.s3.create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        wait = {"Type": "Wait", "Seconds": 3_600, "End": True}
        self.states.create_state_machine(
            name="labbase-retraining",
            definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait}}),
            roleArn="arn:aws:iam::123456789012:role/states",
        )

    def put(self, run: str, *paths: str) -> None:
        for path in paths or (*DATA, *PUBLISHED):
            content = {"run": run, "solutionVersionArn": f"{SOLUTIONS}labbase/1a2b"}
            body = json.dumps(content) if path.endswith(".json") else "x"
            self.s3.put_object(Bucket="bucket", Key=f"runs/{run}/{path}", Body=body)

    def publish(self, run: str, recommender: str = "") -> None:
        content = {"run": run, "solutionVersionArn": f"{SOLUTIONS}labbase/1a2b"}
        key = latest_key(recommender)
        self.s3.put_object(Bucket="bucket", Key=key, Body=json.dumps(content))

    def stock(self, run: str = "", names: list[str] | None = None) -> Stock:
        event = {
            "bucket": "bucket",
            "run": run,
            "stateMachineArn": MACHINE,
            "datasetGroupArn": GROUP,
            "tag": {"tagKey": "retraining:name", "tagValue": "labbase"},
            "solutionNames": names,
        }
        return read_stock(self.s3, self.states, self.personalize, event)

    def delete(self, clean_up: CleanUp, *, has_time: Any = lambda: True) -> Any:
        return delete(self.s3, self.personalize, "bucket", clean_up, has_time=has_time)

    def keys(self, run: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket="bucket", Prefix=f"runs/{run}/")
        return [each["Key"].partition(f"{run}/")[2] for each in listed.get("Contents", ())]


@pytest.fixture
def account(local_aws: Any) -> Iterator[Account]:
    yield Account(local_aws)


def test_a_stock_is_cleaned_up_but_for_what_is_in_progress_or_published(account: Account) -> None:
    for run in ("r1", "r2", "r3", "r4", "r5"):
        account.put(run)
    account.s3.put_object(Bucket="bucket", Key="runs/README", Body=b"somebody's own")
    account.publish("r2")
    account.states.start_execution(stateMachineArn=MACHINE, name="r3.2")

    clean_up = clean_up_of(account.stock(run="r5"), 1)
    deleted = account.delete(clean_up)

    assert clean_up.kept == {
        "r5": "it is in progress",
        "r3": "it is in progress",
        "r2": "its list is published",
    }
    assert (deleted.runs, deleted.files, deleted.left) == (["r1", "r4"], 8, [])
    assert account.keys("r1") == account.keys("r4") == ["record/gate.json"]
    assert len(account.keys("r2")) == len(account.keys("r3")) == len({**DATA, **PUBLISHED})
    assert clean_up_of(account.stock(run="r5"), 1).is_empty


def test_a_run_whose_list_is_published_meanwhile_stays(account: Account) -> None:
    for run in ("r0", "r1", "r2", "r3"):
        account.put(run)
    account.publish("r3")
    clean_up = clean_up_of(account.stock(), 1)
    account.publish("r1")
    account.publish("r0", "similar")

    deleted = account.delete(clean_up)

    assert (deleted.runs, deleted.left) == (["r2"], ["r0", "r1"])
    assert sorted(account.stock().published) == ["r0", "r1"]
    assert len(account.keys("r0")) == len(account.keys("r1")) == len({**DATA, **PUBLISHED})


def test_what_there_is_no_time_for_goes_the_next_time(account: Account) -> None:
    many = [f"users/part-{number}.csv" for number in range(1_001)]
    for run in ("r1", "r2", "r3"):
        account.put(run, "manifest.json")
    account.put("r1", *many)
    answers = iter([True, False, False])

    deleted = account.delete(clean_up_of(account.stock(), 1), has_time=lambda: next(answers))

    assert (deleted.files, deleted.runs, deleted.left) == (1_000, [], ["r1", "r2"])
    deleted = account.delete(clean_up_of(account.stock(), 1))
    assert (deleted.files, deleted.runs) == (3, ["r1", "r2"])


def test_a_latest_json_that_is_broken_lets_nothing_go(account: Account) -> None:
    account.put("r1")
    key = "recommendations/latest.json"
    account.s3.put_object(Bucket="bucket", Key=key, Body=b"by hand")

    with pytest.raises(InvalidInputException, match=r"latest\.json is no JSON"):
        account.stock()


def test_a_file_that_cannot_be_deleted_is_an_error(account: Account) -> None:
    old = RunFolder("r1", BEGUN, {"users/part-0.csv": 1})
    error = {"Key": "runs/r1/users/part-0.csv", "Code": "AccessDenied", "Message": "no"}
    with Stubber(account.s3) as stubber:
        stubber.add_response("list_objects_v2", {})
        stubber.add_response("delete_objects", {"Errors": [error]})
        with pytest.raises(CleanUpFailed, match=r"part-0\.csv cannot be deleted: AccessDenied: no"):
            account.delete(CleanUp([old], {}, [], {}))


def test_the_files_of_a_job_that_goes_on_stay(account: Account) -> None:
    """Of a run that was stopped: Personalize stops neither imports nor batch inference."""
    jobs = "arn:aws:personalize:ap-northeast-1:123456789012:"
    for run in ("r1", "r2", "r3", "r4"):
        account.put(run)
    arn, status = f"{jobs}dataset-import-job/i", "CREATE IN_PROGRESS"
    batch = f"{jobs}batch-inference-job/b"
    with Stubber(account.personalize) as stubber:
        stubber.add_response(
            "list_batch_inference_jobs",
            {"batchInferenceJobs": [{"batchInferenceJobArn": batch, "status": "CREATE PENDING"}]},
        )
        stubber.add_response(
            "describe_batch_inference_job",
            {
                "batchInferenceJob": {
                    "jobOutput": {
                        "s3DataDestination": {"path": "s3://bucket/runs/r2/batch-output/"}
                    },
                    "solutionVersionArn": f"{SOLUTIONS}labbase/1a2b",
                }
            },
            {"batchInferenceJobArn": batch},
        )
        done = {"datasetImportJobArn": f"{jobs}dataset-import-job/d", "status": "ACTIVE"}
        stubber.add_response(
            "list_dataset_import_jobs",
            {"datasetImportJobs": [done, {"datasetImportJobArn": arn, "status": status}]},
        )
        stubber.add_response(
            "describe_dataset_import_job",
            {"datasetImportJob": {"dataSource": {"dataLocation": "s3://bucket/runs/r1/users/"}}},
            {"datasetImportJobArn": arn},
        )
        stock = account.stock()

    assert [each.run for each in clean_up_of(stock, 1).runs] == ["r3"]


def test_former_solutions_are_those_with_the_tag_under_another_name(account: Account) -> None:
    group = account.personalize.create_dataset_group(name="labbase")["datasetGroupArn"]
    tag = [{"tagKey": "retraining:name", "tagValue": "labbase"}]
    other = [{"tagKey": "retraining:name", "tagValue": "another"}]
    arns = {
        name: account.personalize.create_solution(
            name=name,
            datasetGroupArn=group,
            recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
            performAutoTraining=False,
            tags=tags,
        )["solutionArn"]
        for name, tags in {
            "labbase": tag,
            "labbase-v1": tag,
            "made-r1": tag,
            "of-another": other,
            "of-nobody": [],
        }.items()
    }
    account.put("r1")
    content = json.dumps({"run": "r1", "solutionVersionArn": f"{arns['made-r1']}/1a2b"})
    key = "runs/r1/record/publication.json"
    account.s3.put_object(Bucket="bucket", Key=key, Body=content)

    assert account.stock().solutions == ()
    clean_up = clean_up_of(account.stock(names=["labbase"]), 1)
    deleted = account.delete(clean_up)

    assert deleted.solutions == ["labbase-v1"]
    assert clean_up.kept_solutions == {"made-r1": "made the list of run 'r1'"}
    pages = account.personalize.list_solutions(datasetGroupArn=group)["solutions"]
    left = {each["name"] for each in pages if not each["status"].startswith("DELETE")}
    assert left == {"labbase", "made-r1", "of-another", "of-nobody"}
