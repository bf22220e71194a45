"""Resources that an earlier version kept, in a database of their own."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from localaws.persistence.documents import Documents, decode_document
from localaws.personalize.resources.registry import COLLECTION

_log = logging.getLogger(__name__)


def take_over(database: Path, documents: Documents) -> None:
    """Move the resources of a database to the documents, and delete it; none is no error.

    A database that is damaged stays, and none of its resources is taken over.
    """
    if not database.exists():
        return
    try:
        resources = dict(_resources(database))
    except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:
        _log.warning(
            "%s is damaged; its resources are not there, and it stays: %s", database, error
        )
        return
    for arn, document in resources.items():
        documents.put(COLLECTION, arn, document)
    database.unlink()


def _resources(database: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each resource's ARN and document."""
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute(
            "SELECT arn, kind, number, details, tags FROM resources ORDER BY number"
        )
        for arn, type_, number, text, tags in rows:
            # Only the name of a time's member has changed.
            details = decode_document(text.decode().replace('{"$moment":', '{"$time":'))
            document = {"type": type_, "number": number, "details": details}
            yield arn, {**document, "tags": json.loads(tags)}
