"""Plan, apply, destroy: against the local endpoint, as `retrain deploy` does it on AWS."""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
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
from retrain.main import app
from workflow import Config, parse_config
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
    """The local endpoint, and every call that a deployment makes of it."""

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
        """Answer an operation by an error, as AWS sends it, the next so many times."""
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
        made = {"account": ACCOUNT, "region": REGION}
        s3 = lambda *_: endpoint.client("s3")  # noqa: E731
        functions = Functions(directory=directory / "functions", s3=s3, **made)
        personalize = Personalize(directory=directory / "personalize", s3=s3, **made)
        endpoint.mount("lambda", functions)
        endpoint.mount("glue", Glue(directory=directory / "glue", environment=lambda _: {}))
        endpoint.mount("personalize", personalize)
        session = boto3.Session()
        found = Aws(session, clients_of(session, REGION, patience=(0.01, 0.01)))
        session.events.register(
            "before-send",
            lambda event_name, **_: found.calls.append(event_name.removeprefix("before-send.")),
        )
        yield found
        functions.close()
        personalize.close()


@pytest.fixture(autouse=True)
def _no_calls_yet(aws: Aws) -> None:
    aws.calls.clear()


def configured(name: str, *edits: tuple[str, str]) -> Config:
    """Return the example under another name, so that each test has resources of its own."""
    text = EXAMPLE.replace('name = "labbase"', f'name = "{name}"')
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return parse_config(text)


def parts(config: Config, *ids: str) -> list[Resource]:
    return [part for part in resources(config, build_artefacts(config)) if part.id in ids]


def light(config: Config, aws: Aws) -> Plan:
    """Plan without Personalize, which has a quota of five dataset groups."""
    artefacts = build_artefacts(config)
    wanted = [part for part in resources(config, artefacts) if "Personalize" not in part.type]
    return plan_resources(config, aws.clients, wanted, _bodies(config))


def actions(plan: Plan) -> dict[str, str]:
    return {change.resource.id: change.action for change in plan.changes}


def changed(plan: Plan) -> dict[str, list[str]]:
    return {c.resource.id: [str(d) for d in c.differences] for c in plan.pending}


def carry_out(plan: Plan, aws: Aws) -> list[str]:
    outcome = apply(plan, aws.clients, now=NOW, sleep=lambda _: None)
    return [change.resource.id for change in outcome.done]


@pytest.fixture(scope="module")
def whole(aws: Aws) -> Config:
    """Deploy a whole configuration; tests leave it unchanged."""
    config = configured("whole")
    carry_out(plan(config, aws.clients), aws)
    return config


# Everything


def test_a_first_plan_creates_everything_and_changes_nothing_yet(aws: Aws) -> None:
    config = configured("first")

    found = plan(config, aws.clients)

    assert set(actions(found).values()) == {"create"}
    assert aws.changing == []
    assert list(describe(found))[-1] == f"{len(found.changes)} to create"
    assert found.identity.startswith("arn:aws:")


def test_a_deployment_makes_each_resource_after_those_that_it_needs(aws: Aws) -> None:
    config = configured("ordered")
    begun, done = [], []

    def note(change: Any, is_done: bool) -> None:
        (done if is_done else begun).append(change.resource)

    apply(plan(config, aws.clients), aws.clients, now=NOW, progress=note, sleep=lambda _: None)

    there: set[str] = set()
    for resource in begun:
        assert set(resource.needs) <= there, resource.id
        there.add(resource.id)
    assert done == begun
    assert there == {resource.id for resource in resources(config, build_artefacts(config))}
    described = aws.clients("lambda").get_function(FunctionName="ordered-get-status")
    assert described["Configuration"]["Handler"] == "lambdas.get_status.handler"


