"""`retrain local serve`: what was made is there after a restart, however the server ended."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from typer.testing import CliRunner

from localaws.aws import LocalAws
from localaws.glue.service import INTERRUPTED as RUN_INTERRUPTED
from localaws.persistence.data_directory import DataDirectoryError
from localaws.persistence.executions import INTERRUPTED
from localaws.personalize import Quotas
from retrain.main import app
from tests.zips import zipped

ROOT = Path(__file__).parents[3]

SERVE = [
    *(sys.executable, "-c", "from retrain.main import main; main()"),
    *("local", "serve", "--port", "0"),
]
SESSION = boto3.Session()
ROLE = "arn:aws:iam::111122223333:role/runner"
HANDLER = """
def handler(event, context):
    return {"doubled": event["number"] * 2}
"""
DOUBLE = {
    "StartAt": "Double",
    "States": {
        "Double": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "double", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "End": True,
        }
    },
}
SLOW = {
    "StartAt": "Slow",
    "States": {"Slow": {"Type": "Wait", "Seconds": 600, "End": True}},
}


@dataclass
class Server:
    """The command, running on a directory."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    output: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return SESSION.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def end(self, number: int) -> str:
        """Send a signal and wait; return all of its output."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=20)
        return "".join(self.output) + rest


@dataclass
class Opened:
    """The same in this process, which has paid for the imports."""

    served: LocalAws

    def client(self, service: str) -> Any:
        return self.served.endpoint.client(service)


@contextmanager
def opened(directory: Path) -> Iterator[Opened]:
    with LocalAws(directory=directory, time_scale=0) as served:
        yield Opened(served)


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Server]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    process = subprocess.Popen(
        [*SERVE, "--data-dir", str(directory), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    server = Server(process, {})
    try:
        for line in process.stdout:
            server.output.append(line)
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                server.environment[name] = value
            if line.startswith("Serving"):
                break
        else:
            pytest.fail("".join(server.output))
        yield server
    finally:
        process.kill()
        process.communicate()


def until(holds: Callable[[], Any]) -> Any:
    for _ in range(400):
        if result := holds():
            return result
        time.sleep(0.025)
    raise AssertionError("it did not happen")


def deploy(server: Server) -> None:
    """Create a role, a topic with a subscriber, a function, two machines, a rule and a schedule."""
    server.client("iam").create_role(RoleName="runner", AssumeRolePolicyDocument="{}")
    sns, queue = server.client("sns"), server.client("sqs").create_queue(QueueName="news")
    topic = sns.create_topic(Name="failures")["TopicArn"]
    queue_arn = "arn:aws:sqs:eu-west-1:111122223333:news"
    assert queue["QueueUrl"].endswith("/111122223333/news")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    server.client("lambda").create_function(
        FunctionName="double",
        Role=ROLE,
        Runtime="python3.11",
        Handler="doubling.handler",
        Code={"ZipFile": zipped({"doubling.py": HANDLER})},
        Environment={"Variables": {"LEVEL": "1"}},
    )
    steps = server.client("stepfunctions")
    for name, definition in (("double", DOUBLE), ("slow", SLOW)):
        steps.create_state_machine(name=name, roleArn=ROLE, definition=json.dumps(definition))
    server.client("events").put_rule(Name="nightly", ScheduleExpression="cron(0 4 * * ? *)")
    server.client("scheduler").create_schedule(
        Name="weekly",
        ScheduleExpression="cron(0 4 ? * MON *)",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine("double"), "RoleArn": ROLE, "Input": "{}"},
    )


def fill(server: Server) -> str:
    """Objects: plain, versioned with a delete marker, in parts; return the first version."""
    s3 = server.client("s3")
    location = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="rows", CreateBucketConfiguration=location)
    s3.put_object(
        Bucket="rows",
        Key="利用者/a b.csv",
        Body=b"plain",
        Metadata={"run_id": "7"},
        ContentType="text/csv",
        Tagging="stage=test",
    )
    s3.put_object(Bucket="rows", Key="gone", Body=b"gone")
    s3.delete_objects(Bucket="rows", Delete={"Objects": [{"Key": "gone"}]})
    s3.put_bucket_versioning(Bucket="rows", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="rows", Key="versions", Body=b"first")["VersionId"]
    s3.put_object(Bucket="rows", Key="versions", Body=b"second")
    s3.delete_object(Bucket="rows", Key="versions")
    upload = s3.create_multipart_upload(Bucket="rows", Key="parts")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(
                Bucket="rows", Key="parts", UploadId=upload, PartNumber=number, Body=body
            )["ETag"],
        }
        for number, body in ((1, b"x" * (5 << 20)), (2, b"end"))
    ]
    s3.complete_multipart_upload(
        Bucket="rows", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    return str(first)


def machine(name: str) -> str:
    return f"arn:aws:states:eu-west-1:111122223333:stateMachine:{name}"


def resources(server: Server | Opened) -> dict[str, Any]:
    """Return every description of the resources, with their ids and times."""
    steps, sns = server.client("stepfunctions"), server.client("sns")
    state = {
        "role": server.client("iam").get_role(RoleName="runner")["Role"],
        "subscriptions": sns.list_subscriptions()["Subscriptions"],
        "function": server.client("lambda").get_function_configuration(FunctionName="double"),
        "machines": [steps.describe_state_machine(stateMachineArn=machine("double"))],
        "executions": steps.list_executions(stateMachineArn=machine("double"))["executions"],
        "rules": server.client("events").list_rules()["Rules"],
        "schedule": server.client("scheduler").get_schedule(Name="weekly"),
        "buckets": server.client("s3").list_buckets()["Buckets"],
        "versions": server.client("s3").list_object_versions(Bucket="rows"),
        "tags": server.client("s3").get_object_tagging(Bucket="rows", Key="利用者/a b.csv")[
            "TagSet"
        ],
        "object": server.client("s3").head_object(Bucket="rows", Key="利用者/a b.csv"),
    }
    state["object"]["ResponseMetadata"] = None
    for value in state.values():
        for entry in value if isinstance(value, list) else [value]:
            entry.pop("ResponseMetadata", None)
    return state


def test_all_resources_are_there_after_a_restart(tmp_path: Path) -> None:
    directory, env_file = tmp_path / "aws", tmp_path / "env"
    options = ("--account", "111122223333", "--region", "eu-west-1", "--time-scale", "0")
    with serving(directory, *options, "--env-file", str(env_file)) as server:
        assert f"{directory}: nothing yet" in "".join(server.output)
        assert f"export AWS_ENDPOINT_URL={server.environment['AWS_ENDPOINT_URL']}\n" in (
            env_file.read_text()
        )
        deploy(server)
        first = fill(server)
        steps = server.client("stepfunctions")
        run = steps.start_execution(
            stateMachineArn=machine("double"), name="once", input='{"number": 21}'
        )["executionArn"]
        until(lambda: steps.describe_execution(executionArn=run)["status"] == "SUCCEEDED")
        soon = datetime.now(UTC) + timedelta(seconds=2)
        server.client("scheduler").create_schedule(
            Name="soon",
            ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={"Arn": "arn:aws:sqs:eu-west-1:111122223333:news", "RoleArn": ROLE},
        )
        scheduler = server.client("scheduler")
        until(lambda: len(scheduler.list_schedules()["Schedules"]) == 1)
        before = resources(server)
        history = steps.get_execution_history(executionArn=run)["events"]
        output = server.end(signal.SIGINT)
    assert "execution once of double started" in output
    assert "schedule soon started arn:aws:sqs:eu-west-1:111122223333:news" in output
    assert f"Everything is kept in {directory}" in output
    assert server.process.returncode == 130

    with opened(directory) as server:
        assert server.served.counts() == {
            "bucket": 1,
            "role": 1,
            "topic": 1,
            "function": 1,
            "state machine": 2,
            "rule": 1,
            "schedule": 1,
            "execution": 1,
        }
        assert resources(server) == before
        s3, steps = server.client("s3"), server.client("stepfunctions")
        read = s3.get_object(Bucket="rows", Key="versions", VersionId=first)["Body"].read()
        parts = s3.get_object(Bucket="rows", Key="parts")["Body"].read()
        described = steps.describe_execution(executionArn=run)
        assert (read, len(parts)) == (b"first", (5 << 20) + 3)
        assert json.loads(described["output"]) == {"doubled": 42}
        assert steps.get_execution_history(executionArn=run)["events"] == history
        assert steps.get_execution_history(executionArn=run, maxResults=1)["events"] == history[:1]
        assert steps.describe_state_machine_for_execution(executionArn=run)[
            "stateMachineArn"
        ] == machine("double")
        with pytest.raises(steps.exceptions.ExecutionAlreadyExists):
            steps.start_execution(stateMachineArn=machine("double"), name="once")
        # What was restored works, and what is removed stays away.
        again = steps.start_execution(stateMachineArn=machine("double"), input='{"number": 1}')
        until(lambda: steps.describe_execution(**_arn(again))["status"] == "SUCCEEDED")
        assert len(steps.list_executions(stateMachineArn=machine("double"))["executions"]) == 2
        subscription = before["subscriptions"][0]["SubscriptionArn"]
        server.client("sns").unsubscribe(SubscriptionArn=subscription)
        server.client("lambda").delete_function(FunctionName="double")
        s3.delete_object(Bucket="rows", Key="versions", VersionId=first)

    with opened(directory) as server:
        assert server.client("sns").list_subscriptions()["Subscriptions"] == []
        assert server.client("lambda").list_functions()["Functions"] == []
        left = server.client("s3").list_object_versions(Bucket="rows", Prefix="versions")
        assert (len(left["Versions"]), len(left["DeleteMarkers"])) == (1, 1)
        listed = server.client("stepfunctions").list_executions(stateMachineArn=machine("double"))
        assert len(listed["executions"]) == 2


def test_a_killed_server_leaves_a_directory_that_opens_again(tmp_path: Path) -> None:
    """Answered requests are there; work that was going on has failed with its reason."""
    directory = tmp_path / "aws"
    written: list[str] = []
    with serving(directory, "--account", "111122223333", "--region", "eu-west-1") as server:
        deploy(server)
        steps, s3, glue = (server.client(name) for name in ("stepfunctions", "s3", "glue"))
        s3.create_bucket(
            Bucket="rows", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        run = steps.start_execution(stateMachineArn=machine("slow"), name="cut", input='{"a": 1}')
        job = tmp_path / "job.py"
        job.write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
        command = {"Name": "glueetl", "ScriptLocation": str(job)}
        glue.create_job(Name="long", Role=ROLE, Command=command)
        run_id = glue.start_job_run(JobName="long")["JobRunId"]
        until(lambda: _job_run(glue, run_id)["JobRunState"] == "RUNNING")

        def upload() -> None:
            with suppress(ClientError, BotoCoreError):
                for number in range(10_000):
                    s3.put_object(Bucket="rows", Key=f"{number:05}", Body=b"." * 200_000)
                    written.append(f"{number:05}")

        thread = threading.Thread(target=upload)
        thread.start()
        until(lambda: len(written) > 10)
        server.process.kill()
        thread.join()

    with opened(directory) as server:
        steps, s3, glue = (server.client(name) for name in ("stepfunctions", "s3", "glue"))
        described = steps.describe_execution(**_arn(run))
        assert (described["status"], described["cause"]) == ("ABORTED", INTERRUPTED)
        assert described["input"] == '{"a": 1}'
        events = steps.get_execution_history(**_arn(run))["events"]
        assert [event["type"] for event in events] == ["ExecutionStarted", "ExecutionAborted"]
        job_run = _job_run(glue, run_id)
        assert (job_run["JobRunState"], job_run["ErrorMessage"]) == ("FAILED", RUN_INTERRUPTED)
        sizes = {
            item["Key"]: item["Size"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="rows")
            for item in page["Contents"]
        }
        # The upload that was cut off is there whole or not at all.
        assert set(written) <= sizes.keys() and len(sizes) <= len(written) + 1
        assert set(sizes.values()) == {200_000}
        assert len(list((directory / "s3").iterdir())) - len(sizes) in {0, 1}
        commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        assert run_id not in " ".join(argument for command in commands for argument in command)


@pytest.mark.parametrize(
    "content", [None, b"", b"no database, but long enough to be read as one" * 9]
)
def test_a_lost_database_ends_the_start_and_nothing_is_deleted(
    tmp_path: Path, content: bytes | None
) -> None:
    with opened(tmp_path) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="rows")
        s3.put_object(Bucket="rows", Key="a", Body=b"kept")
    database = tmp_path / "aws.sqlite"
    whole = database.read_bytes()
    database.unlink() if content is None else database.write_bytes(content)

    for repair in (None, lambda _: False):
        with (
            pytest.raises(
                DataDirectoryError, match=r"aws\.sqlite (is lost|cannot be read)"
            ) as refused,
            LocalAws(directory=tmp_path, repair=repair),
        ):
            pass
        assert ("s3/ (1 files, 0.0 MB)" in str(refused.value)) is (repair is None)

    for path in tmp_path.glob("aws.sqlite*"):
        path.unlink()
    database.write_bytes(whole)
    with opened(tmp_path) as server:
        body = server.client("s3").get_object(Bucket="rows", Key="a")["Body"]
        assert body.read() == b"kept"

    database.unlink()
    told: list[str] = []
    with LocalAws(directory=tmp_path, repair=lambda text: told.append(text) is None) as aws:
        assert aws.client("s3").list_buckets()["Buckets"] == []
    (aside,) = tmp_path.glob("lost-*")
    assert [path.read_bytes() for path in (aside / "s3").iterdir()] == [b"kept"]
    assert len(told) == 1 and str(aside) in told[0]


def test_an_object_whose_bucket_is_not_there_is_kept(tmp_path: Path) -> None:
    """Something else than the objects was lost: the requests that made the bucket."""
    with opened(tmp_path) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="rows")
        s3.put_object(Bucket="rows", Key="a", Body=b"kept")
    with closing(sqlite3.connect(tmp_path / "aws.sqlite")) as database, database:
        database.execute("DELETE FROM documents WHERE kind = 'request'")

    for _ in range(2):
        with opened(tmp_path):
            assert [path.read_bytes() for path in (tmp_path / "s3").iterdir()] == [b"kept"]
            with closing(sqlite3.connect(tmp_path / "aws.sqlite")) as database:
                query = "SELECT key FROM documents WHERE kind = 'object'"
                assert database.execute(query).fetchall() == [("rows/a",)]


def test_a_directory_has_one_server_and_one_account(tmp_path: Path) -> None:
    with opened(tmp_path) as server:
        url = server.served.endpoint.url
        with pytest.raises(DataDirectoryError) as refused, LocalAws(directory=tmp_path):
            pass
    assert str(refused.value) == (
        f"{tmp_path} is served already, by process {os.getpid()}, {url}; stop that one, or name"
        " another directory"
    )
    with (
        pytest.raises(
            DataDirectoryError, match="holds region us-east-1, and eu-west-1 was requested"
        ),
        LocalAws(directory=tmp_path, region="eu-west-1"),
    ):
        pass


def test_defaults_are_for_a_directory_that_has_nothing_yet(tmp_path: Path) -> None:
    for defaults in (("210987654321", "eu-west-1"), ("111122223333", "us-east-1")):
        with LocalAws(directory=tmp_path, defaults=defaults) as served:
            assert served.environment["AWS_REGION"] == "eu-west-1"
            caller = served.endpoint.client("sts").get_caller_identity()
            assert caller["Account"] == "210987654321"


@pytest.mark.parametrize(
    ("quota", "fault"),
    [
        ("campaign=2", "there is no quota campaign; did you mean campaigns?"),
        ("campaigns=many", "write campaigns=NUMBER, e.g. campaigns=20"),
    ],
)
def test_a_quota_that_is_none_is_one_message(tmp_path: Path, quota: str, fault: str) -> None:
    result = CliRunner().invoke(
        app, ["local", "serve", "--data-dir", str(tmp_path / "aws"), "--quota", quota]
    )
    assert result.exit_code == 2
    assert fault in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "aws").exists()


def test_quotas_are_configurable(tmp_path: Path) -> None:
    with LocalAws(directory=tmp_path, quotas=Quotas.of_texts(["schemas=1"])) as served:
        personalize = served.endpoint.client("personalize")
        schema = json.dumps(
            {
                "type": "record",
                "name": "Users",
                "namespace": "com.amazonaws.personalize.schema",
                "fields": [{"name": n, "type": "string"} for n in ("USER_ID", "PLAN")],
                "version": "1.0",
            }
        )
        personalize.create_schema(name="one", schema=schema)
        with pytest.raises(ClientError, match="The quota of 1 schema is reached"):
            personalize.create_schema(name="two", schema=schema)


def test_a_port_in_use_is_one_message(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = CliRunner().invoke(
            app, ["local", "serve", "--port", str(port), "--data-dir", str(tmp_path)]
        )
    assert (result.exit_code, result.stderr) == (
        1,
        f"port {port} of 127.0.0.1: Address already in use; stop what listens there, or name"
        " another port\n",
    )


def _arn(started: dict[str, Any]) -> dict[str, str]:
    return {"executionArn": started["executionArn"]}


def _job_run(glue: Any, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = glue.get_job_run(JobName="long", RunId=run_id)["JobRun"]
    return run


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [("--region", "xx", "write a region such as"), ("--account", "12", "has 12 digits")],
)
def test_an_account_or_region_that_is_none_is_refused(option: str, value: str, rule: str) -> None:
    done = CliRunner().invoke(app, ["local", "serve", option, value])

    assert done.exit_code == 2
    assert rule in done.stderr


def test_options_come_before_the_configuration_s_account_and_region(tmp_path: Path) -> None:
    (tmp_path / "retraining.toml").write_text("not TOML", encoding="utf-8")
    command = [sys.executable, "-m", "retrain", "local", "serve", "--port", "0", "--until-eof"]
    options = ["--config", str(ROOT / "retraining.toml"), "--region", "eu-west-1"]
    serving = subprocess.Popen(
        [*command, *options, "--account", "210987654321"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    with serving:
        assert serving.stdout is not None and serving.stdin is not None
        exported = next(line for line in serving.stdout if "AWS_REGION" in line)
        serving.stdin.close()

    assert exported == "export AWS_REGION=eu-west-1\n"


def test_a_closed_standard_input_is_an_end_too(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m retrain local serve --port 0 --until-eof <&-'

    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 128 + signal.SIGTERM, done.stderr


def test_a_data_directory_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Also one that an earlier version made, but not the directory in which somebody works."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "notes").touch()
    work.chmod(0o755)
    for directory, mode in ((tmp_path / "new", 0o700), (tmp_path / "new", 0o700), (work, 0o755)):
        with opened(directory):
            pass
        assert directory.stat().st_mode & 0o777 == mode
        directory.chmod(0o755)
