"""Where in a JSON text each value stands, so that a fault can be shown by its line and column."""

from __future__ import annotations

import json
import re

Path = tuple[str | int, ...]
"""How to get to a value, e.g. ``("fields", 2, "type")``."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


class Places:
    """The places of a JSON document's values.

    Args:
        text: JSON that can be decoded.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: dict[Path, int] = {}
        self.twice: list[Path] = []
        self._read()

    def of(self, *path: str | int) -> str:
        """``line 3, column 5`` of a value, or of the nearest one around it that is there."""
        while path and path not in self._starts:
            path = path[:-1]
        return place(self._text, self._starts.get(path, 0))

    def _read(self) -> None:
        """Walk over the tokens; a key of an object is known by the colon behind it."""
        path: list[str | int] = []
        last: tuple[str, int] | None = None
        for found in _TOKEN.finditer(self._text):
            piece, start = found[0], found.start()
            if piece == ":" and last:
                path[-1] = _unquoted(last[0])
                del self._starts[(*path[:-1], "")]
                if tuple(path) in self._starts:
                    self.twice.append(tuple(path))
            elif piece == ",":
                path[-1] = path[-1] + 1 if isinstance(path[-1], int) else ""
            elif piece in "}]":
                path.pop()
            else:
                self._starts[tuple(path)] = start
                if piece in "{[":
                    path.append("" if piece == "{" else 0)
                last = (piece, start)


def place(text: str, position: int) -> str:
    """A position as ``line 3, column 5``."""
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def _unquoted(piece: str) -> str:
    return str(json.loads(piece))