def test_a_second_deployment_makes_no_changing_call(aws: Aws, whole: Config) -> None:
    found = plan(whole, aws.clients)
    outcome = apply(found, aws.clients, now=NOW)

    assert set(actions(found).values()) == {"unchanged"}
    assert outcome.done == ()
    assert aws.changing == []
    assert len(aws.calls) > 60, "everything was looked at"


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
            Key="artifacts/etl-job.json",
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
        ["DefinitionString.StartAt: Nothing → ETL", "TracingConfiguration: – → "],
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
def test_what_somebody_changed_by_hand_is_named_and_put_right(
    aws: Aws, whole: Config, resource: str
) -> None:
    """Tags that others added are theirs and stay."""
    drift, expected = DRIFTS[resource]
    drift(aws.clients)

    found = plan(whole, aws.clients)

    assert list(changed(found)) == ([resource] if expected else [])
    told = "\n".join(changed(found).get(resource, []))
    assert all(line in told for line in expected), told
    assert carry_out(found, aws) == ([resource] if expected else [])
    assert plan(whole, aws.clients).pending == ()


def test_another_configuration_is_an_update_with_its_differences(aws: Aws) -> None:
    before = configured("edited")
    carry_out(plan(before, aws.clients), aws)
    after = configured(
        "edited",
        ("max_rejected_share = 0.01", "max_rejected_share = 0.01\nworkers = 5"),
        ('timezone = "Asia/Tokyo"', 'timezone = "Europe/Paris"'),
        ("[polling]", '[tags]\nteam = "search"\n\n[polling]'),
    )

    found = plan(after, aws.clients)

    told = changed(found)
    assert told["EtlJob"] == ["NumberOfWorkers: 2 → 5", "Tags.team: – → search"]
    assert told["Schedule"] == ["ScheduleExpressionTimezone: Asia/Tokyo → Europe/Paris"]
    assert told["GlueRole"] == ["Tags.team: – → search"]
    assert "DatasetGroup" not in told
    assert not found.destructive
    carry_out(found, aws)
    assert plan(after, aws.clients).pending == ()


# Personalize's schemas


def test_a_schema_may_gain_a_column_that_may_be_null(aws: Aws, whole: Config) -> None:
    wider = configured("whole", ("GRADE = {", 'CLUB = "students.club"\nGRADE = {'))

    found = plan(wider, aws.clients)

    assert actions(found)["UsersSchema"] == "create"
    assert actions(found)["UsersDataset"] == "update"
    assert changed(found)["UsersDataset"][0].startswith("SchemaArn: ")


def test_a_dataset_takes_its_new_schema() -> None:
    """Through the API itself: it is called with the dataset's and the new schema's ARN."""
    client = boto3.client(
        "personalize", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    config = configured("wider")
    [resource] = parts(config, "UsersDataset")
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
    aws: Aws, whole: Config
) -> None:
    other = configured(
        "whole",
        ('GRADE = { source = "students.grade", type = "int" }', 'YEAR = "students.year"'),
        ('SALARY = { source = "job_postings.salary", type = "int" }', 'SALARY = "job.salary"'),
        ('joins = [{ table = "companies"', 'alias = "job"\njoins = [{ table = "companies"'),
    )

    found = plan(other, aws.clients)

    blocked = {change.resource.id: change.note for change in found.blocked}
    assert set(blocked) == {"UsersDataset", "ItemsDataset", "BatchFilter"}
    assert blocked["BatchFilter"].startswith("needs arn:aws:personalize:")
    assert "GRADE is gone" in blocked["UsersDataset"]
    assert 'SALARY was {"type": ["null", "int"]}' in blocked["ItemsDataset"].replace(
        '["int", "null"]', '["null", "int"]'
    )
    assert "[aws] dataset_group" in blocked["UsersDataset"]
    with pytest.raises(DeployError, match="nothing was touched"):
        carry_out(found, aws)
    assert aws.changing == []


def test_another_filter_takes_the_place_of_the_one_before(aws: Aws, whole: Config) -> None:
    """Personalize cannot change a filter; nothing is lost by making it anew."""
    other = configured("whole", ('IN ("apply")\'', 'IN ("view")\''))

    found = plan(other, aws.clients)

    assert actions(found)["BatchFilter"] == "replace"
    assert 'IN ("apply") → EXCLUDE' in changed(found)["BatchFilter"][0]
    assert not found.destructive
    done = carry_out(found, aws)
    assert "BatchFilter" in done
    assert plan(other, aws.clients).pending == ()
    carry_out(plan(whole, aws.clients), aws)


