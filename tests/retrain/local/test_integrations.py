"""The workflow with and without functions for Personalize's jobs, on the local AWS."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lambdas.jobs import job_name
from localaws.http.calls import Call
from localaws.in_process import LocalAws, local_aws
from retrain.local.deployment import deploy
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.evaluator import evaluate
from tests.workflow.deployment.permissions.requests import requests_of
from workflow import Config, parse_config
from workflow.definition.graph import retraining_graph
from workflow.deployment.permissions import permission_policy
from workflow.run_names import execution_name
from workflow.runs.diagnosis import Explanation, explain
from workflow.runs.executions import describe_run
from workflow.runs.history import Failure, failure_of, history

USERS, ITEMS = 30, 20
CONFIG = """
name = "tiny"
[aws]
account = "123456789012"
region = "ap-northeast-1"
[source]
engine = "postgresql"
connection = "tiny-rds"
[datasets.interactions]
table = "events"
columns = { USER_ID = "user", ITEM_ID = "item", TIMESTAMP = "time" }
[batch_inference]
table = "users"
user_id = "id"
num_results = 10
exploration_weight = 0.2
[solution]
recipe = "aws-user-personalization"
hyperparameters = { hidden_dimension = # }
[filter]
keep = 5
[workflow]
integration = "@"
"""


def config_of(integration: str, *, hidden_dimension: int = 64) -> Config:
    return parse_config(CONFIG.replace("@", integration).replace("#", str(hidden_dimension)))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    directory = tmp_path_factory.mktemp("aws")
    with local_aws(region="ap-northeast-1", directory=directory) as aws:
        yield aws


@pytest.fixture(scope="module")
def runs(aws: LocalAws) -> list[Call]:
    """Deploy and run the workflow without functions, then with them; return the former's calls."""
    recorder = aws.endpoint.wrap_all(Recorder)
    recorded: list[list[Call]] = []
    for integration, run in (("sdk", "by-itself"), ("lambda", "by-functions")):
        config = config_of(integration)
        with recorder.recorded() as calls:
            deploy(config, aws.client)
            write_run(aws, config, run)
            ended = executed(aws, run, config)  # by the deployed one, whose runs its roles may see
        assert ended["status"] == "SUCCEEDED", failure(aws, ended)
        recorded.append(calls)
    return recorded[0]


def without_spark(config: Config) -> str:
    """Return the definition from List Datasets on: a test writes the job's files itself."""
    definition = retraining_graph(config).to_dict()
    for name in ("Begin Run", "Extracted Already?", "ETL", "Skipped for Another Run"):
        del definition["States"][name]
    return json.dumps({**definition, "StartAt": "List Datasets"})


def write_run(
    aws: LocalAws, config: Config, run: str, *, events: int = 1_200, users: int = USERS
) -> None:
    """Write what the Spark job would: the interactions, whom to recommend for, the manifest."""
    chance = random.Random(7)
    rows = [
        f"u{chance.randrange(users)},i{chance.randrange(ITEMS)},{1_700_000_000 + n}"
        for n in range(events)
    ]
    files = {
        "interactions/part-0.csv": "\n".join(["USER_ID,ITEM_ID,TIMESTAMP", *rows]) + "\n",
        "batch-input/part-0.json": "".join(f'{{"userId":"u{n}"}}\n' for n in range(USERS)),
        "manifest.json": json.dumps(
            {
                "createdAt": "2024-06-01T04:00:00Z",
                "datasets": {"INTERACTIONS": {"path": "interactions/", "rows": events}},
                "batchInput": {"id": "USER_ID", "rows": USERS},
            }
        ),
    }
    for path, text in files.items():
        aws.client("s3").put_object(Bucket=config.bucket, Key=f"runs/{run}/{path}", Body=text)


def executed(aws: LocalAws, run: str, config: Config, *, machine: str = "") -> Any:
    """Execute a run without the Spark job, and return its description once it has ended.

    By a new machine of this name; without one by the deployed machine, which is changed.
    """
    states, definition = aws.client("stepfunctions"), without_spark(config)
    arn = config.state_machine_arn
    if machine:
        role = config.role_arn("states")
        made = states.create_state_machine(name=machine, definition=definition, roleArn=role)
        arn = made["stateMachineArn"]
    else:
        states.update_state_machine(stateMachineArn=arn, definition=definition)
    execution = states.start_execution(stateMachineArn=arn, name=run)["executionArn"]
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.05)
    return ended


