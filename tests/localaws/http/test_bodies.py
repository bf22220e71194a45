"""Bodies of requests: of any size they take no memory, and malformed ones get AWS's error."""

import os
import re
import socket
from collections.abc import Iterable, Iterator

import psutil
import pytest

from localaws.aws import LocalAws

S3 = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, x"
PERSONALIZE = S3.replace("/s3/", "/personalize/")
LIST = {"X-Amz-Target": "AmazonPersonalize.ListSchemas", "Authorization": PERSONALIZE}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(directory=tmp_path_factory.mktemp("aws")) as aws:
        aws.client("s3").create_bucket(Bucket="rows")
        yield aws


def send(
    aws: LocalAws, pieces: Iterable[bytes], target: str = "PUT /rows/a", **headers: str
) -> tuple[int, str]:
    """Send a request as it is, and end it; return the response's status and the error's code."""
    headers = {"Host": "localhost", "Authorization": S3, **headers}
    lines = [f"{target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    address = ("127.0.0.1", int(aws.endpoint.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        response = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
    code = re.search(r'<Code>(\w+)|"__type":"(\w+)"', response)
    return int(response.split()[1]), (code[1] or code[2]) if code else ""


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"Content-Length": "-1"}, b"a", "InvalidRequest"),
        ({"Content-Length": "1.5"}, b"a", "InvalidRequest"),
        ({"Content-Length": "9" * 30}, b"a", "InvalidRequest"),
        ({"Content-Length": "9" * 18}, b"a", "EntityTooLarge"),
        ({"Content-Length": "2"}, b"a", "IncompleteBody"),
        (CHUNKED, b"fffffffffffffff\r\n", "IncompleteBody"),
        (CHUNKED, b"ffffffffffffffffffff\r\n", "InvalidRequest"),
        (CHUNKED, b"-1\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (CHUNKED, b"x\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (CHUNKED, b"1\r\nab\r\n0\r\n\r\n", "InvalidRequest"),
        (CHUNKED, b"1\r\na\r\n", "InvalidRequest"),
        (CHUNKED, b"", "InvalidRequest"),
        (CHUNKED | {"Content-Length": "1"}, b"1\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        ({"Transfer-Encoding": "gzip"}, b"a", "InvalidRequest"),
    ],
)
def test_a_malformed_body_is_refused(
    aws: LocalAws, headers: dict[str, str], body: bytes, code: str
) -> None:
    assert send(aws, [body], **headers) == (400, code)
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="rows", Prefix="a")
    assert send(aws, [body], "POST /", **headers, **LIST)[0] in {400, 413}


def test_a_chunked_body_is_read_by_every_service(aws: LocalAws) -> None:
    body = b"3;note=x\r\n{} \r\n1\r\n \r\n0\r\nX-Trailer: 1\r\n\r\n"

    assert send(aws, [body], "PUT /rows/chunked", **CHUNKED)[0] == 200
    assert aws.client("s3").get_object(Bucket="rows", Key="chunked")["Body"].read() == b"{}  "
    assert send(aws, [body], "POST /", **CHUNKED, **LIST)[0] == 200
    named = b'{"schemaArn": 1}'
    size = f"{len(named):x}".encode()
    chunked = size + b"\r\n" + named + b"\r\n0\r\n\r\n"
    describe = LIST | {"X-Amz-Target": "AmazonPersonalize.DescribeSchema"}
    assert send(aws, [chunked], "POST /", **CHUNKED, **describe) == (400, "InvalidInputException")


def test_a_body_that_no_service_takes_is_refused_before_it_is_read(aws: LocalAws) -> None:
    too_large = {"Content-Length": str(70_167_212)}

    assert send(aws, [b"{"], "POST /", **too_large, **LIST) == (
        413,
        "RequestEntityTooLargeException",
    )


def test_a_body_that_is_cut_off_takes_no_memory(aws: LocalAws) -> None:
    """The server is this process."""
    process, sent = psutil.Process(os.getpid()), bytes(1 << 20)
    before = process.memory_info().rss

    assert send(aws, [b"10000000\r\n", *[sent] * 200], **CHUNKED) == (400, "IncompleteBody")
    assert process.memory_info().rss - before < 50 << 20
