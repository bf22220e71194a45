"""Several recommenders in one run: each publishes its list, whatever happens to another.

Everything is the deployed workflow on the local AWS, but for the Spark job, in whose place a script
writes the same few rows.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from localaws.aws import LocalAws
from localaws.http.calls import Call
from retrain.main import app
from retrain.run_ends import end_of
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.evaluator import evaluate
from tests.workflow.deployment.permissions.requests import requests_of
from tests.workflow.runs import test_resumption
from tests.workflow.runs.test_resumption import CONFIG, FUNCTIONS, SCRIPT, Shop
from workflow import load_config
from workflow.deployment.permissions import bucket_policy, permission_policy
from workflow.runs.diagnosis import explain
from workflow.runs.executions import describe_run
from workflow.runs.history import failure_of, history
from workflow.runs.resumption import resume_run
from workflow.runs.visits import Visits

RELATED = """
[recommenders.related]
solution = { recipe = "aws-similar-items" }
batch_inference = { table = "items", item_id = "items.id", num_results = 4 }
filter = { keep = 2 }
gate = { metrics.coverage.minimum = 0.0 }
"""
LISTS = """
put("recommenders/related/batch-input/part-0.json",
    "".join(json.dumps({"itemId": str(i)}) + "\\n" for i in range(5)))
related = {"batchInput": {"path": "recommenders/related/batch-input/", "rows": 5, "id": "ITEM_ID"},
           "filter": {"eligibleItems": None, "exclusions": None}}
