"""The parts of the documentation that are generated from the code, so that no page falls behind.

    python -m docs.reference          write them
    python -m docs.reference --check  write nothing; exit 1 with the difference if they are stale

`configuration` generates the page of the pydantic models, `commands` the page of the command,
`excerpts` the tables between markers in handwritten pages. All of it is text from objects: nothing
here calls AWS or a database.
"""

from docs.reference.documents import MarkerError, documents, fill_markers

__all__ = ["MarkerError", "documents", "fill_markers"]
