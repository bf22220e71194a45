"""The rows of datasets on disk: a file for each chunk of rows that arrived at once.

Every change is on disk before it is answered, whole or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.persistence.files import written_whole
from localaws.personalize.data.tables import Table


@dataclass(frozen=True)
class Chunk:
    """Rows and when each of them arrived.

    Attributes:
        table: The rows.
        arrivals: Numbers that grow with each change of the store, shape (n_rows,).
    """

    table: Table
    arrivals: NDArray[np.int64]

    def __add__(self, other: Chunk) -> Chunk:
        """Return the rows of both."""
        arrivals = np.concatenate([self.arrivals, other.arrivals])
        return Chunk(self.table + other.table, arrivals)

    def take(self, rows: NDArray[np.bool_]) -> Chunk:
        """Return the rows of a mask."""
        return Chunk(self.table.take(rows), self.arrivals[rows])


class Files:
    """The chunks of each dataset, one file for each.

    Args:
        directory: Holds a directory for each dataset; made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def save_bulk(self, arn: str, key: str | None, chunk: Chunk | None) -> None:
        """Replace a dataset's bulk rows."""
        path = self._create(arn, key) / "bulk.npz"
        if chunk is None:
            path.unlink(missing_ok=True)
        else:
            _write(path, chunk)

    def add_streamed(self, arn: str, key: str | None, chunk: Chunk) -> Path:
        """Add single records to a dataset's earlier ones, and return their file."""
        path = self._create(arn, key) / f"streamed-{int(chunk.arrivals[-1]):012d}.npz"
        _write(path, chunk)
        return path

    def save_streamed(self, arn: str, key: str | None, chunks: tuple[Chunk, ...]) -> None:
        """Replace a dataset's single records."""
        before = set(self._create(arn, key).glob("streamed-*.npz"))
        for path in before - {self.add_streamed(arn, key, chunk) for chunk in chunks}:
            path.unlink()

    def drop(self, arn: str) -> None:
        """Delete a dataset's rows."""
        shutil.rmtree(self._path(arn), ignore_errors=True)

    def load(self) -> Iterator[tuple[str, str | None, Chunk | None, tuple[Chunk, ...]]]:
        """Yield each dataset: its ARN, key column, bulk rows, single records oldest first."""
        for path in sorted(self._directory.glob("*/dataset.json")):
            dataset = orjson.loads(path.read_bytes())
            bulk = path.with_name("bulk.npz")
            streamed = sorted(path.parent.glob("streamed-*.npz"))
            chunk = _read(bulk) if bulk.exists() else None
            yield dataset["arn"], dataset["key"], chunk, tuple(map(_read, streamed))

    def _create(self, arn: str, key: str | None) -> Path:
        """Return a dataset's directory, made if it is missing."""
        path = self._path(arn) / "dataset.json"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with written_whole(path) as file:
                file.write(orjson.dumps({"arn": arn, "key": key}))
        return path.parent

    def _path(self, arn: str) -> Path:
        return self._directory / hashlib.sha256(arn.encode()).hexdigest()[:16]


def _write(path: Path, chunk: Chunk) -> None:
    """Write a chunk as arrays without pickle: texts and nulls as JSON."""
    arrays: dict[str, NDArray[Any]] = {"arrivals": chunk.arrivals}
    for number, (name, values) in enumerate(chunk.table.columns.items()):
        arrays[f"name-{number}"] = np.frombuffer(name.encode(), np.uint8)
        if values.dtype == object:
            arrays[f"json-{number}"] = np.frombuffer(orjson.dumps(values.tolist()), np.uint8)
        else:
            arrays[f"array-{number}"] = values
    with written_whole(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path) -> Chunk:
    columns: dict[str, NDArray[Any]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for number in range(sum(name.startswith("name-") for name in arrays)):
            name = arrays[f"name-{number}"].tobytes().decode()
            if f"array-{number}" in arrays:
                columns[name] = arrays[f"array-{number}"]
            else:
                values = orjson.loads(arrays[f"json-{number}"].tobytes())
                columns[name] = np.array(values, dtype=object)
        return Chunk(Table(columns), arrays["arrivals"])
