"""The end by SIGINT, SIGTERM or SIGHUP: the command unwinds, and one message says so."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_stopped_by: list[int] = []
_told_elsewhere: list[bool] = []


def exit_code() -> int | None:
    """Return the exit code of a command that a signal ends; None if none does."""
    return 128 + _stopped_by[0] if _stopped_by else None


def stop_on_signals() -> None:
    """Let the signals end the command with 128 + their number, and nothing left running."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _stop)


@contextmanager
def says_what_goes_on() -> Iterator[None]:
    """Leave the message on a signal to the caller: what it only shows does not stop."""
    _told_elsewhere.append(True)
    try:
        yield
    finally:
        _told_elsewhere.pop()


def _stop(number: int, _: object) -> NoReturn:
    """Unwind, which ends what was started; a second signal does not interrupt that."""
    _stopped_by.append(number)
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if not _told_elsewhere:
        # Console and sys.stderr may be in the middle of a write; a system call never is.
        os.write(sys.stderr.fileno(), b"\nstopping\n")
    raise SystemExit(128 + number)
