"""Faults on demand, ordered by a header or for calls to come, seen through boto3."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.serving import make_server
from werkzeug.test import Client

from localaws.http.faults import Fault, FaultError, Faults
from localaws.personalize import Personalize

from .account import ACCOUNT, REGION


class Spoilt:
    """A Personalize with faults, called directly through WSGI, and how long it slept."""

    def __init__(self, directory: Path) -> None:
        self.slept: list[float] = []
        service = Personalize(
            account=ACCOUNT, region=REGION, s3=lambda role: pytest.fail(), directory=directory
        )
        self.faults = Faults(service, sleep=self.slept.append)
        self.close = service.close

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[str, Any]:
        """Send a request; return status line and response."""
        content = b"" if body is None else body
        if not isinstance(content, bytes):
            content = json.dumps(body).encode()
        headers = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/r/personalize/aws4_request, x",
            "Content-Type": "application/json",
            **headers,
        }
        response = Client(self.faults).open(path, method=method, data=content, headers=headers)
        status = HTTPStatus(response.status_code)
        answer = json.loads(response.data or b"null")
        if name := response.headers.get("x-amzn-errortype"):
            answer["__type"] = name  # REST-JSON has it in the header alone
        return f"{status.value} {status.phrase}", answer

    def call(self, operation: str, fault: str = "") -> str:
        """Call an operation without members; its error's name, or ``served``."""
        headers = {"X-Amz-Target": f"AmazonPersonalize.{operation}"}
        if fault:
            headers["X-Local-Fault"] = fault
        _, answer = self.send("POST", "/", {}, **headers)
        return str(answer.get("__type", "served"))


@pytest.fixture
def spoilt(tmp_path: Path) -> Iterator[Spoilt]:
    made = Spoilt(tmp_path)
    yield made
    made.close()


def test_a_header_spoils_its_own_request(spoilt: Spoilt) -> None:
    assert spoilt.call("ListSchemas", "throttle") == "ThrottlingException"
    assert spoilt.call("ListSchemas", "error ServiceUnavailable 503") == "ServiceUnavailable"
    assert spoilt.call("ListSchemas", "delay 1.5") == "served"
    assert spoilt.call("ListSchemas", "explode") == "InvalidFault"
    assert spoilt.call("ListSchemas") == "served"
    assert spoilt.slept == [1.5]


def test_a_rule_spoils_the_nth_call_of_its_operation(spoilt: Spoilt) -> None:
    rule = {"operation": "ListSchemas", "fault": "throttle", "call": 2, "times": 2}
    assert spoilt.send("POST", "/_local/faults", rule) == ("200 OK", {"rules": [rule]})
    operations = ["ListSchemas", "ListSchemas", "ListFilters", "ListSchemas", "ListSchemas"]
    throttled = "ThrottlingException"
    assert [spoilt.call(operation) for operation in operations] == [
        "served",
        throttled,
        "served",
        throttled,
        "served",
    ]
    _, listed = spoilt.send("GET", "/_local/faults")
    assert [(rule["seen"], rule["spoilt"]) for rule in listed["rules"]] == [(4, 2)]
    assert spoilt.send("DELETE", "/_local/faults") == ("200 OK", {"rules": []})
    assert spoilt.call("ListSchemas") == "served"


def test_a_rule_without_an_operation_spoils_all_calls_of_a_service(spoilt: Spoilt) -> None:
    spoilt.faults.inject("error Boom 500", service="personalize", times=0)
    assert [spoilt.call(operation) for operation in ("ListSchemas", "ListFilters")] == [
        "Boom",
        "Boom",
    ]
    spoilt.faults.clear()
    spoilt.faults.inject("throttle", service="glue")
    assert spoilt.call("ListSchemas") == "served"
    spoilt.faults.inject("throttle", service="personalize-runtime")  # boto3's name
    assert spoilt.call("ListSchemas") == "served"
    assert spoilt.send("POST", "/recommendations", {})[0] == "400 Bad Request"
    _, listed = spoilt.send("GET", "/_local/faults")
    assert [rule["spoilt"] for rule in listed["rules"]] == [0, 1]


