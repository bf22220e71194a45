"""Nobody is denied what he needs, and nobody is allowed what nobody uses."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
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
from workflow import Config, parse_config
from workflow.deployment.permissions import PEOPLE, SERVICE, bucket_policy, permission_policy
from workflow.settings import ROLES

from . import life as scenes
from .evaluator import Answer, evaluated
from .life import Life
from .requests import Request, requests_of

EXAMPLE = (Path(__file__).parents[4] / "retraining.toml").read_text(encoding="utf-8")
TOLD = 'name = "labbase"'
# A function that is broken stays so: the next one is called before it.
DEEPEST_FIRST = (
    "filter-recommendations",
    "create-batch-inference-job",
    "create-solution-version",
    "get-status",
    "create-import-job",
    "list-datasets",
)
EVERYBODY = (*(role for role in ROLES if role != "scheduler"), *PEOPLE)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("life") / "retraining.toml"
    file.write_text(
        EXAMPLE.replace(TOLD, 'name = "life"').replace(
            "[schedule]", '[tags]\nteam = "search"\n\n[schedule]'
        ),
        encoding="utf-8",
    )
    return file


@pytest.fixture(scope="module")
def config(configured: Path) -> Config:
    return parse_config(configured.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def calls(postgres: Postgres, scratch: Path, configured: Path, config: Config) -> dict[str, Any]:
    """Every call of a whole life, by the name of the role or the person who made it."""
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
            return _lived(Life(aws, config, configured), configured)
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE life WITH (FORCE)")


def _lived(life: Life, file: Path) -> dict[str, list[Call]]:
    with life.as_person("deployer"):
        deploy(life.config, life.client)
    scenes.drift(life)
    scenes.deployed_again(life)
    with life.as_person("visitor"):
        events = scenes.run_to_end(life, "good")
        scenes.call_the_handlers_again(life, events)
        scenes.spark_job_over_files_of_before(life)
    with life.as_person("operator"):
        scenes.stopped_during_the_spark_job(life)
    with life.as_person("visitor"):
        scenes.failed_run(life)
        job = next(
            json.loads(event["stateExitedEventDetails"]["output"])["job"]["arn"]
            for event in events
            if event.get("stateExitedEventDetails", {}).get("name") == "Trigger Batch Inference"
        )
        scenes.a_large_list_that_breaks_off(life, job)
    with life.as_person("operator"):
        for arguments in (
            ["start", "--wait", "--poll-seconds", "0.1"],
            ["watch", "good"],
            ["executions"],
            ["explain", "failed"],
            ["explain", "stopped"],
            ["cost", "--execution", "good"],
            ["diff"],
        ):
            life.command(*arguments)
    with life.as_person("analyst"):
        life.command("report", "--output", str(file.parent / "report.html"))
        life.command("report", "good", "--output", str(file.parent / "report.html"))
    scenes.spark_job_without_work(life)
    for number, function in enumerate(DEEPEST_FIRST):
        scenes.explained_failure_of(life, function, f"broken-{number}")
    scenes.widened(life)
    scenes.taken_away(life)
    return dict(life.calls)


def name_of(who: str, config: Config) -> str:
    """How `who` signs."""
    return who if who in PEOPLE else config.role_arn(who).rpartition("/")[2]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def answers(calls: dict[str, list[Call]], config: Config) -> dict[str, dict[Request, Answer]]:
    """Return IAM's decision on each request of each principal."""
    return {
        who: evaluated(
            permission_policy(config, who),
            sorted(
                {r for call in calls[name_of(who, config)] for r in requests_of(call)},
                key=lambda request: (request.action, request.resource),
            ),
            bucket_policy=bucket_policy(config),
        )
        for who in EVERYBODY
    }


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_call_is_allowed(answers: dict[str, dict[Request, Answer]], who: str) -> None:
    denied = [
        f"{answer.result} {request.action} on {request.resource} {answer.error}"
        for request, answer in answers[who].items()
        if answer.result != "Allowed"
    ]

    assert denied == []


@pytest.mark.parametrize("who", EVERYBODY)
def test_nothing_is_allowed_that_nothing_uses(
    answers: dict[str, dict[Request, Answer]], config: Config, who: str
) -> None:
    """Statements named Service… are what AWS does by itself; none of our calls shows it."""
    unused = [
        f"{statement['Sid']}: {what}"
        for statement in permission_policy(config, who)["Statement"]  # type: ignore[arg-type]
        if not statement["Sid"].startswith(SERVICE)
        for what in _unused(statement, list(answers[who]))
    ]

    assert unused == []


def _unused(statement: dict[str, Any], asked: list[Request]) -> Iterator[str]:
    used = [
        (request.action, resource)
        for request in asked
        for resource in statement["Resource"]
        if request.action in statement["Action"] and fnmatchcase(request.resource, resource)
    ]
    actions, resources = {action for action, _ in used}, {resource for _, resource in used}
    yield from (action for action in statement["Action"] if action not in actions)
    yield from (resource for resource in statement["Resource"] if resource not in resources)


@pytest.mark.parametrize(
    ("who", "action", "resource"),
    [
        ("functions", "iam:PassRole", "arn:aws:iam::123456789012:role/life-retraining-glue"),
        ("functions", "s3:PutObject", "arn:aws:s3:::{bucket}/artifacts/functions.zip"),
        ("glue", "s3:PutObject", "arn:aws:s3:::{bucket}/artifacts/etl-job.json"),
        ("glue", "s3:GetObject", "arn:aws:s3:::somebody-elses/runs/x/users/a.csv"),
        ("personalize", "s3:PutObject", "arn:aws:s3:::{bucket}/recommendations/latest.json"),
        (
            "states",
            "lambda:InvokeFunction",
            "arn:aws:lambda:ap-northeast-1:123456789012:function:x",
        ),
        ("operator", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/x/users/part-00000.csv"),
    ],
)
def test_what_is_not_theirs_is_denied(config: Config, who: str, action: str, resource: str) -> None:
    """The evaluator can say no: otherwise the tests above would prove nothing."""
    request = Request(
        action,
        resource.format(bucket=config.bucket),
        (("iam:PassedToService", "personalize.amazonaws.com"),) if "Pass" in action else (),
    )

    [answer] = evaluated(permission_policy(config, who), [request]).values()  # type: ignore[arg-type]

    assert answer.result == "ImplicitlyDenied"


def test_plain_http_is_denied_to_everybody(config: Config) -> None:
    request = Request(
        "s3:GetObject",
        f"arn:aws:s3:::{config.bucket}/artifacts/etl-job.json",
        (("aws:SecureTransport", "false"),),
    )

    [answer] = evaluated(
        permission_policy(config, "glue"), [request], bucket_policy=bucket_policy(config)
    ).values()

    assert answer.result == "ExplicitlyDenied"
