"""Malformed requests get AWS's errors, where moto fails by whatever Python raises."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from localaws.http.endpoint import Endpoint

BODIES = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"<", b"<a/>", b"[" * 5_000, b'{"a":1}']


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account="210987654321", region="us-east-1") as endpoint:
        endpoint.client("s3").create_bucket(Bucket="bucket")
        yield endpoint


def send(
    endpoint: Endpoint, service: str, method: str, path: str, body: bytes = b"", target: str = ""
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc)
    scope = f"Credential=local/20260101/us-east-1/{service}/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    if target:
        headers |= {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


@pytest.mark.parametrize(
    ("service", "method", "path", "body", "target", "status", "code"),
    [
        ("s3", "PUT", "/bucket?tagging", b"<", "", 400, "MalformedXML"),
        ("s3", "POST", "/bucket?delete", b"", "", 400, "MalformedXML"),
        ("s3", "GET", "/bucket?list-type=2&max-keys=x", b"", "", 400, "InvalidArgument"),
        ("s3", "PUT", "/bucket/k?partNumber=1&uploadId=y", b"", "", 404, "NoSuchUpload"),
        ("s3", "FOO", "/bucket", b"", "", 405, "MethodNotAllowed"),
        ("dynamodb", "POST", "/", b"{}", "", 400, "MissingAction"),
        (
            *("dynamodb", "POST", "/", b"{}", "DynamoDB_20120810.PutItem"),
            *(400, "ValidationException"),
        ),
        (
            *("dynamodb", "POST", "/", b"{", "DynamoDB_20120810.PutItem"),
            *(400, "SerializationException"),
        ),
    ],
)
def test_a_malformed_request_gets_the_services_error(
    endpoint: Endpoint,
    service: str,
    method: str,
    path: str,
    body: bytes,
    target: str,
    status: int,
    code: str,
) -> None:
    answered, text = send(endpoint, service, method, path, body, target)
    assert (answered, code in text) == (status, True), text


@pytest.mark.parametrize("body", BODIES)
def test_no_body_makes_an_outage_or_a_page(endpoint: Endpoint, body: bytes) -> None:
    requests = [
        *(("s3", "PUT", f"/bucket?{query}", "") for query in ("acl", "lifecycle", "tagging")),
        ("s3", "POST", "/bucket?delete", ""),
        ("s3", "FOO", "/bucket", ""),
        *(
            ("states", "POST", "/", f"AWSStepFunctions.{name}")
            for name in ("StartExecution", "DescribeExecution", "ListExecutions")
        ),
        ("dynamodb", "POST", "/", "DynamoDB_20120810.PutItem"),
        ("kms", "POST", "/", "TrentService.Encrypt"),
    ]
    for service, method, path, target in requests:
        status, text = send(endpoint, service, method, path, body, target)
        assert status < 500, (path, target, text)
        assert "<html" not in text
        assert "Traceback" not in text
