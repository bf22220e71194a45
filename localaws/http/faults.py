"""Faults on demand: throttled, failed and delayed calls, for a user's own tests of what then.

A WSGI wrapper around a service (or around the whole endpoint). A fault is ordered in one of two
ways; both are this wrapper's own, AWS has nothing like them.

One request, by its header::

    X-Local-Fault: throttle
    X-Local-Fault: error InternalServerError 500
    X-Local-Fault: delay 1.5

Calls to come, by a rule; ``operation`` is botocore's name of it, ``service`` the name under which
it is signed, and what is left out fits every call::

    POST /_local/faults
    {"service": "personalize", "operation": "CreateCampaign", "fault": "throttle",
     "call": 2, "times": 1}

    GET    /_local/faults    all rules, and how many calls each has seen and spoilt
    DELETE /_local/faults    forget all rules

``call`` is the first call that is spoilt, counted from 1 since the rule was made (1 if left out),
``times`` how many are from there on (1; 0 means all). A throttled call is answered as AWS does,
``ThrottlingException`` with status 400, which SDKs retry; a delayed call is answered late.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import botocore.session

from localaws.http.calls import Call, call_of
from localaws.http.routes import Routes

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/_local/faults"
HEADER = "HTTP_X_LOCAL_FAULT"
_LONGEST_DELAY = 300.0
_SIGNED_AS = {"personalize": ("personalize-runtime", "personalize-events")}


class FaultError(ValueError):
    """What was ordered is no fault."""


@dataclass(frozen=True)
class Fault:
    """What shall happen to a call.

    Args:
        delay: Seconds before it is answered.
        code: The error's name; empty if it is answered well.
        status: The error's HTTP status.
    """

    delay: float = 0.0
    code: str = ""
    status: int = 400

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``throttle``, ``delay SECONDS`` or ``error CODE [STATUS]``.

        Raises:
            FaultError: If it is none of them.
        """
        match text.split():
            case ["throttle"]:
                return cls(code="ThrottlingException")
            case ["delay", seconds] if _is_number(seconds, _LONGEST_DELAY):
                return cls(delay=float(seconds))
            case ["error", code] if code.isidentifier():
                return cls(code=code)
            case ["error", code, status] if code.isidentifier() and status in _STATUSES:
                return cls(code=code, status=int(status))
        raise FaultError(
            f"{text!r} is no fault; write 'throttle', 'delay SECONDS' (at most"
            f" {_LONGEST_DELAY:g}) or 'error CODE STATUS' (STATUS 400 to 599, 400 if left out)"
        )


_STATUSES = frozenset(str(one.value) for one in HTTPStatus if one.value >= 400)


@dataclass
class _Rule:
    """A fault of calls to come; see the module."""

    fault: str
    service: str | None = None
    operation: str | None = None
    call: int = 1
    times: int = 1
    seen: int = 0
    spoilt: int = 0

    def __post_init__(self) -> None:
        Fault.parse(self.fault)
        for name, least in (("call", 1), ("times", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise FaultError(f"{name} must be an integer, at least {least}; not {value!r}")

    def spoils(self, call: Call) -> bool:
        """Whether this call is one to spoil; counts it."""
        if self.service not in {None, call.service} or self.operation not in {None, call.operation}:
            return False
        self.seen += 1
        is_spoilt = self.seen >= self.call and (
            self.times == 0 or self.seen < self.call + self.times
        )
        self.spoilt += is_spoilt
        return is_spoilt


class Faults:
    """The wrapper; safe to use from many threads.

    Args:
        application: What answers the calls that are not spoilt.
        sleep: Waits for some seconds.
    """

    def __init__(
        self, application: WSGIApplication, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._application = application
        self._sleep = sleep
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO") == PATH:
            return self._administer(environ, start_response)
        try:
            fault = self._fault(environ)
        except FaultError as error:
            return _answer(start_response, 400, _error("InvalidFault", f"X-Local-Fault: {error}"))
        if fault and fault.delay:
            self._sleep(fault.delay)
        if fault and fault.code:
            body = _error(fault.code, "This fault was ordered; see localaws.http.faults.")
            return _answer(start_response, fault.status, body, fault.code)
        return self._application(environ, start_response)

    def order(self, fault: str, **rule: Any) -> None:
        """Add a rule, as a POST does.

        Args:
            fault: E.g. ``throttle``.
            rule: ``service``, ``operation``, ``call``, ``times``.

        Raises:
            FaultError: If the fault is none, or a member is unknown or malformed.
        """
        known = {"service", "operation", "call", "times"}
        if unknown := sorted(set(rule) - known):
            raise FaultError(f"{', '.join(unknown)}: unknown; known are {', '.join(sorted(known))}")
        with self._lock:
            self._rules.append(_Rule(fault, **rule))

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules.clear()

    def _fault(self, environ: WSGIEnvironment) -> Fault | None:
        """What happens to a request: what its header says, or else the first rule that fits."""
        if text := environ.get(HEADER):
            return Fault.parse(text)
        with self._lock:
            if not self._rules:
                return None
            call = _call(environ)
            spoiling = [rule for rule in self._rules if rule.spoils(call)]
        return Fault.parse(spoiling[0].fault) if spoiling else None

    def _administer(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"]:
            case "GET":
                with self._lock:
                    rules = [vars(rule) for rule in self._rules]
                return _answer(start_response, 200, {"rules": rules})
            case "DELETE":
                self.clear()
                return _answer(start_response, 200, {"rules": []})
            case "POST":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                try:
                    given = json.loads(environ["wsgi.input"].read(length))
                    if not isinstance(given, dict) or not isinstance(given.get("fault"), str):
                        raise FaultError('a rule is an object, e.g. {"fault": "throttle"}')
                    self.order(**given)
                except ValueError as error:
                    return _answer(start_response, 400, _error("InvalidFault", str(error)))
                return _answer(start_response, 200, {"rules": [given]})
        return _answer(start_response, 405, _error("InvalidFault", "use GET, POST or DELETE"))


def _call(environ: WSGIEnvironment) -> Call:
    """What a request asks for, also of the APIs that are signed as another service."""
    call = call_of(environ)
    if call.operation:
        return call
    for model in _SIGNED_AS.get(call.service, ()):
        if routed := _routes(model).find(environ):
            return replace(call, operation=routed.operation.name)
    return call


@cache
def _routes(model: str) -> Routes:
    return Routes(botocore.session.Session().get_service_model(model))


def _is_number(text: str, most: float) -> bool:
    try:
        return 0.0 <= float(text) <= most
    except ValueError:
        return False


def _error(code: str, message: str) -> dict[str, str]:
    return {"__type": code, "message": message}


def _answer(
    start_response: StartResponse, status: int, body: Mapping[str, Any], code: str = ""
) -> Iterable[bytes]:
    content = json.dumps(body).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(content))),
    ]
    if code:
        headers.append(("x-amzn-errortype", code))
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [content]
