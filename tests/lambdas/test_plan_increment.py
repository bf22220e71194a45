"""What a run reads of the interactions, and what its data sets are compared with."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from lambdas import plan_increment
from lambdas.errors import InvalidInputException
from lambdas.plan_increment import Request, plan_of_data_set
from tests.lambdas.conftest import Session
from tests.lambdas.sample_run import ARN, GROUP, LONG_AGO, RUN, get, keys, put

INTERACTIONS = f"{ARN}dataset/labbase/INTERACTIONS"
NEXT = {"since": "2024-05-30T04:00:00Z", "rows": 9, "contentHash": "tail"}
RECORD = {"description": "d1", "contentHash": "whole", "next": NEXT}
LAST = {"run": "r1", "mode": "FULL", "ended": "2024-05-31", "increments": 0, "fullEnded": "e"}


def planned(dataset_type: str = "INTERACTIONS", **changes: Any) -> tuple[str, str, str | None]:
    given: dict[str, Any] = {
        "description": "d1",
        "last": LAST,
        "record": RECORD,
        "request": Request(),
        "full_every": 3,
        **changes,
    }
    plan = plan_of_data_set(dataset_type, **given)
    return plan["mode"], plan["why"], plan["unchanged"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("INCREMENTAL", "it goes on where run 'r1' ended, with the overlap", "tail")),
        ({"request": Request(full=True)}, ("FULL", "it was asked for", None)),
        ({"last": None, "record": None}, ("FULL", "nothing was imported before", None)),
        (
            {"record": None},
            (
                "FULL",
                "what was imported last cannot be compared: run 'r1' has no record of it",
                None,
            ),
        ),
        (
            {"record": None, "last": {**LAST, "run": ""}},
            ("FULL", "what was imported last cannot be compared: no run made it", None),
        ),
        (
            {"description": "d2"},
            ("FULL", "its source or columns have changed since run 'r1'", None),
        ),
        (
            {"last": {**LAST, "mode": "INCREMENTAL", "increments": 2}},
            ("FULL", "increments since the last full import: 2, of 2", None),
        ),
        (
            {"last": {**LAST, "mode": "INCREMENTAL", "increments": 1}},
            ("INCREMENTAL", "it goes on where run 'r1' ended, with the overlap", "tail"),
        ),
        ({"full_every": 1}, ("FULL", "increments since the last full import: 0, of 0", "whole")),
        (
            {"request": Request(since="2024-01-01T00:00:00Z")},
            ("INCREMENTAL", "its window was asked for", None),
        ),
        (
            {"record": {**RECORD, "next": None}},
            ("FULL", "run 'r1' has not recorded where to go on", "whole"),
        ),
    ],
)
def test_interactions_are_read_whole_or_where_the_last_import_ended(
    changes: dict[str, Any], expected: tuple[str, str, str | None]
) -> None:
    assert planned(**changes) == expected


def test_users_and_items_are_compared_as_a_whole() -> None:
    assert planned("USERS") == ("FULL", "it is compared as a whole", "whole")
    assert planned("ITEMS", request=Request(full=True)) == ("FULL", "it was asked for", None)


@pytest.mark.parametrize(
    "given", [None, [], "x", {}, {"increments": {}}, {"increments": {"since": None}}]
)
def test_an_input_without_a_request_asks_for_nothing(given: object) -> None:
    assert Request.of(given) == Request()


def test_times_are_in_utc() -> None:
    asked = Request.of(
        {"increments": {"since": "2024-06-01T09:00:00+09:00", "until": "2024-06-02"}}
    )
    assert asked == Request(since="2024-06-01T00:00:00Z", until="2024-06-02T00:00:00Z")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"increments": 1}, "input: increments is 1; write an object"),
        ({"increments": {"full": "yes"}}, "increments.full is 'yes'; write true or false"),
        ({"increments": {"since": "monday"}}, "increments.since is 'monday'; write a time"),
        ({"increments": {"until": "2024-06-01"}}, "increments.until needs since"),
        ({"increments": {"full": True, "since": "2024-06-01"}}, "leave since and until out"),
        (
            {"increments": {"since": "2024-06-02", "until": "2024-06-01"}},
            "is not before until 2024-06-01T00:00:00Z; exchange the two",
        ),
    ],
)
def test_an_input_that_cannot_be_used_is_refused(given: object, message: str) -> None:
    with pytest.raises(InvalidInputException) as caught:
        Request.of(given)
    assert message in str(caught.value)


def import_job(number: int, mode: str, status: str = "ACTIVE") -> dict[str, Any]:
    time = LONG_AGO + timedelta(hours=number)
    return {
        "datasetImportJobArn": f"{ARN}dataset-import-job/j{number}",
        "jobName": f"j{number}",
        "status": status,
        "creationDateTime": time,
        "lastUpdatedDateTime": time + timedelta(minutes=20),
        "importMode": mode,
    }


def test_the_newest_import_in_personalizes_own_list_says_where_to_go_on(
    s3: Any, session: Session, calls: Stubber
) -> None:
    session.clients["s3"] = s3
    s3.put_object(
        Bucket="bucket",
        Key="runs/r2/record/increment.json",
        Body=json.dumps({"version": 1, "datasets": {"INTERACTIONS": RECORD}}),
    )
    calls.add_response(
        "list_datasets",
        {"datasets": [{"datasetType": "Interactions", "datasetArn": INTERACTIONS}]},
        {"datasetGroupArn": GROUP},
    )
    jobs = [
        import_job(1, "FULL"),
        import_job(4, "INCREMENTAL", "CREATE FAILED"),
        import_job(2, "INCREMENTAL"),
        import_job(3, "INCREMENTAL"),
    ]
    calls.add_response(
        "list_dataset_import_jobs", {"datasetImportJobs": jobs}, {"datasetArn": INTERACTIONS}
    )
    described = {**jobs[3], "dataSource": {"dataLocation": "s3://bucket/runs/r2/interactions/"}}
    calls.add_response(
        "describe_dataset_import_job",
        {"datasetImportJob": described},
        {"datasetImportJobArn": f"{ARN}dataset-import-job/j3"},
    )
    event = {
        "bucket": "bucket",
        "run": RUN,
        "input": {},
        "datasetGroupArn": GROUP,
        "descriptions": {"INTERACTIONS": "d1"},
        "fullEvery": 7,
    }

    answer = plan_increment.handler(event, None)

    assert answer == {
        "mode": "INCREMENTAL",
        "why": "it goes on where run 'r2' ended, with the overlap",
        "since": "2024-05-30T04:00:00Z",
        "until": "end",
        "unchanged": "tail",
        "after": "r2",
    }
    plan = json.loads(get(s3, f"runs/{RUN}/record/plan.json"))
    assert plan["datasets"]["INTERACTIONS"]["last"] == {
        "run": "r2",
        "mode": "INCREMENTAL",
        "ended": datetime(2024, 6, 1, 3, 20, tzinfo=UTC).isoformat(),
        "increments": 2,
        "fullEnded": datetime(2024, 6, 1, 1, 20, tzinfo=UTC).isoformat(),
        "next": NEXT,
    }
    again = plan_increment.handler({**event, "input": {"increments": {"full": True}}}, None)
    assert again == answer, "what resumes the run goes by its plan, and asks nothing anew"


def test_a_group_without_imports_is_read_whole(s3: Any, session: Session, calls: Stubber) -> None:
    session.clients["s3"] = s3
    calls.add_response("list_datasets", {"datasets": []}, {"datasetGroupArn": GROUP})
    event = {
        "bucket": "bucket",
        "run": RUN,
        "input": {},
        "datasetGroupArn": GROUP,
        "descriptions": {"INTERACTIONS": "d1"},
        "fullEvery": 7,
    }

    answer = plan_increment.handler(event, None)

    assert {name: answer[name] for name in ("since", "until", "unchanged", "after")} == {
        "since": "beginning",
        "until": "end",
        "unchanged": "unknown",
        "after": "unknown",
    }
    assert keys(s3) == [f"runs/{RUN}/record/plan.json"]


def test_a_record_that_is_no_json_is_a_mistake(s3: Any, session: Session) -> None:
    session.clients["s3"] = s3
    put(s3, "record/plan.json", "{")
    with pytest.raises(InvalidInputException, match=r"record/plan\.json is no JSON"):
        plan_increment.handler({"bucket": "bucket", "run": RUN}, None)
