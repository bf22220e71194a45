"""What the documentation says of the code, written by the code: no page can fall behind.

    python -m docs.reference          write it
    python -m docs.reference --check  write nothing; exit 1 with the difference if it is stale

`configuration` makes a page of the models, `commands` a page of the command, `excerpts` the tables
that stand between markers in pages written by hand. All of it is text from objects: nothing here
calls AWS or a database.
"""

from docs.reference.documents import MarkerError, documents, spliced

__all__ = ["MarkerError", "documents", "spliced"]
