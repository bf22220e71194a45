"""Responses that end half-way or do not come, as botocore reads them with and without a port."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    IncompleteReadError,
    ResponseStreamingError,
)

from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults

ACCOUNT, REGION = "210987654321", "ap-northeast-1"


@pytest.fixture(scope="module", params=[None, 0], ids=["in process", "over a port"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    with Endpoint(account=ACCOUNT, region=REGION, port=request.param) as endpoint:
        endpoint.client("s3").create_bucket(
            Bucket="rows", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield endpoint


@pytest.fixture(scope="module")
def faults(endpoint: Endpoint) -> Faults:
    return endpoint.wrap_all(Faults)


class Received(Exception):  # noqa: N818  no error
    """A response before it is parsed: its Content-Length, and its body."""


def receive(client: Any, operation: str, **request: Any) -> tuple[int, bytes]:
    def stop(response_dict: dict[str, Any], **_: Any) -> None:
        length = int(response_dict["headers"]["Content-Length"])
        raise Received(length, response_dict["body"])

    client.meta.events.register("before-parse", stop, unique_id="receive")
    try:
        with pytest.raises(Received) as received:
            getattr(client, operation)(**request)
    finally:
        client.meta.events.unregister("before-parse", unique_id="receive")
    length, body = received.value.args
    return length, body


@pytest.mark.parametrize("size", [1, 1000, 3_000_001])
def test_half_of_an_object_is_no_object(endpoint: Endpoint, faults: Faults, size: int) -> None:
    s3 = endpoint.client("s3")
    s3.put_object(Bucket="rows", Key="a", Body=b"1" * size)
    faults.inject("cut", service="s3", operation="GetObject")

    cut = s3.get_object(Bucket="rows", Key="a")
    assert cut["ContentLength"] == size
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        cut["Body"].read()

    assert s3.get_object(Bucket="rows", Key="a")["Body"].read() == b"1" * size


@pytest.mark.parametrize(
    ("service", "operation", "request_members"),
    [
        ("dynamodb", "list_tables", {}),  # json
        ("ec2", "describe_vpcs", {}),  # ec2
        ("iam", "list_roles", {}),  # query
        ("scheduler", "list_schedules", {}),  # rest-json
        ("s3", "list_objects_v2", {"Bucket": "rows"}),  # rest-xml
    ],
)
def test_half_of_a_response_arrives(
    endpoint: Endpoint,
    faults: Faults,
    service: str,
    operation: str,
    request_members: dict[str, Any],
) -> None:
    client = endpoint.client(service)
    faults.inject("cut")

    length, body = receive(client, operation, **request_members)
    assert len(body) == length // 2 > 0

    length, body = receive(client, operation, **request_members)
    assert len(body) == length


def test_a_call_that_is_cut_has_its_effect(endpoint: Endpoint, faults: Faults) -> None:
    """The client does not compare lengths, and takes text that is no JSON for a message."""
    states = endpoint.client("stepfunctions")
    definition = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    faults.inject("cut", operation="CreateStateMachine")

    created = states.create_state_machine(
        name="made", roleArn=f"arn:aws:iam::{ACCOUNT}:role/r", definition=json.dumps(definition)
    )

    assert "stateMachineArn" not in created
    assert [each["name"] for each in states.list_state_machines()["stateMachines"]] == ["made"]


def test_a_call_that_is_dropped_has_its_effect_and_no_response(
    endpoint: Endpoint, faults: Faults
) -> None:
    s3 = endpoint.client("s3")
    faults.inject("drop 0.01", operation="PutObject")

    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket="rows", Key="dropped", Body=b"1")

    assert s3.get_object(Bucket="rows", Key="dropped")["Body"].read() == b"1"


def test_what_a_role_calls_is_repeated_if_it_is_dropped(endpoint: Endpoint, faults: Faults) -> None:
    s3 = endpoint.client("s3", f"arn:aws:iam::{ACCOUNT}:role/reader")
    faults.inject("drop", operation="ListObjectsV2")

    assert s3.list_objects_v2(Bucket="rows", Prefix="none/")["KeyCount"] == 0


def test_what_has_no_body_is_not_cut(endpoint: Endpoint, faults: Faults) -> None:
    s3 = endpoint.client("s3")
    s3.put_object(Bucket="rows", Key="b", Body=b"12345678")
    faults.inject("cut", times=0)
    try:
        assert s3.head_object(Bucket="rows", Key="b")["ContentLength"] == 8
        s3.delete_object(Bucket="rows", Key="b")
    finally:
        faults.clear()
