"""No principal is denied a call that it makes, and no policy allows an action that none makes.

The workflow is composed of all packaged stages, a function of one's own and tasks of the SDK.
"""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from localaws.aws import LocalAws
from localaws.http.calls import Call
from retrain.local.deployment import deploy
from retrain.local.postgres import Postgres
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from tests.projects import write
from workflow import Config, load_config
from workflow.deployment.permissions import PEOPLE, bucket_policy, permission_policy
from workflow.runs.usage import usage_of
from workflow.settings import ROLES

from . import scenario as steps
from .evaluator import Decision, evaluate
from .requests import Request, requests_of
from .scenario import Scenario
from .use import unused

pytestmark = pytest.mark.usefixtures("warm_java")

EXAMPLE = (Path(__file__).parents[4] / "retraining.toml").read_text(encoding="utf-8")
NAME = 'name = "labbase"'
BUCKET = "life-retraining-123456789012-ap-northeast-1"
TABLES = f"""
[workflow]
definition = "retraining.py"

[functions.ask-editors]
source = "functions/ask_editors.py"
permissions = [{{ actions = ["s3:GetObject"], resources = ["arn:aws:s3:::{BUCKET}/editors/*"] }}]

[backtest]

[gate.metrics.coverage]
minimum = 0.0
"""
RETRAINING = """
from workflow import Stages
from workflow.sdk import Task


def build(config):
    def call(name, operation, request):
        resource = f"arn:aws:states:::aws-sdk:personalize:{operation}"
        return Task(name, resource=resource, parameters=request, result_path=None)

    stages = Stages(config)
    group = {"DatasetGroupArn": config.dataset_group_arn}
    return stages.compose(
        stages.etl(),
        stages.imports(),
        stages.training(),
        stages.quality_gate(),
        stages.function("Ask the Editors", "ask-editors"),
        call("Look at the Group", "describeDatasetGroup", group),
        call("Look at the Solutions", "listSolutions", {}),
        stages.batch_inference(),
        stages.publish(),
    )
"""
ASK_EDITORS = """
import boto3


def handler(event, context):
    boto3.client("s3").get_object(Bucket=event["bucket"], Key="editors/list.json")
"""
# A function that is broken stays so: the next one is called before it.
DEEPEST_FIRST = (
    "filter-recommendations",
    "create-batch-inference-job",
    "ask-editors",
    "judge-solution-version",
    "create-solution-version",
    "get-status",
    "create-import-job",
    "list-datasets",
    "begin-run",
)
# The roles that this configuration needs, but for the schedule, which makes no call in a scenario.
PRINCIPALS = (*(role for role in ROLES if role not in {"scheduler", "sagemaker"}), *PEOPLE)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("life") / "retraining.toml"
    text = (
        EXAMPLE.replace(NAME, 'name = "life"')
        .replace("[schedule]", '[tags]\nteam = "search"\n\n[schedule]')
        .replace("\n[filter]", "\n[filter]\nspark_above = 10")
        .replace("[source]", 'emails = ["ann@example.com"]\n\n[source]')
    )
    files = {"retraining.py": RETRAINING, "functions/ask_editors.py": ASK_EDITORS}
    write(file.parent, {file.name: text + TABLES, **files})
    return file


@pytest.fixture(scope="module")
def config(configured: Path) -> Config:
    return load_config(configured)


