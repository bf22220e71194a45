"""Import jobs, solutions, solution versions and batch inference jobs, each created once."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

import lambdas.create_batch_inference_job
import lambdas.create_import_job
import lambdas.create_solution_version
from lambdas.create_batch_inference_job import create_batch_inference_job
from lambdas.create_import_job import create_import_job
from lambdas.create_solution_version import create_solution_version, ensure_solution
from lambdas.errors import InvalidInputException
from lambdas.jobs import Job
from tests.lambdas.sample_run import ARN, ARNS, GROUP, LONG_AGO, ROLE, RUN, SOLUTION

TAGS = [{"tagKey": "team", "tagValue": "search"}]
IMPORT = {
    "run": RUN,
    "datasetType": "USERS",
    "datasetArn": ARNS["USERS"],
    "s3Path": "s3://bucket/runs/r/users/",
    "importMode": "FULL",
    "roleArn": ROLE,
    "tags": TAGS,
    "waitSeconds": 15,
}
IMPORT_NAME = "users-2024-06-01-3b951b5903"
IMPORT_CALL = {
    "jobName": IMPORT_NAME,
    "datasetArn": ARNS["USERS"],
    "dataSource": {"dataLocation": "s3://bucket/runs/r/users/"},
    "roleArn": ROLE,
    "importMode": "FULL",
    "tags": TAGS,
}


def test_an_import_is_started(personalize: Any, calls: Stubber) -> None:
    calls.add_response(
        "create_dataset_import_job", {"datasetImportJobArn": f"{ARN}job/1"}, IMPORT_CALL
    )

    assert create_import_job(personalize, IMPORT) == job()


def job(status: str = "CREATE PENDING", *, number: int = 1) -> Job:
    """Return a job that has not failed."""
    return Job(f"{ARN}job/{number}", status)


def expect_import(calls: Stubber, location: str, status: str = "CREATE IN_PROGRESS") -> None:
    calls.add_response(
        "describe_dataset_import_job",
        {"datasetImportJob": {"dataSource": {"dataLocation": location}, "status": status}},
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

    assert create_import_job(personalize, IMPORT) == job("CREATE IN_PROGRESS")


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
    named = {"jobName": IMPORT_NAME, "datasetImportJobArn": f"{ARN}job/1"}
    calls.add_client_error("create_dataset_import_job", "ResourceAlreadyExistsException")
    calls.add_response("list_dataset_import_jobs", {"datasetImportJobs": [named]})
    expect_import(calls, "s3://elsewhere/users/")

    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        create_import_job(personalize, IMPORT)


@pytest.mark.parametrize("status", ["ACTIVE", "CREATE PENDING", "CREATE IN_PROGRESS"])
def test_a_job_of_the_run_is_found_with_its_status(
    personalize: Any, calls: Stubber, status: str
) -> None:
    named = {"jobName": IMPORT_NAME, "datasetImportJobArn": f"{ARN}job/1"}
    calls.add_client_error("create_dataset_import_job", "ResourceAlreadyExistsException")
    calls.add_response("list_dataset_import_jobs", {"datasetImportJobs": [named]})
    expect_import(calls, "s3://bucket/runs/r/users/", status)

    assert create_import_job(personalize, IMPORT) == job(status)


def test_a_job_that_failed_is_followed_by_one_of_the_next_name(
    personalize: Any, calls: Stubber
) -> None:
    second = "users-2024-06-01-2-661a006faa"
    calls.add_client_error("create_dataset_import_job", "ResourceAlreadyExistsException")
    named = {"jobName": IMPORT_NAME, "datasetImportJobArn": f"{ARN}job/1"}
    calls.add_response("list_dataset_import_jobs", {"datasetImportJobs": [named]})
    expect_import(calls, "s3://bucket/runs/r/users/", "CREATE FAILED")
    calls.add_response(
        "create_dataset_import_job",
        {"datasetImportJobArn": f"{ARN}job/2"},
        IMPORT_CALL | {"jobName": second},
    )

    assert create_import_job(personalize, IMPORT) == job(number=2)


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
    "tags": TAGS,
    "waitSeconds": 15,
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
            "tags": TAGS,
        },
    )

    assert ensure_solution(personalize, TRAINING) == SOLUTION


def test_a_semantic_solution_does_not_update_itself_between_runs(
    personalize: Any, calls: Stubber
) -> None:
    """AWS's default is to train, and to charge, whenever items change."""
    recipe = "arn:aws:personalize:::recipe/aws-semantic-similarity"
    calls.add_response("list_solutions", {"solutions": []}, {"datasetGroupArn": GROUP})
    calls.add_response(
        "create_solution",
        {"solutionArn": SOLUTION},
        {
            "name": "labbase",
            "datasetGroupArn": GROUP,
            "recipeArn": recipe,
            "performHPO": False,
            "performAutoML": False,
            "performAutoTraining": False,
            "performIncrementalUpdate": False,
            "tags": TAGS,
        },
    )
    training = TRAINING | {"recipeArn": recipe, "solutionConfig": {}}

    assert ensure_solution(personalize, training) == SOLUTION


