"""`[notification]`: its mistakes, and what a deployment and a definition have by it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from lambdas.send_notification import DEGRADED, FAILED, SKIPPED, SUCCEEDED
from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from tests.histories import entered, events, execution_failed, exited, task_failed
from workflow import ConfigError, build_workflow, parse_config
from workflow.config import Config, with_integration
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.deploy import destroy_plan, plan
from workflow.deployment.permissions import permission_policy
from workflow.deployment.resources import Resource, resources
from workflow.options.notification import OUTCOMES
from workflow.runs.history import failure_of

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
NOTIFICATION = "\n[notification]\n"


def config_of(table: str) -> Config:
    return parse_config(EXAMPLE + table)


def model(config: Config) -> dict[str, Resource]:
    return {resource.id: resource for resource in resources(config, build_artefacts(config))}


def statements(config: Config, who: Any) -> dict[str, Any]:
    return {each["Sid"]: each for each in permission_policy(config, who)["Statement"]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "[notification]\noutcomes = []\nevents = false",
            "nobody is told why a run failed: with this table no state reports it either",
        ),
        (
            '[notification]\noutcomes = ["succeeded", "degraded"]\nevents = false',
            'fix: add "failed" to outcomes, write events = true, or leave [notification] out',
        ),
        ('[notification]\noutcomes = ["success"]', "fix: did you mean succeeded?"),
        ("[notification]\nemails = true", "notification.emails"),
    ],
)
def test_a_mistake_names_its_key(table: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        config_of(table)


def test_the_outcomes_are_those_of_the_function() -> None:
    assert OUTCOMES == (SUCCEEDED, DEGRADED, SKIPPED, FAILED)


@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_no_state_reports_what_the_function_does(integration: Any) -> None:
    config = with_integration(config_of(NOTIFICATION), integration)
    states = json.loads(build_workflow(config).to_asl())["States"]
    before = json.loads(build_workflow(with_integration(config_of(""), integration)).to_asl())

    assert before["States"].keys() - states.keys() == {"Report Failure"}
    assert states["ETL"]["Catch"][-1]["Next"] == "Retraining Failed"
    assert states["Retraining Failed"] == before["States"]["Retraining Failed"]
    assert not any(
        "sns" in each["Sid"] for each in permission_policy(config, "states")["Statement"]
    )
    assert "Sns" not in json.dumps(permission_policy(config, "states"))


def test_a_failure_is_found_in_the_state_where_it_began() -> None:
    """No state reports it on the way: from the one that failed it leads to the end at once."""
    of_task = events(
        entered("ETL"),
        task_failed("Glue.EntityNotFoundException", "no such job", "glue"),
        exited(
            "ETL", data={"job": {"Error": "Glue.EntityNotFoundException", "Cause": "no such job"}}
        ),
        entered("Retraining Failed", "Fail"),
        execution_failed("Glue.EntityNotFoundException", "no such job"),
    )
    job = {"job": {"Error": "SolutionVersionFailed", "Cause": "too few users"}}
    of_job = events(
        entered("Get Solution Version Status"),
        exited("Get Solution Version Status", data=job),
        entered("Solution Version Active?", "Choice", data=job),
        exited("Solution Version Active?", "Choice", data=job),
        entered("Retraining Failed", "Fail", data=job),
        execution_failed("SolutionVersionFailed", "too few users"),
    )

    failures = [failure_of(of_task), failure_of(of_job)]

    assert [(each.state, each.cause) for each in failures if each] == [
        ("ETL", "no such job"),
        ("Get Solution Version Status", "too few users"),
    ]


def test_one_rule_reports_all_ends_or_those_that_no_state_can_report() -> None:
    with_function, without = model(config_of(NOTIFICATION)), model(config_of(""))
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"stateMachineArn": config_of("").state_machine_arn},
    }

    def matched(rule: Resource) -> set[str]:
        pattern = EventPattern.load(json.dumps(rule.properties["EventPattern"]))
        statuses = {"RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"}
        return {
            status
            for status in statuses
            if pattern.matches_event({**event, "detail": {**event["detail"], "status": status}})
        }

    assert matched(without["EndsRule"]) == {"TIMED_OUT", "ABORTED"}
    assert matched(with_function["EndsRule"]) == {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
    (target,) = with_function["EndsRule"].properties["Targets"]
    assert target["Arn"].endswith(":function:labbase-send-notification")
    permission = with_function["EndsRulePermission"].properties
    assert permission["SourceArn"].endswith(":rule/labbase-retraining-ends")
    assert with_function.keys() - without.keys() == {
        "EndsRulePermission",
        "SendNotificationFunction",
        "SendNotificationLogGroup",
    }
    sids = [
        each["Sid"]
        for each in with_function["FailureTopicPolicy"].properties["PolicyDocument"]["Statement"]
    ]
    assert sids == ["AlarmsPublish"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", set()),
        ("[notification]", {"NotifyByTopic", "NotifyByEvents"}),
        ("[notification]\nevents = false", {"NotifyByTopic"}),
        ("[notification]\noutcomes = []", {"NotifyByEvents"}),
    ],
)
def test_the_function_may_send_where_it_sends(table: str, expected: set[str]) -> None:
    config = config_of(table)
    allowed = statements(config, "functions")

    assert {sid for sid in allowed if sid.startswith("NotifyBy")} == expected
    assert ("LetsEventsInvoke" in statements(config, "deployer")) == bool(table)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(
        directory=tmp_path_factory.mktemp("aws"), is_kept=False, region="ap-northeast-1", port=None
    ) as running:
        yield running


def test_the_table_is_switched_on_and_off_by_a_deployment(aws: LocalAws) -> None:
    events, functions = aws.client("events"), aws.client("lambda")

    def targets() -> list[str]:
        found = events.list_targets_by_rule(Rule="labbase-retraining-ends")["Targets"]
        return [target["Id"] for target in found]

    deploy(config_of(""), aws.client)
    assert targets() == ["topic"]

    on = config_of(NOTIFICATION)
    deploy(on, aws.client)
    assert targets() == ["function"]
    assert not plan(on, aws.client).pending

    functions.remove_permission(
        FunctionName="labbase-send-notification", StatementId="EndsRulePermission"
    )
    (change,) = plan(on, aws.client).pending
    assert (change.resource.id, change.action) == ("EndsRulePermission", "create")
    functions.add_permission(
        FunctionName="labbase-send-notification",
        StatementId="EndsRulePermission",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn="arn:aws:events:ap-northeast-1:123456789012:rule/another",
    )
    (change,) = plan(on, aws.client).pending
    assert (change.resource.id, change.action) == ("EndsRulePermission", "update")
    deploy(on, aws.client)
    assert not plan(on, aws.client).pending
    deleted = {change.resource.id for change in destroy_plan(on, aws.client).pending}
    assert {"EndsRule", "EndsRulePermission", "SendNotificationFunction"} <= deleted

    deploy(config_of(""), aws.client)
    assert targets() == ["topic"]
    names = {each["FunctionName"] for each in functions.list_functions()["Functions"]}
    assert "labbase-send-notification" not in names
