"""A deployment's whole life on the local stack, every call of it recorded by who made it.

Deployed, drifted and put right, run, failed, stopped, retried, explained, and taken away.
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
class Life:
    """The local AWS, and the calls so far: by role, or by what the caller was then."""

    aws: LocalAws
    config: Config
    file: Path
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._recorder = self.aws.endpoint.wrap_all(Recorder)

    @contextmanager
    def as_person(self, person: str) -> Iterator[None]:
        """Record; what the caller does is this person's."""
        with self._recorder.recorded() as calls:
            yield
        for call in calls:
            self.calls[person if call.principal == CALLER else call.principal].append(call)

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def command(self, *arguments: str) -> Any:
        """Run a command as an operator does."""
        done = CliRunner().invoke(app, [*arguments, "--config", str(self.file)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return done


def deployed_again(life: Life) -> None:
    with life.as_person("deployer"):
        found = plan(life.config, life.client)
        assert not found.blocked, [change.note for change in found.blocked]
        apply(found, life.client, now=NOW, sleep=lambda _: time.sleep(0.01))


def widened(life: Life) -> None:
    """Deploy a further column, which may be null: the dataset takes the new schema."""
    text = life.file.read_text(encoding="utf-8")
    wider = parse_config(text.replace("GRADE = {", 'CLUB = "students.prefecture"\nGRADE = {'))
    with life.as_person("deployer"):
        found = plan(wider, life.client)
        assert not found.blocked, [change.note for change in found.blocked]
        apply(found, life.client, now=NOW, sleep=lambda _: time.sleep(0.01))


def drift(life: Life) -> None:
    """Change by hand whatever a deployment can put right."""
    config, name = life.config, life.config.name
    _drift_storage(life)
    iam, role = life.client("iam"), f"{name}-retraining-glue"
    nothing = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}],
        }
    )
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=nothing)
    made = iam.create_policy(PolicyName="more", PolicyDocument=nothing)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=made)
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(
        RoleName=role, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    )
    iam.update_role(RoleName=role, Description="mine", MaxSessionDuration=7_200)
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=made)
    for each in ("states", "functions", "glue", "personalize", "scheduler"):
        iam.untag_role(RoleName=f"{name}-retraining-{each}", TagKeys=["team"])
    _drift_compute(life)
    topic = config.topic_arn
    life.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="DisplayName", AttributeValue="Failures"
    )
    life.client("sns").untag_resource(ResourceArn=topic, TagKeys=["team"])
    sqs = life.client("sqs")
    queue = sqs.get_queue_url(QueueName=config.dead_letters)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": "60"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["team"])
    cloudwatch = life.client("cloudwatch")
    for kind in ("failed", "overlong"):
        alarm = f"{config.state_machine}-{kind}"
        cloudwatch.untag_resource(
            ResourceARN=config.arn("cloudwatch", f"alarm:{alarm}"), TagKeys=["team"]
        )
        told = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
        kept = {"AlarmName", "Metrics", "Namespace", "MetricName", "Dimensions", "Statistic"}
        cloudwatch.put_metric_alarm(
            **{member: value for member, value in told.items() if member in kept and value},
            **({} if told.get("Metrics") else {"Period": 60}),
            Threshold=7,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanThreshold",
        )
    scheduler = life.client("scheduler")
    there = scheduler.get_schedule(Name=config.state_machine)
    scheduler.update_schedule(
        Name=config.state_machine,
        ScheduleExpression="rate(1 hours)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=there["Target"],
    )
    personalize = life.client("personalize")
    for arn in (config.dataset_group_arn, *map(config.dataset_arn, config.data_sets)):
        personalize.untag_resource(resourceArn=arn, tagKeys=["retraining:name"])
        personalize.tag_resource(
            resourceArn=arn, tags=[{"tagKey": "retraining:name", "tagValue": config.name}]
        )


