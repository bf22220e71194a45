"""Fault injection: throttled, failed, late, cut and dropped calls, for tests of what happens then.

A WSGI wrapper around a service (or around the whole endpoint). There are two methods to inject a
fault; both are this wrapper's own, AWS has nothing like them.

One request, by its header::

    X-Local-Fault: throttle
    X-Local-Fault: error InternalServerError 500
    X-Local-Fault: delay 1.5
    X-Local-Fault: cut
    X-Local-Fault: drop 1.5

Calls to come, by a rule; `operation` is botocore's name of it, `service` boto3's or the name under
which it is signed, and what is left out matches every call::

    POST /_local/faults    (Content-Type: application/json)
    {"service": "personalize", "operation": "CreateCampaign", "fault": "throttle",
     "call": 2, "times": 1}

    GET    /_local/faults    all rules, and how many calls each has seen and spoilt
    DELETE /_local/faults    remove all rules

`call` is the first call that gets the fault, counted from 1 since the rule was made (1 if left
out), `times` how many do from there on (1; 0 means all). An error is answered as the service that
is called does it: in its protocol, with a request id, and with the status of its model if none is
given. A throttled call gets the service's own error: most often `ThrottlingException`, of S3
`SlowDown`, of Lambda `TooManyRequestsException`. A delayed call is answered late. A call that is
cut has its effect, and the connection closes half-way through the body of its response; a response
without a body is sent as it is. A call that is dropped has its effect too, and the connection
closes without a response, after some seconds if they are given.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.errors import suggestion
from localaws.http.calls import Call, call_of
from localaws.http.errors import ServiceError, error_to, throttling_error
from localaws.http.service_names import service_model, services_called
from localaws.http.wsgi import (
    ConnectionDropped,
    Response,
    json_response,
    perform,
    request_body,
)

PATH = "/_local/faults"
HEADER = "HTTP_X_LOCAL_FAULT"
_MAX_DELAY = 300.0
_SECONDS = re.compile(r"\d*\.?\d+")
_ERROR_STATUSES = frozenset(str(status.value) for status in HTTPStatus if status >= 400)


class FaultError(ValueError):
    """A fault or a rule that cannot be read."""


@dataclass(frozen=True)
class Fault:
    """The fault of a call; by default, none.

    Attributes:
        delay: Seconds before it is answered.
        code: The error's name; empty for no error.
        status: The error's HTTP status; None for the one that the service gives it.
        is_throttled: Whether the error is that of a throttled call.
        is_cut: Whether half of the response's body is missing.
        is_dropped: Whether there is no response.
    """

    delay: float = 0.0
    code: str = ""
    status: int | None = None
    is_throttled: bool = False
    is_cut: bool = False
    is_dropped: bool = False

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `throttle`, `cut`, `delay SECONDS`, `drop [SECONDS]` or `error CODE [STATUS]`.

        Raises:
            FaultError: If it is none of them.
        """
        match text.split():
            case ["throttle"]:
                return cls(is_throttled=True)
            case ["cut"]:
                return cls(is_cut=True)
            case ["drop"]:
                return cls(is_dropped=True)
            case ["delay" | "drop" as name, seconds] if _is_delay(seconds):
                return cls(delay=float(seconds), is_dropped=name == "drop")
            case ["error", code] if code.isidentifier():
                return cls(code=code)
            case ["error", code, status] if code.isidentifier() and status in _ERROR_STATUSES:
                return cls(code=code, status=int(status))
        raise FaultError(
            f"{text!r} is no fault; write 'throttle', 'cut', 'delay SECONDS' or 'drop SECONDS' (at"
            f" most {_MAX_DELAY:g}) or 'error CODE STATUS' (STATUS 400 to 599, the service's own if"
            " left out)"
        )


def _is_delay(text: str) -> bool:
    return bool(_SECONDS.fullmatch(text)) and float(text) <= _MAX_DELAY


