"""What deployed functions write: a file for a person, and CloudWatch Logs as on AWS.

Each invocation has a file of its own while it runs, so that invocations at the same time do not
mix; when it has ended, the file is appended to the function's.
"""

from __future__ import annotations

import json
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


class FunctionLogs:
    """The logs of all functions, with Lambda's lines around each invocation.

    Args:
        directory: Where the files lie.
        client: An execution role's ARN → the `logs` client with which Lambda writes for it; None
            writes files alone.
    """

    def __init__(self, directory: Path, client: Callable[[str], Any] | None) -> None:
        self._directory = directory
        self._client = client
        self._stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        self._lock = threading.Lock()

    def read(self, name: str) -> str:
        """What a function has written so far, the running invocations last."""
        with self._lock:
            running = sorted(self._running(name).glob("*.log"))
            paths = [path for path in (self._whole(name), *running) if path.exists()]
            return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)

    @contextmanager
    def invocation(self, told: Mapping[str, Any], request_id: str) -> Iterator[Path]:
        """Give an invocation its file, framed by Lambda's lines; keep and deliver it in the end.

        Args:
            told: The function's configuration.
            request_id: The invocation's.
        """
        name, group = told["FunctionName"], told["LoggingConfig"]["LogGroup"]
        as_json = told["LoggingConfig"]["LogFormat"] == "JSON"
        path = self._running(name) / f"{time.time_ns()}-{request_id}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        _append(path, [_start(request_id, as_json=as_json)])
        try:
            yield path
        finally:
            took = (time.monotonic() - started) * 1_000
            _append(path, _end(request_id, took, told["MemorySize"], as_json=as_json))
            with self._lock:
                text = path.read_text(encoding="utf-8", errors="replace")
                with self._whole(name).open("a", encoding="utf-8") as whole:
                    whole.write(text)
                path.unlink()
            if self._client is not None:
                # Lambda has no permission to make the group; where there is none, nothing is kept.
                with suppress(ClientError, BotoCoreError):  # the endpoint may be closing
                    deliver(self._client(told["Role"]), group, self._stream, text.splitlines())

    def _running(self, name: str) -> Path:
        return self._directory / name

    def _whole(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _append(path: Path, lines: list[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _start(request_id: str, *, as_json: bool) -> str:
    if as_json:
        return _platform("platform.start", {"requestId": request_id, "version": "$LATEST"})
    return f"START RequestId: {request_id} Version: $LATEST"


def _end(request_id: str, took: float, memory: int, *, as_json: bool) -> list[str]:
    """The lines after an invocation: its milliseconds, its function's MB."""
    if as_json:
        metrics = {"durationMs": round(took, 3), "memorySizeMB": memory}
        return [_platform("platform.report", {"requestId": request_id, "metrics": metrics})]
    return [
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tDuration: {took:.2f} ms\tMemory Size: {memory} MB",
    ]


def _platform(kind: str, record: Mapping[str, Any]) -> str:
    """A line of Lambda's own, in the JSON format.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
    """
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": moment, "type": kind, "record": record})
