"""Processes that are ended with their children: each was started in a session of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

import psutil


def exit_code(status: int) -> int:
    """Return the exit status of a process as shells and containers do: 137 if it was killed."""
    return status if status >= 0 else 128 - status


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


def kill_left_behind(leader: int, word: str) -> None:
    """Kill the group of a process that an earlier server left, if it still is the same one.

    Args:
        leader: The process's id.
        word: In its command line, and in no other process's.
    """
    with suppress(psutil.Error):
        if any(word in argument for argument in psutil.Process(leader).cmdline()):
            kill_group(leader)
