"""Documents by collection and key, each written whole or not at all, for the next start.

One SQLite file with a write-ahead log. A document that was put is on the disk when `put` returns,
so a process that is killed at any moment leaves a file that opens again, with everything that was
put before.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL,
    UNIQUE (kind, key)
);
"""
_PUT = """
INSERT INTO documents (kind, key, document) VALUES (?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document
"""


class Documents:
    """JSON objects by collection and key, in the order in which they were first put.

    Times and bytes are kept too. Safe to use from many threads.

    Args:
        path: The file; None keeps them in memory, as long as this object lives.
    """

    def __init__(self, path: Path | None = None) -> None:
        # Without an isolation level, every statement is a transaction.
        self._file = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None
        )
        self._lock = threading.Lock()
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_TABLES)

    def put(self, collection: str, key: str, document: Mapping[str, Any]) -> None:
        """Keep a document in place of the one with this key."""
        text = json.dumps(document, default=_encode, ensure_ascii=False)
        if not _is_unicode(text):
            text = json.dumps(document, default=_encode)
        with self._lock:
            self._file.execute(_PUT, (collection, key, text))

    def drop(self, collection: str, key: str) -> None:
        """Remove a document; one that does not exist is no error."""
        statement = "DELETE FROM documents WHERE kind = ? AND key = ?"
        with self._lock:
            self._file.execute(statement, (collection, key))

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        """Return a document, None if there is none."""
        query = "SELECT document FROM documents WHERE kind = ? AND key = ?"
        with self._lock:
            row = self._file.execute(query, (collection, key)).fetchone()
        return decode_document(row[0]) if row else None

    def all(self, collection: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each document of a collection with its key, in order."""
        query = "SELECT key, document FROM documents WHERE kind = ? ORDER BY position"
        with self._lock:
            rows = self._file.execute(query, (collection,)).fetchall()
        for key, text in rows:
            yield key, decode_document(text)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _is_unicode(text: str) -> bool:
    """Return whether a text has no half of a surrogate pair, which JSON can escape alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encode(value: Any) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"a {type(value).__name__} cannot be kept: {value!r}")


def decode_document(text: str) -> dict[str, Any]:
    """Return the document of a text, with its times and bytes."""

    def decode(value: dict[str, Any]) -> Any:
        if value.keys() == {"$time"}:
            return datetime.fromisoformat(value["$time"])
        return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value

    document: dict[str, Any] = json.loads(text, object_hook=decode)
    return document
