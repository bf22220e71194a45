"""Markdown that is rendered alike by the documentation site and by GitHub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_PLAIN = re.compile(r"[^|`\n]+")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown without line breaks."""
    lines = [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def code(text: str) -> str:
    """Return a text as code; one with a pipe or backtick as HTML, which a table does not split."""
    if _PLAIN.fullmatch(text):
        return f"`{text}`"
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>"


def prose(text: str) -> str:
    """Return plain text as Markdown for a table's cell."""
    return escape(text, quote=False).replace("|", "&#124;").replace("\n", " ")


def toml(value: Any) -> str:
    """Return a value as TOML in one line."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(name)} = {toml(inner)}" for name, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, str) and '"' in value and "'" not in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    """Return a key of TOML, in quotes where it has to be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def anchor(heading: str) -> str:
    """Return a heading's anchor, which Python-Markdown and GitHub make alike of plain words."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).strip().replace(" ", "-")
