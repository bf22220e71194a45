"""boto3 answered in this process: no server, nothing left behind."""

import io
import json
import os
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from localaws.in_process import LocalAws, local_aws
from tests.localaws.sagemaker.world import ACCOUNT, BUCKET, REGION, World
from tests.zips import zipped

pytest_plugins = ["pytester"]

ROLE = "arn:aws:iam::123456789012:role/runner"
HANDLER = """
import boto3

def handler(event, context):
    body = boto3.client("s3").get_object(Bucket="rows", Key=event["key"])["Body"].read()
    return body.decode()
"""


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away credentials, and boto3's default session."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "MOTO_PORT"):
        monkeypatch.delenv(name, raising=False)


def ended(execution: str) -> Any:
    """Return the description of an execution once it has ended."""
    steps = boto3.client("stepfunctions")
    while (described := steps.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.02)
    return described


def port_of(aws: LocalAws) -> Any:
    return aws.endpoint._server


def test_the_default_session_is_answered_without_a_port(no_session: None) -> None:
    environment = dict(os.environ)
    with local_aws(account="210987654321", region="eu-west-1") as aws:
        s3 = boto3.client("s3")
        location: Any = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="rows", CreateBucketConfiguration=location)
        s3.put_object(Bucket="rows", Key="a/b c.txt", Body=b"1,2", Metadata={"run_id": "7"})
        read = s3.get_object(Bucket="rows", Key="a/b c.txt")
        s3.upload_fileobj(io.BytesIO(b"x" * (9 << 20)), "rows", "large")
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.get_object(Bucket="rows", Key="missing")
        aws.client("iam").create_role(RoleName="runner", AssumeRolePolicyDocument="{}")

        assert (read["Body"].read(), read["Metadata"]) == (b"1,2", {"run_id": "7"})
        assert s3.head_object(Bucket="rows", Key="large")["ContentLength"] == 9 << 20
        arn = boto3.client("sts").get_caller_identity()["Account"]
        assert arn == "210987654321"
        assert boto3.client("personalize").list_recipes()["recipes"]
        assert port_of(aws) is None
        assert dict(os.environ) == environment
    assert boto3.DEFAULT_SESSION is None
    with pytest.raises(NoCredentialsError):
        boto3.client("s3", region_name="eu-west-1").list_buckets()


def test_a_session_of_ones_own_is_answered_as_long_as_the_context_lasts() -> None:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    before = session.client("sns", endpoint_url="http://127.0.0.1:9")
    with local_aws(session):
        session.client("sns").create_topic(Name="failures")
        topics = session.client("sns").list_topics()["Topics"]
    assert [topic["TopicArn"].rpartition(":")[2] for topic in topics] == ["failures"]
    assert before.meta.region_name == "us-east-1"


def test_executions_and_functions_open_the_port_themselves(no_session: None) -> None:
    definition = {
        "StartAt": "Read",
        "States": {
            "Read": {
                "Type": "Task",
                "Resource": "arn:aws:lambda:us-east-1:123456789012:function:read",
                "End": True,
            }
        },
    }
    with local_aws() as aws:
        s3, steps = boto3.client("s3"), boto3.client("stepfunctions")
        s3.create_bucket(Bucket="rows")
        s3.put_object(Bucket="rows", Key="a", Body=b"1,2")
        aws.client("lambda").create_function(
            FunctionName="read",
            Role=ROLE,
            Runtime="python3.11",
            Handler="reading.handler",
            Code={"ZipFile": zipped({"reading.py": HANDLER})},
        )
        machine = steps.create_state_machine(
            name="read", roleArn=ROLE, definition=json.dumps(definition)
        )["stateMachineArn"]
        assert port_of(aws) is None
        run = steps.start_execution(stateMachineArn=machine, input='{"key": "a"}')["executionArn"]
        described = ended(run)
        assert (described["status"], described.get("output")) == ("SUCCEEDED", '"1,2"'), described
    assert "MOTO_PORT" not in os.environ


