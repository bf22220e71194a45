"""Documents by collection and key, each written whole or not at all, for the next start.

One SQLite file. A document that was put is in it when `put` returns, so a process that is killed at
any moment leaves a file that opens again, with everything that was put before. There is no
write-ahead log, which would hold the newest documents in a file of its own, and nothing tells what
is lost with it. A rollback journal is needed only after a kill in the midst of a `put`.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from localaws.errors import is_disk_full

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


_Where = tuple[str, str]  # collection and key
_log = logging.getLogger(__name__)


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
        self._late: dict[_Where, str | None] = {}
        self._file.execute("PRAGMA journal_mode = TRUNCATE")  # of an earlier version's log too
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_TABLES)

    def put(
        self, collection: str, key: str, document: Mapping[str, Any], *, can_wait: bool = False
    ) -> None:
        """Keep a document in place of the one with this key.

        If the disk is full, one that can wait is kept by the next call that finds room.

        Raises:
            sqlite3.OperationalError: If the disk is full, and it cannot wait.
        """
        text = json.dumps(document, default=_encode, ensure_ascii=False)
        if not _is_unicode(text):
            text = json.dumps(document, default=_encode)
        self._write((collection, key), text, can_wait=can_wait)

    def drop(self, collection: str, key: str, *, can_wait: bool = False) -> None:
        """Remove a document, as `put` keeps one; one that does not exist is no error."""
        self._write((collection, key), None, can_wait=can_wait)

    def _write(self, where: _Where, text: str | None, *, can_wait: bool) -> None:
        with self._lock:
            try:
                self._write_late()
                self._execute(where, text)
            except sqlite3.OperationalError as error:
                if not (can_wait and is_disk_full(error)):
                    raise
                _log.warning("%s: %s; it is kept when there is room", "/".join(where), error)
                self._late.pop(where, None)  # the last one counts
                self._late[where] = text

    def _write_late(self) -> None:
        while self._late:
            where = next(iter(self._late))
            self._execute(where, self._late[where])
            del self._late[where]

    def _execute(self, where: _Where, text: str | None) -> None:
        if text is None:
            self._file.execute("DELETE FROM documents WHERE kind = ? AND key = ?", where)
        else:
            self._file.execute(_PUT, (*where, text))

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        """Return a document, None if there is none."""
        query = "SELECT document FROM documents WHERE kind = ? AND key = ?"
        with self._lock:
            row = self._file.execute(query, (collection, key)).fetchone()
            text = self._late.get((collection, key), row[0] if row else None)
        return None if text is None else decode_document(text)

    def all(self, collection: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each document of a collection with its key, in order."""
        query = "SELECT key, document FROM documents WHERE kind = ? ORDER BY position"
        with self._lock:
            texts: dict[str, str | None] = dict(self._file.execute(query, (collection,)))
            texts |= {key: text for (kind, key), text in self._late.items() if kind == collection}
        for key, text in texts.items():
            if text is not None:
                yield key, decode_document(text)

    def members(self, collection: str, member: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield a member of each document with the document's key, in order; it is an object.

        The rest of the documents, which may be long, is not decoded.
        """
        query = (
            "SELECT key, json_extract(document, '$.' || ?) FROM documents WHERE kind = ?"
            " ORDER BY position"
        )
        with self._lock:
            texts: dict[str, str] = dict(self._file.execute(query, (member, collection)))
            late = {key: text for (kind, key), text in self._late.items() if kind == collection}
        for key in {**texts, **late}:
            if key not in late:
                yield key, decode_document(texts[key])
            elif text := late[key]:
                yield key, decode_document(text)[member]

    def damage(self) -> list[str]:
        """Return what is wrong with the file itself; nothing if it is whole.

        Raises:
            sqlite3.DatabaseError: If that cannot be told.
        """
        with self._lock:
            found = [row[0] for row in self._file.execute("PRAGMA integrity_check(3)")]
        return [] if found == ["ok"] else found

    def set_damaged_aside(self) -> list[str]:
        """Rename documents that are no JSON objects, which nothing reads then; return their names.

        Each stays in the file, as of the collection `damaged`.
        """
        query = (
            "SELECT position, kind, key FROM documents WHERE kind != 'damaged' AND CASE"
            " WHEN json_valid(document) THEN json_type(document) != 'object' ELSE 1 END"
        )
        with self._lock:
            found = self._file.execute(query).fetchall()
            for position, kind, key in found:
                self._file.execute(
                    "UPDATE documents SET kind = 'damaged', key = ? WHERE position = ?",
                    (f"{kind}/{key}/{position}", position),
                )
        return [f"{kind} {key}" for _, kind, key in found]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            try:
                self._write_late()
            except sqlite3.Error as error:
                _log.warning("%d documents are not kept: %s", len(self._late), error)
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
