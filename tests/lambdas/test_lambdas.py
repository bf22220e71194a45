"""The handlers: what they ask AWS, what they answer, and what the filter publishes."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

import lambdas.create_batch_inference_job
import lambdas.create_import_job
import lambdas.create_solution_version
import lambdas.get_status
from lambdas import list_datasets
from lambdas.create_batch_inference_job import create_batch_inference_job
from lambdas.create_import_job import create_import_job
from lambdas.create_solution_version import create_solution_version, ensure_solution
from lambdas.errors import (
    InvalidInputException,
    ManifestNotFound,
    NoRecommendations,
    ResourceNotFoundException,
    named_errors,
)
from lambdas.filter_recommendations import RunFiles, filter_recommendations, publish
from lambdas.get_status import get_status, next_wait
from lambdas.jobs import job_name, job_response
from lambdas.list_datasets import datasets_to_import, read_manifest

RUN = "2024-06-01"
ARN = "arn:aws:personalize:ap-northeast-1:123456789012:"
GROUP = f"{ARN}dataset-group/labbase"
SOLUTION = f"{ARN}solution/labbase"
ROLE = "arn:aws:iam::123456789012:role/personalize"
LONG_AGO = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def personalize() -> Any:
    return boto3.client(
        "personalize",
        region_name="ap-northeast-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )


@pytest.fixture
def calls(personalize: Any) -> Iterator[Stubber]:
    """Yield the stubber of Personalize, which expects its calls in order and no others."""
    with Stubber(personalize) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


# ── Names, answers, errors ──────────────────────────────────────────────────────────────────────


def test_a_job_s_name_is_readable_and_the_same_for_the_same_run() -> None:
    assert job_name("users", "20240601T040000Z") == "users-20240601T040000Z-c0ed2a1a07"
    assert job_name("users", "毎日") == "users-46f5dc37de"


@pytest.mark.parametrize(
    "run", ["x" * 80, "求人" * 40, "_-!'()*,.~ ", "a:b/c", "-", "", "run", "run "]
)
def test_every_execution_name_gives_a_name_that_personalize_takes(run: str) -> None:
    for purpose in ("users", "interactions", "version", "batch"):
        name = job_name(purpose, run)

        assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,62}", name)
        assert name.startswith(purpose)


def test_runs_that_read_alike_get_different_names() -> None:
    runs = ["x" * 79 + "a", "x" * 79 + "b", "run 1", "run-1", "run_1", "東京", "大阪"]

    assert len({job_name("users", run) for run in runs}) == 7


def test_a_response_has_an_empty_reason_unless_the_job_failed() -> None:
    assert job_response("arn:x", "ACTIVE", 15) == {
        "arn": "arn:x",
        "status": "ACTIVE",
        "waitSeconds": 15,
        "failureReason": "",
    }
    assert job_response("arn:x", "CREATE FAILED", 15, "why")["failureReason"] == "why"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ThrottlingException", "ThrottlingException"),
        ("LimitExceededException", "LimitExceededException"),
        ("ResourceInUseException", "ResourceInUseException"),
        ("com.amazonaws.personalize.SlowDown", "SlowDown"),
        ("503", "503"),
    ],
)
def test_aws_s_errors_leave_under_their_own_names(code: str, name: str) -> None:
    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": "slow down"}}, "CreateSolution")

    with pytest.raises(Exception, match=r"^CreateSolution: slow down$") as raised:
        handler({}, None)
    assert type(raised.value).__name__ == name


def test_other_errors_pass_as_they_are() -> None:
    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise KeyError(event["missing"])

    with pytest.raises(KeyError, match="missing"):
        handler({}, None)


# ── List Datasets ───────────────────────────────────────────────────────────────────────────────

MANIFEST = {
    "version": 1,
    "run": RUN,
    "datasets": {
        "INTERACTIONS": {"path": "interactions/", "rows": 150_000},
        "USERS": {"path": "users/", "rows": 5_000},
    },
}
ARNS = {
    "USERS": f"{ARN}dataset/labbase/USERS",
    "INTERACTIONS": f"{ARN}dataset/labbase/INTERACTIONS",
}


def test_interactions_are_imported_after_what_they_refer_to() -> None:
    assert datasets_to_import(MANIFEST, ARNS, bucket="bucket", run="r", import_mode="FULL") == [
        {
            "datasetType": "USERS",
            "datasetArn": "arn:aws:personalize:ap-northeast-1:123456789012:dataset/labbase/USERS",
            "s3Path": "s3://bucket/runs/r/users/",
            "importMode": "FULL",
            "rows": 5_000,
        },
        {
            "datasetType": "INTERACTIONS",
            "datasetArn": f"{ARN}dataset/labbase/INTERACTIONS",
            "s3Path": "s3://bucket/runs/r/interactions/",
            "importMode": "FULL",
            "rows": 150_000,
        },
    ]


def test_a_data_set_that_the_group_lacks_is_reported_with_the_fix() -> None:
    with pytest.raises(
        ResourceNotFoundException,
        match=r"holds INTERACTIONS, but .* only USERS; create the dataset",
    ):
        datasets_to_import(
            MANIFEST, {"USERS": ARNS["USERS"]}, bucket="bucket", run="r", import_mode="FULL"
        )


def test_a_type_that_is_new_to_us_is_imported_if_the_group_has_it() -> None:
    manifest = {
        "datasets": {
            "INTERACTIONS": {"path": "interactions/", "rows": 150_000},
            "ACTIONS": {"path": "actions/", "rows": 7},
        }
    }
    arns = ARNS | {"ACTIONS": f"{ARN}dataset/labbase/ACTIONS"}

    items = datasets_to_import(manifest, arns, bucket="bucket", run="r", import_mode="INCREMENTAL")
    assert [(item["datasetType"], item["importMode"], item["rows"]) for item in items] == [
        ("ACTIONS", "INCREMENTAL", 7),
        ("INTERACTIONS", "INCREMENTAL", 150_000),
    ]


# ── Create: imports, solutions, versions, batch inference ──────────────────────────────────────

IMPORT = {
    "run": RUN,
    "datasetType": "USERS",
    "datasetArn": ARNS["USERS"],
    "s3Path": "s3://bucket/runs/r/users/",
    "importMode": "FULL",
    "roleArn": ROLE,
}
IMPORT_NAME = "users-2024-06-01-3b951b5903"
IMPORT_CALL = {
    "jobName": IMPORT_NAME,
    "datasetArn": ARNS["USERS"],
    "dataSource": {"dataLocation": "s3://bucket/runs/r/users/"},
    "roleArn": ROLE,
    "importMode": "FULL",
}


def test_an_import_is_started(personalize: Any, calls: Stubber) -> None:
    calls.add_response(
        "create_dataset_import_job", {"datasetImportJobArn": f"{ARN}job/1"}, IMPORT_CALL
    )

    assert create_import_job(personalize, IMPORT) == f"{ARN}job/1"


def expect_import(calls: Stubber, location: str) -> None:
    calls.add_response(
        "describe_dataset_import_job",
        {"datasetImportJob": {"dataSource": {"dataLocation": location}}},
        {"datasetImportJobArn": f"{ARN}job/1"},
    )


def test_a_repeated_import_finds_its_job_on_a_later_page(personalize: Any, calls: Stubber) -> None:
    calls.add_client_error(
        "create_dataset_import_job", "ResourceAlreadyExistsException", expected_params=IMPORT_CALL
    )
    calls.add_response(
        "list_dataset_import_jobs",
        {
            "datasetImportJobs": [{"jobName": "older", "datasetImportJobArn": f"{ARN}job/0"}],
            "nextToken": "more",
        },
        {"datasetArn": ARNS["USERS"]},
    )
    calls.add_response(
        "list_dataset_import_jobs",
        {"datasetImportJobs": [{"jobName": IMPORT_NAME, "datasetImportJobArn": f"{ARN}job/1"}]},
        {"datasetArn": ARNS["USERS"], "nextToken": "more"},
    )

    expect_import(calls, "s3://bucket/runs/r/users/")

    assert create_import_job(personalize, IMPORT) == f"{ARN}job/1"


def test_another_dataset_s_import_of_this_name_is_not_taken(
    personalize: Any, calls: Stubber
) -> None:
    calls.add_client_error("create_dataset_import_job", "ResourceAlreadyExistsException")
    calls.add_response("list_dataset_import_jobs", {"datasetImportJobs": []})

    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        create_import_job(personalize, IMPORT)


def test_an_import_of_this_name_that_reads_other_data_is_not_taken(
    personalize: Any, calls: Stubber
) -> None:
    job = {"jobName": IMPORT_NAME, "datasetImportJobArn": f"{ARN}job/1"}
    calls.add_client_error("create_dataset_import_job", "ResourceAlreadyExistsException")
    calls.add_response("list_dataset_import_jobs", {"datasetImportJobs": [job]})
    expect_import(calls, "s3://elsewhere/users/")

    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        create_import_job(personalize, IMPORT)


TRAINING = {
    "run": RUN,
    "solutionName": "labbase",
    "datasetGroupArn": GROUP,
    "recipeArn": "arn:aws:personalize:::recipe/aws-user-personalization",
    "eventType": None,
    "solutionConfig": {"algorithmHyperParameters": {"hidden_dimension": "64"}},
    "performHPO": False,
    "performAutoML": False,
    "trainingMode": "FULL",
}


def test_the_solution_is_made_on_first_use_and_never_trains_by_itself(
    personalize: Any, calls: Stubber
) -> None:
    calls.add_response("list_solutions", {"solutions": []}, {"datasetGroupArn": GROUP})
    calls.add_response(
        "create_solution",
        {"solutionArn": SOLUTION},
        {
            "name": "labbase",
            "datasetGroupArn": GROUP,
            "recipeArn": "arn:aws:personalize:::recipe/aws-user-personalization",
            "solutionConfig": {"algorithmHyperParameters": {"hidden_dimension": "64"}},
            "performHPO": False,
            "performAutoML": False,
            "performAutoTraining": False,
        },
    )

    assert ensure_solution(personalize, TRAINING) == SOLUTION


def test_automl_is_asked_for_without_a_recipe(personalize: Any, calls: Stubber) -> None:
    calls.add_response("list_solutions", {"solutions": []}, {"datasetGroupArn": GROUP})
    calls.add_response(
        "create_solution",
        {"solutionArn": SOLUTION},
        {
            "name": "labbase",
            "datasetGroupArn": GROUP,
            "eventType": "apply",
            "performHPO": False,
            "performAutoML": True,
            "performAutoTraining": False,
        },
    )
    event = TRAINING | {
        "recipeArn": None,
        "performAutoML": True,
        "solutionConfig": {},
        "eventType": "apply",
    }

    assert ensure_solution(personalize, event) == SOLUTION


def expect_solution(calls: Stubber, **settings: Any) -> None:
    calls.add_response(
        "list_solutions",
        {
            "solutions": [
                {"name": "other", "solutionArn": f"{ARN}solution/other"},
                {"name": "labbase", "solutionArn": SOLUTION},
            ]
        },
        {"datasetGroupArn": GROUP},
    )
    solution = {
        "name": "labbase",
        "recipeArn": TRAINING["recipeArn"],
        "solutionConfig": TRAINING["solutionConfig"],
    }
    calls.add_response(
        "describe_solution", {"solution": solution | settings}, {"solutionArn": SOLUTION}
    )


def test_the_solution_that_is_there_is_used(personalize: Any, calls: Stubber) -> None:
    expect_solution(calls)

    assert ensure_solution(personalize, TRAINING) == SOLUTION


def test_a_default_that_aws_adds_to_the_configuration_is_no_difference(
    personalize: Any, calls: Stubber
) -> None:
    expect_solution(
        calls,
        solutionConfig={
            "algorithmHyperParameters": {"hidden_dimension": "64", "bptt": "32"},
            "featureTransformationParameters": {"max_user_history_length_percentile": "0.99"},
        },
    )

    assert ensure_solution(personalize, TRAINING) == SOLUTION


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipeArn": "arn:aws:personalize:::recipe/aws-sims"}, "recipe/aws-sims, expected arn"),
        ({"performHPO": True}, "performHPO is True, expected False"),
        ({"performAutoML": True}, "performAutoML is True, expected False"),
        ({"performAutoTraining": True}, "performAutoTraining is True, expected False"),
        ({"eventType": "view"}, "eventType is view, expected None"),
        (
            {"solutionConfig": {"algorithmHyperParameters": {"hidden_dimension": "32"}}},
            "hidden_dimension.*32.*expected.*64",
        ),
        ({"solutionConfig": {}}, "expected.*64"),
    ],
)
def test_a_solution_with_other_settings_is_refused(
    personalize: Any, calls: Stubber, settings: dict[str, Any], message: str
) -> None:
    expect_solution(calls, **settings)

    with pytest.raises(InvalidInputException, match=rf"{message}.*give \[solution\] name another"):
        ensure_solution(personalize, TRAINING)


VERSION_CALL = {
    "name": "version-2024-06-01-3b951b5903",
    "solutionArn": SOLUTION,
    "trainingMode": "FULL",
}


def test_a_version_is_trained_once_per_run(personalize: Any, calls: Stubber) -> None:
    calls.add_response(
        "create_solution_version", {"solutionVersionArn": f"{SOLUTION}/1"}, VERSION_CALL
    )
    assert create_solution_version(personalize, SOLUTION, TRAINING) == f"{SOLUTION}/1"

    calls.add_client_error(
        "create_solution_version", "ResourceAlreadyExistsException", expected_params=VERSION_CALL
    )
    calls.add_response(
        "list_solution_versions",
        {
            "solutionVersions": [
                {"solutionVersionArn": f"{SOLUTION}/1", "creationDateTime": LONG_AGO}
            ],
            "nextToken": "more",
        },
        {"solutionArn": SOLUTION},
    )
    calls.add_response(
        "list_solution_versions",
        {
            "solutionVersions": [
                {
                    "solutionVersionArn": f"{SOLUTION}/2",
                    "creationDateTime": LONG_AGO + timedelta(days=1),
                }
            ]
        },
        {"solutionArn": SOLUTION, "nextToken": "more"},
    )
    for number, name in ((2, "version-other"), (1, "version-2024-06-01-3b951b5903")):
        calls.add_response(
            "describe_solution_version",
            {"solutionVersion": {"name": name}},
            {"solutionVersionArn": f"{SOLUTION}/{number}"},
        )
    assert create_solution_version(personalize, SOLUTION, TRAINING) == f"{SOLUTION}/1"


def test_a_solution_that_is_not_ready_surfaces_for_the_retry(
    personalize: Any, calls: Stubber
) -> None:
    calls.add_client_error("create_solution_version", "ResourceInUseException")

    with pytest.raises(personalize.exceptions.ResourceInUseException):
        create_solution_version(personalize, SOLUTION, TRAINING)


INFERENCE = {
    "run": RUN,
    "solutionVersionArn": f"{SOLUTION}/1",
    "inputPath": "s3://bucket/runs/r/batch-input/",
    "outputPath": "s3://bucket/runs/r/batch-output/",
    "roleArn": ROLE,
    "numResults": 100,
    "filterArn": None,
    "itemExploration": None,
}
INFERENCE_CALL = {
    "jobName": "batch-2024-06-01-3b951b5903",
    "solutionVersionArn": f"{SOLUTION}/1",
    "numResults": 100,
    "jobInput": {"s3DataSource": {"path": "s3://bucket/runs/r/batch-input/"}},
    "jobOutput": {"s3DataDestination": {"path": "s3://bucket/runs/r/batch-output/"}},
    "roleArn": ROLE,
}


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({}, {}),
        (
            {"itemExploration": {"explorationWeight": "0.3"}},
            {"batchInferenceJobConfig": {"itemExplorationConfig": {"explorationWeight": "0.3"}}},
        ),
        ({"filterArn": f"{ARN}filter/f"}, {"filterArn": f"{ARN}filter/f"}),
    ],
)
def test_batch_inference_is_started(
    personalize: Any, calls: Stubber, options: Any, config: Any
) -> None:
    calls.add_response(
        "create_batch_inference_job",
        {"batchInferenceJobArn": f"{ARN}job/1"},
        INFERENCE_CALL | config,
    )

    event = INFERENCE | options
    assert create_batch_inference_job(personalize, event) == f"{ARN}job/1"


def expect_batch_inference(calls: Stubber, *, output_path: str) -> None:
    calls.add_client_error("create_batch_inference_job", "ResourceAlreadyExistsException")
    calls.add_response(
        "list_batch_inference_jobs",
        {
            "batchInferenceJobs": [
                {"jobName": "older", "batchInferenceJobArn": f"{ARN}job/0"},
                {"jobName": INFERENCE_CALL["jobName"], "batchInferenceJobArn": f"{ARN}job/1"},
            ]
        },
        {"solutionVersionArn": f"{SOLUTION}/1"},
    )
    calls.add_response(
        "describe_batch_inference_job",
        {"batchInferenceJob": {"jobOutput": {"s3DataDestination": {"path": output_path}}}},
        {"batchInferenceJobArn": f"{ARN}job/1"},
    )


def test_repeated_batch_inference_finds_its_job(personalize: Any, calls: Stubber) -> None:
    expect_batch_inference(calls, output_path="s3://bucket/runs/r/batch-output/")

    assert create_batch_inference_job(personalize, INFERENCE) == f"{ARN}job/1"


def test_batch_inference_that_writes_elsewhere_is_not_taken(
    personalize: Any, calls: Stubber
) -> None:
    expect_batch_inference(calls, output_path="s3://bucket/runs/other/batch-output/")

    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        create_batch_inference_job(personalize, INFERENCE)


# ── Get Status ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("resource", "operation", "argument"),
    [
        ("dataset-import-job/j", "describe_dataset_import_job", "datasetImportJobArn"),
        ("batch-inference-job/j", "describe_batch_inference_job", "batchInferenceJobArn"),
        ("batch-segment-job/j", "describe_batch_segment_job", "batchSegmentJobArn"),
        ("solution/s", "describe_solution", "solutionArn"),
        ("solution/s/1a2b", "describe_solution_version", "solutionVersionArn"),
        ("dataset-group/g", "describe_dataset_group", "datasetGroupArn"),
        ("dataset/g/USERS", "describe_dataset", "datasetArn"),
        ("filter/f", "describe_filter", "filterArn"),
        ("campaign/c", "describe_campaign", "campaignArn"),
    ],
)
def test_the_status_of_every_resource_type_is_returned(
    personalize: Any, calls: Stubber, resource: str, operation: str, argument: str
) -> None:
    response = {"status": "CREATE IN_PROGRESS", "creationDateTime": LONG_AGO}
    calls.add_response(
        operation, {argument.removesuffix("Arn"): response}, {argument: f"{ARN}{resource}"}
    )

    assert get_status(
        personalize,
        f"{ARN}{resource}",
        least=15,
        most=300,
        now=LONG_AGO + timedelta(minutes=20),
    ) == {
        "arn": f"{ARN}{resource}",
        "status": "CREATE IN_PROGRESS",
        "waitSeconds": 120,
        "failureReason": "",
    }


def test_a_failure_is_returned_with_its_reason(personalize: Any, calls: Stubber) -> None:
    failed = {
        "status": "CREATE FAILED",
        "failureReason": "Invalid Data location.",
        "creationDateTime": LONG_AGO,
    }
    calls.add_response("describe_dataset_import_job", {"datasetImportJob": failed})

    arn = f"{ARN}dataset-import-job/j"
    response = get_status(personalize, arn, least=15, most=300, now=LONG_AGO)
    assert response["status"] == "CREATE FAILED"
    assert response["failureReason"] == "Invalid Data location."


@pytest.mark.parametrize(
    "arn", ["", "x", "arn:aws:s3:::bucket/solution/x", f"{ARN}schema/s", f"{ARN}solution"]
)
def test_what_has_no_status_is_refused(personalize: Any, arn: str) -> None:
    with pytest.raises(InvalidInputException, match="names nothing that has a status"):
        get_status(personalize, arn, least=15, most=300, now=LONG_AGO)


@pytest.mark.parametrize(
    ("waited", "wait"), [(-5, 15), (0, 15), (150, 15), (600, 60), (3_000, 300), (90_000, 300)]
)
def test_the_wait_grows_between_its_bounds(waited: float, wait: int) -> None:
    assert next_wait(waited, 15, 300) == wait


# ── The handlers, with clients that the test prepared ───────────────────────────────────────────


class Session:
    """A fake of boto3's default session, from which a handler takes its clients."""

    def __init__(self, **clients: Any) -> None:
        self.clients = clients

    def client(self, service: str) -> Any:
        return self.clients[service]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, personalize: Any) -> Session:
    session = Session(personalize=personalize)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return session


