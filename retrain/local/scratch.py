"""Temporary directories of local runs, and the removal of those that a killed run has left.

A directory belongs to a run as long as a process holds the lock of its file `owner`, which goes
with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_OWNER = "owner"


@contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """Make a temporary directory that PostgreSQL's user can reach, for a `with` block.

    What dead runs have left by the same prefix is removed before.
    """
    remove_left_behind(Path(tempfile.gettempdir()), prefix)
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    directory.chmod(0o755)
    try:
        # It has its name once it is locked: what has the name and no lock is a dead run's.
        with (directory / f"{_OWNER}.unlocked").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            Path(file.name).rename(directory / _OWNER)
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def remove_left_behind(parent: Path, prefix: str) -> list[Path]:
    """End the processes of dead runs and remove their directories; return these.

    Only a directory of this user is removed, by its prefix, whose `owner` nobody locks.
    """
    return [path for path in sorted(parent.glob(f"{prefix}*")) if _is_removed(path)]


def _is_removed(directory: Path) -> bool:
    owner = directory / _OWNER
    try:
        if owner.is_symlink() or owner.stat().st_uid != os.geteuid():
            return False
        with owner.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end_processes(directory)
            shutil.rmtree(directory, ignore_errors=True)
    except OSError:  # it is locked, or gone, or no directory of ours
        return False
    return True


def _end_processes(directory: Path) -> None:
    """Kill what still runs in a directory: PostgreSQL, jobs and functions."""
    inside = f"{directory}{os.sep}"
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [f"{process.cwd()}{os.sep}", *process.cmdline()]
            if process.pid != os.getpid() and any(inside in word for word in words):
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=5)
