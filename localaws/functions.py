"""Lambda's API, with handlers that run in this process.

`Functions` is a WSGI application. It answers Invoke as Lambda's Python runtime does: JSON in,
JSON out, and an exception becomes a 200 with `X-Amz-Function-Error` and a body that names the
error's type, which is the error name that Step Functions matches in Retry and Catch.
"""

import json
import re
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Handler = Callable[[Any, "LambdaContext"], Any]
"""What a function runs: the decoded event and the context in, JSON values out."""

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of an invocation's request and of its response.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_RESPONSE_LIMIT = PAYLOAD_LIMIT + 100
_PATH = re.compile(r"/2015-03-31/functions(?:/([^/]+)(?:/(invocations|configuration))?)?/?")
_KEPT_FAILURES = 100


@dataclass(frozen=True)
class LambdaContext:
    """The second argument of a handler."""

    function_name: str
    invoked_function_arn: str
    aws_request_id: str
    deadline: float
    """When the function's time is over, in seconds of `time.monotonic`."""
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "512"
    client_context: None = None
    identity: None = None

    @property
    def log_group_name(self) -> str:
        """The name that CloudWatch's log group would have."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout, 0 if it is over."""
        return max(0, round((self.deadline - time.monotonic()) * 1000))


@dataclass(frozen=True)
class Failure:
    """An invocation that raised."""

    function: str
    request_id: str
    error_type: str
    message: str
    traceback: str


@dataclass(frozen=True)
class _Function:
    name: str
    arn: str
    handler: Handler
    timeout: int


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _ApiError(Exception):
    """An error of Lambda's API, not of a function."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Functions:
    """A WSGI application for Lambda's REST API: Invoke, GetFunction, ListFunctions.

    Args:
        account: Account number in the functions' ARNs.
        region: Region in the functions' ARNs.
    """

    def __init__(self, *, account: str, region: str) -> None:
        self._prefix = f"arn:aws:lambda:{region}:{account}:function:"
        self._functions: dict[str, _Function] = {}
        self._failures: deque[Failure] = deque(maxlen=_KEPT_FAILURES)

    def register(self, name: str, handler: Handler, *, timeout: int = 900) -> str:
        """Make a handler invocable, in place of one registered under that name before.

        Args:
            name: The function's name, e.g. 'labbase-list-datasets'.
            handler: Called with the decoded event and a `LambdaContext`, in the server's thread.
            timeout: Seconds that the context counts down; the handler is not cut off.

        Returns:
            The function's ARN.
        """
        self._functions[name] = _Function(name, self._prefix + name, handler, timeout)
        return self._prefix + name

    @property
    def failures(self) -> list[Failure]:
        """The last 100 invocations that raised, oldest first."""
        return list(self._failures)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        try:
            answer = self._route(environ)
        except _ApiError as error:
            body = {"Type": "User", "message": str(error), "Message": str(error)}
            headers = {"x-amzn-ErrorType": error.code}
            answer = _Answer(error.status, json.dumps(body).encode(), headers)
        headers = {
            "Content-Type": "application/json",
            "x-amzn-RequestId": str(uuid.uuid4()),
            **answer.headers,
        }
        if answer.status != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(len(answer.body))
        phrase = HTTPStatus(answer.status).phrase
        start_response(f"{answer.status} {phrase}", list(headers.items()))
        return [answer.body]

    def _route(self, environ: "WSGIEnvironment") -> _Answer:
        method = environ["REQUEST_METHOD"]
        match = _PATH.fullmatch(environ["PATH_INFO"])
        name, action = match.groups() if match else (None, None)
        if method == "POST" and name and action == "invocations":
            return self._invoke(self._function(name), environ)
        if method == "GET" and match:
            if name is None:
                listed = [_configuration(f) for f in self._functions.values()]
                return _json_answer({"Functions": listed})
            configuration = _configuration(self._function(name))
            if action == "configuration":
                return _json_answer(configuration)
            return _json_answer({"Configuration": configuration})
        raise _ApiError(
            501,
            "NotImplementedException",
            f"{method} {environ['PATH_INFO']} is not supported by the local Lambda; it supports "
            "Invoke, GetFunction, GetFunctionConfiguration, ListFunctions",
        )

    def _function(self, reference: str) -> _Function:
        """The function by its name or ARN, whole or partial, with or without a qualifier."""
        name = unquote(reference).rpartition("function:")[2].split(":")[0]
        if name not in self._functions:
            raise _ApiError(
                404, "ResourceNotFoundException", f"Function not found: {self._prefix}{name}"
            )
        return self._functions[name]

    def _invoke(self, function: _Function, environ: "WSGIEnvironment") -> _Answer:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        payload = environ["wsgi.input"].read(length)
        if length > PAYLOAD_LIMIT:
            raise _ApiError(
                413,
                "RequestTooLargeException",
                f"Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction "
                "operation",
            )
        try:
            event = json.loads(payload or b"{}")
        except ValueError as error:
            raise _ApiError(
                400,
                "InvalidRequestContentException",
                f"Could not parse request body into json: {error}",
            ) from error
        match environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse"):
            case "DryRun":
                return _Answer(204)
            case "Event":
                threading.Thread(target=self._run, args=(function, event), daemon=True).start()
                return _Answer(202)
            case _:
                return self._run(function, event)

    def _run(self, function: _Function, event: Any) -> _Answer:
        """Call the handler; its exception is an answer, not an error."""
        context = LambdaContext(
            function_name=function.name,
            invoked_function_arn=function.arn,
            aws_request_id=str(uuid.uuid4()),
            deadline=time.monotonic() + function.timeout,
        )
        try:
            result = function.handler(event, context)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
            reason = f"Runtime exited with error: exit status {status}"
            shown = f"RequestId: {context.aws_request_id} Error: {reason}"
            return self._failed(context, "Runtime.ExitError", shown, [])
        except Exception as error:
            # The first frame is this one, which Lambda's runtime does not show either.
            frames = error.__traceback__.tb_next if error.__traceback__ else None
            stack = traceback.format_list(traceback.extract_tb(frames))
            return self._failed(context, type(error).__name__, str(error), stack)
        try:
            body = json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            reason = f"Unable to marshal response: {error}"
            return self._failed(context, "Runtime.MarshalError", reason, [])
        if len(body) > _RESPONSE_LIMIT:
            reason = (
                f"Response payload size exceeded maximum allowed payload size "
                f"({_RESPONSE_LIMIT} bytes)."
            )
            return self._failed(context, "Function.ResponseSizeTooLarge", reason, [])
        return _Answer(200, body, {"X-Amz-Executed-Version": "$LATEST"})

    def _failed(
        self, context: LambdaContext, error_type: str, message: str, stack: list[str]
    ) -> _Answer:
        shown = "".join([*stack, f"{error_type}: {message}\n"])
        self._failures.append(
            Failure(context.function_name, context.aws_request_id, error_type, message, shown)
        )
        body = {
            "errorMessage": message,
            "errorType": error_type,
            "requestId": context.aws_request_id,
            "stackTrace": stack,
        }
        return _Answer(
            200,
            json.dumps(body, ensure_ascii=False).encode(),
            {"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "$LATEST"},
        )


def _configuration(function: _Function) -> dict[str, Any]:
    return {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": "python3.11",
        "Handler": f"{function.handler.__module__}.{function.handler.__qualname__}",
        "Timeout": function.timeout,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Version": "$LATEST",
    }


def _json_answer(content: Any) -> _Answer:
    return _Answer(200, json.dumps(content).encode())
