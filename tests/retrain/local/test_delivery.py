"""The state that delivers, on the local AWS: by a real Glue job, by a function, and their roles."""

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from localaws.aws import LocalAws
from retrain.local.deployment import create_table, deploy
from retrain.publications import delivery_command
from tests.projects import EXAMPLE, write
from tests.recorder import Recorder
from tests.workflow.deployment.permissions.use import denied, unused_by
from workflow import Config, load_config, parse_config
from workflow.runs.history import HistoryReader, failure_of, follow

pytestmark = pytest.mark.usefixtures("warm_java")

PLAIN = parse_config(EXAMPLE)
LIST = b"USER_ID,ITEM_ID,RANK,SCORE\n1,a,1,0.75\n1,b,2,0.5\n2,a,1,\n"
ONLY_DELIVER = """
from workflow import Stages
from workflow.sdk import Pass


def build(config):
    stages = Stages(config)
    return stages.compose(Pass("Filter Recommended Item"), stages.deliver())
"""


@pytest.fixture
def aws(database: str, tmp_path: Path) -> Iterator[LocalAws]:
    with LocalAws(
        directory=tmp_path / "aws",
        is_kept=False,
        account="123456789012",
        region="ap-northeast-1",
        time_scale=0,
        database_url=database,
    ) as running:
        yield running


def config_of(directory: Path, delivery: str) -> Config:
    """Return a configuration whose workflow is the delivery alone."""
    tables = '\n[workflow]\ndefinition = "retraining.py"\n' + f"\n[delivery]\n{delivery}\n"
    write(directory, {"retraining.toml": EXAMPLE + tables, "retraining.py": ONLY_DELIVER})
    return load_config(directory / "retraining.toml")


def publish(aws: LocalAws, config: Config, name: str, body: bytes) -> None:
    """Publish a list of three rows as that of a run."""
    s3, key = aws.client("s3"), f"runs/{name}/recommendations/recommendations.csv"
    latest = json.dumps({"run": name, "recommendations": 3}).encode()
    s3.put_object(Bucket=config.bucket, Key=key, Body=body)
    s3.put_object(Bucket=config.bucket, Key="recommendations/latest.json", Body=latest)


def run(aws: LocalAws, config: Config, name: str, body: bytes = LIST) -> tuple[str, str]:
    """Publish the list of a run and deliver it; return the run's status and its cause."""
    publish(aws, config, name, body)
    states = aws.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=config.state_machine_arn, name=name)
    reader = HistoryReader(states, arn["executionArn"])
    for _ in follow(reader, poll_seconds=0.1):
        pass
    failure = failure_of(reader.read_all())
    status = states.describe_execution(executionArn=arn["executionArn"])["status"]
    return status, failure.cause if failure else ""


def record(aws: LocalAws, config: Config, name: str) -> Any:
    key = f"runs/{name}/record/delivery.json"
    return json.loads(aws.client("s3").get_object(Bucket=config.bucket, Key=key)["Body"].read())


def run_command(aws: LocalAws, command: str) -> None:
    """Do what `aws glue start-job-run` or `aws lambda invoke` does, by boto3."""
    words = shlex.split(command)
    options = dict(zip(words[3::2], words[4::2], strict=False))
    if words[1:3] == ["lambda", "invoke"]:
        response = aws.client("lambda").invoke(
            FunctionName=options["--function-name"], Payload=options["--payload"].encode()
        )
        assert "FunctionError" not in response
        return
    glue, job = aws.client("glue"), options["--job-name"]
    started = glue.start_job_run(JobName=job, Arguments=json.loads(options["--arguments"]))
    while True:
        found = glue.get_job_run(JobName=job, RunId=started["JobRunId"])["JobRun"]
        if found["JobRunState"] not in ("STARTING", "RUNNING"):
            break
        time.sleep(0.1)
    assert found["JobRunState"] == "SUCCEEDED"


def test_the_glue_job_replaces_the_rows_of_the_source_s_table(
    aws: LocalAws, database: str, tmp_path: Path
) -> None:
    config = config_of(tmp_path, 'to = "database"\ntable = "lists"')
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE lists (user_id int, item_id text, rank int, score real)")
        connection.execute("INSERT INTO lists VALUES (9, 'z', 1, 1)")
        deploy(config, aws.client)
        with aws.endpoint.wrap_all(Recorder).recorded() as calls:
            assert run(aws, config, "good") == ("SUCCEEDED", "")
        rows = connection.execute("SELECT * FROM lists ORDER BY user_id, rank").fetchall()
        publish(aws, config, "older", LIST.replace(b"0.75", b"0.25"))
        run_command(aws, delivery_command(config, "older"))
        older = connection.execute("SELECT score FROM lists WHERE item_id = 'a'").fetchall()
    assert sorted(older, key=str) == [(0.25,), (None,)]
    assert rows == [(1, "a", 1, 0.75), (1, "b", 2, 0.5), (2, "a", 1, None)]
    assert record(aws, config, "good")["replaced"] == 1
    assert denied(calls, config, "glue") == []
    assert unused_by(calls, config, "glue", besides=PLAIN) == []


def test_the_function_delivers_into_dynamodb_or_fails_the_run(
    aws: LocalAws, tmp_path: Path
) -> None:
    config = config_of(tmp_path, 'to = "dynamodb"\ntable = "lists"')
    deploy(config, aws.client)
    status, cause = run(aws, config, "too-early")
    assert status == "FAILED"
    assert (
        "[delivery] table = 'lists': there is no such table in this account and region; make it,"
        " with USER_ID and RUN as its keys"
    ) in cause
    written = aws.client("s3").list_objects_v2(Bucket=config.bucket, Prefix="runs/too-early/record")
    assert "Contents" not in written, "it ends at Begin Run, before anything is paid"
    create_table(config, aws.client)
    short = LIST.rpartition(b"2,a")[0]
    status, cause = run(aws, config, "short", short)
    assert status == "FAILED"
    assert "the list of run 'short' is not delivered into table 'lists': the file has 2" in cause
    assert record(aws, config, "short")["status"] == "FAILED"
    with aws.endpoint.wrap_all(Recorder).recorded() as calls:
        assert run(aws, config, "good") == ("SUCCEEDED", "")
    assert record(aws, config, "good")["items"] == 2
    publish(aws, config, "older", LIST)
    run_command(aws, delivery_command(config, "older"))
    dynamodb = aws.client("dynamodb")
    pointer = {"USER_ID": {"S": "#published"}, "RUN": {"S": "#published"}}
    item = dynamodb.get_item(TableName="lists", Key=pointer)["Item"]
    assert item["PUBLISHED_RUN"] == {"S": "older"}
    assert denied(calls, config, "functions") == []
    assert unused_by(calls, config, "functions", besides=PLAIN) == []
