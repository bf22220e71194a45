"""AWS's REST-JSON protocol, served from botocore's service model."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from werkzeug.test import Client

from localaws.http.errors import ServiceError
from localaws.http.rest_protocol import RestService

SUPPORTED = (
    "GetFunction",
    "GetProvisionedConcurrencyConfig",
    "Invoke",
    "ListFunctions",
    "ListProvisionedConcurrencyConfigs",
    "UntagResource",
)


class Wire:
    """A Lambda whose operations record their requests, and return a response set before."""

    def __init__(self, answer: Any = None) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer
        self._service = RestService("lambda", {name: self._operation(name) for name in SUPPORTED})

    def _operation(self, name: str) -> Any:
        def serve(request: dict[str, Any]) -> Any:
            self.got.append((name, request))
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

        return serve

    def send(
        self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[str, dict[str, str], bytes]:
        """Send a request; return status line, headers and body."""
        response = Client(self._service).open(url, method=method, data=body, headers=headers)
        status = HTTPStatus(response.status_code)
        return f"{status.value} {status.phrase}", dict(response.headers), response.data


@pytest.mark.parametrize(
    ("method", "url", "got"),
    [
        (
            "GET",
            "/2015-03-31/functions/list%2Ddata?Qualifier=1",
            ("GetFunction", {"FunctionName": "list-data", "Qualifier": "1"}),
        ),
        (
            "GET",
            "/2015-03-31/functions/?MaxItems=5&Marker=a%20b",
            ("ListFunctions", {"MaxItems": 5, "Marker": "a b"}),
        ),
        (
            "DELETE",
            "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af"
            "?tagKeys=a&tagKeys=b",
            (
                "UntagResource",
                {
                    "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f",
                    "TagKeys": ["a", "b"],
                },
            ),
        ),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency?List=ALL",
            ("ListProvisionedConcurrencyConfigs", {"FunctionName": "f"}),
        ),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1",
            ("GetProvisionedConcurrencyConfig", {"FunctionName": "f", "Qualifier": "1"}),
        ),
    ],
)
def test_the_operation_and_its_members_are_found_in_path_and_query(
    method: str, url: str, got: tuple[str, dict[str, Any]]
) -> None:
    wire = Wire({})
    wire.send(method, url)
    assert wire.got == [got]


def test_headers_status_and_payload_are_parsed_and_serialized() -> None:
    wire = Wire({"StatusCode": 202, "FunctionError": "Unhandled", "Payload": b"\xff{"})

    status, headers, body = wire.send(
        "POST",
        "/2015-03-31/functions/f/invocations",
        b"not json \x00",
        {"X-Amz-Invocation-Type": "Event"},
    )

    request = {"FunctionName": "f", "InvocationType": "Event", "Payload": b"not json \x00"}
    assert wire.got == [("Invoke", request)]
    assert (status, body) == ("202 Accepted", b"\xff{")
    assert headers["X-Amz-Function-Error"] == "Unhandled"
    assert headers["Content-Length"] == "2"


def test_an_operation_without_an_answer_has_no_body() -> None:
    resource = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    status, headers, body = Wire().send("DELETE", f"/2017-03-31/tags/{resource}?tagKeys=a")
    assert (status, body) == ("204 No Content", b"")
    assert set(headers) == {"x-amzn-RequestId"}


@pytest.mark.parametrize(
    ("method", "url", "status", "code", "message"),
    [
        (
            "PATCH",
            "/2015-03-31/functions",
            "400 Bad Request",
            "UnknownOperationException",
            "PATCH /2015-03-31/functions is no operation of lambda",
        ),
        (
            "GET",
            "/2015-03-31/event-source-mappings",
            "400 Bad Request",
            "ValidationException",
            "ListEventSourceMappings is not supported by the local lambda; it supports "
            "GetFunction, GetProvisionedConcurrencyConfig, Invoke, ListFunctions, "
            "ListProvisionedConcurrencyConfigs, UntagResource",
        ),
        (
            "GET",
            "/2015-03-31/functions?MaxItems=many",
            "400 Bad Request",
            "ValidationException",
            "1 validation error detected: Value 'many' at 'MaxItems' failed to satisfy "
            "constraint: Member must be of type integer",
        ),
        (
            "POST",
            "/2015-03-31/functions/no%20name/invocations",
            "400 Bad Request",
            "ValidationException",
            None,
        ),
    ],
)
def test_a_request_that_the_model_does_not_know_is_refused(
    method: str, url: str, status: str, code: str, message: str | None
) -> None:
    wire = Wire({})
    answered, headers, body = wire.send(method, url)
    assert (answered, headers["x-amzn-errortype"]) == (status, code)
    assert message is None or json.loads(body)["message"] == message
    assert wire.got == []


def test_an_error_has_the_status_of_the_model() -> None:
    wire = Wire(ServiceError("ResourceNotFoundException", "Function not found: f"))
    status, headers, body = wire.send("GET", "/2015-03-31/functions/f")
    assert status == "404 Not Found"
    assert headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert json.loads(body) == {
        "Type": "User",
        "message": "Function not found: f",
        "Message": "Function not found: f",
    }
