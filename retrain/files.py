"""Files that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, content: str | bytes | Iterable[bytes]) -> Path:
    """Put a file in place of what is there, whole or not at all, and return its path.

    Args:
        path: its directory is made if it is not there.
        content: text is written as UTF-8; pieces are written as they come.
    """
    if isinstance(content, str):
        content = content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            for piece in [content] if isinstance(content, bytes) else content:
                file.write(piece)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