@pytest.fixture(scope="module")
def calls(postgres: Postgres, scratch: Path, configured: Path, config: Config) -> dict[str, Any]:
    """Every call of a deployment and its runs, by the name of the role or person who made it."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE life")
    url = postgres.url.rsplit("/", 1)[0] + "/life"
    load_sample(url, SampleSize(students=60, postings=40, events=4_000))
    try:
        with LocalAws(
            directory=scratch / "life",
            is_kept=False,
            account=config.aws.account,
            region=config.aws.region,
            time_scale=0,
            database_url=url,
        ) as aws:
            return _calls_of_scenario(Scenario(aws, config, configured), configured)
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE life WITH (FORCE)")


def _calls_of_scenario(scenario: Scenario, file: Path) -> dict[str, list[Call]]:
    with scenario.as_principal("deployer"):
        deploy(scenario.config, scenario.client)
    steps.drift(scenario)
    steps.deploy_again(scenario)
    scenario.client("s3").put_object(Bucket=BUCKET, Key="editors/list.json", Body=b"[]")
    with scenario.as_principal("visitor"):
        events = steps.run_to_end(scenario, "good")
        steps.invoke_the_handlers_again(scenario, events)
        steps.filter_by_function(scenario, events)
        steps.publish_before_the_newest_events(scenario)
        steps.run_spark_job_over_old_files(scenario)
    with scenario.as_principal("operator"):
        steps.stop_during_the_spark_job(scenario)
        steps.stop_during_the_training(scenario)
    with scenario.as_principal("visitor"):
        steps.fail_a_run(scenario)
        job = next(
            json.loads(event["stateExitedEventDetails"]["output"])["job"]["arn"]
            for event in events
            if event.get("stateExitedEventDetails", {}).get("name") == "Trigger Batch Inference"
        )
        steps.break_off_an_upload(scenario, job)
    with scenario.as_principal("operator"):
        for arguments in (
            ["start", "--wait", "--poll-seconds", "0.1"],
            ["watch", "good"],
            ["executions"],
            ["explain", "failed"],
            ["explain", "stopped"],
            ["cost", "good"],
            ["diff"],
            ["resume", "failed", "--wait", "--poll-seconds", "0.1"],
        ):
            scenario.command(*arguments)
        # What `cost` asks of a run on AWS, whose seconds count, beside that.
        usage_of(scenario.client, scenario.config, "good", timed=True)
    steps.publish_again(scenario, "good")
    with scenario.as_principal("analyst"):
        scenario.command("report", "--output", str(file.parent / "report.html"))
        scenario.command("report", "good", "--output", str(file.parent / "report.html"))
    steps.make_the_spark_job_do_nothing(scenario)
    for number, function in enumerate(DEEPEST_FIRST):
        steps.explain_failure_of(scenario, function, f"broken-{number}")
    steps.deploy_another_column(scenario)
    steps.destroy(scenario)
    return dict(scenario.calls)


def name_of(principal: str, config: Config) -> str:
    """Return the name under which a principal's calls are recorded."""
    return principal if principal in PEOPLE else config.role_arn(principal).rpartition("/")[2]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def decisions(calls: dict[str, list[Call]], config: Config) -> dict[str, dict[Request, Decision]]:
    """Return IAM's decision on each request of each principal."""
    return {
        principal: evaluate(
            permission_policy(config, principal),
            sorted(
                {r for call in calls[name_of(principal, config)] for r in requests_of(call)},
                key=lambda request: (request.action, request.resource),
            ),
            bucket_policy=bucket_policy(config),
        )
        for principal in PRINCIPALS
    }


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_every_call_is_allowed(
    decisions: dict[str, dict[Request, Decision]], principal: str
) -> None:
    denied = [
        f"{decision.result} {request.action} on {request.resource} {decision.error}"
        for request, decision in decisions[principal].items()
        if decision.result != "Allowed"
    ]

    assert denied == []


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_no_unused_action_or_resource_is_allowed(
    decisions: dict[str, dict[Request, Decision]], config: Config, principal: str
) -> None:
    assert unused(decisions[principal], config, principal) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("principal", "action", "resource"),
    [
        ("functions", "iam:PassRole", "arn:aws:iam::123456789012:role/life-retraining-glue"),
        ("functions", "s3:PutObject", "arn:aws:s3:::{bucket}/artifacts/functions.zip"),
        ("glue", "s3:PutObject", "arn:aws:s3:::{bucket}/artifacts/etl-job-1a2b3c.json"),
        ("glue", "s3:GetObject", "arn:aws:s3:::somebody-elses/runs/x/users/a.csv"),
        ("personalize", "s3:PutObject", "arn:aws:s3:::{bucket}/recommendations/latest.json"),
        (
            "states",
            "lambda:InvokeFunction",
            "arn:aws:lambda:ap-northeast-1:123456789012:function:life-ask",
        ),
        (
            "states",
            "personalize:DescribeDatasetGroup",
            "arn:aws:personalize:ap-northeast-1:123456789012:dataset-group/other",
        ),
        ("functions", "s3:GetObject", "arn:aws:s3:::{bucket}/salaries/list.json"),
        ("operator", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/x/users/part-00000.csv"),
    ],
)
def test_other_calls_are_denied(config: Config, principal: str, action: str, resource: str) -> None:
    """The evaluator can say no: otherwise the tests above would prove nothing."""
    request = Request(
        action,
        resource.format(bucket=config.bucket),
        (("iam:PassedToService", "personalize.amazonaws.com"),) if "Pass" in action else (),
    )

    [decision] = evaluate(permission_policy(config, principal), [request]).values()  # type: ignore[arg-type]

    assert decision.result == "ImplicitlyDenied"


def test_a_rule_without_a_role_starts_its_target_as_eventbridge(calls: dict[str, Any]) -> None:
    """The topic's policy lets it; nobody's role is asked."""
    by_events = {f"{call.service}.{call.operation}" for call in calls["events.amazonaws.com"]}

    assert by_events == {"sns.Publish"}


def test_plain_http_is_denied_to_everybody(config: Config) -> None:
    request = Request(
        "s3:GetObject",
        f"arn:aws:s3:::{config.bucket}/artifacts/etl-job-1a2b3c.json",
        (("aws:SecureTransport", "false"),),
    )

    [decision] = evaluate(
        permission_policy(config, "glue"), [request], bucket_policy=bucket_policy(config)
    ).values()

    assert decision.result == "ExplicitlyDenied"