def test_automl_is_requested_without_a_recipe(personalize: Any, calls: Stubber) -> None:
    calls.add_response("list_solutions", {"solutions": []}, {"datasetGroupArn": GROUP})
    calls.add_response(
        "create_solution",
        {"solutionArn": SOLUTION},
        {
            "name": "labbase",
            "datasetGroupArn": GROUP,
            "eventType": "apply",
            "performAutoML": True,
            "performAutoTraining": False,
            "tags": TAGS,
        },
    )
    event = TRAINING | {
        "recipeArn": None,
        "performHPO": None,
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


def test_automl_searches_hyperparameters_whatever_it_is_asked(
    personalize: Any, calls: Stubber
) -> None:
    """Personalize describes such a solution with performHPO, which is no difference."""
    expect_solution(
        calls, performAutoML=True, performHPO=True, recipeArn="arn:aws:personalize:::recipe/any"
    )
    event = TRAINING | {"recipeArn": None, "performHPO": None, "performAutoML": True}

    assert ensure_solution(personalize, event) == SOLUTION


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


def test_a_solution_whose_creation_got_no_answer_is_found(personalize: Any, calls: Stubber) -> None:
    """The client tries again by itself, and then the solution is there."""
    calls.add_response("list_solutions", {"solutions": []}, {"datasetGroupArn": GROUP})
    calls.add_client_error("create_solution", "ResourceAlreadyExistsException")
    expect_solution(calls)

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
    "tags": TAGS,
}


