"""The rows of datasets on disk: a file for each chunk of rows that arrived at once.

Every change is on disk before it is answered, whole or not at all. A document says how many files
a dataset has, so that none is missed silently.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.persistence.documents import Documents
from localaws.persistence.files import written_whole
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import DamagedRowsError


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


_COLLECTION = "personalize rows"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """The rows of a dataset as they are on disk.

    Attributes:
        key: The column that identifies a row; None where rows are events.
        bulk: The rows of import jobs, if there are any.
        streamed: Single records, oldest first.
        damage: Which file is damaged and how; empty if none is. Then there are no rows.
    """

    key: str | None = None
    bulk: Chunk | None = None
    streamed: tuple[Chunk, ...] = ()
    damage: str = ""


class Files:
    """The chunks of each dataset, one file for each.

    Args:
        directory: Holds a directory for each dataset; made if it is missing.
        documents: Hold how many files each dataset has.
    """

    def __init__(self, directory: Path, documents: Documents) -> None:
        self._directory = directory
        self._documents = documents
        directory.mkdir(parents=True, exist_ok=True)

    def save_bulk(self, arn: str, key: str | None, chunk: Chunk | None) -> None:
        """Replace a dataset's bulk rows."""
        path = self._create(arn, key) / "bulk.npz"
        if chunk is None:
            self._expect(arn, bulk=False)
            path.unlink(missing_ok=True)
        else:
            _write(path, chunk)
            self._expect(arn, bulk=True)

    def add_streamed(self, arn: str, key: str | None, chunk: Chunk) -> None:
        """Add single records to a dataset's earlier ones."""
        _write(self._streamed(arn, key, chunk), chunk)
        self._expect(arn, streamed=self._expected(arn)["streamed"] + 1)

    def save_streamed(self, arn: str, key: str | None, chunks: tuple[Chunk, ...]) -> None:
        """Replace a dataset's single records."""
        after = {self._streamed(arn, key, chunk): chunk for chunk in chunks}
        for path, chunk in after.items():
            _write(path, chunk)
        self._expect(arn, streamed=len(after))
        for path in set(self._create(arn, key).glob("streamed-*.npz")) - after.keys():
            path.unlink()

    def drop(self, arn: str) -> None:
        """Delete a dataset's rows."""
        self._documents.drop(_COLLECTION, arn, can_wait=True)
        shutil.rmtree(self._path(arn), ignore_errors=True)

    def set_aside(self, arn: str) -> None:
        """Move a dataset's damaged files to where nothing reads them."""
        path = self._path(arn)
        if path.exists():
            path.rename(path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}"))
        self._documents.drop(_COLLECTION, arn, can_wait=True)

    def load(self) -> Iterator[tuple[str, Rows]]:
        """Yield each dataset's ARN and rows."""
        arns = {self._path(arn): arn for arn, _ in self._documents.all(_COLLECTION)}
        found = (path for path in self._directory.iterdir() if ".damaged-" not in path.name)
        for path in sorted({*found, *arns}):
            arn = arns.get(path) or self._arn_at(path)
            if arn is None:
                _log.warning("%s is of no dataset that is known; it stays", path)
                continue
            try:
                yield arn, self._rows(arn)
            except DamagedRowsError as error:
                yield arn, Rows(damage=str(error))

    def _rows(self, arn: str) -> Rows:
        """Return a dataset's rows.

        Raises:
            DamagedRowsError: If one of its files is damaged or missing.
        """
        directory = self._path(arn)
        key = _described(directory / "dataset.json")["key"]
        bulk, streamed = directory / "bulk.npz", sorted(directory.glob("streamed-*.npz"))
        expected = self._documents.get(_COLLECTION, arn)
        if expected is None:  # of an earlier version, which kept no count
            self._expect(arn, bulk=bulk.exists(), streamed=len(streamed))
        elif expected["bulk"] and not bulk.exists():
            raise DamagedRowsError(f"{bulk} is missing")
        elif (missing := expected["streamed"] - len(streamed)) > 0:
            raise DamagedRowsError(f"{directory}/streamed-*.npz: {missing} files are missing")
        chunk = _read(bulk) if bulk.exists() else None
        return Rows(key, chunk, tuple(map(_read, streamed)))

    def _arn_at(self, path: Path) -> str | None:
        """Return the dataset of a directory that an earlier version has written, if it is one."""
        try:
            arn = _described(path / "dataset.json")["arn"]
        except DamagedRowsError:
            return None
        return str(arn) if self._path(str(arn)) == path else None

    def _expected(self, arn: str) -> dict[str, Any]:
        return self._documents.get(_COLLECTION, arn) or {"bulk": False, "streamed": 0}

    def _expect(self, arn: str, **files: int) -> None:
        """Keep which files a dataset has."""
        expected = {**self._expected(arn), **files}
        self._documents.put(_COLLECTION, arn, expected, can_wait=True)

    def _streamed(self, arn: str, key: str | None, chunk: Chunk) -> Path:
        return self._create(arn, key) / f"streamed-{int(chunk.arrivals[-1]):012d}.npz"

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


def _described(path: Path) -> dict[str, Any]:
    """Return what describes a dataset.

    Raises:
        DamagedRowsError: If the file is damaged.
    """
    try:
        description = orjson.loads(path.read_bytes())
        return {"arn": description["arn"], "key": description["key"]}
    except Exception as error:  # whatever damage leads to
        raise _damaged(path, error) from error


def _read(path: Path) -> Chunk:
    """Return the chunk of a file.

    Raises:
        DamagedRowsError: If it is damaged.
    """
    try:
        return _read_arrays(path)
    except Exception as error:  # whatever damage leads to
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedRowsError:
    reason = error.strerror if isinstance(error, OSError) else ""
    return DamagedRowsError(f"{path} is damaged: {reason or 'it holds other bytes than were kept'}")


def _read_arrays(path: Path) -> Chunk:
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
