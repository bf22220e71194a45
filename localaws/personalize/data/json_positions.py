"""The positions of a JSON document's values, to show a fault by its line and column."""

from __future__ import annotations

import json
import re

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value, e.g. `("fields", 2, "type")`."""

_SYMBOL = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


class Positions:
    """The positions of a JSON document's values.

    Args:
        text: JSON that can be decoded.

    Attributes:
        repeated: The paths of keys that an object has before.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: dict[Path, int] = {}
        self.repeated: list[Path] = []
        path: list[str | int] = []
        scalar = ""
        for match in _SYMBOL.finditer(text):
            symbol = match[0]
            if symbol == ":":
                # The scalar before a colon was no value but a key.
                del self._starts[(*path[:-1], "")]
                path[-1] = str(json.loads(scalar))
                if tuple(path) in self._starts:
                    self.repeated.append(tuple(path))
            elif symbol == ",":
                path[-1] = path[-1] + 1 if isinstance(path[-1], int) else ""
            elif symbol in "}]":
                path.pop()
            else:
                self._starts[tuple(path)] = match.start()
                if symbol in "{[":
                    path.append("" if symbol == "{" else 0)
                scalar = symbol

    def of(self, *path: str | int) -> str:
        """Return `line 3, column 5` of a value, or of the innermost value around it that exists."""
        while path and path not in self._starts:
            path = path[:-1]
        start = self._starts.get(path, 0)
        line = self._text.count("\n", 0, start) + 1
        return f"line {line}, column {start - self._text.rfind(chr(10), 0, start)}"
