"""Output of the command: values as JSON, and files that are replaced whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localaws.persistence.files import written_whole


def json_text(value: Any) -> str:
    """Return a value as indented JSON; times are ISO 8601 in UTC."""

    def text(other: Any) -> str:
        return other.astimezone(UTC).isoformat() if isinstance(other, datetime) else str(other)

    return json.dumps(value, ensure_ascii=False, indent=2, default=text) + "\n"


def write_whole(path: Path, content: str | bytes | Iterable[bytes]) -> Path:
    """Write or replace a file, whole or not at all, and return its path.

    Args:
        path: The file; its directory is made if it does not exist.
        content: A text is written as UTF-8, chunks as they come.
    """
    if isinstance(content, str):
        content = content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.writelines([content] if isinstance(content, bytes) else content)
    return path
