"""Pages of lists, with opaque tokens that are refused when they are forged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from itsdangerous import BadData, URLSafeSerializer

from localaws.http.errors import ServiceError

Key = TypeVar("Key", int, str)
Entry = TypeVar("Entry")


def page(
    entries: Sequence[tuple[Key, Entry]],
    *,
    token: str | None,
    size: int,
    scope: str,
    refusal: str = "InvalidNextTokenException",
) -> tuple[list[Entry], str | None]:
    """Return one page of a list.

    Args:
        entries: The whole list, each entry behind a key that never changes; by ascending key.
        token: That of an earlier page; None and an empty one are for the first page.
        size: How many entries the page has at most.
        scope: The list's name: a token is refused for any other list.
        refusal: The code of the error for a token of another list.

    Returns:
        The entries, and the token of the next page, if there is one.

    Raises:
        ServiceError: If the token is not one of this list.
    """
    tokens = URLSafeSerializer("localaws", salt=scope)
    if token:
        try:
            start = tokens.loads(token)
        except BadData:
            message = "The token is not one that this list returned; start without it."
            raise ServiceError(refusal, message) from None
        entries = [entry for entry in entries if entry[0] >= start]
    next_token = str(tokens.dumps(entries[size][0])) if len(entries) > size else None
    return [entry for _, entry in entries[:size]], next_token
