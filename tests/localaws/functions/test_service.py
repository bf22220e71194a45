"""Lambda handlers in process: their events, results and errors."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.functions.service import Functions, LambdaContext
from localaws.http.endpoint import Endpoint

ARN = "arn:aws:lambda:ap-northeast-1:210987654321:function:"


class NotReadyError(Exception):
    """An error of a handler's own."""


def echo(event: Any, context: LambdaContext) -> Any:
    remaining = context.get_remaining_time_in_millis()
    return {
        "event": event,
        "function": context.function_name,
        "arn": context.invoked_function_arn,
        "timed": 0 < remaining <= 3000,
    }


def fail(event: Any, context: LambdaContext) -> Any:
    raise NotReadyError(f"データ {event['dataset']} is missing")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account="210987654321", region="ap-northeast-1") as endpoint:
        yield endpoint


@pytest.fixture
def functions(endpoint: Endpoint, tmp_path: Path) -> Functions:
    functions = Functions(account="210987654321", region="ap-northeast-1", directory=tmp_path)
    endpoint.mount("lambda", functions)
    functions.register("echo", echo, timeout=3)
    functions.register("fail", fail)
    return functions


def invoke(endpoint: Endpoint, name: str, event: Any, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = endpoint.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event).encode(), **more
    )
    return answer


@pytest.mark.parametrize(
    "name", ["echo", f"{ARN}echo", f"{ARN}echo:live", "210987654321:function:echo", "echo:1"]
)
def test_a_handler_gets_the_event_and_a_context(
    endpoint: Endpoint, functions: Functions, name: str
) -> None:
    answer = invoke(endpoint, name, {"名": [1, None]})

    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer
    assert json.load(answer["Payload"]) == {
        "event": {"名": [1, None]},
        "function": "echo",
        "arn": f"{ARN}echo",
        "timed": True,
    }


def test_an_exception_becomes_the_answer_of_the_python_runtime(
    endpoint: Endpoint, functions: Functions
) -> None:
    answer = invoke(endpoint, "fail", {"dataset": "users"})

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    payload = json.load(answer["Payload"])
    assert list(payload) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert payload["errorMessage"] == "データ users is missing"
    assert payload["errorType"] == "NotReadyError"
    [frame] = payload["stackTrace"]
    assert frame.splitlines()[0].endswith("in fail")


@pytest.mark.parametrize(
    ("result", "error_type", "message"),
    [
        (
            {"when": io.StringIO},
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type type is not JSON serializable",
        ),
        (
            "x" * (6 * 1024 * 1024 + 99),
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ],
)
def test_a_result_that_lambda_cannot_return_is_the_functions_error(
    endpoint: Endpoint, functions: Functions, result: Any, error_type: str, message: str
) -> None:
    functions.register("odd", lambda event, context: result)

    payload = json.load(invoke(endpoint, "odd", {})["Payload"])

    assert (payload["errorType"], payload["errorMessage"]) == (error_type, message)


def test_a_handler_that_exits_fails_its_invocation_only(
    endpoint: Endpoint, functions: Functions
) -> None:
    def leave(event: Any, context: LambdaContext) -> Any:
        raise SystemExit("no configuration")

    functions.register("leave", leave)

    payload = json.load(invoke(endpoint, "leave", {})["Payload"])
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 1")
    assert json.load(invoke(endpoint, "echo", 1)["Payload"])["event"] == 1


def test_an_unknown_function_is_not_found(endpoint: Endpoint, functions: Functions) -> None:
    with pytest.raises(ClientError) as refused:
        invoke(endpoint, "ech0", {})

    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert refused.value.response["Error"]["Message"] == f"Function not found: {ARN}ech0"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_payload_over_six_mebibytes_is_refused(endpoint: Endpoint, functions: Functions) -> None:
    with pytest.raises(ClientError) as refused:
        invoke(endpoint, "echo", "x" * (6 * 1024 * 1024 - 1))

    assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_payload_that_is_not_json_is_refused(endpoint: Endpoint, functions: Functions) -> None:
    with pytest.raises(ClientError) as refused:
        endpoint.client("lambda").invoke(FunctionName="echo", Payload=b"{")

    assert refused.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_an_event_invocation_returns_at_once_and_runs(
    endpoint: Endpoint, functions: Functions
) -> None:
    seen: Queue[Any] = Queue()
    functions.register("note", lambda event, context: seen.put(event))

    answer = invoke(endpoint, "note", {"dataset": "items"}, InvocationType="Event")

    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert seen.get(timeout=5) == {"dataset": "items"}


def test_a_dry_run_runs_nothing(endpoint: Endpoint, functions: Functions) -> None:
    seen: Queue[Any] = Queue()
    functions.register("note", lambda event, context: seen.put(event))

    answer = invoke(endpoint, "note", {"dataset": "items"}, InvocationType="DryRun")

    assert answer["StatusCode"] == 204
    assert seen.empty()


def test_functions_are_described_and_listed(endpoint: Endpoint, functions: Functions) -> None:
    client = endpoint.client("lambda")

    configuration = client.get_function(FunctionName="echo")["Configuration"]
    listed = client.list_functions()["Functions"]

    assert configuration["FunctionArn"] == f"{ARN}echo"
    assert configuration["Timeout"] == 3
    assert client.get_function_configuration(FunctionName="echo")["State"] == "Active"
    assert [function["FunctionName"] for function in listed] == ["echo", "fail"]


def test_a_function_s_policy_has_the_statements_that_were_added(
    functions: Functions, endpoint: Endpoint
) -> None:
    """The statement is that of Lambda's guide, page "Granting function access to AWS services"."""
    client = endpoint.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName="echo")
    request = {
        "FunctionName": "echo",
        "StatementId": "sns",
        "Action": "lambda:InvokeFunction",
        "Principal": "sns.amazonaws.com",
        "SourceArn": "arn:aws:sns:us-east-2:123456789012:my-topic",
    }
    added = json.loads(client.add_permission(**request)["Statement"])
    client.add_permission(**{**request, "StatementId": "account", "Principal": "210987654321"})

    policy = json.loads(client.get_policy(FunctionName="echo")["Policy"])

    assert added == policy["Statement"][0]
    assert added == {
        "Sid": "sns",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": f"{ARN}echo",
        "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:sns:us-east-2:123456789012:my-topic"}},
    }
    root = {"AWS": "arn:aws:iam::210987654321:root"}
    assert policy["Statement"][1]["Principal"] == root
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.add_permission(**request)
    client.remove_permission(FunctionName="echo", StatementId="sns")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.remove_permission(FunctionName="echo", StatementId="sns")
    assert [
        each["Sid"]
        for each in json.loads(client.get_policy(FunctionName="echo")["Policy"])["Statement"]
    ] == ["account"]
