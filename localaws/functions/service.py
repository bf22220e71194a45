"""Lambda's API: functions that run what was deployed, or a handler of this process.

`Functions` is a WSGI application. It answers Invoke as Lambda's Python runtime does: JSON in,
JSON out, and an exception becomes a 200 with `X-Amz-Function-Error` and a body that names the
error's type, which is the error name that Step Functions matches in Retry and Catch.

A deployed zip is unpacked and run in processes of its own, which see the standard library, the
zip and boto3, as on Lambda. What differs: the Python is the one that runs this, whatever the
function's runtime is called; memory is not limited, and asynchronous invocations are not retried.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localaws.functions.configuration import changed, configured
from localaws.functions.logs import FunctionLogs
from localaws.functions.packages import Code, Packages, describe_archive, unpack
from localaws.functions.processes import Processes, ProcessesClosedError, Sandbox
from localaws.functions.worker import Handler, HandlerError, LambdaContext, run
from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.http.protocol import operations_of
from localaws.http.rest_protocol import RestService
from localaws.persistence.documents import Documents

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["PAYLOAD_LIMIT", "Functions", "Handler", "LambdaContext"]

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of an invocation's request and of its response.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_RESPONSE_LIMIT = PAYLOAD_LIMIT + 100
_PAGE = 50
_KIND = "function"


@dataclass(frozen=True)
class _Function:
    """A function as it is now; each change makes another one.

    `handler` takes the place of `code` where a test has registered one.
    """

    configuration: Mapping[str, Any]
    tags: Mapping[str, str]
    code: Code | None = None
    handler: Handler | None = None

    @property
    def name(self) -> str:
        return str(self.configuration["FunctionName"])

    @property
    def document(self) -> dict[str, Any]:
        """What is kept of it; its code by the name of its archive."""
        archive = self.code.archive.name if self.code else None
        return {"configuration": self.configuration, "tags": self.tags, "archive": archive}

    @property
    def sandbox(self) -> Sandbox | None:
        """Where the deployed code runs."""
        if self.code is None:
            return None
        told = self.configuration
        variables = told.get("Environment", {}).get("Variables", {})
        return Sandbox(self.code, told["Role"], told["Runtime"], tuple(sorted(variables.items())))


class Functions:
    """A WSGI application for Lambda's REST API.

    Args:
        account: Account number in the functions' ARNs.
        region: Region in the functions' ARNs.
        directory: For packages, logs and temporary files; the caller removes it after `close`.
            Without one, nothing can be deployed.
        environment: An execution role's ARN → the variables with which its functions find and
            sign for AWS: the endpoint's URL, credentials, region.
        s3: Answers the client with which packages are read from buckets.
        logs: An execution role's ARN → the client with which CloudWatch Logs gets what its
            functions write; None keeps it in files alone.
        documents: Where the functions are kept; the ones that are there already are deployed. None
            forgets them.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        directory: Path | None = None,
        environment: Callable[[str], Mapping[str, str]] = lambda _: {},
        s3: Callable[[], Any] | None = None,
        logs: Callable[[str], Any] | None = None,
        documents: Documents | None = None,
    ) -> None:
        self._prefix = f"arn:aws:lambda:{region}:{account}:function:"
        directory = directory.absolute() if directory else None
        self._logs = FunctionLogs((directory or Path()) / "logs", logs)
        self._packages = Packages(directory / "code" if directory else None, s3)
        self._processes = Processes(directory, environment) if directory else None
        self._documents = documents or Documents()
        self._functions = dict(self._restored(directory)) if directory and documents else {}
        self._lock = threading.RLock()
        self._service = RestService("lambda", operations_of("lambda", self))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._service(environ, start_response)

    def register(self, name: str, handler: Handler, *, timeout: int = 900) -> str:
        """Let a handler of this process run in place of a function's code, until the next update.

        Args:
            name: The function's name, e.g. 'labbase-list-datasets'; it need not be deployed.
            handler: Called with the decoded event and a `LambdaContext`, in the server's thread.
            timeout: Seconds that the context of a function that is not deployed counts down; the
                handler is not cut off.

        Returns:
            The function's ARN.
        """
        with self._lock:
            known = self._functions.get(name)
            if known is None:
                named = {
                    "FunctionName": name,
                    "Role": "",
                    "Runtime": "python3.11",
                    "Handler": f"{handler.__module__}.{handler.__qualname__}",
                    "Timeout": timeout,
                }
                known = _Function(configured(named, self._prefix + name, None, _now()), {})
            self._functions[name] = replace(known, handler=handler)
        return self._prefix + name

    def logs(self, name: str) -> str:
        """What a function's deployed code has written, with Lambda's START, END, REPORT lines.

        It outlives the function, and is empty if nothing was written.
        """
        return self._logs.read(name)

    def close(self) -> None:
        """End the functions' processes, with what they run."""
        if self._processes is not None:
            self._processes.close()

    # Functions

    def create_function(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._name(request["FunctionName"])
        with self._lock:
            if name in self._functions:
                raise ServiceError("ResourceConflictException", f"Function already exist: {name}")
            code = self._packages.unpacked(request["Code"])
            told = {**request, "FunctionName": name}
            configuration = configured(told, self._prefix + name, code, _now())
            function = _Function(configuration, request.get("Tags", {}), code)
            self._keep(function)
        return dict(configuration)

    def update_function_code(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            function = self._function(request)
            _match_revision(function, request)
            if request.get("DryRun"):
                sha256, size = describe_archive(self._packages.archive(request))
                told = changed(function.configuration, request, None, _now())
                return {**told, "CodeSha256": sha256, "CodeSize": size}
            code = self._packages.unpacked(request)
            configuration = changed(function.configuration, request, code, _now())
            self._keep(replace(function, configuration=configuration, code=code, handler=None))
        return dict(configuration)

    def update_function_configuration(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            function = self._function(request)
            _match_revision(function, request)
            configuration = changed(function.configuration, request, None, _now())
            self._keep(replace(function, configuration=configuration))
        return dict(configuration)

    def delete_function(self, request: dict[str, Any]) -> None:
        with self._lock:
            name = self._function(request).name
            del self._functions[name]
            self._documents.drop(_KIND, name)
            self._keep()

    def get_function(self, request: dict[str, Any]) -> dict[str, Any]:
        function = self._function(request)
        answer = {"Configuration": function.configuration, "Tags": function.tags or None}
        if function.code:
            location = function.code.archive.absolute().as_uri()
            answer["Code"] = {"RepositoryType": "S3", "Location": location}
        return answer

    def get_function_configuration(self, request: dict[str, Any]) -> Mapping[str, Any]:
        return self._function(request).configuration

    def list_functions(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            listed = [
                (name, self._functions[name].configuration) for name in sorted(self._functions)
            ]
        found, more = page(
            listed,
            token=request.get("Marker"),
            size=min(request.get("MaxItems", _PAGE), _PAGE),
            scope="functions",
            refusal="InvalidParameterValueException",
        )
        return {"Functions": found, "NextMarker": more}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._function(request).tags}

    def tag_resource(self, request: dict[str, Any]) -> None:
        with self._lock:
            function = self._function(request)
            self._keep(replace(function, tags={**function.tags, **request["Tags"]}))

    def untag_resource(self, request: dict[str, Any]) -> None:
        with self._lock:
            function = self._function(request)
            gone = set(request["TagKeys"])
            kept = {key: value for key, value in function.tags.items() if key not in gone}
            self._keep(replace(function, tags=kept))

    def _keep(self, *functions: _Function) -> None:
        """Put changed functions in their places, and end the processes that nothing needs now."""
        for function in functions:
            if function.code is not None:
                self._documents.put(_KIND, function.name, function.document)
        self._functions.update({function.name: function for function in functions})
        if self._processes is not None:
            sandboxes = (function.sandbox for function in self._functions.values())
            self._processes.keep(sandbox for sandbox in sandboxes if sandbox)

    def _restored(self, directory: Path) -> Iterator[tuple[str, _Function]]:
        """Yield the functions that are kept; remove packages that are no function's.

        An unpacking that was cut off must not be taken for a whole one.
        """
        kept = dict(self._documents.all(_KIND))
        wanted = {Path(document["archive"]).stem for document in kept.values()}
        for path in (directory / "code").glob("*"):
            if path.stem not in wanted:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, document in kept.items():
            archive = (directory / "code" / document["archive"]).read_bytes()
            code = unpack(archive, directory / "code")
            yield name, _Function(document["configuration"], document["tags"], code)

    def _function(self, request: Mapping[str, Any]) -> _Function:
        """The function by its name or ARN, whole or partial, with or without a qualifier."""
        name = self._name(request.get("FunctionName") or request["Resource"])
        found = self._functions.get(name)
        if found is None:
            raise ServiceError(
                "ResourceNotFoundException", f"Function not found: {self._prefix}{name}"
            )
        return found

    @staticmethod
    def _name(reference: str) -> str:
        return reference.rpartition("function:")[2].split(":")[0]

    # Invocations

    def invoke(self, request: dict[str, Any]) -> dict[str, Any]:
        function = self._function(request)
        payload = request["Payload"]
        if len(payload) > PAYLOAD_LIMIT:
            raise ServiceError(
                "RequestTooLargeException",
                f"Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction "
                "operation",
            )
        try:
            event = json.loads(payload or b"{}")
        except ValueError as error:
            raise ServiceError(
                "InvalidRequestContentException",
                f"Could not parse request body into json: {error}",
            ) from error
        match request.get("InvocationType", "RequestResponse"):
            case "DryRun":
                return {"StatusCode": 204}
            case "Event":
                threading.Thread(target=self._run, args=(function, event), daemon=True).start()
                return {"StatusCode": 202}
            case _:
                return self._run(function, event)

    def _run(self, function: _Function, event: Any) -> dict[str, Any]:
        """Run one invocation; its error is an answer, not an error."""
        request_id = str(uuid.uuid4())
        try:
            outcome = self._outcome(function, event, request_id)
        except ProcessesClosedError as error:
            reason = f"RequestId: {request_id} Error: {error}"
            outcome = HandlerError("Runtime.ExitError", reason, [])
        if isinstance(outcome, bytes) and len(outcome) > _RESPONSE_LIMIT:
            reason = (
                f"Response payload size exceeded maximum allowed payload size "
                f"({_RESPONSE_LIMIT} bytes)."
            )
            outcome = HandlerError("Function.ResponseSizeTooLarge", reason, [])
        answer = {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
        if isinstance(outcome, bytes):
            return {**answer, "Payload": outcome}
        body = {
            "errorMessage": outcome.message,
            "errorType": outcome.error_type,
            "requestId": request_id,
            "stackTrace": outcome.stack,
        }
        payload = json.dumps(body).encode()
        return {**answer, "FunctionError": "Unhandled", "Payload": payload}

    def _outcome(self, function: _Function, event: Any, request_id: str) -> bytes | HandlerError:
        told = function.configuration
        context = {
            "function_name": function.name,
            "invoked_function_arn": told["FunctionArn"],
            "aws_request_id": request_id,
            "memory_limit_in_mb": str(told["MemorySize"]),
        }
        if function.handler is None and self._processes and function.sandbox:
            request = {
                "handler": told["Handler"],
                "event": event,
                "context": context,
                "environment": _invocation_variables(told),
                "format": told["LoggingConfig"]["LogFormat"],
            }
            with self._logs.invocation(told, request_id) as log:
                return self._processes.invoke(
                    function.sandbox, {**request, "log": str(log)}, timeout=told["Timeout"]
                )
        if function.handler is None:
            raise ServiceError("ServiceException", f"function {function.name!r} has no code")
        deadline = time.monotonic() + told["Timeout"]
        try:
            return run(function.handler, event, LambdaContext(deadline=deadline, **context))
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
            reason = f"Runtime exited with error: exit status {status}"
            return HandlerError("Runtime.ExitError", f"RequestId: {request_id} Error: {reason}", [])


def _match_revision(function: _Function, request: Mapping[str, Any]) -> None:
    if (
        request.get("RevisionId", function.configuration["RevisionId"])
        != (function.configuration["RevisionId"])
    ):
        raise ServiceError(
            "PreconditionFailedException",
            "The RevisionId provided does not match the latest RevisionId. Call the "
            "GetFunction/GetAlias API to retrieve the latest RevisionId",
        )


def _invocation_variables(told: Mapping[str, Any]) -> dict[str, str]:
    """What Lambda tells a function about itself in the environment."""
    return {
        "_HANDLER": told["Handler"],
        "AWS_LAMBDA_FUNCTION_NAME": told["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(told["MemorySize"]),
        "AWS_LAMBDA_LOG_GROUP_NAME": told["LoggingConfig"]["LogGroup"],
    }


def _now() -> datetime:
    return datetime.now(UTC)