if "Contents" in"""
OWN = "recommenders/related/"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, list[Call]]]:
    """Yield a deployment after its first run, and the calls of both.

    The functions of that run are those of AWS, and of later ones can be broken.
    """
    directory = tmp_path_factory.mktemp("shop")
    file = directory / "retraining.toml"
    configured = (CONFIG + RELATED).replace("eu-central-1", "ap-northeast-1")
    file.write_text(configured, encoding="utf-8")
    script = SCRIPT.replace('if "Contents" in', LISTS.lstrip(), 1).replace(
        '"filter": {},', '"filter": {}, "recommenders": {"related": related},'
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        LocalAws(
            directory=directory / "aws",
            is_kept=False,
            account="123456789012",
            region="ap-northeast-1",
            time_scale=0,
        ) as aws,
    ):
        patch.setattr(test_resumption, "SCRIPT", script)
        with aws.endpoint.wrap_all(Recorder).recorded() as calls:
            shop = Shop(aws, load_config(file), file, breakable={})
        shop.make_breakable(FUNCTIONS)
        yield shop, calls


@pytest.fixture(scope="module")
def shop(deployed: tuple[Shop, list[Call]]) -> Shop:
    return deployed[0]


@pytest.mark.parametrize("role", ["states", "functions", "personalize"])
def test_no_call_of_several_recommenders_is_denied(
    deployed: tuple[Shop, list[Call]], role: Any
) -> None:
    shop, calls = deployed
    name = shop.config.role_arn(role).rpartition("/")[2]
    requests = {each for call in calls if call.principal == name for each in requests_of(call)}

    decisions = evaluate(
        permission_policy(shop.config, role),
        sorted(requests, key=str),
        bucket_policy=bucket_policy(shop.config),
    )

    assert len(requests) > 3
    assert [str(request) for request, made in decisions.items() if made.result != "Allowed"] == []


def text(shop: Shop, key: str) -> str:
    body = shop.s3.get_object(Bucket=shop.config.bucket, Key=key)["Body"].read()
    return str(body, "utf-8")


def published_by(shop: Shop) -> tuple[str, str]:
    """Return the runs whose lists are published: of the first recommender, and of the other."""
    keys = [each.latest_key for each in shop.config.each_recommender]
    first, related = (json.loads(text(shop, key))["run"] for key in keys)
    return first, related


def trainings(shop: Shop, run: str) -> dict[str, int]:
    """Return solution → how many versions a run has trained."""
    personalize = shop.aws.client("personalize")
    found: dict[str, int] = {}
    for each in personalize.list_solution_versions()["solutionVersions"]:
        arn = each["solutionVersionArn"]
        version = personalize.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
        if run in version["name"]:
            solution = arn.split("/")[1]
            found[solution] = found.get(solution, 0) + 1
    return found


def batch_jobs(shop: Shop, run: str) -> list[str]:
    """Return the batch inference jobs of a run, by the first part of their names."""
    jobs = shop.aws.client("personalize").list_batch_inference_jobs()["batchInferenceJobs"]
    names = (each["jobName"].partition(f"-{run}-") for each in jobs)
    return sorted(purpose for purpose, is_of_run, _ in names if is_of_run)


def test_each_publishes_a_list_of_its_own(shop: Shop) -> None:
    users = shop.undisturbed.splitlines()
    related = text(shop, f"runs/undisturbed/{OWN}recommendations/recommendations.csv").splitlines()

    assert (users[0], len(users)) == ("USER_ID,ITEM_ID,RANK,SCORE", 1 + 30 * 5)
    assert (related[0], len(related)) == ("ITEM_ID,RELATED_ITEM_ID,RANK,SCORE", 1 + 5 * 2)
    assert {line.split(",")[0] for line in related[1:]} == {"0", "1", "2", "3", "4"}
    latest = json.loads(text(shop, "recommendations/related/latest.json"))
    assert (latest["recommender"], latest["run"], latest["users"]) == ("related", "undisturbed", 5)
    assert "/shop-related/" in latest["solutionVersionArn"]
    assert trainings(shop, "undisturbed") == {"shop": 1, "shop-related": 1}


def test_one_without_a_gate_is_not_judged(shop: Shop) -> None:
    gate = json.loads(text(shop, f"runs/undisturbed/{OWN}record/gate.json"))

    assert [rule["met"] for rule in gate["rules"]] == [True]
    listed = shop.s3.list_objects_v2(Bucket=shop.config.bucket, Prefix="runs/undisturbed/record/")
    assert [each["Key"].rpartition("/")[2] for each in listed["Contents"]] == ["publication.json"]


@pytest.mark.parametrize(
    ("function", "broken"),
    [("create-solution-version", "related"), ("filter-recommendations", "")],
)
def test_one_that_fails_leaves_the_others_alone_and_is_resumed(
    shop: Shop, function: str, broken: str
) -> None:
    run, before = f"failing-{broken or 'first'}", published_by(shop)

    def break_one(event: Any) -> None:
        if event["recommender"] == broken:
            raise RuntimeError("it is broken")

    shop.before[function] = break_one
    ended = shop.run(run)
    shop.mend()

    expected = (before[0], run) if not broken else (run, before[1])
    assert (ended.status, published_by(shop)) == ("FAILED", expected)
    failure = failure_of(history(shop.states, ended.arn))
    assert failure
    solution = "shop-related" if broken else "shop"
    assert failure.error == "RecommendersFailed"
    assert failure.cause == (
        "1 of 2 recommenders failed, and the lists of the others are published:"
        f" {solution}: RuntimeError: it is broken"
    )
    explained = explain(shop.states, shop.aws.client("logs"), ended, shop.config)
    assert "trains none of the others again" in explained.advice

    resumed = shop.end_of(resume_run(shop.states, shop.s3, shop.config, run))

    assert (resumed.status, published_by(shop)) == ("SUCCEEDED", (run, run))
    assert trainings(shop, run) == {"shop": 1, "shop-related": 1}
    assert batch_jobs(shop, run) == ["batch", "batch-related"]


def test_a_job_of_one_that_fails_is_followed_by_another_and_no_other_job_is(shop: Shop) -> None:
    """Personalize itself fails the batch inference of one recommender: its input is gone."""
    run, bucket = "no-input", shop.config.bucket
    source, target = (f"runs/{name}/{OWN}batch-input/" for name in ("undisturbed", run))

    def take_the_input_away(event: Any) -> None:
        if event["recommender"] == "related":
            for each in shop.s3.list_objects_v2(Bucket=bucket, Prefix=target)["Contents"]:
                shop.s3.delete_object(Bucket=bucket, Key=each["Key"])

    shop.before["create-batch-inference-job"] = take_the_input_away
    ended = shop.run(run)
    failure = failure_of(history(shop.states, ended.arn))
    for each in shop.s3.list_objects_v2(Bucket=bucket, Prefix=source)["Contents"]:
        key = target + each["Key"].removeprefix(source)
        shop.s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/{each['Key']}")

    assert failure
    assert "shop-related: BatchInferenceFailed: " in failure.cause
    assert published_by(shop)[0] == run
    assert shop.resume(run).status == "SUCCEEDED"
    assert published_by(shop) == (run, run)
    assert trainings(shop, run) == {"shop": 1, "shop-related": 1}
    assert batch_jobs(shop, run) == ["batch", "batch-related", "batch-related"]


def test_lists_of_older_data_are_not_published(shop: Shop) -> None:
    run, keys = "older", [each.latest_key for each in shop.config.each_recommender]
    before = {key: text(shop, key) for key in keys}

    def publish_newer(event: Any) -> None:
        newer = {"run": "newer", "extractedAt": "2100-01-01T00:00:00Z"}
        for key in keys:
            shop.put(key, json.dumps({**json.loads(before[key]), **newer}))

    shop.before["filter-recommendations"] = publish_newer
    ended = shop.run(run)
    shop.mend()
    published = published_by(shop)
    for key, content in before.items():
        shop.put(key, content)

    assert (ended.status, published) == ("SUCCEEDED", ("newer", "newer"))
    told = end_of(shop.states, shop.s3, shop.config, ended).told
    assert told
    assert (told.outcome, told.reason[:36]) == ("skipped", "the list of run 'newer' is published")


def test_a_run_says_of_which_recommender_a_state_is_and_what_it_published(shop: Shop) -> None:
    arn = f"{shop.config.state_machine_arn}:undisturbed".replace("stateMachine", "execution")
    events = history(shop.states, arn)

    labels = {visit.label for visit in Visits(events).all if visit.state == "Batch Completed?"}
    outcomes = json.loads(events[-1]["executionSucceededEventDetails"]["output"])["outcomes"]

    assert labels == {"shop", "shop-related"}
    uri = f"s3://{shop.config.bucket}/runs/undisturbed/"
    assert outcomes == {
        "published": [
            f"{uri}recommendations/recommendations.csv",
            f"{uri}{OWN}recommendations/recommendations.csv",
        ],
        "older": [],
        "failed": [],
    }
    run = describe_run(shop.states, arn)
    assert [*end_of(shop.states, shop.s3, shop.config, run).figures()][2:] == outcomes["published"]


def test_commands_are_about_one_recommender(shop: Shop, tmp_path: Path) -> None:
    def retrain(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*arguments, "--config", str(shop.file)])

    first, related = (
        json.loads(retrain("published", "--json", *option).stdout)
        for option in ((), ("--recommender", "related"))
    )
    page = tmp_path / "report.html"
    reported = retrain("report", "undisturbed", "--recommender", "related", "--output", str(page))
    before = published_by(shop)
    went_back = retrain("publish", "undisturbed", "--recommender", "related")
    unknown = retrain("publish", "undisturbed", "--recommender", "relatd")

    assert {each["solutionVersionArn"].split("/")[1] for each in first} == {"shop"}
    assert {each["solutionVersionArn"].split("/")[1] for each in related} == {"shop-related"}
    assert reported.exit_code == 0, reported.output
    assert "shop / related" in page.read_text(encoding="utf-8")
    assert f"{OWN}recommendations/recommendations.csv" in went_back.stdout
    assert published_by(shop) == (before[0], "undisturbed")
    assert unknown.exit_code == 1
    assert "there is no recommender 'relatd'; did you mean 'related'?" in unknown.output
