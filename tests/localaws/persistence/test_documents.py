"""Documents keep every text that a request can have."""

from pathlib import Path

import pytest

from localaws.persistence.documents import Documents


@pytest.mark.parametrize("text", ["日本😀", "\ud800", "a\udc00b"])
def test_a_document_keeps_each_text(tmp_path: Path, text: str) -> None:
    """Half of a surrogate pair too, which JSON can escape and UTF-8 cannot hold."""
    documents = Documents(tmp_path / "documents.sqlite")
    documents.put("texts", "a", {"text": text})
    documents.close()
    again = Documents(tmp_path / "documents.sqlite")
    assert again.get("texts", "a") == {"text": text}
    again.close()
