"""Output of deployed functions: a file for a person, and CloudWatch Logs as on AWS.

Each invocation has a file of its own while it runs, so that invocations at the same time do not
mix; when it has ended, the file is appended to the function's.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localaws.log_delivery import deliver

_log = logging.getLogger(__name__)


class FunctionLogs:
    """The logs of all functions, with Lambda's lines around each invocation.

    Args:
        directory: Holds the files.
        client: An execution role's ARN → the `logs` client with which Lambda writes for it; None
            writes files alone.
    """

    def __init__(self, directory: Path, client: Callable[[str], Any] | None) -> None:
        self._directory = directory
        self._client = client
        self._stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        self._lock = threading.Lock()

    def read(self, name: str) -> str:
        """Return the output of a function so far, the running invocations last."""
        with self._lock:
            running = sorted((self._directory / name).glob("*.log"))
            paths = [path for path in (self._file(name), *running) if path.is_file()]
            return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)

    @contextmanager
    def invocation(self, configuration: Mapping[str, Any], request_id: str) -> Iterator[Path]:
        """Give an invocation its file, framed by Lambda's lines; keep and deliver it in the end."""
        name, settings = configuration["FunctionName"], configuration["LoggingConfig"]
        is_json = settings["LogFormat"] == "JSON"
        path = self._directory / name / f"{time.time_ns()}-{request_id}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        _append(path, [_start_line(request_id, is_json=is_json)])
        try:
            yield path
        finally:
            duration = (time.monotonic() - started) * 1_000
            _append(
                path, _end_lines(request_id, duration, configuration["MemorySize"], is_json=is_json)
            )
            with self._lock:
                text = path.read_text(encoding="utf-8", errors="replace")
                try:
                    _append(self._file(name), text.splitlines())
                except OSError as error:  # the invocation itself has succeeded
                    _log.warning("%s cannot be written: %s", self._file(name), error.strerror)
                path.unlink()
            if self._client is not None:
                # Lambda has no permission to make the group; where there is none, nothing is kept.
                with suppress(ClientError, BotoCoreError):  # the endpoint may be closing
                    client = self._client(configuration["Role"])
                    deliver(client, settings["LogGroup"], self._stream, text.splitlines())

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _append(path: Path, lines: list[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _start_line(request_id: str, *, is_json: bool) -> str:
    if is_json:
        return _json_line("platform.start", {"requestId": request_id, "version": "$LATEST"})
    return f"START RequestId: {request_id} Version: $LATEST"


def _end_lines(request_id: str, duration: float, memory: int, *, is_json: bool) -> list[str]:
    """Return the lines after an invocation, of milliseconds and MB."""
    if is_json:
        metrics = {"durationMs": round(duration, 3), "memorySizeMB": memory}
        return [_json_line("platform.report", {"requestId": request_id, "metrics": metrics})]
    return [
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tDuration: {duration:.2f} ms\tMemory Size: {memory} MB",
    ]


def _json_line(event_type: str, record: Mapping[str, Any]) -> str:
    """Return a line of Lambda's own in the JSON format.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "type": event_type, "record": record})
