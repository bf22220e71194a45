"""Campaigns that follow, on the local AWS: created, updated, kept on failure, and their roles."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from typer.testing import CliRunner

from lambdas.campaigns import follow as follow_by
from lambdas.publication import publish_list
from localaws.aws import LocalAws
from localaws.http.calls import Call, call_of
from localaws.http.errors import error_to
from localaws.http.wsgi import json_response
from retrain.local.deployment import deploy
from retrain.main import app
from tests.localaws.personalize.account import Account, events
from tests.projects import EXAMPLE, write
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.evaluator import evaluate
from tests.workflow.deployment.permissions.requests import requests_of
from tests.workflow.deployment.permissions.use import unused_by
from workflow import Config, load_config, parse_config
from workflow.deployment.deploy import apply, destroy_plan
from workflow.deployment.permissions import Person, permission_policy
from workflow.runs.history import HistoryReader, failure_of, follow
from workflow.settings import RoleName

PLAIN = parse_config(EXAMPLE)
FOLLOW = """
from workflow import Stages
from workflow.sdk import Pass


def build(config):
    stages = Stages(config)
    return stages.compose(Pass("Filter Recommended Item"), stages.campaigns())
"""
TWO = """
[campaigns.home]
exploration_weight = 0.25

[campaigns.mail]
on_failure = "fail"
"""


class FailingUpdates:
    """Personalize whose updates of a campaign fail: they are begun, and the old version stays.

    Attributes:
        of: The name of the campaign.
        refused: The name of one whose updates are refused.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._update: dict[str, Any] = {}
        self.of = self.refused = ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call = call_of(environ)
        if self.refused and call.operation == "UpdateCampaign":
            refusal = error_to(environ, "InvalidInputException", "Not so.")
            return refusal(environ, start_response)
        if call.service == "personalize" and self.of and call.operation.endswith("Campaign"):
            arn = str(call.parameters.get("campaignArn", ""))
            if arn.endswith(f"/{self.of}") and call.operation == "UpdateCampaign":
                self._update = {
                    **{name: call.parameters[name] for name in ("solutionVersionArn",)},
                    "status": "CREATE FAILED",
                    "failureReason": "No capacity.",
                    "creationDateTime": 1_700_000_000,
                    "lastUpdatedDateTime": 1_700_000_100,
                }
                return json_response({"campaignArn": arn})(environ, start_response)
            if arn.endswith(f"/{self.of}") and self._update:
                return self._described(environ, start_response)
        return self._application(environ, start_response)

    def _described(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        body = b"".join(self._application(environ, lambda *_: lambda _: None))
        campaign = json.loads(body)["campaign"]
        response = {"campaign": {**campaign, "latestCampaignUpdate": self._update}}
        return json_response(response)(environ, start_response)


class Follower:
    """The local AWS with two versions of a solution, and a workflow of the campaigns alone."""

    def __init__(self, aws: LocalAws, directory: Path) -> None:
        self.aws, self.directory = aws, directory
        self.failing = aws.endpoint.wrap_all(FailingUpdates)
        self.recorder = aws.endpoint.wrap_all(Recorder)
        self.account = Account(aws.endpoint)
        self.account.s3.create_bucket(
            Bucket="data", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        config = self.deploy("")
        (interactions,) = (each for each in config.data_sets if each.type == "INTERACTIONS")
        data = config.dataset_arn(interactions)
        self.account.load("events", data, self.account.put("events.csv", events()))
        solution = self.account.solution(
            config.solution_name, config.dataset_group_arn, "aws-user-personalization"
        )
        self.versions = [str(self.account.train(solution)["solutionVersionArn"]) for _ in range(2)]

    def deploy(self, tables: str, integration: str = "lambda") -> Config:
        own = f'\n[workflow]\ndefinition = "retraining.py"\nintegration = "{integration}"\n'
        text = FOLLOW if tables else FOLLOW.replace(", stages.campaigns()", "")
        files = {"retraining.toml": EXAMPLE + own + tables, "retraining.py": text}
        write(self.directory, files)
        config = load_config(self.directory / "retraining.toml")
        deploy(config, self.aws.client)
        return config

    def run(self, config: Config, name: str, version: str) -> tuple[str, dict[str, Any], str]:
        """Publish a version and run; return status, output and cause of a failure."""
        latest = {"run": name, "solutionVersionArn": version, "csv": "s3://x"}
        self.aws.client("s3").put_object(
            Bucket=config.bucket,
            Key="recommendations/latest.json",
            Body=json.dumps(latest).encode(),
        )
        states = self.aws.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=config.state_machine_arn, name=name)[
            "executionArn"
        ]
        reader = HistoryReader(states, arn)
        for _ in follow(reader, poll_seconds=0.05):
            pass
        failure = failure_of(reader.read_all())
        execution = states.describe_execution(executionArn=arn)
        output = json.loads(execution.get("output", "{}"))
        return execution["status"], output, failure.cause if failure else ""

    def record(self, config: Config, name: str) -> dict[str, Any]:
        key = f"runs/{name}/record/campaigns.json"
        body = self.aws.client("s3").get_object(Bucket=config.bucket, Key=key)["Body"].read()
        content: dict[str, Any] = json.loads(body)
        return content

    def campaign(self, config: Config, name: str) -> dict[str, Any]:
        arn = config.campaign_arn(name)
        described: dict[str, Any] = self.account.personalize.describe_campaign(campaignArn=arn)
        campaign: dict[str, Any] = described["campaign"]
        return campaign


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Follower]:
    directory = tmp_path_factory.mktemp("campaigns")
    with LocalAws(
        directory=directory / "aws",
        is_kept=False,
        account="123456789012",
        region="ap-northeast-1",
        time_scale=0,
        database_url="postgresql://nobody@127.0.0.1:1/none",
    ) as aws:
        yield Follower(aws, directory / "project")