# Somebody else's


def test_a_name_that_is_taken_is_left_alone(aws: Aws) -> None:
    config = configured("taken")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    aws.clients("iam").create_role(RoleName="taken-retraining-glue", AssumeRolePolicyDocument=trust)
    aws.clients("sns").create_topic(
        Name="taken-retraining-failures", Tags=[{"Key": "retraining:name", "Value": "other"}]
    )
    aws.calls.clear()

    found = plan(config, aws.clients)

    blocked = {change.resource.id: change.note for change in found.blocked}
    assert "nobody's that we know" in blocked["GlueRole"]
    assert "tag it retraining:name=taken first" in blocked["GlueRole"]
    assert "belongs to the deployment 'other'" in blocked["FailureTopic"]
    assert blocked["EtlJob"] == "needs taken-retraining-glue"
    with pytest.raises(DeployError, match="GlueRole: the name is taken"):
        carry_out(found, aws)
    assert aws.changing == []


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (403, {}, "is another account's"),
        (301, {"x-amz-bucket-region": "eu-west-1"}, "is in eu-west-1, but [aws] region is ap-"),
    ],
)
def test_a_bucket_that_is_not_ours_to_use(
    aws: Aws, status: int, headers: dict[str, str], words: str
) -> None:
    config = configured("foreign")
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
        [bucket] = parts(config, "RunBucket")
        clients = lambda service: s3 if service == "s3" else aws.clients(service)  # noqa: E731

        found = plan_resources(config, clients, [bucket])

    assert actions(found) == {"RunBucket": "blocked"}
    assert words in found.changes[0].note


# Trouble on the way


def test_a_failure_says_what_was_done_and_running_again_goes_on(aws: Aws) -> None:
    config = configured("half")
    denied = (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/dev/ann is not authorized to perform:"
        f" lambda:CreateFunction on resource: arn:aws:lambda:{REGION}:{ACCOUNT}:function:half-get"
    )

    with (
        aws.refusing("lambda.CreateFunction", "AccessDeniedException", denied),
        pytest.raises(ApplyError) as caught,
    ):
        carry_out(light(config, aws), aws)

    told = str(caught.value)
    assert told.startswith("ListDatasetsFunction: no permission for arn:aws:sts::")
    assert f"lambda:CreateFunction on arn:aws:lambda:{REGION}:{ACCOUNT}:function:half-get" in told
    assert [c.resource.id for c in caught.value.outcome.done][:2] == [
        "RunBucket",
        "RunBucketPolicy",
    ]
    assert caught.value.outcome.left[0].resource.id == "ListDatasetsFunction"
    assert "'retrain deploy' goes on from there" in told
    left = {change.resource.id for change in caught.value.outcome.left}
    assert set(carry_out(light(config, aws), aws)) == left
    assert light(config, aws).pending == ()


def test_a_token_that_expires_on_the_way(aws: Aws) -> None:
    """The lock cannot be released any more: the message says how to go on."""
    config = configured("expired")
    expired = ("ExpiredTokenException", "The security token included in the request is expired")
    s3_expired = ("ExpiredToken", "The provided token has expired.")

    with (
        aws.refusing("sns.CreateTopic", *expired),
        aws.refusing("s3.DeleteObject", *s3_expired),
        pytest.raises(ApplyError) as caught,
    ):
        carry_out(light(config, aws), aws)

    assert "FailureTopic: the session's token has expired" in str(caught.value)
    assert "'retrain deploy --take-over'" in str(caught.value)
    with pytest.raises(LockedError, match="--take-over"):
        carry_out(light(config, aws), aws)
    apply(light(config, aws), aws.clients, now=NOW, sleep=lambda _: None, take_over=True)
    assert light(config, aws).pending == ()