def _drift_storage(life: Life) -> None:
    s3, bucket = life.client("s3"), life.config.bucket
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
        Bucket=bucket, Tagging={"TagSet": [{"Key": "retraining:name", "Value": life.config.name}]}
    )
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="artifacts/etl-job.json", Body=b"{}")


def _drift_compute(life: Life) -> None:
    config = life.config
    functions = life.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("lambdas/get_status.py", "")
    for name in ("get-status", "list-datasets", "create-import-job", "create-solution-version",
                 "create-batch-inference-job", "filter-recommendations"):  # fmt: skip
        function = config.function(name)  # type: ignore[arg-type]
        functions.update_function_code(FunctionName=function, ZipFile=archive.getvalue())
        functions.update_function_configuration(FunctionName=function, MemorySize=4_096)
        functions.untag_resource(
            Resource=config.arn("lambda", f"function:{function}"), TagKeys=["team"]
        )
        _drift_log(life, f"/aws/lambda/{function}")
    _drift_log(life, config.state_machine_log)
    glue = life.client("glue")
    glue.update_job(
        JobName=config.glue_job,
        JobUpdate={"Role": "x", "Command": {"Name": "glueetl", "ScriptLocation": "s3://x/y.py"}},
    )
    glue.untag_resource(ResourceArn=config.glue_job_arn, TagsToRemove=["team"])
    states = life.client("stepfunctions")
    states.update_state_machine(
        stateMachineArn=config.state_machine_arn,
        definition=json.dumps({"StartAt": "No", "States": {"No": {"Type": "Succeed"}}}),
    )
    states.untag_resource(resourceArn=config.state_machine_arn, tagKeys=["team"])


def _drift_log(life: Life, group: str) -> None:
    logs = life.client("logs")
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    logs.associate_kms_key(logGroupName=group, kmsKeyId=KEY)
    logs.untag_resource(resourceArn=life.config.arn("logs", f"log-group:{group}"), tagKeys=["team"])


def run_to_end(life: Life, name: str) -> list[dict[str, Any]]:
    states = life.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=life.config.state_machine_arn, name=name)
    reader = HistoryReader(states, arn["executionArn"])
    for _ in follow(reader, poll_seconds=0.1):
        pass
    return list(reader.read_all())


def call_the_handlers_again(life: Life, events: list[dict[str, Any]]) -> None:
    """As Step Functions does after a lost answer: each finds the job of the first call."""
    for event in events:
        told = event.get("taskScheduledEventDetails", {})
        if told.get("resourceType") != "lambda":
            continue
        parameters = json.loads(told["parameters"])
        if "create" in parameters["FunctionName"]:
            answer = life.client("lambda").invoke(
                FunctionName=parameters["FunctionName"],
                Payload=json.dumps(parameters["Payload"]).encode(),
            )
            assert "FunctionError" not in answer, answer["Payload"].read()


def spark_job_over_files_of_before(life: Life) -> None:
    """Run the job under a name whose first try left files and no manifest: they are cleared."""
    glue, config = life.client("glue"), life.config
    life.client("s3").put_object(Bucket=config.bucket, Key="runs/again/users/old.csv", Body=b"x")
    arguments = {
        "--run": "again",
        "--bucket": config.bucket,
        "--spec": f"s3://{config.bucket}/{config.spec_key}",
    }
    run = glue.start_job_run(JobName=config.glue_job, Arguments=arguments)["JobRunId"]
    while (told := glue.get_job_run(JobName=config.glue_job, RunId=run)["JobRun"])[
        "JobRunState"
    ] in {"STARTING", "RUNNING"}:
        time.sleep(0.1)
    assert told["JobRunState"] == "SUCCEEDED", life.aws.glue.log(run)


def stopped_during_the_spark_job(life: Life) -> None:
    states = life.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=life.config.state_machine_arn, name="stopped")
    while not any(e["type"] == "TaskSubmitted" for e in history(states, arn["executionArn"])):
        time.sleep(0.05)
    assert life.command("stop", "stopped").exit_code == 0
    deadline = time.monotonic() + 20
    while life.aws.glue.progress() and time.monotonic() < deadline:
        time.sleep(0.05)


