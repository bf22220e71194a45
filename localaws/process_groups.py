"""Processes that are ended with their children: each was started in a session of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress


def kill_group(leader: int) -> None:
    """Kill every process of the group that a process leads; no error if there is none."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask a leader's group to end by SIGTERM, wait some seconds for it, and kill what is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    kill_group(process.pid)
