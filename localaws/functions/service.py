"""Lambda's API: functions that run their deployed code, or a handler of this process.

`Functions` is a WSGI application. It answers Invoke as Lambda's Python runtime does: JSON in,
JSON out, and an exception becomes a 200 with `X-Amz-Function-Error` and a body that names the
error's type, which is the error name that Step Functions matches in Retry and Catch.

A deployed zip is unpacked and run in processes of its own, which see the standard library, the
zip and boto3, as on Lambda. What differs: the Python is the one that runs this, whatever the
function's runtime is called; memory is not limited, and asynchronous invocations are not retried.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from localaws.functions.configuration import new_configuration, updated_configuration
from localaws.functions.logs import FunctionLogs
from localaws.functions.packages import (
    Code,
    DamagedPackageError,
    describe_archive,
    read_archive,
    unpack,
    unpack_again,
)
from localaws.functions.policies import (
    Statement,
    policy_text,
    with_statement,
    without_statement,
)
from localaws.functions.processes import Processes, Sandbox
from localaws.functions.worker import Handler, HandlerError, LambdaContext, run
from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.http.protocol import operations_of
from localaws.http.rest_protocol import RestService
from localaws.persistence.documents import Documents
from localaws.persistence.files import remove

__all__ = ["PAYLOAD_LIMIT", "Functions", "Handler", "LambdaContext"]

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of an invocation's request and of its response.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_RESPONSE_LIMIT = PAYLOAD_LIMIT + 100
_PAGE = 50
_log = logging.getLogger(__name__)
_COLLECTION = "function"


@dataclass(frozen=True)
class _Function:
    """A function as it is now; each change makes another one.

    A `handler` runs in place of the code, if one is registered. `damage` says why the code, which
    an earlier server has deployed, cannot run; it is empty if it can.
    """

    configuration: Mapping[str, Any]
    tags: Mapping[str, str]
    code: Code | None = None
    handler: Handler | None = None
    policy: tuple[Statement, ...] = ()
    damage: str = ""

    @property
    def name(self) -> str:
        return str(self.configuration["FunctionName"])

    @property
    def sandbox(self) -> Sandbox | None:
        """The processes of the deployed code."""
        if self.code is None or self.damage:
            return None
        settings = self.configuration
        variables = settings.get("Environment", {}).get("Variables", {})
        return Sandbox(
            self.code, settings["Role"], settings["Runtime"], tuple(sorted(variables.items()))
        )


class Functions:
    """A WSGI application for Lambda's REST API.

    Args:
        account: Account number in the functions' ARNs.
        region: Region in the functions' ARNs.
        directory: For packages, logs and temporary files; the caller removes it after `close`.
        environment: An execution role's ARN → the variables with which its functions find and
            sign for AWS: the endpoint's URL, credentials, region.
        s3: Returns the client with which packages are read from buckets.
        logs: An execution role's ARN → the client that writes what its functions print to
            CloudWatch Logs; None keeps it in files alone.
        documents: Where the functions are kept; the ones that are there already are deployed. None
            forgets them.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        directory: Path,
        environment: Callable[[str], Mapping[str, str]] = lambda _: {},
        s3: Callable[[], Any] | None = None,
        logs: Callable[[str], Any] | None = None,
        documents: Documents | None = None,
    ) -> None:
        self._arn_prefix = f"arn:aws:lambda:{region}:{account}:function:"
        directory = directory.absolute()
        self._code_directory = directory / "code"
        self._s3 = s3
        self._logs = FunctionLogs(directory / "logs", logs)
        self._processes = Processes(directory, environment)
        self._documents = documents or Documents()
        self._functions = dict(self._restore())
        self._end_unused_processes()
        self._lock = threading.RLock()
        self._service = RestService("lambda", operations_of("lambda", self))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._service(environ, start_response)

    def register(self, name: str, handler: Handler, *, timeout: int = 900) -> None:
        """Let a handler of this process run in place of a function's code, until the next update.

        Args:
            name: The function's name, e.g. 'labbase-list-datasets'; it need not be deployed.
            handler: Called with the decoded event and a `LambdaContext`, in the server's thread.
            timeout: Seconds that the context of a function that is not deployed counts down; the
                handler is not cut off.
        """
        with self._lock:
            function = self._functions.get(name)
            if function is None:
                request = {
                    "Role": "",
                    "Runtime": "python3.11",
                    "Handler": f"{handler.__module__}.{handler.__qualname__}",
                    "Timeout": timeout,
                }
                configuration = new_configuration(request, self._arn_prefix + name, None)
                function = _Function(configuration, {})
            self._functions[name] = replace(function, handler=handler)

    def logs(self, name: str) -> str:
        """Return the output of a function's deployed code, with Lambda's lines around it.

        It outlives the function, and is empty if nothing was written.
        """
        return self._logs.read(name)

    def close(self) -> None:
        """End the functions' processes, with what they run."""
        self._processes.close()

    # Functions

    def create_function(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self._name(request["FunctionName"])
        with self._lock:
            if name in self._functions:
                raise ServiceError("ResourceConflictException", f"Function already exist: {name}")
            code = unpack(read_archive(request["Code"], self._s3), self._code_directory)
            configuration = new_configuration(request, self._arn_prefix + name, code)
            self._put(_Function(configuration, request.get("Tags", {}), code))
        return configuration

    def update_function_code(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            function = self._function(request)
            _match_revision(function, request)
            archive = read_archive(request, self._s3)
            if request.get("DryRun"):
                sha256, size = describe_archive(archive)
                configuration = updated_configuration(function.configuration, request, None)
                return {**configuration, "CodeSha256": sha256, "CodeSize": size}
            code = unpack(archive, self._code_directory)
            configuration = updated_configuration(function.configuration, request, code)
            mended = {**configuration, "State": "Active"}
            for member in ("StateReason", "StateReasonCode"):
                mended.pop(member, None)
            configuration = mended if function.damage else configuration
            changed = replace(function, configuration=configuration, code=code)
            self._put(replace(changed, handler=None, damage=""))
        return configuration

    def update_function_configuration(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            function = self._function(request)
            _match_revision(function, request)
            configuration = updated_configuration(function.configuration, request, None)
            self._put(replace(function, configuration=configuration))
        return configuration

    def delete_function(self, request: dict[str, Any]) -> None:
        with self._lock:
            name = self._function(request).name
            del self._functions[name]
            self._documents.drop(_COLLECTION, name)
            self._end_unused_processes()

    def get_function(self, request: dict[str, Any]) -> dict[str, Any]:
        function = self._function(request)
        response = {"Configuration": function.configuration, "Tags": function.tags or None}
        if function.code:
            location = function.code.archive.as_uri()
            response["Code"] = {"RepositoryType": "S3", "Location": location}
        return response

    def get_function_configuration(self, request: dict[str, Any]) -> Mapping[str, Any]:
        return self._function(request).configuration

    def list_functions(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            functions = sorted(self._functions.items())
        configurations, marker = page(
            [(name, function.configuration) for name, function in functions],
            token=request.get("Marker"),
            size=min(request.get("MaxItems", _PAGE), _PAGE),
            scope="functions",
            refusal="InvalidParameterValueException",
        )
        return {"Functions": configurations, "NextMarker": marker}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._function(request).tags}

    def tag_resource(self, request: dict[str, Any]) -> None:
        with self._lock:
            function = self._function(request)
            self._put(replace(function, tags={**function.tags, **request["Tags"]}))

    def untag_resource(self, request: dict[str, Any]) -> None:
        with self._lock:
            function = self._function(request)
            tags = {k: v for k, v in function.tags.items() if k not in request["TagKeys"]}
            self._put(replace(function, tags=tags))

    def add_permission(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            function = self._function(request)
            arn = function.configuration["FunctionArn"]
            changed = replace(function, policy=with_statement(function.policy, request, arn))
            self._put(changed)
        return {"Statement": json.dumps(changed.policy[-1], separators=(",", ":"))}

    def remove_permission(self, request: dict[str, Any]) -> None:
        with self._lock:
            function = self._function(request)
            policy = without_statement(function.policy, request["StatementId"])
            self._put(replace(function, policy=policy))

    def get_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        function = self._function(request)
        if not function.policy:
            raise ServiceError(
                "ResourceNotFoundException", "The resource you requested does not exist."
            )
        revision = function.configuration["RevisionId"]
        return {"Policy": policy_text(function.policy), "RevisionId": revision}

    def _put(self, function: _Function) -> None:
        """Keep a function in place of the one of its name."""
        if function.code is not None:
            document = {
                "configuration": function.configuration,
                "tags": function.tags,
                "archive": function.code.archive.name,
                "policy": function.policy,
            }
            self._documents.put(_COLLECTION, function.name, document)
        self._functions[function.name] = function
        self._end_unused_processes()

    def _end_unused_processes(self) -> None:
        sandboxes = (function.sandbox for function in self._functions.values())
        self._processes.keep(sandbox for sandbox in sandboxes if sandbox)

    def _restore(self) -> Iterator[tuple[str, _Function]]:
        """Yield the functions that are kept; remove packages that are no function's.

        An unpacking that was cut off must not be taken for a whole one.
        """
        documents = dict(self._documents.all(_COLLECTION))
        used = {Path(document["archive"]).stem for document in documents.values()}
        for path in self._code_directory.glob("*"):
            if path.stem not in used:
                remove(path)
        unpacked: dict[str, Code] = {}
        for name, document in documents.items():
            configuration, archive = document["configuration"], document["archive"]
            stored, sha256 = self._code_directory / archive, configuration["CodeSha256"]
            policy, damage = tuple(document.get("policy", ())), ""
            try:
                code = unpacked[archive] = unpacked.get(archive) or unpack_again(stored, sha256)
            except DamagedPackageError as error:
                damage = str(error)
                _log.warning("function %s cannot run: %s; deploy its code again", name, damage)
                code = Code(sha256, configuration["CodeSize"], stored, stored, frozenset())
                configuration |= {
                    "State": "Failed",
                    "StateReason": damage,
                    "StateReasonCode": "InternalError",
                }
            yield (
                name,
                _Function(configuration, document["tags"], code, policy=policy, damage=damage),
            )

    def _function(self, request: Mapping[str, Any]) -> _Function:
        """Return the function by its name or ARN, whole or partial, with or without a qualifier."""
        name = self._name(request.get("FunctionName") or request["Resource"])
        function = self._functions.get(name)
        if function is None:
            raise ServiceError(
                "ResourceNotFoundException", f"Function not found: {self._arn_prefix}{name}"
            )
        return function

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
                threading.Thread(target=self._invoke, args=(function, event), daemon=True).start()
                return {"StatusCode": 202}
            case _:
                return self._invoke(function, event)

    def _invoke(self, function: _Function, event: Any) -> dict[str, Any]:
        """Run one invocation; its error is a response, not an exception."""
        request_id = str(uuid.uuid4())
        context = {
            "function_name": function.name,
            "invoked_function_arn": function.configuration["FunctionArn"],
            "aws_request_id": request_id,
            "memory_limit_in_mb": str(function.configuration["MemorySize"]),
        }
        if function.handler is not None:
            outcome = _run_here(function.handler, function.configuration, event, context)
        else:
            outcome = self._run_code(function, event, context)
        if isinstance(outcome, bytes) and len(outcome) > _RESPONSE_LIMIT:
            reason = (
                f"Response payload size exceeded maximum allowed payload size "
                f"({_RESPONSE_LIMIT} bytes)."
            )
            outcome = HandlerError("Function.ResponseSizeTooLarge", reason, [])
        response = {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
        if isinstance(outcome, bytes):
            return {**response, "Payload": outcome}
        body = {
            "errorMessage": outcome.message,
            "errorType": outcome.error_type,
            "requestId": request_id,
            "stackTrace": outcome.stack,
        }
        return {**response, "FunctionError": "Unhandled", "Payload": json.dumps(body).encode()}

    def _run_code(
        self, function: _Function, event: Any, context: Mapping[str, Any]
    ) -> bytes | HandlerError:
        settings, sandbox = function.configuration, function.sandbox
        if function.damage:
            raise ServiceError("InvalidZipFileException", f"{function.damage}; deploy it again")
        if sandbox is None:
            raise ServiceError("ServiceException", f"function {function.name!r} has no code")
        request = {
            "handler": settings["Handler"],
            "event": event,
            "context": context,
            # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
            "environment": {
                "_HANDLER": settings["Handler"],
                "AWS_LAMBDA_FUNCTION_NAME": function.name,
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings["MemorySize"]),
                "AWS_LAMBDA_LOG_GROUP_NAME": settings["LoggingConfig"]["LogGroup"],
            },
            "format": settings["LoggingConfig"]["LogFormat"],
        }
        with self._logs.invocation(settings, context["aws_request_id"]) as log:
            request["log"] = str(log)
            return self._processes.invoke(sandbox, request, timeout=settings["Timeout"])


def _run_here(
    handler: Handler, settings: Mapping[str, Any], event: Any, context: Mapping[str, Any]
) -> bytes | HandlerError:
    deadline = time.monotonic() + settings["Timeout"]
    try:
        return run(handler, event, LambdaContext(deadline=deadline, **context))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        reason = (
            f"RequestId: {context['aws_request_id']} Error: Runtime exited with error: exit status"
            f" {status}"
        )
        return HandlerError("Runtime.ExitError", reason, [])


def _match_revision(function: _Function, request: Mapping[str, Any]) -> None:
    revision = function.configuration["RevisionId"]
    if request.get("RevisionId", revision) != revision:
        raise ServiceError(
            "PreconditionFailedException",
            "The RevisionId provided does not match the latest RevisionId. Call the "
            "GetFunction/GetAlias API to retrieve the latest RevisionId",
        )