def test_a_missing_permission_to_read_names_action_and_resource(aws: Aws) -> None:
    [queue] = parts(configured("blind"), "ScheduleDeadLetters")

    with (
        aws.refusing("sqs.GetQueueUrl", "AccessDenied", "Access to the resource is denied."),
        pytest.raises(DeployError) as caught,
    ):
        plan_resources(configured("blind"), aws.clients, [queue])

    assert "sqs:GetQueueUrl on blind-retraining-dead-letters is denied" in str(caught.value)


def test_a_role_that_was_made_a_moment_ago_is_waited_for(aws: Aws) -> None:
    config = configured("moment")
    wanted = parts(
        config, "RunBucket", "RunBucketPolicy", "FunctionsArchive", "FunctionsRole",
        "GetStatusLogGroup", "GetStatusFunction",
    )  # fmt: skip
    found = plan_resources(config, aws.clients, wanted, _bodies(config))
    not_yet = "The role defined for the function cannot be assumed by Lambda."

    with aws.refusing("lambda.CreateFunction", "InvalidParameterValueException", not_yet, times=2):
        done = carry_out(found, aws)

    assert done[-1] == "GetStatusFunction"
    assert aws.calls.count("lambda.CreateFunction") == 3


def test_credentials_of_another_account(aws: Aws) -> None:
    config = configured("elsewhere", (ACCOUNT, "999999999999"))

    with pytest.raises(DeployError) as caught:
        plan(config, aws.clients)

    assert f"belong to account {ACCOUNT}" in str(caught.value)
    assert "[aws] account is 999999999999" in str(caught.value)
    assert aws.calls == ["sts.GetCallerIdentity"]