def failed_run(life: Life) -> None:
    """Run with a specification that is no JSON: the Spark job fails, and a message is published."""
    life.client("s3").put_object(
        Bucket=life.config.bucket, Key=life.config.spec_key, Body=b"not JSON"
    )
    run_to_end(life, "failed")


def a_large_list_that_breaks_off(life: Life, job: str) -> None:
    """Lose a part of an upload: the function aborts it."""
    s3, config = life.client("s3"), life.config
    prefix = "runs/large"
    manifest = {"version": 1, "run": "large", "datasets": {}, "filter": {}}
    s3.put_object(
        Bucket=config.bucket, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest).encode()
    )
    items = [f"item-{'x' * 200}-{number}" for number in range(25)]
    line = {"output": {"recommendedItems": items, "scores": [0.5] * 25}, "error": None}
    lines = "\n".join(json.dumps({"input": {"userId": str(n)}, **line}) for n in range(2_500))
    s3.put_object(Bucket=config.bucket, Key=f"{prefix}/batch-output/x.out", Body=lines.encode())
    event = {"bucket": config.bucket, "run": "large", "batchInferenceJobArn": job, "keep": 25}
    life.aws.endpoint.mount("s3", refusing_parts())
    answer = life.client("lambda").invoke(
        FunctionName=config.function("filter-recommendations"), Payload=json.dumps(event).encode()
    )
    told = answer["Payload"].read().decode()
    assert "no parts today" in told, told


def explained_failure_of(life: Life, function: str, name: str) -> None:
    """Explain a run in which a function raises: its log is searched."""

    def raising(event: Any, context: Any) -> Any:
        raise RuntimeError("broken on purpose")

    s3, bucket = life.client("s3"), life.config.bucket
    for told in s3.list_objects_v2(Bucket=bucket, Prefix="runs/good/")["Contents"]:
        target = told["Key"].replace("runs/good/", f"runs/{name}/")
        if "batch-output" not in target:
            s3.copy_object(Bucket=bucket, Key=target, CopySource=f"{bucket}/{told['Key']}")
    life.aws.functions.register(life.config.function(function), raising)  # type: ignore[arg-type]
    run_to_end(life, name)
    with life.as_person("operator"):
        told = life.command("explain", name).output
    assert "broken on purpose" in told, told


def spark_job_without_work(life: Life) -> None:
    """From now on the Spark job ends at once: the runs find what `explained_failure_of` laid."""
    s3, glue, config = life.client("s3"), life.client("glue"), life.config
    s3.put_object(Bucket=config.bucket, Key="artifacts/nothing.py", Body=b"")
    job = glue.get_job(JobName=config.glue_job)["Job"]
    job["Command"]["ScriptLocation"] = f"s3://{config.bucket}/artifacts/nothing.py"
    known = {"Role", "Command", "DefaultArguments", "Timeout", "ExecutionProperty"}
    update = {member: value for member, value in job.items() if member in known}
    glue.update_job(JobName=config.glue_job, JobUpdate=update)


def refusing_parts() -> Any:
    """S3 as it was, but for the parts of an upload."""
    s3 = DomainDispatcherApplication(create_backend_app)

    def answer(environ: Any, start_response: Any) -> Any:
        if "partNumber=" not in environ.get("QUERY_STRING", ""):
            environ["HTTP_X_MOTO_ACCOUNT_ID"] = ACCOUNT
            return s3(environ, start_response)
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [b"<Error><Code>AccessDenied</Code><Message>no parts today</Message></Error>"]

    return answer


def taken_away(life: Life) -> None:
    with life.as_person("deployer"):
        found = destroy_plan(life.config, life.client, empty_bucket=True)
        apply(found, life.client, now=NOW, sleep=lambda _: time.sleep(0.01))