@pytest.mark.usefixtures("session")
def test_every_handler_that_creates_returns_what_the_poll_loop_keeps(calls: Stubber) -> None:
    response = {"arn": f"{ARN}job/1", "status": "CREATE PENDING", "waitSeconds": 15}
    response |= {"failureReason": ""}

    calls.add_response("create_dataset_import_job", {"datasetImportJobArn": f"{ARN}job/1"})
    assert lambdas.create_import_job.handler(IMPORT | {"waitSeconds": 15}, None) == response

    calls.add_response("create_batch_inference_job", {"batchInferenceJobArn": f"{ARN}job/1"})
    event = INFERENCE | {"waitSeconds": 15}
    assert lambdas.create_batch_inference_job.handler(event, None) == response

    calls.add_response("list_solutions", {"solutions": []})
    calls.add_response("create_solution", {"solutionArn": SOLUTION})
    calls.add_response(
        "create_solution_version", {"solutionVersionArn": f"{ARN}job/1"}, VERSION_CALL
    )
    assert lambdas.create_solution_version.handler(TRAINING | {"waitSeconds": 15}, None) == response


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceInUseException"])
def test_what_a_client_raises_leaves_a_handler_by_aws_s_name(calls: Stubber, code: str) -> None:
    calls.add_client_error("describe_solution", code, "later")
    event = {"arn": SOLUTION, "minSeconds": 15, "maxSeconds": 300}

    with pytest.raises(Exception, match=r"^DescribeSolution: later$") as raised:
        lambdas.get_status.handler(event, None)
    assert type(raised.value).__name__ == code


