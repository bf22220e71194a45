"""Plan, apply and destroy, against the local endpoint as `retrain deploy` does on AWS."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber
from typer.testing import CliRunner

from localaws.functions.service import Functions
from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint
from localaws.personalize import Personalize
from localaws.sagemaker.service import SageMaker
from retrain.main import app
from tests.projects import ASK, HANDLER, project, write
from tests.workflow.options.test_models import OWN_HYBRID, own
from workflow import Config, Stages, build_workflow, load_config, parse_config
from workflow.definition.own_models.images import images_of
from workflow.deployment.account import clients_of
from workflow.deployment.adapters import Deployment
from workflow.deployment.adapters.personalize import Dataset
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.deploy import (
    ApplyError,
    Plan,
    apply,
    describe,
    destroy_plan,
    plan,
    plan_resources,
)
from workflow.deployment.differences import Difference, differences
from workflow.deployment.lock import LOCK_KEY, DeploymentLock, LockedError
from workflow.deployment.resources import Resource, resources
from workflow.errors import DeployError

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
ACCOUNT, REGION = "123456789012", "ap-northeast-1"
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
READS = re.compile(r"^(Get|Describe|List|Head)")


@dataclass
class Aws:
    """Clients of the local endpoint, and every call that a deployment makes to it."""

    session: Any
    clients: Callable[[str], Any]
    calls: list[str] = field(default_factory=list)

    @property
    def changing(self) -> list[str]:
        return [call for call in self.calls if not READS.match(call.partition(".")[2])]

    @contextmanager
    def refusing(
        self, operation: str, code: str, message: str, *, times: int = 99
    ) -> Iterator[None]:
        """Answer the next `times` calls of an operation by an error, in the form that AWS sends."""
        left = [times]
        service = operation.partition(".")[0]
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        texts = {"s3": text, "sns": f"<ErrorResponse>{text}</ErrorResponse>"}
        body = texts.get(service, json.dumps({"__type": code, "message": message})).encode()

        def answer(request: Any, **_: Any) -> AWSResponse | None:
            if not left[0]:
                return None
            left[0] -= 1
            raw = io.BytesIO(body)
            raw.stream = lambda: iter([raw.read()])  # type: ignore[attr-defined]
            return AWSResponse(request.url, 403, {"x-amzn-ErrorType": code}, raw)

        events = self.clients(service).meta.events
        events.register_first(f"before-send.{operation}", answer)
        try:
            yield
        finally:
            events.unregister(f"before-send.{operation}", answer)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    directory = tmp_path_factory.mktemp("aws")
    with Endpoint(account=ACCOUNT, region=REGION) as endpoint:
        location = {"account": ACCOUNT, "region": REGION}
        s3 = lambda *_: endpoint.client("s3")  # noqa: E731
        functions = Functions(directory=directory / "functions", s3=s3, **location)
        personalize = Personalize(directory=directory / "personalize", s3=s3, **location)
        endpoint.mount("lambda", functions)
        endpoint.mount("glue", Glue(directory=directory / "glue", environment=lambda _: {}))
        endpoint.mount("personalize", personalize)
        sagemaker = SageMaker(
            directory=directory / "sagemaker", environment=lambda _: {}, s3=s3, **location
        )
        endpoint.mount("sagemaker", sagemaker)
        session = boto3.Session()
        recorded = Aws(session, clients_of(session, REGION, patience=(0.01, 0.01)))
        session.events.register(
            "before-send",
            lambda event_name, **_: recorded.calls.append(event_name.removeprefix("before-send.")),
        )
        yield recorded
        functions.close()
        personalize.close()
        sagemaker.close()


@pytest.fixture(autouse=True)
def _no_calls_yet(aws: Aws) -> None:
    aws.calls.clear()


def config_named(name: str, *edits: tuple[str, str]) -> Config:
    """Return the example under another name, so that each test has resources of its own."""
    text = EXAMPLE.replace('name = "labbase"', f'name = "{name}"')
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return parse_config(text)


def resources_named(config: Config, *ids: str) -> list[Resource]:
    return [
        resource for resource in resources(config, build_artefacts(config)) if resource.id in ids
    ]


def plan_without_personalize(config: Config, aws: Aws) -> Plan:
    """Plan without Personalize, which has a quota of five dataset groups."""
    artefacts = build_artefacts(config)
    selected = [
        resource for resource in resources(config, artefacts) if "Personalize" not in resource.type
    ]
    return plan_resources(config, aws.clients, selected, _artefact_bodies(config))


def actions(plan: Plan) -> dict[str, str]:
    return {change.resource.id: change.action for change in plan.changes}


def changed(plan: Plan) -> dict[str, list[str]]:
    return {c.resource.id: [str(d) for d in c.differences] for c in plan.pending}


def apply_plan(plan: Plan, aws: Aws) -> list[str]:
    outcome = apply(plan, aws.clients, now=NOW, sleep=lambda _: None)
    return [change.resource.id for change in outcome.done]


@pytest.fixture(scope="module")
def deployed_config(aws: Aws) -> Config:
    """Deploy a configuration with all its resources; tests leave it unchanged."""
    config = config_named("whole")
    apply_plan(plan(config, aws.clients), aws)
    return config


# A whole deployment


def test_a_workflow_object_deploys_what_its_own_definition_calls(aws: Aws, tmp_path: Path) -> None:
    """The role follows from this definition, and not from the one that is configured."""
    text = EXAMPLE.replace('name = "labbase"', 'name = "composed"')
    write(tmp_path, {"retraining.toml": text + ASK, "functions/ask_editors.py": HANDLER})
    config = load_config(tmp_path / "retraining.toml")
    apply_plan(plan(config, aws.clients), aws)
    stages = Stages(config)
    asked = stages.compose(stages.etl(), stages.function("Ask the Editors", "ask-editors"))
    session = SimpleNamespace(client=aws.clients)
    workflow = build_workflow(config, definition=asked, aws=session)

    said = workflow.deploy()

    assert "update    StatesRole" in said
    assert said.splitlines()[-1].startswith("3 to update, ")
    policy = aws.clients("iam").get_role_policy(
        RoleName="composed-retraining-states", PolicyName="states"
    )
    assert "composed-ask-editors" in json.dumps(policy["PolicyDocument"])
    deployed = workflow.client.describe_state_machine(stateMachineArn=config.state_machine_arn)
    assert "Ask the Editors" in deployed["definition"]
    assert workflow.deploy().startswith("nothing to do")
    apply_plan(destroy_plan(config, aws.clients, empty_bucket=True), aws)


def test_a_first_plan_creates_everything_and_changes_nothing_yet(aws: Aws) -> None:
    config = config_named("first")

    planned = plan(config, aws.clients)

    assert set(actions(planned).values()) == {"create"}
    assert aws.changing == []
    assert list(describe(planned))[-1] == f"{len(planned.changes)} to create"
    assert planned.identity.startswith("arn:aws:")


def test_a_deployment_makes_each_resource_after_those_that_it_needs(aws: Aws) -> None:
    config = config_named("ordered")
    begun, done = [], []

    def note(change: Any, is_done: bool) -> None:
        (done if is_done else begun).append(change.resource)

    apply(plan(config, aws.clients), aws.clients, now=NOW, progress=note, sleep=lambda _: None)

    existing: set[str] = set()
    for resource in begun:
        assert set(resource.needs) <= existing, resource.id
        existing.add(resource.id)
    assert done == begun
    assert existing == {resource.id for resource in resources(config, build_artefacts(config))}
    described = aws.clients("lambda").get_function(FunctionName="ordered-get-status")
    assert described["Configuration"]["Handler"] == "lambdas.get_status.handler"


def test_a_second_deployment_makes_no_changing_call(aws: Aws, deployed_config: Config) -> None:
    planned = plan(deployed_config, aws.clients)
    outcome = apply(planned, aws.clients, now=NOW)

    assert set(actions(planned).values()) == {"unchanged"}
    assert outcome.done == ()
    assert aws.changing == []
    assert len(aws.calls) > 60, "every resource was read"


DRIFTS = {
    "RunBucket": (
        lambda c: c("s3").put_bucket_versioning(
            Bucket="whole-retraining-123456789012-ap-northeast-1",
            VersioningConfiguration={"Status": "Suspended"},
        ),
        ["VersioningConfiguration.Status: Suspended → Enabled"],
    ),
    "EtlSpec": (
        lambda c: c("s3").put_object(
            Bucket="whole-retraining-123456789012-ap-northeast-1",
            Key=config_named("whole").spec_key,
            Body=b"{}",
        ),
        ["Sha256: – → "],
    ),
    "GlueRole": (
        lambda c: c("iam").delete_role_policy(RoleName="whole-retraining-glue", PolicyName="glue"),
        ["Policies: – → "],
    ),
    "GetStatusFunction": (
        lambda c: c("lambda").update_function_configuration(
            FunctionName="whole-get-status", MemorySize=512, Timeout=7
        ),
        ["MemorySize: 512 → 256", "Timeout: 7 → 60"],
    ),
    "GetStatusLogGroup": (
        lambda c: c("logs").put_retention_policy(
            logGroupName="/aws/lambda/whole-get-status", retentionInDays=365
        ),
        ["RetentionInDays: 365 → 30"],
    ),
    "FailureTopic": (
        lambda c: c("sns").set_topic_attributes(
            TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:whole-retraining-failures",
            AttributeName="DisplayName",
            AttributeValue="Failures",
        ),
        ["DisplayName: Failures → –"],
    ),
    "ScheduleDeadLetters": (
        lambda c: c("sqs").set_queue_attributes(
            QueueUrl=c("sqs").get_queue_url(QueueName="whole-retraining-dead-letters")["QueueUrl"],
            Attributes={"MessageRetentionPeriod": "60"},
        ),
        ["MessageRetentionPeriod: 60 → 1209600"],
    ),
    "OverlongAlarm": (
        lambda c: c("cloudwatch").put_metric_alarm(
            **{
                key: value
                for key, value in c("cloudwatch")
                .describe_alarms(AlarmNames=["whole-retraining-overlong"])["MetricAlarms"][0]
                .items()
                if key in {"AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic"}
            },
            Period=60,
            Threshold=1,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        ),
        ["Period: 60 → 300", "Threshold: 1.0 → 43200000"],
    ),
    "FailureTopicPolicy": (
        lambda c: c("sns").set_topic_attributes(
            TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:whole-retraining-failures",
            AttributeName="Policy",
            AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": []}),
        ),
        ["PolicyDocument.Statement: [] → "],
    ),
    "EndsRule": (
        lambda c: (
            c("events").disable_rule(Name="whole-retraining-ends"),
            c("events").remove_targets(Rule="whole-retraining-ends", Ids=["topic"]),
            c("events").put_targets(
                Rule="whole-retraining-ends",
                Targets=[{"Id": "other", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:other"}],
            ),
        ),
        ["State: DISABLED → ENABLED", "Targets.topic: – → ", "Targets.other: {"],
    ),
    "Schedule": (
        lambda c: c("scheduler").update_schedule(
            Name="whole-retraining",
            ScheduleExpression="rate(1 hours)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=c("scheduler").get_schedule(Name="whole-retraining")["Target"],
        ),
        ["ScheduleExpression: rate(1 hours) → cron(0 4 * * ? *)"],
    ),
    "EtlJob": (
        lambda c: c("glue").update_job(
            JobName="whole-retraining-etl",
            JobUpdate={
                "Role": "somebody",
                "Command": {"Name": "glueetl", "ScriptLocation": "s3://else/job.py"},
            },
        ),
        ["Command.ScriptLocation: s3://else/job.py → s3://whole-retraining-", "Role: somebody → "],
    ),
    "StateMachine": (
        lambda c: c("stepfunctions").update_state_machine(
            stateMachineArn=f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:whole-retraining",
            definition=json.dumps(
                {"StartAt": "Nothing", "States": {"Nothing": {"Type": "Succeed"}}}
            ),
            tracingConfiguration={"enabled": False},
        ),
        ["DefinitionString.StartAt: Nothing → Begin Run", "TracingConfiguration: – → "],
    ),
    "DatasetGroup": (
        lambda c: c("personalize").tag_resource(
            resourceArn=f"arn:aws:personalize:{REGION}:{ACCOUNT}:dataset-group/whole",
            tags=[{"tagKey": "cost-centre", "tagValue": "7"}],
        ),
        [],
    ),
}


@pytest.mark.parametrize("resource", DRIFTS)
def test_a_change_by_hand_is_named_and_undone(
    aws: Aws, deployed_config: Config, resource: str
) -> None:
    """Tags that others added stay."""
    drift, expected = DRIFTS[resource]
    drift(aws.clients)

    planned = plan(deployed_config, aws.clients)

    assert list(changed(planned)) == ([resource] if expected else [])
    lines = "\n".join(changed(planned).get(resource, []))
    assert all(line in lines for line in expected), lines
    assert apply_plan(planned, aws) == ([resource] if expected else [])
    assert plan(deployed_config, aws.clients).pending == ()


def test_an_address_is_subscribed_once_and_others_stay(aws: Aws) -> None:
    config = config_named("mailed", ("[source]", 'emails = ["ann@example.com"]\n\n[source]'))
    sns, topic = aws.clients("sns"), resources_named(config, "FailureTopic")
    apply_plan(plan_resources(config, aws.clients, topic), aws)
    sns.subscribe(TopicArn=config.topic_arn, Protocol="email", Endpoint="eve@example.com")

    assert plan_resources(config, aws.clients, topic).pending == ()
    more = config_named(
        "mailed", ("[source]", 'emails = ["ann@example.com", "bob@example.com"]\n\n[source]')
    )
    planned = plan_resources(more, aws.clients, resources_named(more, "FailureTopic"))
    assert changed(planned) == {
        "FailureTopic": [
            'Subscription.bob@example.com: – → {"Protocol": "email", "Endpoint": "bob@example.com"}'
        ]
    }
    apply_plan(planned, aws)

    subscribed = sns.list_subscriptions_by_topic(TopicArn=config.topic_arn)["Subscriptions"]
    assert sorted(each["Endpoint"] for each in subscribed) == [
        "ann@example.com",
        "bob@example.com",
        "eve@example.com",
    ]


def test_a_bucket_of_others_holds_the_code_and_is_left_alone(aws: Aws) -> None:
    """Nothing of it is changed or deleted but our own code; deployments lock each other in it."""
    s3 = aws.clients("s3")
    s3.create_bucket(Bucket="our-lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="our-lake", Key="lake/sales.parquet", Body=b"x")
    config = config_named("laked", ("[source]", 'bucket = "arn:aws:s3:::our-lake"\n\n[source]'))
    selected = resources_named(
        config, "FunctionsArchive", "EtlLibrary", "EtlScript", "EtlSpec", "StatesRole"
    )
    planned = plan_resources(config, aws.clients, selected, _artefact_bodies(config))
    aws.calls.clear()

    with (
        DeploymentLock(s3, "our-lake", owner="arn:ann", now=NOW),
        pytest.raises(LockedError, match="arn:ann has been deploying"),
    ):
        apply_plan(planned, aws)
    assert apply_plan(planned, aws) == [resource.id for resource in selected]

    assert not any("Bucket" in call for call in aws.changing)
    gone = apply_plan(destroy_plan(config, aws.clients, empty_bucket=True), aws)
    assert sorted(gone) == sorted(resource.id for resource in selected)
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="our-lake")["Contents"]]
    assert keys == ["lake/sales.parquet"]


def test_another_configuration_is_an_update_with_its_differences(aws: Aws) -> None:
    before = config_named("edited")
    apply_plan(plan(before, aws.clients), aws)
    after = config_named(
        "edited",
        ("max_rejected_share = 0.01", "max_rejected_share = 0.01\nworkers = 5"),
        ('timezone = "Asia/Tokyo"', 'timezone = "Europe/Paris"'),
        ("[polling]", '[tags]\nteam = "search"\n\n[polling]'),
    )

    planned = plan(after, aws.clients)

    updates = changed(planned)
    assert updates["EtlJob"] == ["NumberOfWorkers: 2 → 5", "Tags.team: – → search"]
    assert updates["Schedule"] == ["ScheduleExpressionTimezone: Asia/Tokyo → Europe/Paris"]
    assert updates["GlueRole"] == ["Tags.team: – → search"]
    assert "DatasetGroup" not in updates
    assert not planned.destructive
    apply_plan(planned, aws)
    assert plan(after, aws.clients).pending == ()


# Personalize's schemas


def test_a_schema_may_gain_a_column_that_may_be_null(aws: Aws, deployed_config: Config) -> None:
    wider = config_named("whole", ("GRADE = {", 'CLUB = "students.club"\nGRADE = {'))

    planned = plan(wider, aws.clients)

    assert actions(planned)["UsersSchema"] == "create"
    assert actions(planned)["UsersDataset"] == "update"
    assert changed(planned)["UsersDataset"][0].startswith("SchemaArn: ")


def test_a_dataset_takes_its_new_schema() -> None:
    """Through the API itself: it is called with the dataset's and the new schema's ARN."""
    client = boto3.client(
        "personalize", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    config = config_named("wider")
    [resource] = resources_named(config, "UsersDataset")
    schema = resource.properties["SchemaArn"]
    with Stubber(client) as stubber:
        stubber.add_response(
            "update_dataset",
            {"datasetArn": resource.name},
            {"datasetArn": resource.name, "schemaArn": schema},
        )
        for status in ("UPDATE IN_PROGRESS", "ACTIVE"):
            stubber.add_response(
                "describe_dataset", {"dataset": {"status": status}}, {"datasetArn": resource.name}
            )
        adapter = Dataset(Deployment(config, lambda _: client, sleep=lambda _: None))

        adapter.update(resource, [Difference("SchemaArn", "old", schema)])

        stubber.assert_no_pending_responses()


def test_any_other_change_of_a_schema_is_explained_before_anything_is_touched(
    aws: Aws, deployed_config: Config
) -> None:
    other = config_named(
        "whole",
        ('GRADE = { source = "students.grade", type = "int" }', 'YEAR = "students.year"'),
        ('SALARY = { source = "job_postings.salary", type = "int" }', 'SALARY = "job.salary"'),
        ('joins = [{ table = "companies"', 'alias = "job"\njoins = [{ table = "companies"'),
    )

    planned = plan(other, aws.clients)

    blocked = {change.resource.id: change.note for change in planned.blocked}
    assert set(blocked) == {"UsersDataset", "ItemsDataset", "BatchFilter"}
    assert blocked["BatchFilter"].startswith("needs arn:aws:personalize:")
    assert "GRADE is gone" in blocked["UsersDataset"]
    assert 'SALARY was {"type": ["null", "int"]}' in blocked["ItemsDataset"].replace(
        '["int", "null"]', '["null", "int"]'
    )
    assert "[aws] dataset_group" in blocked["UsersDataset"]
    with pytest.raises(DeployError, match="nothing was touched"):
        apply_plan(planned, aws)
    assert aws.changing == []


def test_another_filter_replaces_the_former_one(aws: Aws, deployed_config: Config) -> None:
    """Personalize cannot change a filter; nothing is lost by making it anew."""
    other = config_named("whole", ('IN ("apply")\'', 'IN ("view")\''))

    planned = plan(other, aws.clients)

    assert actions(planned)["BatchFilter"] == "replace"
    assert 'IN ("apply") → EXCLUDE' in changed(planned)["BatchFilter"][0]
    assert not planned.destructive
    done = apply_plan(planned, aws)
    assert "BatchFilter" in done
    assert plan(other, aws.clients).pending == ()
    apply_plan(plan(deployed_config, aws.clients), aws)


# Resources of others


def test_a_name_that_is_taken_is_left_alone(aws: Aws) -> None:
    config = config_named("taken")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    aws.clients("iam").create_role(RoleName="taken-retraining-glue", AssumeRolePolicyDocument=trust)
    aws.clients("sns").create_topic(
        Name="taken-retraining-failures", Tags=[{"Key": "retraining:name", "Value": "other"}]
    )
    aws.calls.clear()

    planned = plan(config, aws.clients)

    blocked = {change.resource.id: change.note for change in planned.blocked}
    assert "nobody's that we know" in blocked["GlueRole"]
    assert "tag it retraining:name=taken first" in blocked["GlueRole"]
    assert "belongs to the deployment 'other'" in blocked["FailureTopic"]
    assert blocked["EtlJob"] == "needs taken-retraining-glue"
    with pytest.raises(DeployError, match="GlueRole: the name is taken"):
        apply_plan(planned, aws)
    assert aws.changing == []


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (403, {}, "is another account's"),
        (301, {"x-amz-bucket-region": "eu-west-1"}, "is in eu-west-1, but [aws] region is ap-"),
    ],
)
def test_a_bucket_of_another_account_or_region_is_refused(
    aws: Aws, status: int, headers: dict[str, str], words: str
) -> None:
    config = config_named("foreign")
    s3 = boto3.client("s3", region_name=REGION)
    # botocore would ask again in the bucket's own region, which Stubber does not know.
    s3.meta.events.unregister("needs-retry.s3", unique_id="s3_redirector_v2")
    with Stubber(s3) as stubber:
        stubber.add_client_error(
            "head_bucket",
            str(status),
            http_status_code=status,
            response_meta={"HTTPHeaders": headers},
        )
        [bucket] = resources_named(config, "RunBucket")
        clients = lambda service: s3 if service == "s3" else aws.clients(service)  # noqa: E731

        planned = plan_resources(config, clients, [bucket])

    assert actions(planned) == {"RunBucket": "blocked"}
    assert words in planned.changes[0].note


# Errors while applying


def test_a_failure_lists_what_was_done_and_a_second_deployment_does_the_rest(aws: Aws) -> None:
    config = config_named("half")
    denied = (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/dev/ann is not authorized to perform:"
        f" lambda:CreateFunction on resource: arn:aws:lambda:{REGION}:{ACCOUNT}:function:half-get"
    )

    with (
        aws.refusing("lambda.CreateFunction", "AccessDeniedException", denied),
        pytest.raises(ApplyError) as caught,
    ):
        apply_plan(plan_without_personalize(config, aws), aws)

    message = str(caught.value)
    assert message.startswith("BeginRunFunction: no permission for arn:aws:sts::")
    assert (
        f"lambda:CreateFunction on arn:aws:lambda:{REGION}:{ACCOUNT}:function:half-get" in message
    )
    assert [c.resource.id for c in caught.value.outcome.done][:2] == [
        "RunBucket",
        "RunBucketPolicy",
    ]
    assert caught.value.outcome.left[0].resource.id == "BeginRunFunction"
    assert "'retrain deploy' goes on from there" in message
    left = {change.resource.id for change in caught.value.outcome.left}
    assert set(apply_plan(plan_without_personalize(config, aws), aws)) == left
    assert plan_without_personalize(config, aws).pending == ()


def test_a_token_that_expires_while_applying(aws: Aws) -> None:
    """The lock cannot be released any more: the message says how to go on."""
    config = config_named("expired")
    expired = ("ExpiredTokenException", "The security token included in the request is expired")
    s3_expired = ("ExpiredToken", "The provided token has expired.")

    with (
        aws.refusing("sns.CreateTopic", *expired),
        aws.refusing("s3.DeleteObject", *s3_expired),
        pytest.raises(ApplyError) as caught,
    ):
        apply_plan(plan_without_personalize(config, aws), aws)

    assert "FailureTopic: the session's token has expired" in str(caught.value)
    assert "'retrain deploy --take-over'" in str(caught.value)
    with pytest.raises(LockedError, match="--take-over"):
        apply_plan(plan_without_personalize(config, aws), aws)
    apply(
        plan_without_personalize(config, aws),
        aws.clients,
        now=NOW,
        sleep=lambda _: None,
        take_over=True,
    )
    assert plan_without_personalize(config, aws).pending == ()


def test_a_missing_permission_to_read_names_action_and_resource(aws: Aws) -> None:
    [queue] = resources_named(config_named("blind"), "ScheduleDeadLetters")

    with (
        aws.refusing("sqs.GetQueueUrl", "AccessDenied", "Access to the resource is denied."),
        pytest.raises(DeployError) as caught,
    ):
        plan_resources(config_named("blind"), aws.clients, [queue])

    assert "sqs:GetQueueUrl on blind-retraining-dead-letters is denied" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "operation", "code", "message"),
    [
        (
            "moment-role",
            "lambda.CreateFunction",
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        (
            "moment-vpc",
            "lambda.CreateFunction",
            "InvalidParameterValueException",
            "The provided execution role does not have permissions to call"
            " CreateNetworkInterface on EC2",
        ),
        (
            "moment-key",
            "lambda.CreateFunction",
            "InvalidParameterValueException",
            "Lambda was unable to configure access to your environment variables because the KMS"
            " key is invalid for CreateGrant. Please check your KMS key settings. KMS Exception:"
            " InvalidArnException KMS Message: ARN does not refer to a valid principal",
        ),
        (
            "moment-log",
            "logs.CreateLogGroup",
            "InvalidParameterException",
            "The specified KMS key does not exist or is not allowed to be used with LogGroup",
        ),
    ],
)
def test_what_was_made_a_moment_ago_is_waited_for(
    aws: Aws, name: str, operation: str, code: str, message: str
) -> None:
    """A role, its permission to join a network, and a key are known everywhere in seconds."""
    config = config_named(name)
    selected = resources_named(
        config, "RunBucket", "RunBucketPolicy", "FunctionsArchive", "FunctionsRole",
        "GetStatusLogGroup", "GetStatusFunction",
    )  # fmt: skip
    planned = plan_resources(config, aws.clients, selected, _artefact_bodies(config))

    with aws.refusing(operation, code, message, times=2):
        done = apply_plan(planned, aws)

    assert done[-1] == "GetStatusFunction"
    assert sum(call.endswith(operation.partition(".")[2]) for call in aws.calls) == 3


def test_credentials_of_another_account(aws: Aws) -> None:
    config = config_named("elsewhere", (ACCOUNT, "999999999999"))

    with pytest.raises(DeployError) as caught:
        plan(config, aws.clients)

    assert f"belong to account {ACCOUNT}" in str(caught.value)
    assert "[aws] account is 999999999999" in str(caught.value)
    assert aws.calls == ["sts.GetCallerIdentity"]


def test_no_credentials(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(DeployError, match=r"no AWS credentials: .*Set AWS_PROFILE"):
        plan(config_named("nobody"), clients_of(boto3.Session(), REGION))


def test_a_property_that_no_adapter_knows_is_refused_by_name(aws: Aws) -> None:
    config = config_named("unknown")
    [topic] = resources_named(config, "FailureTopic")
    other = replace(topic, properties={**topic.properties, "FifoTopic": True})

    with pytest.raises(DeployError, match=r"AWS::SNS::Topic is not deployed with FifoTopic"):
        plan_resources(config, aws.clients, [other])


# The lock


def test_a_deployment_is_refused_while_another_holds_the_lock(
    aws: Aws, deployed_config: Config
) -> None:
    s3 = aws.clients("s3")
    aws.clients("logs").put_retention_policy(
        logGroupName="/aws/lambda/whole-list-datasets", retentionInDays=1
    )
    planned = plan(deployed_config, aws.clients)
    aws.calls.clear()

    with (
        DeploymentLock(s3, deployed_config.bucket, owner="arn:ann", now=NOW - timedelta(minutes=7)),
        pytest.raises(LockedError, match="arn:ann has been deploying for 7 min"),
    ):
        apply_plan(planned, aws)

    assert aws.changing == ["s3.PutObject", "s3.PutObject", "s3.DeleteObject"], "the lock alone"
    assert apply_plan(planned, aws) == ["ListDatasetsLogGroup"]
    assert LOCK_KEY not in {
        version["Key"]
        for version in s3.list_object_versions(Bucket=deployed_config.bucket)["Versions"]
    }


def test_two_deployments_at_once_create_each_resource_once(aws: Aws) -> None:
    config = config_named("twice")
    selected = resources_named(
        config, "RunBucket", "RunBucketPolicy", "StatesRole", "GlueRole", "FailureTopic"
    )
    plans = [plan_resources(config, aws.clients, selected) for _ in range(2)]
    refused: list[str] = []

    def run(planned: Plan) -> None:
        try:
            apply_plan(planned, aws)
        except DeployError as error:
            refused.append(str(error))

    threads = [Thread(target=run, args=(planned,)) for planned in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert "deploying" in refused[0] or "has changed since" in refused[0]
    assert plan_resources(config, aws.clients, selected).pending == ()
    assert aws.calls.count("iam.CreateRole") == 2


def test_a_plan_that_is_out_of_date_is_not_applied(aws: Aws, deployed_config: Config) -> None:
    logs, group = aws.clients("logs"), "/aws/lambda/whole-create-import-job"
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    planned = plan(deployed_config, aws.clients)
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)

    with pytest.raises(DeployError, match="CreateImportJobLogGroup has changed since the plan"):
        apply_plan(planned, aws)

    assert apply_plan(plan(deployed_config, aws.clients), aws) == ["CreateImportJobLogGroup"]


# Destroying


def test_destroy_deletes_everything_but_a_bucket_with_objects(aws: Aws) -> None:
    config = config_named("gone")
    apply_plan(plan(config, aws.clients), aws)
    aws.clients("s3").put_object(Bucket=config.bucket, Key="runs/a/recommendations.csv", Body=b"x")
    aws.calls.clear()

    planned = destroy_plan(config, aws.clients)

    assert aws.changing == []
    kept = {change.resource.id for change in planned.changes if change.action == "keep"}
    assert kept == {
        "RunBucket", "RunBucketPolicy", "FunctionsArchive", "EtlLibrary", "EtlScript", "EtlSpec",
    }  # fmt: skip
    assert "5 versions of objects" in next(
        change.note for change in planned.changes if change.resource.id == "RunBucket"
    )
    lost = {change.resource.id for change in planned.pending if change.destructive}
    assert {"StateMachine", "DatasetGroup", "UsersDataset", "GetStatusLogGroup"} <= lost
    assert "GlueRole" not in lost
    apply_plan(planned, aws)
    assert aws.clients("s3").list_objects_v2(Bucket=config.bucket)["KeyCount"] == 5
    assert destroy_plan(config, aws.clients).pending == ()

    apply_plan(destroy_plan(config, aws.clients, empty_bucket=True), aws)

    assert set(actions(plan(config, aws.clients)).values()) == {"create"}


def test_a_function_of_ones_own_is_updated_and_destroyed_even_without_its_source(
    aws: Aws, tmp_path: Path
) -> None:
    ids = ("RunBucket", "RunBucketPolicy", "AskEditorsCode", "FunctionsRole", "AskEditorsLogGroup")

    def plan_of(environment: str) -> Plan:
        project(tmp_path, f"{ASK}environment = {environment}\n")
        file = tmp_path / "retraining.toml"
        file.write_text(file.read_text("utf-8").replace('"labbase"', '"asking"', 1), "utf-8")
        config = load_config(file)
        model = resources_named(config, *ids, "AskEditorsFunction")
        return plan_resources(config, aws.clients, model, build_artefacts(config).bodies)

    apply(plan_of('{ DESK = "tokyo" }'), aws.clients, now=NOW)
    changed = plan_of('{ DESK = "osaka" }')
    apply(changed, aws.clients, now=NOW)
    emptied = plan_of("{}")
    apply(emptied, aws.clients, now=NOW)
    (tmp_path / "functions" / "ask_editors.py").unlink()

    destroyed = destroy_plan(changed.config, aws.clients, empty_bucket=True)

    assert [str(each) for change in changed.changes for each in change.differences] == [
        "Environment.Variables.DESK: tokyo → osaka"
    ]
    assert [change.resource.id for change in emptied.pending] == ["AskEditorsFunction"]
    assert not plan_resources(
        emptied.config,
        aws.clients,
        [change.resource for change in emptied.changes],
        emptied.bodies,
    ).pending
    assert {"AskEditorsFunction", "AskEditorsLogGroup"} <= {
        change.resource.id for change in destroyed.changes if change.action == "delete"
    }


def test_a_function_that_was_taken_out_of_the_configuration_is_removed(
    aws: Aws, tmp_path: Path
) -> None:
    """And no other one: neither of another owner, nor of a name that begins alike."""

    def config_with(table: str) -> Config:
        project(tmp_path, table)
        file = tmp_path / "retraining.toml"
        file.write_text(file.read_text("utf-8").replace('"labbase"', '"former"', 1), "utf-8")
        return load_config(file)

    def functions() -> list[str]:
        pages = aws.clients("lambda").get_paginator("list_functions").paginate()
        names = [each["FunctionName"] for page in pages for each in page["Functions"]]
        return [name for name in names if name.startswith("former-")]

    ids = ("RunBucket", "RunBucketPolicy", "AskEditorsCode", "FunctionsRole", "AskEditorsLogGroup")
    before = config_with(ASK)
    model = resources_named(before, *ids, "AskEditorsFunction")
    bodies = build_artefacts(before).bodies
    apply(plan_resources(before, aws.clients, model, bodies), aws.clients, now=NOW)
    (function,) = (each for each in model if each.id == "AskEditorsFunction")
    for name, owner, described in (
        ("former-untagged", "", "former-retraining: untagged"),
        ("former-eu-get-status", "former-eu", "former-eu-retraining: get-status"),
        ("former-by-hand", "former", "by hand"),
    ):
        aws.clients("lambda").create_function(
            FunctionName=name,
            Description=described,
            Role=function.properties["Role"],
            Runtime="python3.13",
            Handler="a.handler",
            Code=dict(function.properties["Code"]),
            Tags={"retraining:name": owner} if owner else {},
        )
    after = config_with("")

    planned = plan(after, aws.clients)
    removal = replace(planned, changes=tuple(c for c in planned.changes if c.action == "delete"))
    destroyed = destroy_plan(after, aws.clients)
    outcome = apply(removal, aws.clients, now=NOW)

    assert list(describe(removal)) == [
        "delete    AskEditorsFunction  former-ask-editors  (not in the configuration any more;"
        " its log /aws/lambda/former-ask-editors stays)",
        "1 to delete",
    ]
    assert planned.changes[-1] == removal.changes[0]
    assert removal.changes[0].resource in [change.resource for change in destroyed.pending]
    assert outcome.done == removal.changes
    assert functions() == ["former-by-hand", "former-eu-get-status", "former-untagged"]
    assert not [c for c in plan(after, aws.clients).changes if c.action == "delete"]
    assert "former-ask-editors" not in [
        c.resource.name for c in plan(before, aws.clients).changes if c.action == "delete"
    ]


def test_destroy_skips_resources_of_others(aws: Aws) -> None:
    config = config_named("spared")
    aws.clients("sns").create_topic(Name="spared-retraining-failures")

    planned = destroy_plan(config, aws.clients)

    assert actions(planned) == {"FailureTopicPolicy": "skip", "FailureTopic": "skip"}
    assert apply_plan(planned, aws) == []


def test_destroy_deletes_the_models_that_runs_have_left(aws: Aws) -> None:
    """Those of its own by name and tag; one of another deployment is skipped."""
    config = own(OWN_HYBRID).model_copy(update={"name": "left"})
    sagemaker = aws.clients("sagemaker")
    for name, owner in {
        "left-own-20240601t040000z": "left",
        "left-own-ranker": "others",
        "left-other": "left",
        "older-left-own-1": "left",
    }.items():
        sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"Image": images_of(config, "own").inference},
            ExecutionRoleArn=config.role_arn("sagemaker"),
            Tags=[{"Key": "retraining:name", "Value": owner}],
        )

    planned = destroy_plan(config, aws.clients)

    assert [(each.resource.name, each.action) for each in planned.changes] == [
        ("left-own-20240601t040000z", "delete"),
        ("left-own-ranker", "skip"),
    ]
    assert "left-own-20240601t040000z" in "\n".join(describe(planned))
    apply_plan(planned, aws)
    listed = sagemaker.list_models(NameContains="left-o", SortBy="Name", SortOrder="Ascending")
    assert [model["ModelName"] for model in listed["Models"]] == [
        "left-other", "left-own-ranker", "older-left-own-1",
    ]  # fmt: skip


def test_what_stays_of_personalize_is_named_when_a_model_takes_its_place(aws: Aws) -> None:
    before = config_named("leaves")
    model = resources_named(before, "DatasetGroup", "PersonalizeRole")
    apply(plan_resources(before, aws.clients, model), aws.clients, now=NOW, sleep=lambda _: None)
    after = own(OWN_HYBRID).model_copy(update={"name": "leaves"})

    for planned in (plan(after, aws.clients), destroy_plan(after, aws.clients)):
        (group,) = [each for each in planned.changes if each.resource.id == "DatasetGroup"]
        assert (group.action, group.resource.name) == ("keep", before.dataset_group_arn)
        assert group.note.startswith("[publish] from leaves Personalize out: this stays")
        assert group not in planned.pending
    assert "DatasetGroup" not in actions(plan(own(OWN_HYBRID), aws.clients))
    aws.clients("personalize").delete_dataset_group(datasetGroupArn=before.dataset_group_arn)


def test_destroy_deletes_its_own_solutions_and_names_what_else_blocks_it(aws: Aws) -> None:
    config = config_named("others")
    personalize = aws.clients("personalize")
    group = {"datasetGroupArn": config.dataset_group_arn}
    recipe = {"recipeArn": "arn:aws:personalize:::recipe/aws-popularity-count"}
    apply_plan(plan(config, aws.clients), aws)
    personalize.create_solution(name="others", **group, **recipe)
    earlier = {"tags": config.personalize_tags, **group, **recipe}
    personalize.create_solution(name="last-year", **earlier)
    theirs = personalize.create_solution(name="experiment", **group, **recipe)["solutionArn"]
    tracker = personalize.create_event_tracker(name="clicks", **group)["eventTrackerArn"]

    planned = destroy_plan(config, aws.clients)

    [blocked] = planned.blocked
    assert blocked.resource.id == "DatasetGroup"
    assert blocked.note == (
        "solution experiment of others; event tracker clicks: Personalize deletes no dataset group"
        " that holds them. Delete them first if nobody needs them; until then nothing here is"
        " deleted"
    )
    with pytest.raises(DeployError, match="nothing was touched"):
        apply_plan(planned, aws)
    personalize.delete_event_tracker(eventTrackerArn=tracker)
    personalize.delete_solution(solutionArn=theirs)
    while "experiment" in str(personalize.list_solutions(**group)["solutions"]):
        time.sleep(0.01)
    planned = destroy_plan(config, aws.clients)
    notes = {change.resource.id: change.note for change in planned.changes}
    assert notes["DatasetGroup"] == "with every version of solution others, last-year"
    assert "DatasetGroup" in apply_plan(planned, aws)


# Differences


def test_policies_are_compared_by_meaning() -> None:
    actual = {
        "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": ["b", "a"], "Resource": "x"}}
    }
    desired = {
        "PolicyDocument": {
            "Statement": [{"Effect": "Allow", "Action": ["a", "b"], "Resource": ["x"]}]
        }
    }

    assert differences(actual, desired) == ()
    desired["PolicyDocument"]["Statement"][0]["Action"] = ["a"]
    assert len(differences(actual, desired)) == 1


def test_a_value_is_named_by_its_path() -> None:
    actual = {"Rules": [{"Id": "old", "Days": 3}], "Gone": "x", "Schema": '{"a": false}'}
    desired = {"Rules": [{"Id": "old", "Days": 4}], "Off": False, "Schema": '{"a":true}'}

    assert differences(actual, desired) == (
        Difference("Gone", "x", None),
        Difference("Rules.old.Days", 3, 4),
        Difference("Schema.a", False, True),
    )


# The commands


def test_deploy_shows_the_plan_and_prompts(aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "retraining.toml"
    file.write_text(EXAMPLE.replace('name = "labbase"', 'name = "prompted"'), encoding="utf-8")

    result = CliRunner().invoke(app, ["deploy", "--config", str(file)], input="n\n")

    assert result.exit_code == 1
    assert "create    RunBucket" in result.output
    assert "nothing was touched" in result.output
    assert set(actions(plan(config_named("prompted"), aws.clients)).values()) == {"create"}


def test_plan_deploy_and_destroy(aws: Aws, deployed_config: Config, tmp_path: Path) -> None:
    file = tmp_path / "retraining.toml"
    file.write_text(EXAMPLE.replace('name = "labbase"', 'name = "whole"'), encoding="utf-8")
    aws.clients("logs").put_retention_policy(
        logGroupName="/aws/vendedlogs/states/whole-retraining", retentionInDays=1
    )
    run = CliRunner().invoke

    shown = run(app, ["plan", "--config", str(file)])
    deployed = run(app, ["deploy", "--config", str(file), "--yes"])
    again = run(app, ["deploy", "--config", str(file)])
    spared = run(app, ["destroy", "--config", str(file)], input="n\n")

    assert shown.exit_code == 0
    assert "RetentionInDays: 1 → 30" in shown.output
    assert "✓  1/1 update StateMachineLogGroup" in deployed.output
    total = len(plan(deployed_config, aws.clients).changes)
    assert shown.output.splitlines()[-1] == f"1 to update, {total - 1} unchanged"
    assert "unchanged " not in shown.output
    next_command = f"'retrain start --wait --config {file}' begins a run"
    assert deployed.output.splitlines()[-1] == next_command
    assert (again.exit_code, again.output.splitlines()) == (
        0,
        [f"nothing to do, {total} unchanged", next_command],
    )
    everything = run(app, ["plan", "--all", "--config", str(file)]).output
    assert everything.count("unchanged ") == total
    assert "DESTRUCTIVE" in spared.output
    assert plan(deployed_config, aws.clients).pending == ()


def _artefact_bodies(config: Config) -> dict[str, bytes]:
    return {artefact.key: artefact.body for artefact in build_artefacts(config)}