def by_role(calls: list[Call], config: Config, role: RoleName) -> list[Call]:
    name = config.role_arn(role).rpartition("/")[2]
    return [call for call in calls if call.principal == name]


def of_campaigns(calls: list[Call], config: Config, who: RoleName | Person) -> set[str]:
    """Return what calls need of their caller's policy for campaigns; all of it is allowed."""
    requests = {each for call in calls for each in requests_of(call)}
    assert requests
    decisions = evaluate(permission_policy(config, who), sorted(requests, key=repr))
    refused = [each for each, decision in decisions.items() if decision.result != "Allowed"]
    assert refused == []
    return {each.action for each in requests if ":campaign/" in each.resource}


def allowed_for_campaigns(config: Config, who: RoleName | Person) -> set[str]:
    statements = permission_policy(config, who)["Statement"]
    return {
        action
        for each in statements
        if ":campaign/" in "".join(each["Resource"])
        for action in each["Action"]
    }


@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_campaigns_are_created_and_then_follow_once(follower: Follower, integration: str) -> None:
    old, new = follower.versions
    names = ["home", f"mail-{integration}"]
    config = follower.deploy(TWO.replace("mail", names[1]), integration)

    with follower.recorder.recorded() as calls:
        first = follower.run(config, f"first-{integration}", old)
        second = follower.run(config, f"second-{integration}", new)
    with follower.recorder.recorded() as again:
        third = follower.run(config, f"third-{integration}", new)

    for status, output, cause in (first, second, third):
        assert (status, cause) == ("SUCCEEDED", "")
        assert output["campaigns"] == {"degraded": False, "reason": ""}
    for name in names:
        campaign = follower.campaign(config, name)
        assert campaign["solutionVersionArn"] == new
        assert campaign["latestCampaignUpdate"]["status"] == "ACTIVE"
    home = follower.campaign(config, names[0])["campaignConfig"]
    assert home["itemExplorationConfig"] == {"explorationWeight": "0.25"}
    made = Counter(call.operation for call in calls)
    assert made["CreateCampaign"] + made["UpdateCampaign"] == 4
    assert not {"CreateCampaign", "UpdateCampaign"} & {call.operation for call in again}
    record = follower.record(config, f"second-{integration}")
    assert [(each["name"], each["follows"]) for each in record["campaigns"]] == [
        (name, True) for name in names
    ]
    tags = follower.account.personalize.list_tags_for_resource(
        resourceArn=config.campaign_arn(names[0])
    )
    assert tags["tags"] == [{"tagKey": "retraining:name", "tagValue": "labbase"}]
    for role in get_args(Literal["functions", "states"]):
        used = of_campaigns(by_role(calls, config, role), config, role)
        assert used - {"personalize:DescribeCampaign"} == allowed_for_campaigns(config, role) - {
            "personalize:DescribeCampaign"
        }
        assert bool(used) == (role == "functions" or integration == "sdk")
        assert unused_by(calls, config, role, besides=PLAIN) == []
    for name in names:  # the other integration creates them anew
        follower.account.delete("Campaign", config.campaign_arn(name))


