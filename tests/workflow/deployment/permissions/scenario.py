"""The steps of a deployment on the local stack, every call recorded with its principal.

It is deployed, changed by hand, deployed again, run, failed, stopped, explained and destroyed.
"""

import io
import json
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from typer.testing import CliRunner

from localaws.aws import LocalAws
from localaws.http.calls import Call
from localaws.principals import CALLER
from retrain.main import app
from tests.recorder import Recorder
from workflow import Config, parse_config
from workflow.deployment.deploy import apply, destroy_plan, plan
from workflow.runs.history import HistoryReader, follow, history

from .requests import ACCOUNT

KEY = "arn:aws:kms:ap-northeast-1:123456789012:key/1f2e3d4c-5b6a-4798-8897-a6b5c4d3e2f1"
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@dataclass
class Scenario:
    """The local AWS, and its calls so far by principal."""

    aws: LocalAws
    config: Config
    file: Path
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._recorder = self.aws.endpoint.wrap_all(Recorder)

    @contextmanager
    def as_principal(self, principal: str) -> Iterator[None]:
        """Record the calls of a block; those of the caller under this principal."""
        with self._recorder.recorded() as calls:
            yield
        for call in calls:
            self.calls[principal if call.principal == CALLER else call.principal].append(call)

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def command(self, *arguments: str) -> Any:
        """Run a command of `retrain` and return its result."""
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.file)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result


def deploy_again(scenario: Scenario) -> None:
    with scenario.as_principal("deployer"):
        planned = plan(scenario.config, scenario.client)
        assert not planned.blocked, [change.note for change in planned.blocked]
        apply(planned, scenario.client, now=NOW, sleep=lambda _: time.sleep(0.01))


def deploy_another_column(scenario: Scenario) -> None:
    """Deploy a further column, which may be null: the dataset takes the new schema."""
    text = scenario.file.read_text(encoding="utf-8")
    wider = parse_config(
        text.replace("GRADE = {", 'CLUB = "students.prefecture"\nGRADE = {'),
        directory=scenario.file.parent,
    )
    with scenario.as_principal("deployer"):
        planned = plan(wider, scenario.client)
        assert not planned.blocked, [change.note for change in planned.blocked]
        apply(planned, scenario.client, now=NOW, sleep=lambda _: time.sleep(0.01))


def drift(scenario: Scenario) -> None:
    """Change by hand whatever a deployment can put right."""
    config, name = scenario.config, scenario.config.name
    _drift_storage(scenario)
    iam, role = scenario.client("iam"), f"{name}-retraining-glue"
    denying = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}],
        }
    )
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=denying)
    policy_arn = iam.create_policy(PolicyName="more", PolicyDocument=denying)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=policy_arn)
    anyone = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(
        RoleName=role, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
    )
    iam.update_role(RoleName=role, Description="mine", MaxSessionDuration=7_200)
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=policy_arn)
    for role_name in ("states", "functions", "glue", "personalize", "scheduler"):
        iam.untag_role(RoleName=f"{name}-retraining-{role_name}", TagKeys=["team"])
    _drift_compute(scenario)
    topic = config.topic_arn
    scenario.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="DisplayName", AttributeValue="Failures"
    )
    scenario.client("sns").untag_resource(ResourceArn=topic, TagKeys=["team"])
    sqs = scenario.client("sqs")
    queue = sqs.get_queue_url(QueueName=config.dead_letters)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": "60"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["team"])
    cloudwatch = scenario.client("cloudwatch")
    for event in ("failed", "overlong", "stale", "dead-letters"):
        alarm = f"{config.state_machine}-{event}"
        cloudwatch.untag_resource(
            ResourceARN=config.arn("cloudwatch", f"alarm:{alarm}"), TagKeys=["team"]
        )
        description = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
        kept = {"AlarmName", "Metrics", "Namespace", "MetricName", "Dimensions", "Statistic"}
        cloudwatch.put_metric_alarm(
            **{member: value for member, value in description.items() if member in kept and value},
            **({} if description.get("Metrics") else {"Period": 60}),
            Threshold=7,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanThreshold",
        )
    rules, rule = scenario.client("events"), config.ends_rule
    rules.disable_rule(Name=rule)
    rules.put_targets(Rule=rule, Targets=[{"Id": "more", "Arn": config.arn("sqs", "more")}])
    rules.untag_resource(ResourceARN=config.arn("events", f"rule/{rule}"), TagKeys=["team"])
    scenario.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Statement": []})
    )
    scheduler = scenario.client("scheduler")
    schedule = scheduler.get_schedule(Name=config.state_machine)
    scheduler.update_schedule(
        Name=config.state_machine,
        ScheduleExpression="rate(1 hours)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=schedule["Target"],
    )
    personalize = scenario.client("personalize")
    for arn in (config.dataset_group_arn, *map(config.dataset_arn, config.data_sets)):
        personalize.untag_resource(resourceArn=arn, tagKeys=["retraining:name"])
        personalize.tag_resource(
            resourceArn=arn, tags=[{"tagKey": "retraining:name", "tagValue": config.name}]
        )


