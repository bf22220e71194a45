"""The exception with which a program ended, by what it printed."""

from __future__ import annotations

import re

_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt)\b.*$")
_TRACEBACK = "Traceback (most recent call last):"


def last_exception(log: str) -> str:
    """Return the line of the last exception, e.g. `ValueError: no rows`; empty if there is none.

    It is the last line of a traceback, or a line that looks like one, as those of Java do.
    """
    last, is_traceback = "", False
    for line in log.splitlines():
        if line == _TRACEBACK:
            is_traceback = True
        elif is_traceback and line and not line.startswith(" "):
            last, is_traceback = line, False
        elif _EXCEPTION.match(line):
            last = line
    return last.rstrip()
