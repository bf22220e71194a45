"""The end by SIGINT, SIGTERM or SIGHUP: the command unwinds, and one sentence says what ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SENTENCE = "stopping: ending what was started"

_stopped_by: list[int] = []
_sentences = [_SENTENCE]


def exit_code() -> int | None:
    """Return the exit code of a command that a signal ends; None if none does."""
    return 128 + _stopped_by[0] if _stopped_by else None


def stop_on_signals() -> None:
    """Let the signals end the command with 128 + their number, and nothing left running."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _stop)


@contextmanager
def nothing_to_end() -> Iterator[None]:
    """While something is only shown, a signal ends nothing else: whoever shows it says so."""
    _sentences.append("")
    try:
        yield
    finally:
        _sentences.pop()


def _stop(number: int, _: object) -> NoReturn:
    """Unwind, which ends what was started; a second signal does not interrupt that."""
    _stopped_by.append(number)
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if sentence := _sentences[-1]:
        # Console and sys.stderr may be in the middle of a write; a system call never is.
        os.write(sys.stderr.fileno(), f"\n{sentence}\n".encode())
    raise SystemExit(128 + number)
