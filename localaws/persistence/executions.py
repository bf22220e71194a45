"""Executions of state machines that have ended, kept beyond the life of what ran them.

A WSGI application in front of the local Step Functions. An execution is noted before its start is
answered, and kept whole (its description, definition and history) when it has ended: by the next
`sweep`, or before anybody learns that it has. What earlier servers ran is answered from here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.http.calls import signature_of
from localaws.http.errors import ServiceError, error_response
from localaws.http.paging import page
from localaws.http.wsgi import Response, environ_of, json_response, perform, request_body
from localaws.persistence.documents import Documents

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

INTERRUPTED = "the local server ended while the execution ran, and was started again"
_KIND = "execution"
_PAGE = 100
_LARGEST_PAGE = 1_000
_TARGET = "AWSStepFunctions"


class Archive:
    """Step Functions' executions, those of former lives too.

    Args:
        application: The Step Functions that runs them, and whatever else.
        documents: Where they are kept.
        account: The account's number.
        region: The region that is asked.
        started: Told an execution's ARN when it begins.
    """

    def __init__(
        self,
        application: WSGIApplication,
        documents: Documents,
        *,
        account: str,
        region: str,
        started: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._application = application
        self._documents = documents
        self._account = account
        self._region = region
        self._started = started
        self._running: set[str] = set()
        self._live: set[str] = set()
        self._lock = threading.Lock()
        self._served: Mapping[str, Callable[[dict[str, Any], Callable[[], Response]], Response]] = {
            "StartExecution": self._start,
            "StopExecution": self._stop,
            "DescribeExecution": self._describe,
            "DescribeStateMachineForExecution": self._definition,
            "GetExecutionHistory": self._history,
            "ListExecutions": self._list,
            "DeleteStateMachine": self._delete,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        serve = self._served.get(operation) if signature_of(environ).service == "states" else None
        if serve is None:
            return self._application(environ, start_response)
        try:
            request = json.loads(request_body(environ) or b"{}")
        except ValueError:
            return self._application(environ, start_response)
        response = serve(request, lambda: perform(self._application, environ))
        return response(environ, start_response)

    def open(self, *, now: float) -> int:
        """End what ran when the last life ended; return how many executions there are.

        Args:
            now: Seconds since 1970.
        """
        kept = list(self._documents.all(_KIND))
        for arn, document in kept:
            described = document["description"]
            if described["status"] == "RUNNING":
                described |= {"status": "ABORTED", "stopDate": now, "cause": INTERRUPTED}
                document["events"] = _interrupted(described)
                self._documents.put(_KIND, arn, document)
        return len(kept)

    def sweep(self) -> None:
        """Keep every execution that has ended since the last sweep."""
        for arn in tuple(self._running):
            self._keep(arn)

    # Operations

    def _start(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        machine, name = request.get("stateMachineArn", ""), request.get("name")
        arn = f"{_base(machine).replace(':stateMachine:', ':execution:')}:{name}"
        if name and arn not in self._live and self._documents.get(_KIND, arn):
            error = ServiceError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            return error_response(error, protocol="json", service="stepfunctions")
        response = forward()
        if response.succeeded:
            arn = json.loads(response.get_data())["executionArn"]
            with self._lock:
                is_new = arn not in self._live
                self._live.add(arn)
            if is_new:
                self._note(arn)
                self._started(arn)
        return response

    def _stop(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        if document := self._former(request):
            return json_response({"stopDate": document["description"]["stopDate"]})
        return forward()

    def _describe(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        if document := self._former(request):
            return json_response(document["description"])
        response = forward()
        if response.succeeded and json.loads(response.get_data())["status"] != "RUNNING":
            self._keep(request["executionArn"])
        return response

    def _definition(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        document = self._former(request)
        return json_response(document["definition"]) if document else forward()

    def _history(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        document = self._former(request)
        if document is None:
            response = forward()
            if response.succeeded:
                self._keep(request["executionArn"])
            return response
        events = document["events"]
        if request.get("reverseOrder"):
            events = events[::-1]
        return _page(request, "events", events, request["executionArn"])

    def _list(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        machine = request.get("stateMachineArn", "")
        found = self._all("ListExecutions", "executions", stateMachineArn=machine)
        if found is None:
            return forward()
        for one in found:
            if one["status"] != "RUNNING":
                self._keep(one["executionArn"])
        names = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
        for arn, document in self._documents.all(_KIND):
            described = document["description"]
            if arn not in self._live and described["stateMachineArn"] == _base(machine):
                found.append({name: described[name] for name in names if name in described})
        wanted = request.get("statusFilter")
        found = [one for one in found if wanted in {None, one["status"]}]
        found.sort(key=lambda one: float(one["startDate"]), reverse=True)
        return _page(request, "executions", found, machine)

    def _delete(self, request: dict[str, Any], forward: Callable[[], Response]) -> Response:
        response = forward()
        if response.succeeded:
            machine = _base(request["stateMachineArn"])
            for arn, document in list(self._documents.all(_KIND)):
                if document["description"]["stateMachineArn"] == machine:
                    self._documents.drop(_KIND, arn)
                    self._running.discard(arn)
        return response

    # What is kept

    def _former(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """An execution that an earlier life ran."""
        arn = request.get("executionArn", "")
        return None if arn in self._live else self._documents.get(_KIND, arn)

    def _note(self, arn: str) -> None:
        """Keep that an execution has begun."""
        described = self._asked("DescribeExecution", arn)
        definition = self._asked("DescribeStateMachineForExecution", arn)
        if described is None or definition is None:
            return
        for name in ("stopDate", "output", "outputDetails", "error", "cause"):
            described.pop(name, None)
        document = {
            "description": described | {"status": "RUNNING"},
            "definition": definition,
            "events": [],
        }
        self._documents.put(_KIND, arn, document)
        self._running.add(arn)

    def _keep(self, arn: str) -> None:
        """Keep an execution whole, if it has ended."""
        if arn not in self._running:
            return
        described = self._asked("DescribeExecution", arn)
        if described is None or described["status"] == "RUNNING":
            return
        document = self._documents.get(_KIND, arn)
        if document is None:
            return
        events = self._all("GetExecutionHistory", "events", executionArn=arn) or []
        kept = document | {"description": described, "events": events}
        if kept == document:
            # Seen twice: an execution is FAILED a moment before its error and cause are there.
            self._running.discard(arn)
        else:
            self._documents.put(_KIND, arn, kept)

    def _asked(self, operation: str, arn: str) -> dict[str, Any] | None:
        response = self._ask(operation, {"executionArn": arn})
        described: dict[str, Any] = json.loads(response.get_data())
        return described if response.succeeded else None

    def _all(self, operation: str, member: str, **request: Any) -> list[dict[str, Any]] | None:
        """All pages of a list of the application itself; None if it refuses."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {"maxResults": _LARGEST_PAGE}
        while True:
            response = self._ask(operation, request | more)
            if not response.succeeded:
                return None
            answered = json.loads(response.get_data())
            found += answered[member]
            if not answered.get("nextToken"):
                return found
            more["nextToken"] = answered["nextToken"]

    def _ask(self, operation: str, request: Mapping[str, Any]) -> Response:
        """Ask the application itself."""
        day = time.strftime("%Y%m%d")
        scope = f"Credential=local/{day}/{self._region}/states/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{_TARGET}.{operation}",
            "X-Moto-Account-Id": self._account,
        }
        body = json.dumps(request).encode()
        return perform(self._application, environ_of("POST", "http://127.0.0.1/", headers, body))


def _base(machine: str) -> str:
    """A state machine's ARN without a version or an alias."""
    return ":".join(machine.split(":")[:7])


def _page(request: Mapping[str, Any], member: str, items: list[Any], scope: str) -> Response:
    """One page of a list."""
    try:
        found, more = page(
            list(enumerate(items)),
            token=request.get("nextToken"),
            size=request.get("maxResults") or _PAGE,
            scope=f"{member} of {scope}",
            refusal="InvalidToken",
        )
    except ServiceError as error:
        return error_response(error, protocol="json", service="stepfunctions")
    return json_response({member: found, **({"nextToken": more} if more else {})})


def _interrupted(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The history of which the first event and the last are known."""
    start = {"input": described.get("input", "{}"), "roleArn": described.get("roleArn", "")}
    return [
        {
            "id": 1,
            "previousEventId": 0,
            "timestamp": described["startDate"],
            "type": "ExecutionStarted",
            "executionStartedEventDetails": start,
        },
        {
            "id": 2,
            "previousEventId": 1,
            "timestamp": described["stopDate"],
            "type": "ExecutionAborted",
            "executionAbortedEventDetails": {"cause": described["cause"]},
        },
    ]