@pytest.mark.usefixtures("session")
def test_the_wait_of_a_job_that_runs_for_long_is_the_longest(calls: Stubber) -> None:
    calls.add_response(
        "describe_solution",
        {"solution": {"status": "CREATE IN_PROGRESS", "creationDateTime": LONG_AGO}},
    )
    event = {"arn": SOLUTION, "minSeconds": 15, "maxSeconds": 300}

    assert lambdas.get_status.handler(event, None)["waitSeconds"] == 300


# ── On S3: the manifest, and what is published ──────────────────────────────────────────────────


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client


def put(s3: Any, path: str, content: str | bytes) -> None:
    body = content.encode() if isinstance(content, str) else content
    s3.put_object(Bucket="bucket", Key=f"runs/{RUN}/{path}", Body=body)


def get(s3: Any, key: str) -> str:
    return str(s3.get_object(Bucket="bucket", Key=key)["Body"].read().decode())


def keys(s3: Any, prefix: str = "") -> list[str]:
    contents = s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    return [item["Key"] for item in contents]


def output_line(user: str, items: list[str], scores: list[float] | None = None) -> str:
    """Return a line of batch output."""
    output: dict[str, Any] = {"recommendedItems": items}
    if scores is not None:
        output["scores"] = scores
    return json.dumps({"input": {"userId": user}, "output": output, "error": None}) + "\n"


