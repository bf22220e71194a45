"""Requests to a WSGI application without a server, and its answers as values."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import orjson
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from urllib3 import HTTPHeaderDict, HTTPResponse

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Answer:
    """What an application has answered.

    Attributes:
        status: E.g. 200.
        headers: Names and values, in order.
        body: Whole.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def succeeded(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        """Give it to whoever asked."""
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", list(self.headers))
        return [self.body]


def environ_of(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> WSGIEnvironment:
    """A request as WSGI hands it over.

    Args:
        method: E.g. `POST`.
        path: As in the URL, percent-encoded.
        query: As in the URL, without the `?`.
        headers: By name, in any case.
        body: Whole.
    """
    host = next((value for name, value in headers.items() if name.lower() == "host"), "127.0.0.1")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path + (f"?{query}" if query else ""),
        "REQUEST_URI": path + (f"?{query}" if query else ""),
        "QUERY_STRING": query,
        "SERVER_NAME": host.partition(":")[0],
        "SERVER_PORT": host.partition(":")[2] or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    # Where moto looks up how the name of an object's metadata is written.
    environ["moto.preserved_header_names"] = {
        "HTTP_" + name.upper().replace("-", "_"): name for name in headers if "_" in name
    }
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ


def perform(application: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Let an application answer, and wait for the whole of it."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        started.append((status, headers))
        return written.append

    chunks = application(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        if close := getattr(chunks, "close", None):
            close()
    status, headers = started[-1]
    return Answer(int(status[:3]), headers, b"".join(written))


def answer_in_process(events: Any, application: WSGIApplication) -> None:
    """Let an application answer the requests of botocore's clients, without a server.

    Args:
        events: A client's `meta.events`, or a session's event emitter for the clients to come.
        application: Thread-safe.
    """

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {name: _text(value) for name, value in request.headers.items()}
        headers.setdefault("Host", url.netloc)
        body: Any = request.body
        if hasattr(body, "read"):
            body = body.read()
        sent = body.encode() if isinstance(body, str) else bytes(body or b"")
        answered = perform(
            application, environ_of(request.method, url.path or "/", url.query, headers, sent)
        )
        raw = HTTPResponse(
            io.BytesIO(answered.body),
            HTTPHeaderDict(answered.headers),
            answered.status,
            preload_content=False,
            request_method=request.method,
        )
        told: Any = HeadersDict(answered.headers)
        return AWSResponse(request.url, answered.status, told, raw)

    events.register_first("before-send", answer, unique_id=f"in-process-{id(application)}")


def answer_over_http(events: Any, application: WSGIApplication) -> None:
    """Undo `answer_in_process`."""
    events.unregister("before-send", unique_id=f"in-process-{id(application)}")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def taken_body(environ: WSGIEnvironment) -> bytes:
    """Return a request's body; it can still be read afterwards."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def json_answer(value: Any, *, status: int = 200, code: str = "") -> Answer:
    """An answer of an AWS JSON service.

    Args:
        value: The body's.
        status: HTTP's.
        code: An error's name.
    """
    body = orjson.dumps(value)
    headers = [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("Content-Length", str(len(body))),
        *([("x-amzn-errortype", code)] if code else []),
    ]
    return Answer(status, headers, body)
