"""The program of a function's process: Lambda's Python runtime, one invocation after another.

    python -I -S worker.py < requests > responses

The standard library alone: the interpreter sees that, the function's code and boto3, as on
Lambda. The first line of the requests is the setup, each other one an invocation, in JSON. Each
response is a line: `I` when the handler is loaded, then `R` and the result, or `E` and the error.
What the function writes to its standard output and error goes to its log.
"""

import importlib
import io
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Handler = Callable[[Any, "LambdaContext"], Any]
"""A function's handler: the decoded event and the context in, JSON values out."""


@dataclass(frozen=True)
class LambdaContext:
    """The second argument of a handler."""

    function_name: str
    invoked_function_arn: str
    aws_request_id: str
    deadline: float
    """The function's deadline, in seconds of `time.monotonic`."""
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "512"
    client_context: None = None
    identity: None = None

    @property
    def log_group_name(self) -> str:
        """The name of CloudWatch's log group, if none is configured."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function's timeout, 0 if it is over."""
        return max(0, round((self.deadline - time.monotonic()) * 1000))


@dataclass(frozen=True)
class HandlerError:
    """Why an invocation has no result, in the words of Lambda's Python runtime."""

    error_type: str
    message: str
    stack: list[str]


def run(handler: Handler, event: Any, context: LambdaContext) -> bytes | HandlerError:
    """Call a handler: its result as JSON, or what it raised. SystemExit passes."""
    try:
        result = handler(event, context)
    except Exception as error:
        return _handler_error(error)
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        reason = f"Unable to marshal response: {error}"
        return HandlerError("Runtime.MarshalError", reason, [])


def load(name: str) -> Handler | HandlerError:
    """Return the handler of `package.module.function`, or why there is none."""
    module_name, _, function = name.rpartition(".")
    if not module_name:
        reason = f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        return HandlerError("Runtime.MalformedHandlerName", reason, [])
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        reason = f"Unable to import module '{module_name}': {error}"
        return HandlerError("Runtime.ImportModuleError", reason, [])
    except SyntaxError as error:
        reason = f"Syntax error in module '{module_name}': {error}"
        frame = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        return HandlerError("Runtime.UserCodeSyntaxError", reason, [frame])
    except Exception as error:
        return _handler_error(error)
    handler: Handler | None = getattr(module, function, None)
    if handler is None:
        reason = f"Handler '{function}' missing on module '{module_name}'"
        return HandlerError("Runtime.HandlerNotFound", reason, [])
    return handler


def _handler_error(error: Exception) -> HandlerError:
    # The first frame is this module's, which Lambda's runtime does not show either.
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    stack = traceback.format_list(traceback.extract_tb(frames))
    return HandlerError(type(error).__name__, str(error), stack)


class _LogFormat(logging.Handler):
    """Log records in the form of Lambda's text or JSON logs.

    https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
    """

    request_id = ""
    is_json = False

    def emit(self, record: logging.LogRecord) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        if self.is_json:
            fields = {"logger": record.name, "message": self.format(record)}
            self._write_json(f"{moment}Z", record.levelname, fields)
            return
        head = f"[{record.levelname}]\t{moment}.{int(record.msecs):03d}Z\t{self.request_id}"
        sys.stdout.write(f"{head}\t{self.format(record)}\n")

    def error(self, error: HandlerError) -> None:
        """Write why an invocation failed."""
        if self.is_json:
            fields = {
                "message": error.message,
                "errorType": error.error_type,
                "stackTrace": error.stack,
            }
            self._write_json(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "ERROR", fields)
            return
        sys.stdout.write(f"[ERROR] {error.error_type}: {error.message}\n")
        sys.stdout.write("".join(["Traceback (most recent call last):\n", *error.stack]))

    def _write_json(self, moment: str, level: str, fields: dict[str, Any]) -> None:
        line = {"timestamp": moment, "level": level, **fields, "requestId": self.request_id}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def _enter(setup: dict[str, Any]) -> None:
    """Make the function's code importable, and what Lambda's user may not read unreadable."""
    sys.path[:] = [setup["code"], *sys.path, setup["libraries"]]
    unreadable = frozenset(setup["unreadable"])

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments[0] in unreadable:
            raise PermissionError(13, "Permission denied", arguments[0])

    if unreadable:
        sys.addaudithook(refuse)


def _serve(request: dict[str, Any], respond: Callable[[bytes], None], log: _LogFormat) -> None:
    """Load the handler, call it, respond."""
    os.environ.update(request["environment"])
    outcome: Handler | HandlerError | bytes = load(request["handler"])
    if callable(outcome):
        respond(b"I")
        deadline = time.monotonic() + request["seconds"]
        context = LambdaContext(deadline=deadline, **request["context"])
        outcome = run(outcome, request["event"], context)
    if isinstance(outcome, HandlerError):
        log.error(outcome)
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(outcome, HandlerError):
        respond(b"E" + json.dumps(asdict(outcome)).encode())
    else:
        respond(b"R" + outcome)


def main() -> None:
    """Serve requests until there are no more."""
    requests = os.fdopen(os.dup(0), "rb")
    responses = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    log = _LogFormat()
    logging.getLogger().addHandler(log)

    def respond(line: bytes) -> None:
        responses.write(line + b"\n")
        responses.flush()

    _enter(json.loads(requests.readline()))
    for line in requests:
        request = json.loads(line)
        output = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        log.request_id = request["context"]["aws_request_id"]
        log.is_json = request["format"] == "JSON"
        _serve(request, respond, log)


if __name__ == "__main__":
    main()
