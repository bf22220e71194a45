"""Errors under AWS's names."""

import socket
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

import lambdas.get_status
import lambdas.list_datasets
from lambdas.clients import client
from lambdas.errors import ConnectionFailed, named_errors
from tests.lambdas.conftest import Answering
from tests.lambdas.sample_run import SOLUTION


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ThrottlingException", "ThrottlingException"),
        ("LimitExceededException", "LimitExceededException"),
        ("ResourceInUseException", "ResourceInUseException"),
        ("com.amazonaws.personalize.SlowDown", "SlowDown"),
        ("403", "403"),
    ],
)
def test_aws_s_errors_leave_under_their_own_names(code: str, name: str) -> None:
    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": "slow down"}}, "CreateSolution")

    with pytest.raises(Exception, match=r"^CreateSolution: slow down$") as raised:
        handler({}, None)
    assert type(raised.value).__name__ == name


def test_other_errors_pass_as_they_are() -> None:
    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise KeyError(event["missing"])

    with pytest.raises(KeyError, match="missing"):
        handler({}, None)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceInUseException"])
def test_an_error_of_a_client_leaves_a_handler_under_its_aws_name(
    calls: Stubber, code: str
) -> None:
    calls.add_client_error("describe_solution", code, "later")
    event = {"arn": SOLUTION, "minSeconds": 15, "maxSeconds": 300}

    with pytest.raises(Exception, match=r"^DescribeSolution: later$") as raised:
        lambdas.get_status.handler(event, None)
    assert type(raised.value).__name__ == code


@pytest.mark.parametrize("status", ["500", "502", "503"])
def test_an_answer_without_a_code_is_a_service_that_is_not_there(status: str) -> None:
    """A load balancer's page holds no code, and botocore gives the status in its place."""

    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": status, "Message": ""}}, "GetObject")

    with pytest.raises(Exception, match=r"^GetObject: $") as raised:
        handler({}, None)
    assert type(raised.value).__name__ == "ServiceUnavailable"


@pytest.mark.usefixtures("own_aws")
def test_a_service_that_cannot_be_reached_is_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")

        with pytest.raises(ConnectionFailed, match="Could not connect to the endpoint URL"):
            lambdas.get_status.handler({"arn": SOLUTION, "minSeconds": 1, "maxSeconds": 2}, None)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_an_answer_that_breaks_off_is_a_failed_connection(
    answering: Answering, answer: bytes
) -> None:
    event = {"bucket": "b", "run": "r", "datasetGroupArn": "g", "importMode": "FULL"}

    with answering(lambda _: answer), pytest.raises(ConnectionFailed):
        lambdas.list_datasets.handler(event, None)


@pytest.mark.parametrize(
    ("service", "operation", "request_members", "text"),
    [
        # Read to its end, it would be an empty list.
        ("personalize", "list_solutions", {}, b'{"solutions": []'),
        ("stepfunctions", "list_executions", {"stateMachineArn": "arn:m"}, b'{"executions": []'),
        ("s3", "list_objects_v2", {"Bucket": "b"}, b"<ListBucketResult><Name>b</Name>"),
        ("sns", "list_topics", {}, b"<ListTopicsResponse>"),
    ],
)
def test_half_of_a_response_is_a_failed_connection(
    answering: Answering, service: Any, operation: str, request_members: Any, text: bytes
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text) + 20}\r\n\r\n".encode()

    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        found: dict[str, Any] = getattr(client(service), operation)(**event)
        return found

    with answering(lambda _: head + text), pytest.raises(ConnectionFailed, match="read"):
        handler(request_members, None)


def test_what_has_no_body_is_whole(answering: Answering) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"
    with answering(lambda _: head):
        assert client("s3").head_object(Bucket="b", Key="k")["ContentLength"] == 8


@pytest.mark.usefixtures("own_aws")
def test_a_call_that_nobody_answers_ends_before_the_function_does() -> None:
    """Otherwise Lambda ends the function, by an error that means anything."""
    settings = client("personalize").meta.config
    attempts = settings.retries["total_max_attempts"]
    pauses = sum(2**number for number in range(attempts - 1))  # botocore's longest, in seconds

    assert attempts * (settings.connect_timeout + settings.read_timeout) + pauses < 60
