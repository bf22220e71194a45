"""Zips of source code, as it is uploaded to AWS."""

import io
import zipfile
from collections.abc import Mapping


def zipped(files: Mapping[str, str], mode: int = 0o644) -> bytes:
    """Return the bytes of a zip: path inside → text, all with these permissions."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = mode << 16
            opened.writestr(entry, text)
    return archive.getvalue()
