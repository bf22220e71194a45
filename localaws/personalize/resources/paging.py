"""Pages of lists: opaque tokens that are refused when they are forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from localaws.http.errors import ServiceError


class Pages:
    """Cuts lists into pages.

    Args:
        secret: Signs the tokens.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def page(
        self,
        member: str,
        entries: Sequence[tuple[int, Mapping[str, Any]]],
        request: Mapping[str, Any],
        *,
        scope: str,
    ) -> dict[str, Any]:
        """One page and the token of the next, as a List operation answers.

        Args:
            member: The list's name in the answer.
            entries: A number that never changes, and what the list shows; by ascending number.
            request: With ``maxResults`` and ``nextToken``, if given.
            scope: Ties a token to the list that it belongs to.

        Raises:
            ServiceError: InvalidNextTokenException if the token is not one of this list.
        """
        start = self._number_of(request["nextToken"], scope) if "nextToken" in request else 0
        rest = [entry for entry in entries if entry[0] >= start]
        size = request.get("maxResults", 100)
        answer: dict[str, Any] = {member: [shown for _, shown in rest[:size]]}
        if len(rest) > size:
            answer["nextToken"] = self._token(rest[size][0], scope)
        return answer

    def _token(self, number: int, scope: str) -> str:
        body = orjson.dumps([number, scope])
        return base64.urlsafe_b64encode(self._signature(body) + body).decode("ascii")

    def _number_of(self, token: str, scope: str) -> int:
        try:
            raw = base64.urlsafe_b64decode(token)
            signature, body = raw[:32], raw[32:]
            if hmac.compare_digest(signature, self._signature(body)):
                number, owner = orjson.loads(body)
                if owner == scope:
                    return int(number)
        except ValueError:
            pass
        raise ServiceError(
            "InvalidNextTokenException",
            "nextToken is not one that this list returned; start again without it.",
        )

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()