def test_a_failed_update_degrades_the_run_or_fails_it_when_the_others_are_through(
    follower: Follower,
) -> None:
    old, new = follower.versions
    config = follower.deploy(TWO)
    follower.run(config, "before", old)

    follower.failing.of = "home"
    degraded, output, _ = follower.run(config, "degraded", new)
    reason = f"campaign 'home' still serves {old}: No capacity"
    record = follower.record(config, "degraded")
    served = [follower.campaign(config, name)["solutionVersionArn"] for name in ("home", "mail")]
    follower.failing.of = "mail"
    failed, _, cause = follower.run(config, "failed", old)
    follower.failing.of = ""
    resumed, after, _ = follower.run(config, "failed.2", old)

    assert degraded == "SUCCEEDED"
    assert output["campaigns"] == {"degraded": True, "reason": reason}
    assert (record["degraded"], record["reason"]) == (True, reason)
    assert served == [old, new]
    assert failed == "FAILED"
    assert cause == f"campaign 'mail' still serves {new}: No capacity"
    assert (resumed, after["campaigns"]["degraded"]) == ("SUCCEEDED", False)
    assert not follower.record(config, "failed")["degraded"]
    assert follower.campaign(config, "mail")["solutionVersionArn"] == old


def test_going_back_says_what_campaigns_serve_or_takes_them_along(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = follower.versions
    config = follower.deploy("\n[campaigns.home]\n[campaigns.later]\n")
    publish = {"csv": f"s3://{config.bucket}/runs/x.csv", "users": 1, "recommendations": 1}
    s3 = follower.aws.client("s3")
    s3.put_object(Bucket=config.bucket, Key="runs/x.csv", Body=b"")
    for hour, (run, version) in enumerate((("monday", old), ("tuesday", new))):
        extracted = f"2024-06-0{hour + 1}T00:00:00Z"
        content = {"run": run, "solutionVersionArn": version, "extractedAt": extracted, **publish}
        publish_list(s3, config.bucket, content)
    home = {
        "name": "home",
        "campaignArn": config.campaign_arn("home"),
        "minProvisionedTPS": 1,
        "campaignConfig": {},
    }
    follow_by(follower.account.personalize, home, new, [])
    follower.account.settled("Campaign", home["campaignArn"])
    for name, value in follower.aws.endpoint.environment.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> tuple[int, str]:
        file = str(follower.directory / "retraining.toml")
        result = CliRunner().invoke(app, [*arguments, "--config", file])
        return result.exit_code, " ".join(result.output.split())

    with follower.recorder.recorded() as calls:
        went_back, said = command("publish", "monday")
    assert went_back == 0
    assert f"campaign 'home' still serves {new}, and this list is of {old};" in said
    assert "'retrain publish RUN --campaigns' takes it along" in said
    assert "campaign 'later' does not exist; the next run creates it" in said
    assert follower.campaign(config, "home")["solutionVersionArn"] == new

    with follower.recorder.recorded() as more:
        code, said = command("publish", "monday", "--campaigns", "--json")
    assert code == 0
    used = of_campaigns([*calls, *more], config, "operator")
    assert used == allowed_for_campaigns(config, "operator")
    follower.account.settled("Campaign", home["campaignArn"], "latestCampaignUpdate")
    assert follower.campaign(config, "home")["solutionVersionArn"] == old
    assert "campaign 'home' serves the version of this list" in command("published")[1]

    monkeypatch.setattr(follower.failing, "refused", "home")
    code, said = command("publish", "tuesday", "--campaigns")
    assert code == 1
    assert "was not updated" in said
    assert "the list of run 'tuesday' is published, but not updated: campaign home;" in said


def test_destroy_deletes_the_campaigns_that_it_names(follower: Follower) -> None:
    """It is the last test of this file."""
    config = follower.deploy("\n[campaigns.home]\n")
    request = {
        "name": "theirs",
        "campaignArn": config.campaign_arn("theirs"),
        "minProvisionedTPS": 1,
        "campaignConfig": {},
    }
    for name in ("home", "theirs"):
        arn = config.campaign_arn(name)
        follow_by(
            follower.account.personalize,
            {**request, "name": name, "campaignArn": arn},
            follower.versions[0],
            [],
        )
    listed = follower.account.personalize.list_campaigns()["campaigns"]
    others = [each["name"] for each in listed if each["name"] != "home"]

    (blocked,) = destroy_plan(config, follower.aws.client, empty_bucket=True).blocked
    assert blocked.note.startswith(f"campaign {', '.join(others)}: Personalize")
    for name in others:
        follower.account.settled("Campaign", config.campaign_arn(name))
        follower.account.delete("Campaign", config.campaign_arn(name))
    planned = destroy_plan(config, follower.aws.client, empty_bucket=True)
    notes = {change.resource.id: change.note for change in planned.changes}
    assert notes["DatasetGroup"] == "with every version of solution labbase and campaign home"
    with follower.recorder.recorded() as calls:
        apply(planned, follower.aws.client, now=datetime.now(UTC), sleep=lambda _: None)
    assert follower.account.personalize.list_campaigns()["campaigns"] == []
    assert of_campaigns(calls, config, "deployer") == allowed_for_campaigns(config, "deployer")