def _drift_storage(scenario: Scenario) -> None:
    s3, bucket = scenario.client("s3"), scenario.config.bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_public_access_block(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    )
    s3.put_bucket_tagging(
        Bucket=bucket,
        Tagging={"TagSet": [{"Key": "retraining:name", "Value": scenario.config.name}]},
    )
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=scenario.config.spec_key, Body=b"{}")


def _drift_compute(scenario: Scenario) -> None:
    config = scenario.config
    functions = scenario.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("lambdas/get_status.py", "")
    for name in config.function_names:
        function = config.function(name)
        functions.update_function_code(FunctionName=function, ZipFile=archive.getvalue())
        functions.update_function_configuration(FunctionName=function, MemorySize=4_096)
        functions.untag_resource(
            Resource=config.arn("lambda", f"function:{function}"), TagKeys=["team"]
        )
        _drift_log(scenario, f"/aws/lambda/{function}")
    functions.create_function(
        FunctionName=f"{config.name}-former",
        Description=f"{config.state_machine}: former",
        Runtime="python3.13",
        Handler="lambdas.get_status.handler",
        Role=config.role_arn("functions"),
        Code={"ZipFile": archive.getvalue()},
        Tags={"retraining:name": config.name},
    )
    _drift_log(scenario, config.state_machine_log)
    glue = scenario.client("glue")
    glue.update_job(
        JobName=config.glue_job,
        JobUpdate={"Role": "x", "Command": {"Name": "glueetl", "ScriptLocation": "s3://x/y.py"}},
    )
    glue.untag_resource(ResourceArn=config.glue_job_arn, TagsToRemove=["team"])
    states = scenario.client("stepfunctions")
    states.update_state_machine(
        stateMachineArn=config.state_machine_arn,
        definition=json.dumps({"StartAt": "No", "States": {"No": {"Type": "Succeed"}}}),
    )
    states.untag_resource(resourceArn=config.state_machine_arn, tagKeys=["team"])


def _drift_log(scenario: Scenario, group: str) -> None:
    logs = scenario.client("logs")
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    logs.associate_kms_key(logGroupName=group, kmsKeyId=KEY)
    logs.untag_resource(
        resourceArn=scenario.config.arn("logs", f"log-group:{group}"), tagKeys=["team"]
    )


def run_to_end(scenario: Scenario, name: str) -> list[dict[str, Any]]:
    states = scenario.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=scenario.config.state_machine_arn, name=name)
    reader = HistoryReader(states, arn["executionArn"])
    for _ in follow(reader, poll_seconds=0.1):
        pass
    return list(reader.read_all())


def invoke_the_handlers_again(scenario: Scenario, events: list[dict[str, Any]]) -> None:
    """Repeat calls as Step Functions does: each handler finds the job of its first call."""
    for event in events:
        details = event.get("taskScheduledEventDetails", {})
        if details.get("resourceType") != "lambda":
            continue
        parameters = json.loads(details["parameters"])
        if "create" in parameters["FunctionName"]:
            response = scenario.client("lambda").invoke(
                FunctionName=parameters["FunctionName"],
                Payload=json.dumps(parameters["Payload"]).encode(),
            )
            assert "FunctionError" not in response, response["Payload"].read()


