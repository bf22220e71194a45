"""`[retention]` on the local AWS: the state that cleans up, the command, and their permissions."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from typer.testing import CliRunner

from localaws.aws import LocalAws
from localaws.http.calls import call_of
from localaws.http.wsgi import json_response
from retrain.local.deployment import deploy
from retrain.main import app
from tests.projects import EXAMPLE, write
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.use import denied, unused_by
from workflow import Config, load_config, parse_config

PLAIN = parse_config(EXAMPLE)
TABLES = """
[workflow]
definition = "retraining.py"

[retention]
runs = 2
former_solutions = "delete"
"""
ONLY_CLEAN_UP = """
from workflow import Stages
from workflow.sdk import Pass


def build(config):
    stages = Stages(config)
    return stages.compose(Pass("Filter Recommended Item"), stages.clean_up())
"""
PREFIX = "arn:aws:personalize:ap-northeast-1:123456789012:"
KINDS = {
    "DatasetImportJob": "dataset-import-job",
    "BatchInferenceJob": "batch-inference-job",
}
IN_PROGRESS = {
    "DatasetImportJob": {"dataSource": {"dataLocation": "s3://elsewhere/runs/x/users/"}},
    "BatchInferenceJob": {
        "solutionVersionArn": f"{PREFIX}solution/others/1a2b",
        "jobInput": {"s3DataSource": {"path": "s3://elsewhere/runs/x/batch-input/"}},
        "jobOutput": {"s3DataDestination": {"path": "s3://elsewhere/runs/x/batch-output/"}},
    },
}


class OthersJobs:
    """Personalize in which jobs of another deployment are in progress, one of each type."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call = call_of(environ)
        for job, described in IN_PROGRESS.items():
            member, arn = job[0].lower() + job[1:], f"{PREFIX}{KINDS[job]}/others"
            found = {f"{member}Arn": arn, "status": "CREATE IN_PROGRESS", **described}
            if call.operation == f"List{job}s":
                return json_response({f"{member}s": [found]})(environ, start_response)
            if call.operation == f"Describe{job}":
                return json_response({member: found})(environ, start_response)
        return self._application(environ, start_response)


RUNS = ("r1", "r2", "r3", "r4", "r5")
FILES = (
    "manifest.json",
    "users/part-0.csv",
    "record/publication.json",
    "recommendations/recommendations.csv",
)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    write(directory, {"retraining.toml": EXAMPLE + TABLES, "retraining.py": ONLY_CLEAN_UP})
    return directory / "retraining.toml"


@pytest.fixture(scope="module")
def config(configured: Path) -> Config:
    return load_config(configured)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Iterator[LocalAws]:
    with LocalAws(
        directory=tmp_path_factory.mktemp("aws"),
        is_kept=False,
        region="ap-northeast-1",
        time_scale=0,
    ) as aws:
        deploy(config, aws.client)
        put_runs(aws, config)
        make_solutions(aws, config)
        aws.endpoint.wrap_all(OthersJobs)
        yield aws


def put_runs(aws: LocalAws, config: Config) -> None:
    """Write five runs, of which an early one is published."""
    s3 = aws.client("s3")
    version = config.arn("personalize", "solution/labbase/1a2b")
    for run in RUNS:
        content = {"run": run, "solutionVersionArn": version, "csv": f"s3://x/runs/{run}/y.csv"}
        for path in FILES:
            s3.put_object(Bucket=config.bucket, Key=f"runs/{run}/{path}", Body=json.dumps(content))
    latest = json.dumps({"run": "r2", "solutionVersionArn": version})
    s3.put_object(Bucket=config.bucket, Key="recommendations/latest.json", Body=latest)


