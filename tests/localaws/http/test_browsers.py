"""No web page reads or changes anything in the local AWS; a page that is named may."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from localaws.aws import LocalAws
from localaws.http.wsgi import environ_of, perform
from retrain.main import app
from tests.browsing import run

CSV = "USER_ID,ITEM_ID,RANK,SCORE\n1,2,1,0.5\n"
S3 = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, x"
GLUE = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/glue/aws4_request, x"


class Page(BaseHTTPRequestHandler):
    """An empty page, at every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title><body></body>")

    def log_message(self, *_: object) -> None:
        """Write no line."""


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """Serve a page; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def aws(pages: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """Serve a local AWS that takes requests of the page at `localhost`."""
    allowed = f"http://localhost:{pages}"
    directory = tmp_path_factory.mktemp("aws")
    with LocalAws(directory=directory, is_kept=False, allowed_origin=allowed) as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="rows")
        s3.put_object(Bucket="rows", Key="recommendations.csv", Body=CSV.encode())
        yield aws


def ask(aws: LocalAws, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Send a request; return the response's status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", int(aws.endpoint.url.rpartition(":")[2]))
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_a_foreign_page_gets_nothing_and_changes_nothing(aws: LocalAws, pages: int) -> None:
    """The page at `localhost`, which is allowed, shows that the browser sends its requests."""
    addresses = {
        "foreign": f"http://127.0.0.1:{pages}/",
        "allowed": f"http://localhost:{pages}/",
    }

    file = aws.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": "rows", "Key": "recommendations.csv"}
    )

    learned = run("foreign.mjs", {"pages": addresses, "endpoint": aws.endpoint.url, "file": file})

    assert learned == {
        "foreign": {"read": "TypeError", "shown": "refused", "job": "TypeError"},
        "allowed": {"read": CSV, "shown": "refused", "job": '{"Name":"allowed"}'},
    }
    keys = [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket="rows")["Contents"]]
    assert keys == ["allowed.py", "recommendations.csv"]
    assert [job["Name"] for job in aws.client("glue").get_jobs()["Jobs"]] == ["allowed"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "localhost.evil.example"},
        {"Host": "evillocalhost"},
        {"Host": "localhost:80@evil.example"},
        {"Host": ""},
    ],
)
def test_requests_of_pages_and_other_hosts_are_refused(
    aws: LocalAws, headers: dict[str, str]
) -> None:
    status, body = ask(aws, "GET", "/rows/recommendations.csv", **headers, Authorization=S3)

    assert (status, "<Code>AccessDenied</Code>" in body) == (403, True)
    assert ask(aws, "OPTIONS", "/rows/recommendations.csv", **headers)[0] == 403
    status, body = ask(
        aws, "POST", "/", **headers, Authorization=GLUE, X_Amz_Target="AWSGlue.ListJobs"
    )
    assert (status, json.loads(body)["__type"]) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1", "/rows/recommendations.csv"),
        ("localhost:4566", "/rows/recommendations.csv"),
        ("LOCALHOST", "/rows/recommendations.csv"),
        ("[::1]:4566", "/rows/recommendations.csv"),
        ("rows.localhost:4566", "/recommendations.csv"),
        ("rows.s3.localhost", "/recommendations.csv"),
    ],
)
def test_an_object_is_read_by_this_machines_names(aws: LocalAws, host: str, path: str) -> None:
    assert ask(aws, "GET", path, Host=host, Authorization=S3) == (200, CSV)
    assert ask(aws, "GET", path, Host=host, Sec_Fetch_Site="none", Authorization=S3) == (200, CSV)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["/moto-api/", "/moto-api/reset", "/latest/meta-data/", "/favicon.ico"]
)
def test_motos_own_pages_are_buckets_that_are_not_there(
    aws: LocalAws, method: str, path: str
) -> None:
    status, body = ask(aws, method, path, Authorization=S3)

    assert ("NoSuchBucket" in body, status) == (method == "GET", 404 if method == "GET" else 400)
    assert aws.client("s3").list_objects_v2(Bucket="rows")["KeyCount"] >= 1


def test_no_response_permits_a_page_to_read_it(aws: LocalAws) -> None:
    """Moto permits it to every page."""

    def permissions(service: str) -> list[str]:
        scope = f"AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request, x"
        headers = {"Origin": "http://evil.example", "Authorization": scope}
        response = perform(aws.endpoint, environ_of("GET", "http://localhost/", headers, b""))
        return [name for name, _ in response.headers if name.startswith("Access-Control-")]

    assert permissions("s3") == []
    with aws.endpoint.repairs.without("cross_origin_headers"):
        assert permissions("kms") == ["Access-Control-Allow-Origin"]


@pytest.mark.parametrize("origin", ["*", "null", "localhost:3000", "http://localhost:3000/"])
def test_an_option_that_is_no_origin_is_refused(origin: str) -> None:
    result = CliRunner().invoke(app, ["local", "serve", "--port", "0", "--allow-origin", origin])

    assert result.exit_code == 2
    assert "is no origin" in result.output
