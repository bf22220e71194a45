"""Errors of the local AWS, and their suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches


class LocalAwsError(RuntimeError):
    """Something on this machine prevents the local AWS; the text says what, where and what to do.

    The command turns it into a message.
    """


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
