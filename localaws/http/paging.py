"""Pages of lists, with opaque tokens that are refused when they are forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

from localaws.http.errors import ServiceError

Key = TypeVar("Key", int, str)
Entry = TypeVar("Entry")
_SIGNED_WITH = b"localaws"
_SIGNATURE_BYTES = 32


def page(
    entries: Sequence[tuple[Key, Entry]],
    *,
    token: str | None,
    size: int,
    scope: str,
    refusal: str = "InvalidNextTokenException",
) -> tuple[list[Entry], str | None]:
    """Cut one page out of a list.

    Args:
        entries: What the list shows, each behind a key that never changes; by ascending key.
        token: As an earlier page gave it; the first page if there is none.
        size: How many entries the page has at most.
        scope: Ties a token to the list that it belongs to.
        refusal: The code of the error for a token of another list.

    Returns:
        The entries, and the token of the next page, if there is one.

    Raises:
        ServiceError: If the token is not one of this list.
    """
    if token:
        start = _key_of(token, scope, refusal)
        entries = [entry for entry in entries if entry[0] >= start]
    more = _token(entries[size][0], scope) if len(entries) > size else None
    return [shown for _, shown in entries[:size]], more


def _token(key: int | str, scope: str) -> str:
    body = orjson.dumps([key, scope])
    return base64.urlsafe_b64encode(_signature(body) + body).decode("ascii")


def _key_of(token: str, scope: str, refusal: str) -> Any:
    try:
        raw = base64.urlsafe_b64decode(token)
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if hmac.compare_digest(signature, _signature(body)):
            key, owner = orjson.loads(body)
            if owner == scope:
                return key
    except ValueError:
        pass
    raise ServiceError(refusal, "The token is not one that this list returned; start without it.")


def _signature(body: bytes) -> bytes:
    return hmac.new(_SIGNED_WITH, body, hashlib.sha256).digest()