def failure(aws: LocalAws, ended: Any) -> Failure | None:
    return failure_of(history(aws.client("stepfunctions"), ended["executionArn"]))


def explained(aws: LocalAws, ended: Any, config: Config) -> Explanation:
    states, logs = aws.client("stepfunctions"), aws.client("logs")
    return explain(states, logs, describe_run(states, ended["executionArn"]), config)


def csv_of(aws: LocalAws, run: str) -> bytes:
    key = f"runs/{run}/recommendations/recommendations.csv"
    bucket = config_of("sdk").bucket
    body: bytes = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def number_of_jobs(aws: LocalAws) -> tuple[int, ...]:
    """Return how many imports, trainings and batch inference jobs there are."""
    personalize = aws.client("personalize")
    return (
        len(personalize.list_dataset_import_jobs()["datasetImportJobs"]),
        len(personalize.list_solution_versions()["solutionVersions"]),
        len(personalize.list_batch_inference_jobs()["batchInferenceJobs"]),
    )


@pytest.mark.usefixtures("runs")
def test_the_lists_tell_how_long_each_job_took_and_in_which_mode(aws: LocalAws) -> None:
    """What the functions that create jobs read of Personalize."""
    personalize = aws.client("personalize")
    imports = personalize.list_dataset_import_jobs()["datasetImportJobs"]
    versions = personalize.list_solution_versions()["solutionVersions"]
    batches = personalize.list_batch_inference_jobs()["batchInferenceJobs"]

    for job in (*imports, *versions, *batches):
        assert job["status"] == "ACTIVE"
        assert job["lastUpdatedDateTime"] > job["creationDateTime"]
    assert {job["importMode"] for job in imports} == {"FULL"}
    assert {job["trainingMode"] for job in versions} == {"FULL"}


def test_both_integrations_publish_the_same_bytes(aws: LocalAws, runs: list[Call]) -> None:
    assert csv_of(aws, "by-itself") == csv_of(aws, "by-functions")
    assert csv_of(aws, "by-itself").count(b"\n") == 1 + USERS * 5


@pytest.mark.parametrize("role", ["states", "functions"])
def test_no_call_of_the_workflow_without_functions_is_denied(runs: list[Call], role: Any) -> None:
    config = config_of("sdk")
    name = config.role_arn(role).rpartition("/")[2]
    requests = {request for call in runs if call.principal == name for request in requests_of(call)}

    decisions = evaluate(permission_policy(config, role), sorted(requests, key=str))

    assert len(requests) > 3
    assert [str(request) for request, made in decisions.items() if made.result != "Allowed"] == []


@pytest.mark.usefixtures("runs")
def test_jobs_that_exist_are_found_and_none_is_paid_twice(aws: LocalAws) -> None:
    """A run is resumed by an execution of its name: the jobs are those that the functions made."""
    before, published = number_of_jobs(aws), csv_of(aws, "by-functions")
    ended = executed(aws, "by-functions", config_of("sdk"), machine="again")

    assert ended["status"] == "SUCCEEDED", failure(aws, ended)
    assert number_of_jobs(aws) == before
    assert csv_of(aws, "by-functions") == published


@pytest.mark.usefixtures("runs")
def test_a_version_that_is_not_the_latest_any_more_is_not_mixed_up(aws: LocalAws) -> None:
    before = number_of_jobs(aws)
    ended = executed(aws, "by-itself", config_of("sdk"), machine="older")

    assert ended["status"] == "FAILED"
    assert "was trained after this run's version, which is not the latest" in ended["cause"]
    assert number_of_jobs(aws) == before


