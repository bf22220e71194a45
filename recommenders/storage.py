"""The files of a saved recommender, written atomically."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

DESCRIPTION = "recommender.json"
ARRAYS = "recommender.npz"


def write(
    directory: Path, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a recommender into `directory`, replacing its content.

    A reader sees the old directory, the new one or for a moment none; never a part.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        with (new / ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
        (new / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", "utf-8")
        if directory.exists():
            directory.rename(old)
        new.rename(directory)


def read(directory: Path) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return the description and the arrays that `write` wrote; no code in them is executed.

    Raises:
        FileNotFoundError: If there are none.
    """
    description = json.loads((directory / DESCRIPTION).read_text("utf-8"))
    with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
        return description, dict(arrays)


def matrix_arrays(name: str, matrix: sp.csr_matrix) -> dict[str, NDArray[Any]]:
    """Return a CSR matrix as arrays to save, their names prefixed by `name`."""
    return {
        f"{name}_values": matrix.data,
        f"{name}_items": matrix.indices,
        f"{name}_offsets": matrix.indptr,
    }


def matrix_from_arrays(
    name: str, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int]
) -> sp.csr_matrix:
    """Return the CSR matrix of the arrays that `matrix_arrays` returned."""
    parts = tuple(arrays[f"{name}_{part}"] for part in ("values", "items", "offsets"))
    return sp.csr_matrix(parts, shape=shape)
