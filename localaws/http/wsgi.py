"""Requests to WSGI applications, with or without a server, and their responses as values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, cast
from wsgiref.types import WSGIApplication, WSGIEnvironment

import orjson
import werkzeug.wrappers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError
from moto.core.request import Request
from urllib3 import HTTPHeaderDict, HTTPResponse


class ConnectionDropped(ConnectionError):  # noqa: N818  a name of what happens
    """Raised by an application so that the connection closes without a response."""


class Response(werkzeug.wrappers.Response):
    """A response, which is a WSGI application that sends it.

    Unlike werkzeug's own, it has no content type unless it is given one.
    """

    default_mimetype = None

    @property
    def succeeded(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status_code < 300


def json_response(value: Any, *, version: str = "1.0", status: int = 200) -> Response:
    """Return a response of AWS's JSON protocol in one of its versions, `1.0` or `1.1`."""
    return Response(orjson.dumps(value), status, content_type=f"application/x-amz-json-{version}")


def environ_of(method: str, url: str, headers: Mapping[str, Any], body: bytes) -> WSGIEnvironment:
    """Return a request as a WSGI server passes it on; its URL is absolute and percent-encoded."""
    environ: WSGIEnvironment = Request.from_primitives(method, url, headers, body).environ
    return environ


def perform(application: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """Send a request to an application and return the whole response."""
    return cast(Response, Response.from_app(application, environ, buffered=True))


def request_body(environ: WSGIEnvironment, *, limit: int | None = None) -> bytes:
    """Return a request's body, which stays readable; nothing if it has more bytes than a limit."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if limit is not None and length > limit:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def answer_in_process(events: Any, application: WSGIApplication) -> None:
    """Let a thread-safe application answer the requests of botocore's clients, without a server.

    The events are a client's `meta.events`, or a session's emitter for the clients to come.
    """

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body: Any = request.body
        if hasattr(body, "read"):
            body = body.read()
        sent = body.encode() if isinstance(body, str) else bytes(body or b"")
        environ = environ_of(request.method, request.url, dict(request.headers.items()), sent)
        try:
            response = perform(application, environ)
        except ConnectionDropped as dropped:
            raise ConnectionClosedError(endpoint_url=request.url, error=dropped) from dropped
        headers = list(response.headers)
        raw = HTTPResponse(
            io.BytesIO(response.get_data()),
            HTTPHeaderDict(headers),
            response.status_code,
            preload_content=False,
            enforce_content_length=False,  # botocore's own choice
            request_method=request.method,
        )
        by_name: Any = HeadersDict(headers)
        return AWSResponse(request.url, response.status_code, by_name, raw)

    events.register_first("before-send", answer, unique_id=f"in-process-{id(application)}")


def answer_over_http(events: Any, application: WSGIApplication) -> None:
    """Undo `answer_in_process`."""
    events.unregister("before-send", unique_id=f"in-process-{id(application)}")