def test_no_credentials(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(DeployError, match=r"no AWS credentials: .*Set AWS_PROFILE"):
        plan(configured("nobody"), clients_of(boto3.Session(), REGION))


def test_a_property_that_no_adapter_knows_is_refused_by_name(aws: Aws) -> None:
    config = configured("unknown")
    [topic] = parts(config, "FailureTopic")
    other = replace(topic, properties={**topic.properties, "FifoTopic": True})

    with pytest.raises(DeployError, match=r"AWS::SNS::Topic is not deployed with FifoTopic"):
        plan_resources(config, aws.clients, [other])


# One at a time


def test_a_deployment_waits_for_the_one_that_is_going_on(aws: Aws, whole: Config) -> None:
    s3 = aws.clients("s3")
    aws.clients("logs").put_retention_policy(
        logGroupName="/aws/lambda/whole-list-datasets", retentionInDays=1
    )
    found = plan(whole, aws.clients)
    aws.calls.clear()

    with (
        DeploymentLock(s3, whole.bucket, owner="arn:ann", now=NOW - timedelta(minutes=7)),
        pytest.raises(LockedError, match="arn:ann has been deploying for 7 min"),
    ):
        carry_out(found, aws)

    assert aws.changing == ["s3.PutObject", "s3.PutObject", "s3.DeleteObject"], "the lock alone"
    assert carry_out(found, aws) == ["ListDatasetsLogGroup"]
    assert LOCK_KEY not in {
        version["Key"] for version in s3.list_object_versions(Bucket=whole.bucket)["Versions"]
    }


def test_two_deployments_at_once_do_each_thing_once(aws: Aws) -> None:
    config = configured("twice")
    wanted = parts(config, "RunBucket", "RunBucketPolicy", "StatesRole", "GlueRole", "FailureTopic")
    plans = [plan_resources(config, aws.clients, wanted) for _ in range(2)]
    refused: list[str] = []

    def run(found: Plan) -> None:
        try:
            carry_out(found, aws)
        except DeployError as error:
            refused.append(str(error))

    threads = [Thread(target=run, args=(found,)) for found in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert "deploying" in refused[0] or "has changed since" in refused[0]
    assert plan_resources(config, aws.clients, wanted).pending == ()
    assert aws.calls.count("iam.CreateRole") == 2


def test_a_plan_that_is_out_of_date_is_not_carried_out(aws: Aws, whole: Config) -> None:
    logs, group = aws.clients("logs"), "/aws/lambda/whole-create-import-job"
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    found = plan(whole, aws.clients)
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)

    with pytest.raises(DeployError, match="CreateImportJobLogGroup has changed since the plan"):
        carry_out(found, aws)

    assert carry_out(plan(whole, aws.clients), aws) == ["CreateImportJobLogGroup"]


# Taking it away


def test_destroy_takes_everything_but_a_bucket_that_holds_something(aws: Aws) -> None:
    config = configured("gone")
    carry_out(plan(config, aws.clients), aws)
    aws.clients("s3").put_object(Bucket=config.bucket, Key="runs/a/recommendations.csv", Body=b"x")
    aws.calls.clear()

    found = destroy_plan(config, aws.clients)

    assert aws.changing == []
    kept = {change.resource.id for change in found.changes if change.action == "keep"}
    assert kept == {
        "RunBucket", "RunBucketPolicy", "FunctionsArchive", "EtlLibrary", "EtlScript", "EtlSpec",
    }  # fmt: skip
    assert "5 versions of objects" in next(
        change.note for change in found.changes if change.resource.id == "RunBucket"
    )
    lost = {change.resource.id for change in found.pending if change.destructive}
    assert {"StateMachine", "DatasetGroup", "UsersDataset", "GetStatusLogGroup"} <= lost
    assert "GlueRole" not in lost
    carry_out(found, aws)
    assert aws.clients("s3").list_objects_v2(Bucket=config.bucket)["KeyCount"] == 5
    assert destroy_plan(config, aws.clients).pending == ()

    carry_out(destroy_plan(config, aws.clients, empty_bucket=True), aws)

    assert set(actions(plan(config, aws.clients)).values()) == {"create"}


def test_destroy_leaves_what_is_not_ours(aws: Aws) -> None:
    config = configured("spared")
    aws.clients("sns").create_topic(Name="spared-retraining-failures")

    found = destroy_plan(config, aws.clients)

    assert actions(found) == {"FailureTopic": "skip"}
    assert carry_out(found, aws) == []


# Comparing


def test_policies_are_compared_by_meaning() -> None:
    was = {
        "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": ["b", "a"], "Resource": "x"}}
    }
    wanted = {
        "PolicyDocument": {
            "Statement": [{"Effect": "Allow", "Action": ["a", "b"], "Resource": ["x"]}]
        }
    }

    assert differences(was, wanted) == ()
    wanted["PolicyDocument"]["Statement"][0]["Action"] = ["a"]
    assert len(differences(was, wanted)) == 1


def test_a_value_is_named_by_its_path() -> None:
    was = {"Rules": [{"Id": "old", "Days": 3}], "Gone": "x", "Schema": '{"a": false}'}
    wanted = {"Rules": [{"Id": "old", "Days": 4}], "Off": False, "Schema": '{"a":true}'}

    assert differences(was, wanted) == (
        Difference("Gone", "x", None),
        Difference("Rules.old.Days", 3, 4),
        Difference("Schema.a", False, True),
    )


# The commands


def test_deploy_shows_the_plan_and_asks(aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "retraining.toml"
    file.write_text(EXAMPLE.replace('name = "labbase"', 'name = "asked"'), encoding="utf-8")

    answer = CliRunner().invoke(app, ["deploy", "--config", str(file)], input="n\n")

    assert answer.exit_code == 1
    assert "create    RunBucket" in answer.output
    assert "nothing was touched" in answer.output
    assert set(actions(plan(configured("asked"), aws.clients)).values()) == {"create"}


def test_plan_deploy_and_destroy(aws: Aws, whole: Config, tmp_path: Path) -> None:
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
    assert (again.exit_code, again.output.splitlines()[-1]) == (0, "nothing to do")
    assert "DESTRUCTIVE" in spared.output
    assert plan(whole, aws.clients).pending == ()


def _bodies(config: Config) -> dict[str, bytes]:
    return {artefact.key: artefact.body for artefact in build_artefacts(config)}