def test_the_manifest_is_read(s3: Any) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST))

    assert read_manifest(s3, "bucket", RUN) == MANIFEST


def test_the_data_sets_of_a_run_are_found_on_every_page_of_the_group(
    s3: Any, session: Session, calls: Stubber
) -> None:
    session.clients["s3"] = s3
    put(s3, "manifest.json", json.dumps(MANIFEST))
    for dataset_type, request_token, response_token in (
        ("Interactions", {}, {"nextToken": "more"}),
        ("Users", {"nextToken": "more"}, {}),
    ):
        arn = f"{ARN}dataset/labbase/{dataset_type.upper()}"
        calls.add_response(
            "list_datasets",
            {"datasets": [{"datasetType": dataset_type, "datasetArn": arn}]} | response_token,
            {"datasetGroupArn": GROUP} | request_token,
        )
    event = {"bucket": "bucket", "run": RUN, "datasetGroupArn": GROUP, "importMode": "FULL"}

    items = list_datasets.handler(event, None)["datasets"]
    assert [(item["datasetArn"], item["s3Path"]) for item in items] == [
        (f"{ARN}dataset/labbase/USERS", "s3://bucket/runs/2024-06-01/users/"),
        (f"{ARN}dataset/labbase/INTERACTIONS", "s3://bucket/runs/2024-06-01/interactions/"),
    ]