def test_the_runtime_and_events_apis_are_known_by_their_paths(spoilt: Spoilt) -> None:
    for operation in ("GetRecommendations", "PutEvents"):
        spoilt.faults.inject("throttle", operation=operation)
    codes = [
        spoilt.send("POST", path, {})[1]["__type"] if n < 2 else spoilt.send("POST", path, {})[0]
        for n, path in enumerate(("/recommendations", "/events", "/events"))
    ]
    assert codes == ["ThrottlingException", "ThrottlingException", "400 Bad Request"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ([], 'a rule is an object, e.g. {"fault": "throttle"}'),
        (
            {"fault": "throttle", "nth": 1},
            "nth: unknown; known are call, operation, service, times",
        ),
        ({"fault": "throttle", "call": 0}, "call must be an integer, at least 1; not 0"),
        (
            {"fault": "delay -1"},
            "'delay -1' is no fault; write 'throttle', 'cut', 'delay SECONDS' or",
        ),
        ({"fault": "error Boom 200"}, "'error Boom 200' is no fault"),
        (
            {"fault": "throttle", "self": 1},
            "self: unknown; known are call, operation, service, times",
        ),
        ({"fault": "throttle", "service": "s4"}, "service 's4': there is none of this name"),
        (
            {"fault": "throttle", "service": "states", "operation": "StartExecutions"},
            "operation 'StartExecutions': states has none of this name; did you mean"
            " StartExecution?",
        ),
    ],
)
def test_an_invalid_rule_is_refused(spoilt: Spoilt, rule: Any, message: str) -> None:
    status, answer = spoilt.send("POST", "/_local/faults", rule)
    assert (status, answer["__type"]) == ("400 Bad Request", "InvalidFault")
    assert answer["message"].startswith(message)
    assert spoilt.send("PUT", "/_local/faults")[0] == "405 Method Not Allowed"
    for name in ("service", "operation"):
        status, answer = spoilt.send("POST", "/_local/faults", {"fault": "throttle", name: []})
        assert (status, answer["message"][: len(name)]) == ("400 Bad Request", name)
    assert spoilt.call("ListSchemas") == "served"
    for content in (b"{", b"\xff", b"[" * 100_000):
        status, answer = spoilt.send("POST", "/_local/faults", content)
        assert (status, answer["__type"]) == ("400 Bad Request", "InvalidFault")
    form = {"Content-Type": "text/plain"}  # what a form of a web page can send
    status, _ = spoilt.send("POST", "/_local/faults", {"fault": "throttle"}, **form)
    assert status == "415 Unsupported Media Type"


def test_a_fault_is_read_from_its_text() -> None:
    assert Fault.parse("error AccessDeniedException 403") == Fault(
        0.0, "AccessDeniedException", 403
    )
    assert Fault.parse("error AccessDeniedException").status is None
    with pytest.raises(FaultError):
        Fault.parse("delay inf")


def test_sdks_retry_what_is_throttled(tmp_path: Path) -> None:
    """Through a port of its own: boto3 takes the answer for AWS's."""
    spoilt = Spoilt(tmp_path)
    server = make_server("127.0.0.1", 0, spoilt.faults)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"

    def client(attempts: int) -> Any:
        return boto3.client(
            "personalize",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id="k",
            aws_secret_access_key="s",
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    try:
        spoilt.faults.inject("throttle", operation="ListSchemas")
        with pytest.raises(ClientError) as caught:
            client(1).list_schemas()
        assert caught.value.response["Error"]["Code"] == "ThrottlingException"
        spoilt.faults.inject("throttle", operation="ListSchemas")
        assert client(3).list_schemas()["schemas"] == []
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(
                urllib.request.Request(url, headers={"X-Local-Fault": "error Down 503"})
            )
    finally:
        server.shutdown()
        spoilt.close()
