"""Executions of state machines that have ended, kept longer than the server that ran them.

A WSGI application in front of the local Step Functions. An execution is noted before its start is
answered, and kept whole (its description, definition and history) when it has ended: by the next
`sweep`, or before anybody learns that it has. Requests about the executions of earlier servers are
answered from here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.calls import signature_of
from localaws.http.errors import ServiceError, error_response
from localaws.http.paging import page
from localaws.http.wsgi import Response, environ_of, json_response, perform, request_body
from localaws.moto_patches.executions import without_data
from localaws.persistence.documents import Documents

INTERRUPTED = "the local server ended while the execution ran, and was started again"
NOT_REDRIVABLE = "the local server was started again since the execution ended"
_COLLECTION = "execution"
_PAGE = 100
_LARGEST_PAGE = 1_000
_OPERATIONS = (
    "StartExecution", "StopExecution", "DescribeExecution", "DescribeStateMachineForExecution",
    "GetExecutionHistory", "ListExecutions", "DeleteStateMachine", "RedriveExecution",
)  # fmt: skip


_STARTED_BY = ("stateMachineArn", "stateMachineVersionArn", "stateMachineAliasArn")
_SUMMARY = (
    "executionArn", "name", "status", "startDate", "stopDate", "redriveCount", "redriveDate",
    *_STARTED_BY,
)  # fmt: skip


class ExecutionArchive:
    """Step Functions' executions, those of earlier servers too.

    The application runs them. `on_start` is called with an execution's ARN when it begins.
    """

    def __init__(
        self,
        application: WSGIApplication,
        documents: Documents,
        *,
        account: str,
        region: str,
        on_start: Callable[[str], None],
    ) -> None:
        self._application = application
        self._documents = documents
        self._account = account
        self._region = region
        self._on_start = on_start
        self._running: set[str] = set()
        self._live: set[str] = set()
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        # A history is read page by page.
        self._former = lru_cache(maxsize=2)(self._document)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if operation not in _OPERATIONS or signature_of(environ).service != "states":
            return self._application(environ, start_response)
        try:
            request = json.loads(request_body(environ) or b"{}")
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return self._application(environ, start_response)
        return self._respond(operation, request, environ)(environ, start_response)

    def restore(self, *, now: float) -> int:
        """End what ran when the earlier server ended; return how many executions there are.

        Args:
            now: Seconds since 1970.
        """
        descriptions = list(self._documents.members(_COLLECTION, "description"))
        for arn, description in descriptions:
            if description["status"] == "RUNNING" and (document := self._document(arn)):
                description |= {"status": "ABORTED", "stopDate": now, "cause": INTERRUPTED}
                events = _interrupted_history(description)
                ended = document | {"description": description, "events": events}
                self._documents.put(_COLLECTION, arn, ended)
        return len(descriptions)

    def sweep(self) -> None:
        """Keep every execution that has ended since the last sweep."""
        for arn in tuple(self._running):
            self._keep(arn)

    def _respond(
        self, operation: str, request: dict[str, Any], environ: WSGIEnvironment
    ) -> Response:
        if operation == "StartExecution":
            return self._start(request, environ)
        if operation == "ListExecutions":
            return self._list(request, environ)
        arn = request.get("executionArn", "")
        if arn not in self._live and (document := self._former(arn)):
            return _respond_from(document, operation, request)
        response = perform(self._application, environ)
        if response.succeeded:
            if operation == "DeleteStateMachine":
                self._drop_executions(request["stateMachineArn"])
            elif operation == "RedriveExecution":
                self._note(arn)
            elif operation == "GetExecutionHistory" or (
                operation == "DescribeExecution"
                and json.loads(response.get_data())["status"] != "RUNNING"
            ):
                self._keep(arn)
        return response

    def _start(self, request: dict[str, Any], environ: WSGIEnvironment) -> Response:
        machine, name = request.get("stateMachineArn", ""), request.get("name")
        arn = f"{_without_qualifier(machine).replace(':stateMachine:', ':execution:')}:{name}"
        if name and arn not in self._live and self._document(arn):
            error = ServiceError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            return error_response(error, protocol="json", service="stepfunctions")
        response = perform(self._application, environ)
        if response.succeeded:
            arn = json.loads(response.get_data())["executionArn"]
            with self._lock:
                is_new = arn not in self._live
                self._live.add(arn)
            if is_new:
                self._note(arn)
                self._on_start(arn)
        return response

    def _list(self, request: dict[str, Any], environ: WSGIEnvironment) -> Response:
        machine = request.get("stateMachineArn", "")
        executions = self._call_for_all("ListExecutions", "executions", stateMachineArn=machine)
        if executions is None:
            return perform(self._application, environ)
        for execution in executions:
            if execution["status"] != "RUNNING":
                self._keep(execution["executionArn"])
        for arn, description in self._descriptions(machine):
            if arn not in self._live:
                executions.append({m: description[m] for m in _SUMMARY if m in description})
        status, redriven = request.get("statusFilter"), request.get("redriveFilter")
        shown = [
            execution
            for execution in executions
            if status in {None, execution["status"]}
            and redriven in {None, "REDRIVEN" if execution.get("redriveCount") else "NOT_REDRIVEN"}
        ]
        shown.sort(key=lambda execution: float(execution["startDate"]), reverse=True)
        return _page_response(request, "executions", shown, machine)

    # What is kept

    def _document(self, arn: str) -> dict[str, Any] | None:
        return self._documents.get(_COLLECTION, arn)

    def _descriptions(self, machine: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the executions that are kept, by their ARNs: of a machine, a version, an alias."""
        return [
            (arn, description)
            for arn, description in self._documents.members(_COLLECTION, "description")
            if machine in {description.get(member) for member in _STARTED_BY}
        ]

    def _drop_executions(self, machine: str) -> None:
        if machine != _without_qualifier(machine):
            return
        for arn, _ in self._descriptions(machine):
            self._documents.drop(_COLLECTION, arn)
            self._running.discard(arn)
        self._former.cache_clear()

    def _note(self, arn: str) -> None:
        """Keep that an execution has begun."""
        description = self._call("DescribeExecution", executionArn=arn)
        definition = self._call("DescribeStateMachineForExecution", executionArn=arn)
        if description is None or definition is None:
            return
        for member in ("stopDate", "output", "outputDetails", "error", "cause"):
            description.pop(member, None)
        description["status"] = "RUNNING"
        document = {"description": description, "definition": definition, "events": []}
        self._documents.put(_COLLECTION, arn, document, can_wait=True)
        self._running.add(arn)

    def _keep(self, arn: str) -> None:
        """Keep an execution whole, if it has ended; one at a time, as a history may be long."""
        if arn in self._running:
            with self._keeping:
                self._keep_ended(arn)

    def _keep_ended(self, arn: str) -> None:
        if arn not in self._running:
            return
        description = self._call("DescribeExecution", executionArn=arn)
        document = self._document(arn)
        if description is None or description["status"] == "RUNNING" or document is None:
            return
        events = self._call_for_all("GetExecutionHistory", "events", executionArn=arn) or []
        whole = document | {"description": description, "events": events}
        if whole == document:
            # Seen twice: an execution is FAILED a moment before its error and cause are there.
            self._running.discard(arn)
        else:
            self._documents.put(_COLLECTION, arn, whole, can_wait=True)

    def _call_for_all(
        self, operation: str, member: str, **request: Any
    ) -> list[dict[str, Any]] | None:
        """Return all pages of a list of the application itself; None if it refuses."""
        items: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while response := self._call(operation, maxResults=_LARGEST_PAGE, **request, **token):
            items += response[member]
            if not response.get("nextToken"):
                return items
            token = {"nextToken": response["nextToken"]}
        return None

    def _call(self, operation: str, **request: Any) -> dict[str, Any] | None:
        """Return the response of the application itself; None if it refuses."""
        scope = f"Credential=local/{time.strftime('%Y%m%d')}/{self._region}/states/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AWSStepFunctions.{operation}",
            "X-Moto-Account-Id": self._account,
        }
        body = json.dumps(request).encode()
        environ = environ_of("POST", "http://127.0.0.1/", headers, body)
        response = perform(self._application, environ)
        return json.loads(response.get_data()) if response.succeeded else None


