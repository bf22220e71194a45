"""The endpoint: which service answers a request, for which account, and what closing it leaves."""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localaws.http.endpoint import Endpoint, EndpointError

ACCOUNT, REGION = "210987654321", "ap-northeast-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account=ACCOUNT, region=REGION) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def bucket(endpoint: Endpoint) -> str:
    location = {"LocationConstraint": REGION}
    endpoint.client("s3").create_bucket(Bucket="rows.example", CreateBucketConfiguration=location)
    return "rows.example"


def output_of(script: str, environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_arn_carries_the_given_account_and_region(endpoint: Endpoint) -> None:
    role = endpoint.client("iam").create_role(RoleName="steps", AssumeRolePolicyDocument="{}")
    machine = endpoint.client("stepfunctions").create_state_machine(
        name="empty",
        roleArn=role["Role"]["Arn"],
        definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
    )
    topic = endpoint.client("sns").create_topic(Name="failures")

    assert role["Role"]["Arn"] == "arn:aws:iam::210987654321:role/steps"
    assert (
        machine["stateMachineArn"]
        == "arn:aws:states:ap-northeast-1:210987654321:stateMachine:empty"
    )
    assert topic["TopicArn"] == "arn:aws:sns:ap-northeast-1:210987654321:failures"
    assert endpoint.client("sts").get_caller_identity()["Account"] == "210987654321"


def test_objects_are_stored_and_read_back(endpoint: Endpoint, bucket: str) -> None:
    s3 = endpoint.client("s3")

    s3.put_object(
        Bucket=bucket, Key="a/b.csv", Body="利用者,1\n".encode(), Metadata={"run_id": "7"}
    )

    answer = s3.get_object(Bucket=bucket, Key="a/b.csv")
    assert answer["Body"].read().decode() == "利用者,1\n"
    assert answer["Metadata"] == {"run_id": "7"}


def test_a_presigned_url_needs_no_signed_header(endpoint: Endpoint, bucket: str) -> None:
    s3 = endpoint.client("s3")
    s3.put_object(Bucket=bucket, Key="shared.csv", Body=b"1,2")

    parameters = {"Bucket": bucket, "Key": "shared.csv"}
    url = s3.generate_presigned_url("get_object", Params=parameters)

    assert url.startswith(f"{endpoint.url}/rows.example/shared.csv?")
    with urllib.request.urlopen(url) as answer:  # noqa: S310  the URL is the line above
        assert answer.read() == b"1,2"


def test_a_mounted_service_gets_the_requests_signed_for_it(endpoint: Endpoint) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        body = json.dumps({"JobNames": [environ["HTTP_X_AMZ_TARGET"]]}).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    endpoint.mount("glue", application)

    assert endpoint.client("glue").list_jobs()["JobNames"] == ["AWSGlue.ListJobs"]


def test_a_service_that_would_only_pretend_is_refused_by_name(endpoint: Endpoint) -> None:
    with pytest.raises(ClientError) as refused:
        endpoint.client("personalize").list_schemas()

    assert refused.value.response["Error"] == {
        "Code": "NotImplementedException",
        "Message": "no 'personalize' runs behind this endpoint: "
        "mount('personalize', application) one",
    }
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_subprocess_reaches_the_endpoint_through_its_environment_alone(
    endpoint: Endpoint, bucket: str
) -> None:
    endpoint.client("s3").put_object(Bucket=bucket, Key="from-parent", Body=b"yes")
    script = (
        "import boto3; s3 = boto3.client('s3');"
        "print(s3.get_object(Bucket='rows.example', Key='from-parent')['Body'].read().decode())"
    )
    # A developer's machine: a proxy that does not exist, and nothing else of AWS.
    environment = {"PATH": os.environ["PATH"], "HTTP_PROXY": "http://127.0.0.1:9"}

    assert output_of(script, environment | endpoint.environment) == "yes\n"


def test_a_handlers_own_client_reaches_the_endpoint(endpoint: Endpoint) -> None:
    assert boto3.client("sts").get_caller_identity()["Account"] == "210987654321"


def test_a_second_endpoint_in_the_process_is_refused(endpoint: Endpoint) -> None:
    with pytest.raises(EndpointError, match="runs in this process already"):
        Endpoint(account=ACCOUNT, region=REGION).start()

    assert endpoint.client("sts").get_caller_identity()["Account"] == "210987654321"


def test_nothing_is_left_after_a_failed_start_and_after_stop() -> None:
    """In a process of its own: environment, threads, the port and moto's state are as before."""
    script = f"""
import json, os, socket, threading, time
from localaws.http.endpoint import Endpoint
from moto.stepfunctions.parser.asl.eval.environment import Environment
os.environ.update(AWS_PROFILE="nobody", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
before, function = dict(os.environ), Environment.set_error
try:
    Endpoint(account="{ACCOUNT}", region="{REGION}", time_scale=-1.0).start()
except ValueError as error:
    print(error)
endpoint = Endpoint(account="{ACCOUNT}", region="{REGION}", time_scale=1.0)
endpoint.start()
states = endpoint.client("stepfunctions")
waiting = {{"StartAt": "W", "States": {{"W": {{"Type": "Wait", "Seconds": 600, "End": True}}}}}}
arn = states.create_state_machine(
    name="waits", roleArn="arn:aws:iam::{ACCOUNT}:role/r", definition=json.dumps(waiting)
)["stateMachineArn"]
states.start_execution(stateMachineArn=arn)
port = int(endpoint.url.rpartition(":")[2])
assert Environment.set_error is not function
endpoint.stop()
assert Environment.set_error is function
assert dict(os.environ) == before
with socket.socket() as probe:
    assert probe.connect_ex(("127.0.0.1", port)) != 0
deadline = time.monotonic() + 5
while threading.active_count() > 1 and time.monotonic() < deadline:
    time.sleep(0.01)
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
with endpoint:
    assert endpoint.client("stepfunctions").list_state_machines()["stateMachines"] == []
print("clean")
"""
    assert output_of(script) == "time_scale must be 0 or more, got -1.0\nclean\n"


def test_clients_are_shared_between_threads(endpoint: Endpoint) -> None:
    seen: list[object] = []
    threads = [
        threading.Thread(target=lambda: seen.append(endpoint.client("s3"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [endpoint.client("s3")] * 8


@pytest.mark.parametrize(
    ("service", "operation", "request_", "name"),
    [
        ("stepfunctions", "get_activity_task", {"activityArn": "arn:x"}, "GetActivityTask"),
        (
            "stepfunctions",
            "start_sync_execution",
            {"stateMachineArn": "arn:x"},
            "StartSyncExecution",
        ),
        ("stepfunctions", "test_state", {"definition": "{}"}, "TestState"),
        (
            "sns",
            "get_data_protection_policy",
            {"ResourceArn": "arn:x"},
            "GetDataProtectionPolicy",
        ),
        ("kms", "connect_custom_key_store", {"CustomKeyStoreId": "x"}, "ConnectCustomKeyStore"),
    ],
)
def test_an_operation_that_is_not_served_is_refused_by_name(
    endpoint: Endpoint, service: str, operation: str, request_: Any, name: str
) -> None:
    """As the caller's error: boto3 repeats what looks like an outage."""
    with pytest.raises(ClientError) as refused:
        getattr(endpoint.client(service), operation)(**request_)

    response = refused.value.response
    assert response["Error"]["Code"] == "UnknownOperationException"
    assert response["Error"]["Message"] == f"the local AWS does not serve {name}"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_request_at_which_a_service_fails_is_refused_once_and_says_why(
    endpoint: Endpoint,
) -> None:
    """Moto cannot read this policy; boto3 would send the request five times."""
    with pytest.raises(ClientError) as failed:
        endpoint.client("sqs").create_queue(QueueName="a", Attributes={"RedrivePolicy": "x"})

    response = failed.value.response
    assert response["Error"]["Code"] == "InternalFailure"
    assert (
        "the local AWS fails at this CreateQueue: JSONDecodeError" in response["Error"]["Message"]
    )
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