def test_a_run_without_manifest_is_reported_by_the_handler(s3: Any) -> None:
    event = {"bucket": "bucket", "run": RUN, "datasetGroupArn": GROUP, "importMode": "FULL"}

    with pytest.raises(
        ManifestNotFound, match=r"s3://bucket/runs/2024-06-01/manifest.json is not there"
    ):
        list_datasets.handler(event, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ("{}", "KeyError\\('datasets'\\)"),
        ('{"datasets": []}', "no attribute 'items'"),
        ('{"datasets": {"USERS": null}}', "NoneType"),
        ('{"datasets": {"USERS": {"rows": 5}}}', "USERS lacks its path or its rows"),
        ("\xff", "invalid start byte"),
    ],
)
def test_a_broken_manifest_is_reported(s3: Any, content: str, reason: str) -> None:
    put(s3, "manifest.json", content.encode("latin-1"))

    with pytest.raises(
        InvalidInputException, match=rf"manifest\.json is no manifest: .*{reason}.*; the Spark job"
    ):
        read_manifest(s3, "bucket", RUN)


def run_filter(s3: Any, directory: Path, *, keep: int = 25, manifest: Any = None) -> dict[str, Any]:
    files = RunFiles(s3, "bucket", RUN)
    return filter_recommendations(files, manifest or {}, keep=keep, directory=directory)