@dataclass
class _Rule:
    fault: str
    service: str | None = None
    operation: str | None = None
    call: int = 1
    times: int = 1
    seen: int = 0
    spoilt: int = 0

    def __post_init__(self) -> None:
        Fault.parse(self.fault)
        for name in ("service", "operation"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise FaultError(f"{name} must be a name, or be left out; not {value!r}")
        for name, least in (("call", 1), ("times", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise FaultError(f"{name} must be an integer, at least {least}; not {value!r}")
        if self.service is not None:
            self._check_names(self.service)

    def _check_names(self, service: str) -> None:
        """Refuse a rule that no call can match.

        Raises:
            FaultError: If there is no such service, or it has no such operation.
        """
        clients = services_called(service)
        if not clients:
            raise FaultError(f"service {service!r}: there is none of this name")
        operations = {name for client in clients for name in service_model(client).operation_names}
        if self.operation is not None and self.operation not in operations:
            hint = suggestion(self.operation, operations)
            unknown = f"operation {self.operation!r}: {service} has none of this name"
            raise FaultError(f"{unknown}{hint and '; '}{hint}")

    def count(self, call: Call) -> bool:
        """Count a call if the rule matches it; return whether the call gets the fault."""
        if self.service not in {None, call.service, call.client}:
            return False
        if self.operation not in {None, call.operation}:
            return False
        self.seen += 1
        gets_fault = self.seen >= self.call and (
            self.times == 0 or self.seen < self.call + self.times
        )
        self.spoilt += gets_fault
        return gets_fault


class Faults:
    """The wrapper of an application that answers all other calls; safe to use from many threads."""

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
            return self._administer(environ)(environ, start_response)
        try:
            fault, call = self._fault(environ)
        except FaultError as invalid:
            response = error_to(environ, "InvalidFault", f"X-Local-Fault: {invalid}")
            return response(environ, start_response)
        if fault.is_dropped:
            perform(self._application, environ)
            self._sleep(fault.delay)
            raise ConnectionDropped
        if fault.delay:
            self._sleep(fault.delay)
        if fault.is_cut:
            return _cut(perform(self._application, environ))(environ, start_response)
        if not (fault.code or fault.is_throttled):
            return self._application(environ, start_response)
        if fault.is_throttled:
            error = throttling_error(call.client, call.operation)
        else:
            error = ServiceError(fault.code, "This fault was injected; see localaws.http.faults.")
        response = error_to(
            environ, error.code, error.message, status=fault.status, service=call.client
        )
        return response(environ, start_response)

    def inject(self, fault: str, /, **rule: Any) -> None:
        """Add a rule, as a POST does: a fault, e.g. `throttle`, and the rule's other members.

        Raises:
            FaultError: If the fault is none, or a member is unknown or malformed.
        """
        known = {"service", "operation", "call", "times"}
        if unknown := sorted(set(rule) - known):
            raise FaultError(f"{', '.join(unknown)}: unknown; known are {', '.join(sorted(known))}")
        with self._lock:
            self._rules.append(_Rule(fault, **rule))

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def _fault(self, environ: WSGIEnvironment) -> tuple[Fault, Call]:
        """Return a request's fault, that of its header, or else of the first rule that matches.

        The call is known if there is one.
        """
        if text := environ.get(HEADER):
            return Fault.parse(text), call_of(environ)
        with self._lock:
            if not self._rules:
                return Fault(), Call()
            call = call_of(environ)
            matches = [rule for rule in self._rules if rule.count(call)]
        return Fault.parse(matches[0].fault) if matches else Fault(), call

    def _administer(self, environ: WSGIEnvironment) -> Response:
        match environ["REQUEST_METHOD"]:
            case "GET":
                with self._lock:
                    return json_response({"rules": [vars(rule) for rule in self._rules]})
            case "DELETE":
                self.clear()
                return json_response({"rules": []})
            case "POST":
                if environ.get("CONTENT_TYPE", "").partition(";")[0] != "application/json":
                    # A form of any web page can send the types that need no permission.
                    return _invalid("send the rule as Content-Type: application/json", status=415)
                try:
                    rule = json.loads(request_body(environ))
                    if not isinstance(rule, dict) or not isinstance(rule.get("fault"), str):
                        raise FaultError('a rule is an object, e.g. {"fault": "throttle"}')
                    members = {name: value for name, value in rule.items() if name != "fault"}
                    self.inject(rule["fault"], **members)
                except (ValueError, RecursionError) as error:
                    return _invalid(str(error))
                return json_response({"rules": [rule]})
        return _invalid("use GET, POST or DELETE", status=405)


def _cut(response: Response) -> Response:
    """Return a response whose body is half as long as its Content-Length says."""
    if body := response.get_data():
        response.set_data(body[: len(body) // 2])
        response.content_length = len(body)
    return response


def _invalid(message: str, *, status: int = 400) -> Response:
    return json_response({"__type": "InvalidFault", "message": message}, status=status)
