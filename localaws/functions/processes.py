"""The processes in which deployed functions run, as Lambda keeps its execution environments.

One process serves one invocation at a time and is kept for the next; invocations at the same time
get processes of their own. So code that is no good for threads runs as it does on Lambda, and a
function that is cut off or exits takes nothing else with it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from localaws.functions import worker
from localaws.functions.packages import Code
from localaws.functions.worker import HandlerError
from localaws.process_groups import kill_group
from localaws.python_environments import link_distributions

INIT_SECONDS = 10.0
"""The time limit for loading a handler.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""

_CLOSE_SECONDS = 5.0
_MAX_PROCESSES = 16  # more invocations wait, where Lambda would start more


@dataclass(frozen=True)
class Sandbox:
    """The properties that functions of the same process share.

    Attributes:
        code: The unpacked package.
        role: ARN of the execution role.
        runtime: Lambda's name of it, e.g. `python3.13`; shown to the function, not run: the
            interpreter is the one of this process.
        variables: The function's own environment variables.
    """

    code: Code
    role: str
    runtime: str
    variables: tuple[tuple[str, str], ...]


class Processes:
    """Starts, keeps and ends the functions' processes.

    Args:
        directory: For the runtime's libraries and the functions' temporary files.
        environment: A role's ARN → the variables with which its functions find and sign for AWS.
    """

    def __init__(self, directory: Path, environment: Callable[[str], Mapping[str, str]]) -> None:
        self._directory = directory
        self._environment = environment
        self._slots = threading.BoundedSemaphore(_MAX_PROCESSES)
        self._changed = threading.Condition()
        self._deployed: frozenset[Sandbox] = frozenset()
        self._idle: dict[Sandbox, list[_Process]] = {}
        self._busy: set[_Process] = set()
        self._libraries: Path | None = None
        self._closed = False

    def invoke(
        self, sandbox: Sandbox, request: Mapping[str, Any], *, timeout: float
    ) -> bytes | HandlerError:
        """Run one invocation: its result as JSON, or its error.

        Args:
            sandbox: Where it runs.
            request: `handler`, `event`, `context`, `environment`, `log` of the worker's protocol.
            timeout: Seconds from the call of the handler.
        """
        with self._slots:
            process = self._acquire(sandbox)
            if process is None:
                reason = "the local Lambda is closed; it runs no function"
                return _process_error("Runtime.ExitError", request, reason)
            try:
                return process.invoke(request, timeout)
            finally:
                self._release(sandbox, process)

    def keep(self, deployed: Iterable[Sandbox]) -> None:
        """Keep processes of these sandboxes alone; end others now or after their invocation."""
        with self._changed:
            self._deployed = frozenset(deployed)
            gone = [sandbox for sandbox in self._idle if sandbox not in self._deployed]
            ending = [process for sandbox in gone for process in self._idle.pop(sandbox)]
        for process in ending:
            process.end()

    def close(self) -> None:
        """End every process, with what it runs, and wait until they are gone."""
        self.keep(())
        with self._changed:
            self._closed = True
            for process in self._busy:
                process.kill()
            self._changed.wait_for(lambda: not self._busy, _CLOSE_SECONDS)

    def _acquire(self, sandbox: Sandbox) -> _Process | None:
        with self._changed:
            if self._closed:
                return None
            idle = self._idle.get(sandbox, [])
            while idle:
                process = idle.pop()
                if process.is_alive:
                    self._busy.add(process)
                    return process
                process.end()
            if self._libraries is None:
                self._libraries = self._directory / "runtime"
                # As the site-packages of Lambda's Python runtime: boto3 and no more.
                link_distributions(self._libraries, ["boto3"])
            temporary = self._directory / "tmp" / uuid.uuid4().hex[:12]
            temporary.mkdir(parents=True)
            variables = {
                "PATH": os.defpath,
                **dict(sandbox.variables),
                **self._environment(sandbox.role),
                # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
                "AWS_EXECUTION_ENV": f"AWS_Lambda_{sandbox.runtime}",
                "LAMBDA_TASK_ROOT": str(sandbox.code.directory),
                "LANG": "en_US.UTF-8",
                "TZ": ":UTC",
                "TMPDIR": str(temporary),
            }
            process = _Process(sandbox.code, self._libraries, variables, temporary)
            self._busy.add(process)
            return process

    def _release(self, sandbox: Sandbox, process: _Process) -> None:
        with self._changed:
            if process.is_alive and sandbox in self._deployed and not self._closed:
                self._busy.discard(process)
                self._idle.setdefault(sandbox, []).append(process)
                return
        process.end()
        with self._changed:
            self._busy.discard(process)
            self._changed.notify_all()


class _Process:
    """A clean interpreter with a function's code; used by one thread at a time."""

    def __init__(
        self, code: Code, libraries: Path, variables: dict[str, str], temporary: Path
    ) -> None:
        self._temporary = temporary
        self._process = subprocess.Popen(
            # Neither PYTHON… variables nor site-packages nor the script's directory.
            [sys.executable, "-I", "-S", "-X", "utf8", worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=code.directory,
            env=variables,
            start_new_session=True,
        )
        self._requests = cast(IO[bytes], self._process.stdin)
        self._responses = cast(IO[bytes], self._process.stdout)
        self._poll = select.poll()
        self._poll.register(self._responses, select.POLLIN)
        self._received = bytearray()
        self._send(
            {
                "code": str(code.directory),
                "libraries": str(libraries),
                "unreadable": sorted(code.unreadable),
            }
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can take an invocation."""
        return self._process.poll() is None

    def invoke(self, request: Mapping[str, Any], timeout: float) -> bytes | HandlerError:
        """Run one invocation to its end, or cut it off."""
        try:
            self._send({**request, "seconds": timeout})
            response = self._receive(INIT_SECONDS)
            if response == b"I":
                response = self._receive(timeout)
        except TimeoutError:
            self.kill()
            reason = f"Task timed out after {timeout:.2f} seconds"
            return _process_error("Sandbox.Timedout", request, reason)
        except EOFError:
            return _process_error("Runtime.ExitError", request, self._exit_reason())
        if response.startswith(b"R"):
            return response[1:]
        return HandlerError(**json.loads(response[1:]))

    def kill(self) -> None:
        """Kill it with all its children."""
        kill_group(self._process.pid)
        self._process.wait()

    def end(self) -> None:
        """Kill it, and free what it had. Nothing else may use it any more."""
        self.kill()
        with suppress(BrokenPipeError):
            self._requests.close()
        self._responses.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _send(self, message: Mapping[str, Any]) -> None:
        # A process that is gone shows itself when its response is read.
        with suppress(BrokenPipeError):
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()

    def _receive(self, seconds: float) -> bytes:
        """Return the next line of the responses.

        Raises:
            TimeoutError: If it does not come in time.
            EOFError: If the process ends before.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise TimeoutError
            chunk = os.read(self._responses.fileno(), 1 << 20)
            if not chunk:
                raise EOFError
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return bytes(line)

    def _exit_reason(self) -> str:
        status = self._process.wait()
        if status == 0:
            return "Runtime exited without providing a reason"
        if status > 0:
            return f"Runtime exited with error: exit status {status}"
        name = signal.strsignal(-status) or str(-status)
        return f"Runtime exited with error: signal: {name.lower()}"


def _process_error(error_type: str, request: Mapping[str, Any], reason: str) -> HandlerError:
    request_id = request["context"]["aws_request_id"]
    return HandlerError(error_type, f"RequestId: {request_id} Error: {reason}", [])