def csv_of(s3: Any) -> str:
    return get(s3, f"runs/{RUN}/recommendations/recommendations.csv")


ALL_FILTERS = {
    "filter": {
        "eligibleItems": {"path": "filter/eligible-items/", "rows": 3},
        "exclusions": {"path": "filter/exclusions/", "rows": 2},
    }
}


def test_the_csv_holds_what_may_be_recommended_with_ranks_without_gaps(
    s3: Any, tmp_path: Path
) -> None:
    put(s3, "filter/eligible-items/part-00000.csv", "ITEM_ID\na\nb\n")
    put(s3, "filter/eligible-items/part-00001.csv", "ITEM_ID\nc\nd\n")
    put(s3, "filter/exclusions/part-00000.csv", "USER_ID,ITEM_ID\n1,b\n")
    put(s3, "filter/exclusions/part-00001.csv", "USER_ID,ITEM_ID\n2,a\n1,b\n")
    put(
        s3,
        "batch-output/part-00000.json.out",
        output_line("2", ["ITEM_ID", "a", "d", "c"], [0.9, 0.8, 0.7, 0.1])
        + output_line("1", ["a", "b", "c", "d"], [0.4, 0.3, 0.2, 0.1]),
    )

    assert run_filter(s3, tmp_path, keep=2, manifest=ALL_FILTERS) == {
        "csv": "s3://bucket/runs/2024-06-01/recommendations/recommendations.csv",
        "errors": "s3://bucket/runs/2024-06-01/recommendations/errors.jsonl",
        "users": 2,
        "recommendations": 4,
        "errorLines": 0,
        "dropped": {"ineligible": 1, "excluded": 2},
    }
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n2,d,1,0.7\n2,c,2,0.1\n1,a,1,0.4\n1,c,2,0.2\n"
    assert get(s3, f"runs/{RUN}/recommendations/errors.jsonl") == ""


def test_an_item_is_recommended_once_with_its_first_score(s3: Any, tmp_path: Path) -> None:
    put(
        s3, "batch-output/in.json.out", output_line("1", ["a", "b", "a", "c"], [0.9, 0.5, 0.3, 0.1])
    )

    assert run_filter(s3, tmp_path)["recommendations"] == 3
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,0.9\n1,b,2,0.5\n1,c,3,0.1\n"


def test_scores_may_be_absent_and_small(s3: Any, tmp_path: Path) -> None:
    put(
        s3,
        "batch-output/in.json.out",
        output_line("1", ["a", "b"]) + output_line("2", ["a"], [1e-7]),
    )

    run_filter(s3, tmp_path)
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n1,b,2,\n2,a,1,1e-07\n"


