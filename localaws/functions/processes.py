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
from typing import Any

from localaws.functions import worker
from localaws.functions.packages import Code, link_libraries
from localaws.functions.worker import HandlerError

INIT_SECONDS = 10.0
"""How long loading a handler may take.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""

_CLOSE_SECONDS = 5.0
_CHUNK = 1 << 20


class ProcessesClosedError(RuntimeError):
    """A function was invoked while, or after, the local Lambda was closed."""


@dataclass(frozen=True)
class Sandbox:
    """What functions must have in common to run in the same process.

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
        limit: How many run at the same time; more wait, where Lambda would start more.
    """

    def __init__(
        self, directory: Path, environment: Callable[[str], Mapping[str, str]], *, limit: int = 16
    ) -> None:
        self._directory = directory
        self._environment = environment
        self._slots = threading.BoundedSemaphore(limit)
        self._changed = threading.Condition()
        self._wanted: frozenset[Sandbox] = frozenset()
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

        Raises:
            ProcessesClosedError: If `close` was called.
        """
        with self._slots:
            process = self._taken(sandbox)
            try:
                return process.invoke(request, timeout)
            finally:
                self._give_back(sandbox, process)

    def keep(self, wanted: Iterable[Sandbox]) -> None:
        """Keep processes of these sandboxes alone; end others now or after what they run."""
        with self._changed:
            self._wanted = frozenset(wanted)
            gone = [sandbox for sandbox in self._idle if sandbox not in self._wanted]
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

    def _taken(self, sandbox: Sandbox) -> _Process:
        with self._changed:
            if self._closed:
                raise ProcessesClosedError("the local Lambda is closed; it runs no function")
            idle = self._idle.get(sandbox, [])
            while idle:
                process = idle.pop()
                if process.alive:
                    self._busy.add(process)
                    return process
                process.end()
            if self._libraries is None:
                self._libraries = link_libraries(self._directory / "runtime")
            temporary = self._directory / "tmp" / uuid.uuid4().hex[:12]
            temporary.mkdir(parents=True)
            variables = self._variables(sandbox, temporary)
            process = _Process(sandbox.code, self._libraries, variables, temporary)
            self._busy.add(process)
            return process

    def _variables(self, sandbox: Sandbox, temporary: Path) -> dict[str, str]:
        return {
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

    def _give_back(self, sandbox: Sandbox, process: _Process) -> None:
        with self._changed:
            if process.alive and sandbox in self._wanted and not self._closed:
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
        self._answers, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                # Neither PYTHON… variables nor site-packages nor the script's directory.
                [sys.executable, "-I", "-S", "-X", "utf8", worker.__file__, str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs,),
                cwd=code.directory,
                env=variables,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)
        setup = {
            "code": str(code.directory),
            "libraries": str(libraries),
            "unreadable": sorted(code.unreadable),
        }
        self._waiting = select.poll()
        self._waiting.register(self._answers, select.POLLIN)
        self._received = bytearray()
        self._send(setup)

    @property
    def alive(self) -> bool:
        """Whether it can take an invocation."""
        return self._process.poll() is None

    def invoke(self, request: Mapping[str, Any], timeout: float) -> bytes | HandlerError:
        """Run one invocation to its end, or cut it off."""
        request_id = request["context"]["aws_request_id"]
        try:
            self._send({**request, "seconds": timeout})
            answer = self._line(INIT_SECONDS)
            if answer == b"I":
                answer = self._line(timeout)
        except TimeoutError:
            self.kill()
            reason = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
            return HandlerError("Sandbox.Timedout", reason, [])
        except EOFError:
            reason = f"RequestId: {request_id} Error: {self._exit_reason()}"
            return HandlerError("Runtime.ExitError", reason, [])
        if answer.startswith(b"R"):
            return answer[1:]
        return HandlerError(**json.loads(answer[1:]))

    def kill(self) -> None:
        """Kill it with all its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Kill it, and free what it had. Nothing else may use it any more."""
        self.kill()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        os.close(self._answers)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._process.stdin is None:
            raise EOFError
        # A process that is gone shows itself when its answer is read.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _line(self, seconds: float) -> bytes:
        """The next line of the answers.

        Raises:
            TimeoutError: If it does not come in time.
            EOFError: If the process ends before.
        """
        deadline = time.monotonic() + seconds
        while (end := self._received.find(b"\n")) < 0:
            left = deadline - time.monotonic()
            if left <= 0 or not self._waiting.poll(left * 1000):
                raise TimeoutError
            chunk = os.read(self._answers, _CHUNK)
            if not chunk:
                raise EOFError
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _exit_reason(self) -> str:
        code = self._process.wait()
        if code == 0:
            return "Runtime exited without providing a reason"
        how = f"exit status {code}" if code > 0 else f"signal: {_signal(-code)}"
        return f"Runtime exited with error: {how}"


def _signal(number: int) -> str:
    return (signal.strsignal(number) or str(number)).lower()
