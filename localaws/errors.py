"""Errors of the local AWS and of its machine, and suggestions for misspelt names."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class LocalAwsError(RuntimeError):
    """Something on this machine prevents the local AWS; the text says what, where and what to do.

    The command turns it into a message.
    """


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one behind it, says that there is no room to write."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if isinstance(behind, sqlite3.Error):
            # Beside the database itself SQLite writes files of which it only says that it failed.
            code = getattr(behind, "sqlite_errorcode", 0) & 0xFF
            if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
                return True
        behind = behind.__cause__ or behind.__context__
    return False


def suggestion(
    name: str, known: Iterable[str], otherwise: str = "", *, show: Callable[[str], str] = str
) -> str:
    """Return `did you mean NAME?` for the known name nearest to a misspelt one.

    Args:
        name: The misspelt name; its case does not matter.
        known: The names that exist.
        otherwise: What is returned if none of them is near.
        show: How the message writes the name that is near.
    """
    names = {name.upper(): name for name in known}
    near = get_close_matches(name.upper(), names, 1)
    return f"did you mean {show(names[near[0]])}?" if near else otherwise