def filter_by_function(scenario: Scenario, events: list[dict[str, Any]]) -> None:
    """Filter what the Spark job has filtered, as the function does: both leave the same."""

    def left() -> list[Any]:
        s3, bucket, prefix = scenario.client("s3"), scenario.config.bucket, "runs/good/"
        keys = ("recommendations/recommendations.csv", "recommendations/errors.jsonl")
        files = [
            s3.get_object(Bucket=bucket, Key=prefix + key)["Body"].read()
            for key in (*keys, "record/publication.json")
        ]
        published = json.loads(files.pop())
        assert published.pop("createdAt")
        return [*files, published]

    by_spark = left()
    payload = next(
        parameters["Payload"]
        for event in events
        if (details := event.get("taskScheduledEventDetails", {})).get("resourceType") == "lambda"
        and "filtered"
        in (parameters := json.loads(details["parameters"]))["Payload"].get("job", {})
    )
    del payload["job"]
    del payload["execution"]  # which has ended, and publishes nothing
    response = scenario.client("lambda").invoke(
        FunctionName=scenario.config.function("filter-recommendations"),
        Payload=json.dumps(payload).encode(),
    )
    assert "FunctionError" not in response, response["Payload"].read()
    assert left() == by_spark


def publish_before_the_newest_events(scenario: Scenario) -> None:
    """Date the publication back: the sample's events are of 2024, and the back-test finds some."""
    s3, bucket, key = scenario.client("s3"), scenario.config.bucket, "recommendations/latest.json"
    latest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    latest["createdAt"] = "2024-05-01T00:00:00Z"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(latest))


def run_spark_job_over_old_files(scenario: Scenario) -> None:
    """Run the job under a name whose first attempt left files and no manifest: it deletes them."""
    glue, config = scenario.client("glue"), scenario.config
    scenario.client("s3").put_object(
        Bucket=config.bucket, Key="runs/again/users/old.csv", Body=b"x"
    )
    arguments = {
        "--run": "again",
        "--bucket": config.bucket,
        "--spec": f"s3://{config.bucket}/{config.spec_key}",
    }
    run_id = glue.start_job_run(JobName=config.glue_job, Arguments=arguments)["JobRunId"]
    while (run := glue.get_job_run(JobName=config.glue_job, RunId=run_id)["JobRun"])[
        "JobRunState"
    ] in {"STARTING", "RUNNING"}:
        time.sleep(0.1)
    assert run["JobRunState"] == "SUCCEEDED", scenario.aws.glue.log(run_id)


def stop_during_the_spark_job(scenario: Scenario) -> None:
    states = scenario.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=scenario.config.state_machine_arn, name="stopped")
    while not any(e["type"] == "TaskSubmitted" for e in history(states, arn["executionArn"])):
        time.sleep(0.05)
    assert scenario.command("stop", "stopped").exit_code == 0
    deadline = time.monotonic() + 20
    while scenario.aws.glue.progress() and time.monotonic() < deadline:
        time.sleep(0.05)


def stop_during_the_training(scenario: Scenario) -> None:
    """Stop a run whose training is polled so slowly that nobody knows yet that it has ended."""
    states, name = scenario.client("stepfunctions"), "stopped-training"
    scenario.aws.faults.inject("delay 6", operation="DescribeSolutionVersion")
    arn = states.start_execution(stateMachineArn=scenario.config.state_machine_arn, name=name)
    while not any(
        event.get("stateEnteredEventDetails", {}).get("name") == "Get Solution Version Status"
        for event in history(states, arn["executionArn"])
    ):
        time.sleep(0.05)
    assert scenario.command("stop", name).exit_code == 0


def fail_a_run(scenario: Scenario) -> None:
    """Run with a specification that is no JSON: the Spark job fails, and a message is published."""
    scenario.client("s3").put_object(
        Bucket=scenario.config.bucket, Key=scenario.config.spec_key, Body=b"not JSON"
    )
    run_to_end(scenario, "failed")


