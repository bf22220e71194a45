"""Keeps web pages out of the local AWS: a browser sends their requests to 127.0.0.1 too.

Nothing checks signatures here, so that every page in the user's browser could read and write, and
run code by Glue or Lambda. Browsers say whose requests they send: by `Origin`, by `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/), and by the `Host` of a name that a page's owner lets
resolve to 127.0.0.1. Programs send none of these. A URL that the user opens by hand is `none`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.errors import error_to
from localaws.http.wsgi import Response

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")
"""An origin as browsers send it, e.g. `http://localhost:3000`."""

# A bucket of its own name is a host, e.g. bucket.s3.localhost.
_HOST = re.compile(r"(([a-z0-9_.-]+\.)?(localhost|127\.0\.0\.1)\.?|\[::1\])(:\d+)?", re.IGNORECASE)
_DAY = "86400"


class BrowserGuard:
    """A WSGI application in front of another, which gets no request of a web page.

    Args:
        application: Answers all other requests.
        allowed_origin: The origin of the only pages that may send requests; empty for none.
    """

    def __init__(self, application: WSGIApplication, allowed_origin: str = "") -> None:
        self._application = application
        self._allowed_origin = allowed_origin

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if refusal := self._refusal(environ):
            return error_to(environ, "AccessDenied", refusal, status=403)(environ, start_response)
        if "HTTP_ORIGIN" not in environ:
            return self._application(environ, start_response)
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return self._preflight(environ)(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            others = [each for each in headers if not each[0].lower().startswith("access-control-")]
            return start_response(status, [*others, *self._permission()], *rest)

        return self._application(environ, start)

    def _refusal(self, environ: WSGIEnvironment) -> str:
        """Return why a request is not taken; empty if it is."""
        host = environ.get("HTTP_HOST", "")
        if not _HOST.fullmatch(host):
            return (
                f"the local AWS is not served as {host!r}: call it as 127.0.0.1, localhost or a"
                " subdomain of them"
            )
        origin = environ.get("HTTP_ORIGIN")
        site = environ.get("HTTP_SEC_FETCH_SITE", "none")
        if origin is None and site == "none":
            return ""
        if origin is not None and origin == self._allowed_origin:
            return ""
        page = f"a page of {origin}" if origin else f"a web page (Sec-Fetch-Site: {site})"
        return (
            f"the local AWS takes no requests of web pages, and {page} sent this one. If the page"
            " is yours, name its origin: 'retrain local serve --allow-origin'; a URL can be opened"
            " by hand"
        )

    def _preflight(self, environ: WSGIEnvironment) -> Response:
        """Return the answer to a browser's question whether the allowed page may send a request."""
        response = Response(status=204)
        response.headers.extend(self._permission())
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, PUT, POST, DELETE, PATCH"
        requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
        response.headers["Access-Control-Allow-Headers"] = requested
        response.headers["Access-Control-Max-Age"] = _DAY
        if environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK") == "true":
            response.headers["Access-Control-Allow-Private-Network"] = "true"
        return response

    def _permission(self) -> list[tuple[str, str]]:
        return [
            ("Access-Control-Allow-Origin", self._allowed_origin),
            ("Access-Control-Expose-Headers", "*"),
            ("Vary", "Origin"),
        ]
