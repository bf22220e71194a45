"""The calls that arrive at an endpoint, with who made them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.calls import Call, call_of


class Recorder:
    """A WSGI application in front of an endpoint: `endpoint.wrap_all(Recorder)`."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._calls: list[Call] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self._calls.append(call_of(environ))
        return self._application(environ, start_response)

    @contextmanager
    def recorded(self) -> Iterator[list[Call]]:
        """Yield a list that holds the calls of a block at its end."""
        calls: list[Call] = []
        first = len(self._calls)
        yield calls
        calls += self._calls[first:]