def publish_again(scenario: Scenario, run: str) -> None:
    """Go back to a run's list, in place of another that is published."""
    content = json.dumps({"run": "another", "extractedAt": "2100-01-01T00:00:00Z"})
    scenario.client("s3").put_object(
        Bucket=scenario.config.bucket, Key="recommendations/latest.json", Body=content.encode()
    )
    with scenario.as_principal("operator"):
        scenario.command("published")
        assert scenario.command("publish", run).exit_code == 0


def break_off_an_upload(scenario: Scenario, job: str) -> None:
    """Refuse the parts of an upload: the function aborts it."""
    s3, config = scenario.client("s3"), scenario.config
    prefix = "runs/large"
    manifest = {"version": 1, "run": "large", "datasets": {}, "filter": {}}
    s3.put_object(
        Bucket=config.bucket, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest).encode()
    )
    items = [f"item-{'x' * 200}-{number}" for number in range(25)]
    line = {"output": {"recommendedItems": items, "scores": [0.5] * 25}, "error": None}
    lines = "\n".join(json.dumps({"input": {"userId": str(n)}, **line}) for n in range(2_500))
    s3.put_object(Bucket=config.bucket, Key=f"{prefix}/batch-output/x.out", Body=lines.encode())
    event = {
        **{"bucket": config.bucket, "run": "large", "batchInferenceJobArn": job},
        **{"keep": 25, "leastDifferentLists": 0},
    }
    scenario.aws.endpoint.mount("s3", s3_without_upload_parts())
    response = scenario.client("lambda").invoke(
        FunctionName=config.function("filter-recommendations"), Payload=json.dumps(event).encode()
    )
    payload = response["Payload"].read().decode()
    assert "no parts today" in payload, payload


def explain_failure_of(scenario: Scenario, function: str, name: str) -> None:
    """Explain a run in which a function raises: its log is searched."""

    def raising(event: Any, context: Any) -> Any:
        raise RuntimeError("broken on purpose")

    s3, bucket = scenario.client("s3"), scenario.config.bucket
    for entry in s3.list_objects_v2(Bucket=bucket, Prefix="runs/good/")["Contents"]:
        target = entry["Key"].replace("runs/good/", f"runs/{name}/")
        if "batch-output" not in target:
            s3.copy_object(Bucket=bucket, Key=target, CopySource=f"{bucket}/{entry['Key']}")
    scenario.aws.functions.register(scenario.config.function(function), raising)
    run_to_end(scenario, name)
    with scenario.as_principal("operator"):
        output = scenario.command("explain", name).output
    assert "broken on purpose" in output, output


def make_the_spark_job_do_nothing(scenario: Scenario) -> None:
    """Let the Spark job end at once: the runs read the files that `explain_failure_of` copies."""
    s3, glue, config = scenario.client("s3"), scenario.client("glue"), scenario.config
    s3.put_object(Bucket=config.bucket, Key="artifacts/nothing.py", Body=b"")
    job = glue.get_job(JobName=config.glue_job)["Job"]
    job["Command"]["ScriptLocation"] = f"s3://{config.bucket}/artifacts/nothing.py"
    known = {"Role", "Command", "DefaultArguments", "Timeout", "ExecutionProperty"}
    update = {member: value for member, value in job.items() if member in known}
    glue.update_job(JobName=config.glue_job, JobUpdate=update)


def s3_without_upload_parts() -> Any:
    """Return S3 as it was, but it refuses the parts of an upload."""
    s3 = DomainDispatcherApplication(create_backend_app)

    def answer(environ: Any, start_response: Any) -> Any:
        if "partNumber=" not in environ.get("QUERY_STRING", ""):
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = ACCOUNT
            return s3(environ, start_response)
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [b"<Error><Code>AccessDenied</Code><Message>no parts today</Message></Error>"]

    return answer


def destroy(scenario: Scenario) -> None:
    scenario.client("personalize").create_solution(
        name="life-last-year",
        datasetGroupArn=scenario.config.dataset_group_arn,
        recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
        performAutoTraining=False,
        tags=scenario.config.personalize_tags,
    )
    with scenario.as_principal("deployer"):
        planned = destroy_plan(scenario.config, scenario.client, empty_bucket=True)
        apply(planned, scenario.client, now=NOW, sleep=lambda _: time.sleep(0.01))