@pytest.mark.usefixtures("runs")
def test_a_solution_with_other_settings_is_not_trained(aws: LocalAws) -> None:
    other = config_of("sdk", hidden_dimension=32)
    write_run(aws, other, "other-settings")
    before = number_of_jobs(aws)
    ended = executed(aws, "other-settings", other, machine="other-settings")

    assert ended["status"] == "FAILED"
    assert "solution 'tiny' has other settings: " in ended["cause"]
    assert "JSONata" not in ended["cause"]
    assert explained(aws, ended, other).speaker == "AWS Step Functions, of the call to personalize"
    assert "hidden_dimension is 64, expected 32. Personalize cannot change" in ended["cause"]
    assert number_of_jobs(aws)[1:] == before[1:]


@pytest.mark.usefixtures("runs")
def test_a_job_of_another_deployment_is_not_taken_for_this_run_s(aws: LocalAws) -> None:
    config = config_of("sdk")
    write_run(aws, config, "taken")
    aws.client("personalize").create_dataset_import_job(
        jobName=job_name("interactions", "taken"),
        datasetArn=config.dataset_arn(config.data_sets[0]),
        dataSource={"dataLocation": f"s3://{config.bucket}/runs/by-itself/interactions/"},
        roleArn=config.role_arn("personalize"),
        importMode="FULL",
    )
    ended = executed(aws, "taken", config, machine="taken")

    assert ended["status"] == "FAILED"
    assert "has this run's name and is another one's; start a run of another" in ended["cause"]


@pytest.mark.usefixtures("runs")
def test_a_job_that_fails_ends_the_run_with_its_reason(aws: LocalAws) -> None:
    config = config_of("sdk")
    write_run(aws, config, "too-few", events=300)
    ended = executed(aws, "too-few", config, machine="too-few")

    explanation = explained(aws, ended, config)
    assert explanation.failure.error == "DatasetImportFailed"
    assert explanation.failure.state == "Get Job Status"
    assert explanation.speaker == "Amazon Personalize, of a job that it could not finish"
    assert "1,000 interactions" in explanation.advice


@pytest.mark.usefixtures("runs")
def test_a_resumed_run_tries_each_job_again_that_failed_and_pays_no_other_twice(
    aws: LocalAws,
) -> None:
    """Import, training and batch inference fail in turn; what was wrong is mended each time."""
    config, before = config_of("sdk"), number_of_jobs(aws)
    s3, batch_input = aws.client("s3"), "runs/mended/batch-input/part-0.json"
    executions = iter(range(1, 6))

    def run() -> tuple[str, str]:
        number = next(executions)
        name = execution_name("mended", number)
        ended = executed(aws, name, config, machine=f"mended-{number}")
        failed = failure(aws, ended)
        return ended["status"], failed.error if failed else ""

    def created() -> tuple[int, ...]:
        return tuple(now - then for now, then in zip(number_of_jobs(aws), before, strict=True))

    write_run(aws, config, "mended", events=300)
    assert run() == ("FAILED", "DatasetImportFailed")
    write_run(aws, config, "mended", users=10)
    assert run() == ("FAILED", "SolutionVersionFailed")
    assert created() == (2, 1, 0)

    by_hand = aws.client("personalize").create_dataset_import_job(
        jobName="by-hand",
        datasetArn=config.dataset_arn(config.data_sets[0]),
        dataSource={"dataLocation": f"s3://{config.bucket}/runs/by-itself/interactions/"},
        roleArn=config.role_arn("personalize"),
        importMode="FULL",
    )["datasetImportJobArn"]
    describe = aws.client("personalize").describe_dataset_import_job
    while describe(datasetImportJobArn=by_hand)["datasetImportJob"]["status"] != "ACTIVE":
        time.sleep(0.02)
    good = s3.get_object(Bucket=config.bucket, Key=batch_input)["Body"].read()
    s3.delete_object(Bucket=config.bucket, Key=batch_input)
    assert run() == ("FAILED", "BatchInferenceFailed")
    assert created() == (3, 2, 1)

    s3.put_object(Bucket=config.bucket, Key=batch_input, Body=good)
    assert run() == ("SUCCEEDED", "")
    assert created() == (3, 2, 2)
    assert csv_of(aws, "mended").count(b"\n") == 1 + USERS * 5
    assert run() == ("SUCCEEDED", "")
    assert created() == (3, 2, 2)