def test_ids_of_any_characters_survive_and_match_the_filters(s3: Any, tmp_path: Path) -> None:
    nasty = ["a,b", 'say "hi"', "two\nlines", "求人📚", " spaced ", "back\\slash"]
    eligible = 'ITEM_ID\n"a,b"\n"say ""hi"""\n"two\nlines"\n求人📚\n spaced \nback\\slash\nout\n'
    put(s3, "filter/eligible-items/part-00000.csv", eligible)
    put(s3, "filter/exclusions/part-00000.csv", 'USER_ID,ITEM_ID\n"学生,\n1",out\n')
    put(s3, "batch-output/in.json.out", output_line("学生,\n1", [*nasty, "out"]))

    run_filter(s3, tmp_path, manifest=ALL_FILTERS)
    assert csv_of(s3) == (
        "USER_ID,ITEM_ID,RANK,SCORE\n"
        '"学生,\n1","a,b",1,\n'
        '"学生,\n1","say ""hi""",2,\n'
        '"学生,\n1","two\nlines",3,\n'
        '"学生,\n1",求人📚,4,\n'
        '"学生,\n1", spaced ,5,\n'
        '"学生,\n1",back\\slash,6,\n'
    )


def test_a_carriage_return_is_quoted(s3: Any, tmp_path: Path) -> None:
    put(s3, "batch-output/in.json.out", output_line("1", ["a\rb", "c\r\nd"]))

    run_filter(s3, tmp_path)
    assert csv_of(s3) == 'USER_ID,ITEM_ID,RANK,SCORE\n1,"a\rb",1,\n1,"c\r\nd",2,\n'


def test_several_files_are_read_in_order_and_others_are_not(s3: Any, tmp_path: Path) -> None:
    put(s3, "batch-output/part-00001.json.out", output_line("2", ["b"]).rstrip("\n"))
    put(s3, "batch-output/part-00000.json.out", output_line("1", ["a"]).rstrip("\n"))
    put(s3, "batch-output/_CHECK", "no JSON")

    assert run_filter(s3, tmp_path)["users"] == 2
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n2,b,1,\n"


BAD_LINES = {
    '{"input":{"userId":"9"},"output":null,"error":"no such user"}': "no such user",
    '{"input":{"userId":"9"},"output":null}': "neither error nor recommendedItems",
    '{"input":{"userId":"9"},"output":{}}': "neither error nor recommendedItems",
    '{"input":{},"output":{"recommendedItems":["a"]}}': "no userId",
    '{"input":"9","output":{"recommendedItems":["a"]}}': "no userId",
    '{"input":{"userId":"9"},"output":["a"]}': "neither error nor recommendedItems",
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a"],"scores":[1,2]}}': (
        "1 items, but 2 scores"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":"abc"}}': (
        "recommendedItems is no list of ids"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a",["b"]]}}': (
        "recommendedItems is no list of ids"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a"],"scores":["0.5"]}}': (
        "scores is no list of numbers"
    ),
    '{"input":{"userId":"9"},"output":{"recommendedItems":["a"],"scores":0.5}}': (
        "scores is no list of numbers"
    ),
    "[]": "no JSON object",
    '{"input":{"userId":"9"},"out': "no JSON: Unterminated string starting at",
}


def test_lines_without_recommendations_are_kept_aside_with_the_reason(
    s3: Any, tmp_path: Path
) -> None:
    lines = [
        output_line("1", ["a"]),
        *(f"{line}\n" for line in BAD_LINES),
        "\n",
        output_line("2", ["b"]),
    ]
    put(s3, "batch-output/in.json.out", "".join(lines))

    summary = run_filter(s3, tmp_path)
    assert (summary["users"], summary["errorLines"]) == (2, 13)
    assert csv_of(s3) == "USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,\n2,b,1,\n"
    errors = get(s3, f"runs/{RUN}/recommendations/errors.jsonl").splitlines()
    written = [json.loads(line) for line in errors]
    assert [error["line"] for error in written] == list(BAD_LINES)
    for error, reason in zip(written, BAD_LINES.values(), strict=True):
        assert error["reason"].startswith(reason)


def test_no_batch_output_is_reported(s3: Any, tmp_path: Path) -> None:
    put(s3, "batch-output/_CHECK", "")

    with pytest.raises(
        ResourceNotFoundException,
        match=r"no \.out file at s3://bucket/runs/2024-06-01/batch-output/",
    ):
        run_filter(s3, tmp_path)