def _respond_from(document: Mapping[str, Any], operation: str, request: dict[str, Any]) -> Response:
    """Answer a request about an execution of an earlier server."""
    match operation:
        case "StopExecution":
            return json_response({"stopDate": document["description"]["stopDate"]})
        case "DescribeStateMachineForExecution":
            return json_response(document["definition"])
        case "RedriveExecution":
            error = ServiceError("ExecutionNotRedrivable", NOT_REDRIVABLE)
            return error_response(error, protocol="json", service="stepfunctions")
        case "GetExecutionHistory":
            events = document["events"]
            if request.get("includeExecutionData") is False:
                events = [without_data(event) for event in events]
            if request.get("reverseOrder"):
                events = events[::-1]
            return _page_response(request, "events", events, request["executionArn"])
    description = document["description"]
    if description.get("redriveStatus") == "REDRIVABLE":
        description = description | {
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": NOT_REDRIVABLE,
        }
    return json_response(description)


def _without_qualifier(machine: str) -> str:
    """Return a state machine's ARN without a version or an alias."""
    return ":".join(machine.split(":")[:7])


def _page_response(
    request: Mapping[str, Any], member: str, items: list[Any], scope: str
) -> Response:
    try:
        shown, token = page(
            list(enumerate(items)),
            token=request.get("nextToken"),
            size=request.get("maxResults") or _PAGE,
            scope=f"{member} of {scope}",
            refusal="InvalidToken",
        )
    except ServiceError as error:
        return error_response(error, protocol="json", service="stepfunctions")
    return json_response({member: shown, **({"nextToken": token} if token else {})})


def _interrupted_history(description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the history of an execution of which only the start and the end are known."""
    start = {
        "input": description.get("input", "{}"),
        "roleArn": description.get("roleArn", ""),
    }
    return [
        {
            "id": 1,
            "previousEventId": 0,
            "timestamp": description["startDate"],
            "type": "ExecutionStarted",
            "executionStartedEventDetails": start,
        },
        {
            "id": 2,
            "previousEventId": 1,
            "timestamp": description["stopDate"],
            "type": "ExecutionAborted",
            "executionAbortedEventDetails": {"cause": description["cause"]},
        },
    ]
