"""Wheels for tests, in a folder that pip takes for its only index."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def wheel(
    directory: Path,
    name: str,
    files: Mapping[str, str],
    *,
    tag: str = "py3-none-any",
    requires: str = "",
) -> Path:
    """Write a wheel of version 1.0 and return its path.

    Args:
        directory: Where.
        name: The package's.
        files: Path inside → text.
        tag: Which interpreters and machines take it.
        requires: Another package that it requires.
    """
    path, about = directory / f"{name}-1.0-{tag}.whl", f"{name}-1.0.dist-info"
    requirement = f"Requires-Dist: {requires}\n" if requires else ""
    written = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requirement}",
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    written[f"{about}/RECORD"] = "".join(f"{each},,\n" for each in [*written, f"{about}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in written.items():
            archive.writestr(each, text)
    return path