def make_solutions(aws: LocalAws, config: Config) -> None:
    """Create two former solutions; a campaign uses the version of one of them."""
    personalize, s3 = aws.client("personalize"), aws.client("s3")
    lines = [f"u{n % 60},i{n % 40},{1_700_000_000 + n},view" for n in range(1_500)]
    s3.put_object(
        Bucket=config.bucket,
        Key="runs/r5/interactions/part-0.csv",
        Body="\n".join(["USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE", *lines]),
    )
    job = personalize.create_dataset_import_job(
        jobName="interactions",
        datasetArn=config.dataset_arn(config.data_sets[-1]),
        dataSource={"dataLocation": f"s3://{config.bucket}/runs/r5/interactions/"},
        roleArn=config.role_arn("personalize"),
    )["datasetImportJobArn"]
    settled(personalize.describe_dataset_import_job, datasetImportJobArn=job)
    for name in ("unused", "in-a-campaign"):
        solution = personalize.create_solution(
            name=name,
            datasetGroupArn=config.dataset_group_arn,
            recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
            performAutoTraining=False,
            tags=config.personalize_tags,
        )["solutionArn"]
    version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    settled(personalize.describe_solution_version, solutionVersionArn=version)
    campaign = personalize.create_campaign(name="shop", solutionVersionArn=version)["campaignArn"]
    settled(personalize.describe_campaign, campaignArn=campaign)


def settled(describe: Any, **arn: str) -> None:
    while True:
        (resource,) = (each for name, each in describe(**arn).items() if "Meta" not in name)
        if resource["status"] == "ACTIVE":
            return
        assert not resource["status"].endswith("FAILED"), resource
        time.sleep(0.02)


def keys(aws: LocalAws, config: Config) -> set[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=config.bucket)
    return {each["Key"] for page in pages for each in page["Contents"]}


def command(aws: LocalAws, configured: Path, *arguments: str, answer: str = "") -> Any:
    result = CliRunner().invoke(
        app, [*arguments, "--config", str(configured)], env=aws.environment, input=answer
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def test_a_dry_run_shows_what_goes_and_touches_nothing(
    aws: LocalAws, config: Config, configured: Path
) -> None:
    before = keys(aws, config)

    shown = command(aws, configured, "clean", "--dry-run").output
    as_json = json.loads(command(aws, configured, "clean", "--dry-run", "--json").output)

    assert keys(aws, config) == before
    assert [each["run"] for each in as_json["runs"]] == ["r1", "r3"]
    assert as_json["kept"]["r2"] == "its list is published"
    assert as_json["solutions"] == ["unused"]
    assert as_json["keptSolutions"] == {"in-a-campaign": "campaign shop uses it"}
    assert "8 files" in shown
    assert "campaign shop uses it" in shown


def test_the_prompt_can_be_refused(aws: LocalAws, config: Config, configured: Path) -> None:
    before = keys(aws, config)

    result = command(aws, configured, "clean", answer="n\n")

    assert (result.exit_code, keys(aws, config)) == (1, before)
    assert "nothing was touched" in result.output


def test_the_state_deletes_what_the_dry_run_shows(
    aws: LocalAws, config: Config, configured: Path
) -> None:
    before, states = keys(aws, config), aws.client("stepfunctions")
    with aws.endpoint.wrap_all(Recorder).recorded() as calls:
        arn = states.start_execution(stateMachineArn=config.state_machine_arn, name="r6")
        while (ended := states.describe_execution(executionArn=arn["executionArn"]))[
            "status"
        ] == "RUNNING":
            time.sleep(0.05)
        command(aws, configured, "clean", "--yes")

    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["retention"]["runs"] == 2
    gone = {key for key in before if key.startswith(("runs/r1/", "runs/r3/"))}
    record = "runs/r6/record/retention.json"
    assert keys(aws, config) == (before - gone) | {record, "recommendations/running.json"}
    body = aws.client("s3").get_object(Bucket=config.bucket, Key=record)["Body"].read()
    assert json.loads(body)["solutions"] == ["unused"]
    by_person = [call for call in calls if call.principal == "local"]
    assert denied(calls, config, "functions") == []
    assert denied(by_person, config, "operator") == []
    assert unused_by(calls, config, "functions", besides=PLAIN) == []


def test_nothing_is_left_then(aws: LocalAws, configured: Path) -> None:
    """After the state above; an earlier test alone would leave something."""
    command(aws, configured, "clean", "--yes")

    assert "nothing goes" in command(aws, configured, "clean").output


def test_without_rules_nothing_is_cleaned_up(aws: LocalAws, tmp_path: Path) -> None:
    write(tmp_path, {"retraining.toml": EXAMPLE})

    result = command(aws, tmp_path / "retraining.toml", "clean")

    assert result.exit_code == 1
    assert "add the table [retention]" in " ".join(result.output.split())
