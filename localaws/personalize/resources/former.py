"""Resources that an earlier version kept, in a database of their own."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from localaws.persistence.documents import Documents, decode_document
from localaws.personalize.resources.registry import COLLECTION


def take_over(database: Path, documents: Documents) -> None:
    """Move the resources of a database to the documents, and delete it; none is no error."""
    if not database.exists():
        return
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute(
            "SELECT arn, kind, number, details, tags FROM resources ORDER BY number"
        )
        for arn, type_, number, text, tags in rows:
            # Only the name of a time's member has changed.
            details = decode_document(text.decode().replace('{"$moment":', '{"$time":'))
            document = {"type": type_, "number": number, "details": details}
            documents.put(COLLECTION, arn, {**document, "tags": json.loads(tags)})
    database.unlink()