def test_a_default_session_without_credentials_is_answered_in_its_region(
    no_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a program leaves it that made a client before; it has no credentials afterwards."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(region_name="eu-west-1"))
    with local_aws():
        group = boto3.client("personalize").create_dataset_group(name="g")["datasetGroupArn"]
    assert group == "arn:aws:personalize:eu-west-1:123456789012:dataset-group/g"
    with pytest.raises(NoCredentialsError):
        boto3.client("sts").get_caller_identity()


def test_another_region_is_refused_where_its_arns_would_be_wrong(no_session: None) -> None:
    """By AWS's error; moto's own services have all regions."""
    with local_aws(region="eu-west-1"):
        assert boto3.client("personalize").list_recipes()["recipes"]
        boto3.client("sns", region_name="us-west-2").list_topics()
        with pytest.raises(ClientError) as refused:
            boto3.client("personalize", region_name="us-west-2").list_recipes()
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidSignatureException"
    assert error["Message"].endswith(
        "this local AWS is in eu-west-1, the request is signed for us-west-2. Start one in "
        "us-west-2, or set the client's region to eu-west-1"
    )


def test_iam_knows_the_policies_of_aws(no_session: None) -> None:
    with local_aws():
        iam = boto3.client("iam")
        iam.create_role(RoleName="personalize", AssumeRolePolicyDocument="{}")
        policy = "arn:aws:iam::aws:policy/service-role/AmazonPersonalizeFullAccess"
        iam.attach_role_policy(RoleName="personalize", PolicyArn=policy)
        attached = iam.list_attached_role_policies(RoleName="personalize")["AttachedPolicies"]
    assert [entry["PolicyArn"] for entry in attached] == [policy]


def test_a_state_machine_calls_personalize_without_a_function(no_session: None) -> None:
    """As the first state of public workflows does: an aws-sdk task, its errors by AWS's names."""
    group = "arn:aws:personalize:us-east-1:123456789012:dataset-group/shop"
    states = {
        "Create": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:personalize:createDatasetGroup",
            "Parameters": {"Name.$": "$.name"},
            "ResultPath": "$.group",
            "Next": "Again",
        },
        "Again": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:personalize:createDatasetGroup",
            "Parameters": {"Name.$": "$.name"},
            "Catch": [
                {
                    "ErrorEquals": ["Personalize.ResourceAlreadyExistsException"],
                    "ResultPath": "$.error",
                    "Next": "Describe",
                }
            ],
            "End": True,
        },
        "Describe": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:personalize:describeDatasetGroup",
            "Parameters": {"DatasetGroupArn.$": "$.group.DatasetGroupArn"},
            "End": True,
        },
    }
    with local_aws():
        machines = boto3.client("stepfunctions")
        machine = machines.create_state_machine(
            name="m",
            roleArn=ROLE,
            definition=json.dumps({"StartAt": "Create", "States": states}),
        )["stateMachineArn"]
        execution = machines.start_execution(stateMachineArn=machine, input='{"name": "shop"}')
        described = ended(execution["executionArn"])
    assert described["status"] == "SUCCEEDED", described
    output = json.loads(described["output"])["DatasetGroup"]
    assert (output["DatasetGroupArn"], output["Name"]) == (group, "shop")


def test_faults_are_ordered_in_process(no_session: None) -> None:
    with local_aws() as aws:
        aws.faults.inject("error SlowDown 503", service="s3", operation="ListBuckets")
        with pytest.raises(ClientError, match="SlowDown"):
            aws.client("s3").list_buckets()
        assert aws.client("s3").list_buckets()["Buckets"] == []


def test_the_fixture_is_empty_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import boto3, pytest

        @pytest.mark.parametrize("time", [1, 2])
        def test_bucket(local_aws, time):
            assert local_aws.client("s3").list_buckets()["Buckets"] == []
            boto3.client("s3").create_bucket(Bucket="rows")
        """
    )
    pytester.runpytest_inprocess("-p", "localaws.pytest_plugin").assert_outcomes(passed=2)


def test_a_training_job_reaches_the_test_s_aws(no_session: None) -> None:
    script = "import boto3\nprint(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])\n"
    with local_aws(account=ACCOUNT, region=REGION) as aws:
        world = World(aws)
        request = world.training(script)
        del request["InputDataConfig"]
        boto3.client("sagemaker").create_training_job(**request)
        job = world.ended("TrainingJob", request["TrainingJobName"])
        log = aws.sagemaker.log(job["TrainingJobName"])

    assert (job["TrainingJobStatus"], log.splitlines()[0]) == ("Completed", BUCKET)