def publish_run(s3: Any, personalize: Any, calls: Stubber) -> dict[str, Any]:
    calls.add_response(
        "describe_batch_inference_job",
        {"batchInferenceJob": {"solutionVersionArn": f"{SOLUTION}/1"}},
        {"batchInferenceJobArn": f"{ARN}batch-inference-job/j"},
    )
    event = {
        "bucket": "bucket",
        "run": RUN,
        "keep": 25,
        "batchInferenceJobArn": f"{ARN}batch-inference-job/j",
    }
    return publish(s3, personalize, event, now=datetime(2024, 6, 1, 4, 0, 7, tzinfo=UTC))


def test_a_finished_run_is_published(s3: Any, personalize: Any, calls: Stubber) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST | {"filter": {"exclusions": None}}))
    put(s3, "batch-output/in.json.out", output_line("1", ["a"], [0.5]))

    latest = publish_run(s3, personalize, calls)

    assert latest == {
        "run": "2024-06-01",
        "csv": "s3://bucket/runs/2024-06-01/recommendations/recommendations.csv",
        "errors": "s3://bucket/runs/2024-06-01/recommendations/errors.jsonl",
        "users": 1,
        "recommendations": 1,
        "errorLines": 0,
        "dropped": {"ineligible": 0, "excluded": 0},
        "solutionVersionArn": f"{SOLUTION}/1",
        "createdAt": "2024-06-01T04:00:07Z",
    }
    assert json.loads(get(s3, "recommendations/latest.json")) == latest


def test_the_published_list_stays_when_nothing_is_left(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST | ALL_FILTERS))
    put(s3, "filter/eligible-items/part-00000.csv", "ITEM_ID\n")
    put(s3, "batch-output/in.json.out", output_line("1", ["a"]) + "broken\n")
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=b"yesterday's")

    with pytest.raises(NoRecommendations, match="1 error lines, 1 items not eligible, 0 excluded"):
        publish_run(s3, personalize, calls)
    assert get(s3, "recommendations/latest.json") == "yesterday's"
    assert keys(s3, f"runs/{RUN}/recommendations/") == [
        "runs/2024-06-01/recommendations/errors.jsonl"
    ]
    assert get(s3, f"runs/{RUN}/recommendations/errors.jsonl") == (
        '{"reason": "no JSON: Expecting value: line 1 column 1 (char 0)", "line": "broken"}\n'
    )


def test_the_published_list_stays_when_a_file_cannot_be_written(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    put(s3, "manifest.json", json.dumps(MANIFEST))
    put(s3, "batch-output/in.json.out", output_line("1", ["a"]))
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=b"yesterday's")

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["Key"].endswith("errors.jsonl"):
            raise OSError("no connection")

    s3.meta.events.register("before-parameter-build.s3.PutObject", refuse)

    with pytest.raises(OSError, match="no connection"):
        publish_run(s3, personalize, calls)
    assert get(s3, "recommendations/latest.json") == "yesterday's"


def test_an_upload_that_breaks_off_leaves_nothing(s3: Any) -> None:

    class BreaksOff:
        """A file that fails after three parts of a multipart upload."""

        left = 24 << 20

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            if self.left < 0:
                raise EOFError("batch output ended early")
            return b"x" * size

    with pytest.raises(EOFError, match="ended early"):
        RunFiles(s3, "bucket", RUN).upload("recommendations/recommendations.csv", BreaksOff())
    assert keys(s3) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


class EndlessS3:
    """A fake S3 that makes batch output and exclusions while they are read."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.uploaded = 0

    def get_paginator(self, _operation: str) -> Any:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Any:  # noqa: N803  as S3 spells it
        return [{"Contents": [{"Key": f"{Prefix}part-00000.out"}]}]

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        return {"Body": self if "batch-output" in Key else Pairs(self.lines)}

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        items = [f"posting-{number:06d}" for number in range(25)]
        for number in range(self.lines):
            yield output_line(f"student-{number:06d}", items).encode()

    def close(self) -> None:
        """Nothing to release."""

    def upload_fileobj(self, content: Any, _bucket: str, key: str, **_: Any) -> None:
        while chunk := content.read(1 << 16):
            self.uploaded += len(chunk) if key.endswith(".csv") else 0


class Pairs(EndlessS3):
    """A body of two excluded pairs for each user."""

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        yield b"USER_ID,ITEM_ID\n"
        for number in range(self.lines):
            yield b"student-%06d,posting-000003\nstudent-%06d,posting-000004\n" % (number, number)


def test_memory_does_not_grow_with_users_or_exclusions(tmp_path: Path) -> None:
    manifest = {"filter": {"exclusions": {"path": "filter/exclusions/"}}}
    peaks = []
    for lines in (500, 4_000):
        directory = tmp_path / str(lines)
        directory.mkdir()
        s3 = EndlessS3(lines)
        tracemalloc.start()
        summary = filter_recommendations(
            RunFiles(s3, "bucket", RUN), manifest, keep=25, directory=directory
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert summary["recommendations"] == 23 * lines
        assert s3.uploaded > 23 * lines * len("student-000000,posting-000000,1,\n")

    assert peaks[1] < 1.2 * peaks[0]