def test_a_version_is_trained_once_per_run(personalize: Any, calls: Stubber) -> None:
    calls.add_response(
        "create_solution_version", {"solutionVersionArn": f"{SOLUTION}/1"}, VERSION_CALL
    )
    created = create_solution_version(personalize, SOLUTION, TRAINING)
    assert created == Job(f"{SOLUTION}/1", "CREATE PENDING")

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
            {"solutionVersion": {"name": name, "status": "ACTIVE"}},
            {"solutionVersionArn": f"{SOLUTION}/{number}"},
        )
    found = create_solution_version(personalize, SOLUTION, TRAINING)
    assert found == Job(f"{SOLUTION}/1", "ACTIVE")


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
    "kmsKeyArn": None,
    "tags": TAGS,
    "waitSeconds": 15,
}
INFERENCE_CALL = {
    "jobName": "batch-2024-06-01-3b951b5903",
    "solutionVersionArn": f"{SOLUTION}/1",
    "numResults": 100,
    "jobInput": {"s3DataSource": {"path": "s3://bucket/runs/r/batch-input/"}},
    "jobOutput": {"s3DataDestination": {"path": "s3://bucket/runs/r/batch-output/"}},
    "roleArn": ROLE,
    "tags": TAGS,
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
        (
            {"kmsKeyArn": "arn:key"},
            {
                "jobInput": {
                    "s3DataSource": {
                        "path": "s3://bucket/runs/r/batch-input/",
                        "kmsKeyArn": "arn:key",
                    }
                },
                "jobOutput": {
                    "s3DataDestination": {
                        "path": "s3://bucket/runs/r/batch-output/",
                        "kmsKeyArn": "arn:key",
                    }
                },
            },
        ),
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
    assert create_batch_inference_job(personalize, event) == job()


def expect_batch_inference(
    calls: Stubber, *, output_path: str, version: str = f"{SOLUTION}/1"
) -> None:
    calls.add_client_error("create_batch_inference_job", "ResourceAlreadyExistsException")
    calls.add_response(
        "list_batch_inference_jobs",
        {
            "batchInferenceJobs": [
                {"jobName": "older", "batchInferenceJobArn": f"{ARN}job/0"},
                {"jobName": INFERENCE_CALL["jobName"], "batchInferenceJobArn": f"{ARN}job/1"},
            ]
        },
        {},
    )
    calls.add_response(
        "describe_batch_inference_job",
        {
            "batchInferenceJob": {
                "jobOutput": {"s3DataDestination": {"path": output_path}},
                "solutionVersionArn": version,
                "status": "ACTIVE",
            }
        },
        {"batchInferenceJobArn": f"{ARN}job/1"},
    )


def test_repeated_batch_inference_finds_its_job(personalize: Any, calls: Stubber) -> None:
    expect_batch_inference(calls, output_path="s3://bucket/runs/r/batch-output/")

    assert create_batch_inference_job(personalize, INFERENCE) == job("ACTIVE")


def test_batch_inference_of_another_version_is_done_again(personalize: Any, calls: Stubber) -> None:
    """The solution was given another name between a run's failure and its resumption."""
    path = "s3://bucket/runs/r/batch-output/"
    expect_batch_inference(calls, output_path=path, version=f"{SOLUTION}-before/1")
    calls.add_response("create_batch_inference_job", {"batchInferenceJobArn": f"{ARN}job/2"})

    assert create_batch_inference_job(personalize, INFERENCE) == job(number=2)


def test_batch_inference_that_writes_elsewhere_is_not_taken(
    personalize: Any, calls: Stubber
) -> None:
    expect_batch_inference(calls, output_path="s3://bucket/runs/other/batch-output/")

    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        create_batch_inference_job(personalize, INFERENCE)


BOUNDS = {"waitSeconds": 15, "maxSeconds": 3_600}


def summary(arn: str, day: int, minutes: float, **members: Any) -> dict[str, Any]:
    """Return a job of a list of Personalize, that began on a day and took so many minutes."""
    begun = LONG_AGO + timedelta(days=day)
    return {
        "status": "ACTIVE",
        "creationDateTime": begun,
        "lastUpdatedDateTime": begun + timedelta(minutes=minutes),
        **members,
        arn: f"{ARN}job/of-day-{day}",
    }


def is_as_expected(response: dict[str, Any], minutes: float) -> bool:
    """Return whether a job is expected to take so long, and is polled shortly before that."""
    return (
        response["arn"] == f"{ARN}job/1"
        and response["expected"]["seconds"] == minutes * 60
        and 0.5 < response["waitSeconds"] / (minutes * 60) < 0.9
    )


@pytest.mark.usefixtures("session")
def test_an_import_is_expected_to_take_as_long_as_the_last_ones_in_its_mode(
    calls: Stubber,
) -> None:
    jobs = [
        summary("datasetImportJobArn", 1, 12, importMode="FULL"),
        summary("datasetImportJobArn", 2, 2, importMode="INCREMENTAL"),
        summary("datasetImportJobArn", 3, 3, importMode="INCREMENTAL"),
        summary("datasetImportJobArn", 4, 1, importMode="FULL", status="CREATE FAILED"),
    ]
    calls.add_response("create_dataset_import_job", {"datasetImportJobArn": f"{ARN}job/1"})
    calls.add_response(
        "list_dataset_import_jobs", {"datasetImportJobs": jobs}, {"datasetArn": ARNS["USERS"]}
    )

    assert is_as_expected(lambdas.create_import_job.handler(IMPORT | BOUNDS, None), minutes=12)


@pytest.mark.usefixtures("session")
def test_a_training_is_expected_to_take_as_long_as_the_last_ones_in_its_mode(
    calls: Stubber,
) -> None:
    versions = [
        summary("solutionVersionArn", 1, 50, trainingMode="FULL"),
        summary("solutionVersionArn", 2, 9, trainingMode="UPDATE"),
    ]
    calls.add_response("list_solutions", {"solutions": []})
    calls.add_response("create_solution", {"solutionArn": SOLUTION})
    calls.add_response(
        "create_solution_version", {"solutionVersionArn": f"{ARN}job/1"}, VERSION_CALL
    )
    calls.add_response(
        "list_solution_versions", {"solutionVersions": versions}, {"solutionArn": SOLUTION}
    )

    response = lambdas.create_solution_version.handler(TRAINING | BOUNDS, None)

    assert is_as_expected(response, minutes=50)


@pytest.mark.usefixtures("session")
def test_batch_inference_is_expected_to_take_as_long_as_with_the_versions_before(
    calls: Stubber,
) -> None:
    """Each run has a version of its own, so that the list of its jobs tells nothing."""
    versions = [
        {"solutionVersionArn": f"{SOLUTION}/{day}", "creationDateTime": LONG_AGO + timedelta(day)}
        for day in (1, 2)
    ]
    calls.add_response("create_batch_inference_job", {"batchInferenceJobArn": f"{ARN}job/1"})
    calls.add_response(
        "list_solution_versions", {"solutionVersions": versions}, {"solutionArn": SOLUTION}
    )
    for day, jobs in ((2, []), (1, [summary("batchInferenceJobArn", 1, 28)])):
        calls.add_response(
            "list_batch_inference_jobs",
            {"batchInferenceJobs": jobs},
            {"solutionVersionArn": f"{SOLUTION}/{day}"},
        )

    response = lambdas.create_batch_inference_job.handler(INFERENCE | BOUNDS, None)

    assert is_as_expected(response, minutes=28)


@pytest.mark.usefixtures("session")
def test_a_job_whose_like_cannot_be_listed_is_polled_as_the_first_one(calls: Stubber) -> None:
    """It is created, and paid for: it does not fail for a list that may not be read."""
    calls.add_response("create_dataset_import_job", {"datasetImportJobArn": f"{ARN}job/1"})
    calls.add_client_error("list_dataset_import_jobs", "AccessDeniedException")

    assert lambdas.create_import_job.handler(IMPORT | BOUNDS, None) == {
        "arn": f"{ARN}job/1",
        "status": "CREATE PENDING",
        "waitSeconds": 15,
        "expected": None,
        "failureReason": "",
    }


@pytest.mark.usefixtures("session")
def test_a_definition_before_this_one_goes_on_to_work(calls: Stubber) -> None:
    """An execution that runs while the functions are replaced keeps its definition."""
    calls.add_response("create_dataset_import_job", {"datasetImportJobArn": f"{ARN}job/1"})
    calls.add_response("list_dataset_import_jobs", {"datasetImportJobs": []})

    response = lambdas.create_import_job.handler(IMPORT | {"waitSeconds": 15}, None)

    assert response["waitSeconds"] == 15
