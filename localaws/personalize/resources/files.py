"""What outlives the process: resources in SQLite, the data in a file for each part of it.

Every change is on disk before it is answered, whole or not at all. What was under way when the
process ended, however it ended, is CREATE FAILED with its reason when the directory is opened
again; what was being deleted is gone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.personalize.data.store import Part
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import CHANGING, DELETING, KINDS

ENDED = "The local Personalize ended while this was under way; create it again."
_MOMENT = "$moment"


class Records(dict[str, Resource]):
    """Resources by their ARN, kept in an SQLite database.

    Args:
        path: The database; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # safe but for a power cut
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS resources"
            " (arn TEXT PRIMARY KEY, kind TEXT, number INTEGER, details BLOB, tags BLOB)"
        )
        rows = self._database.execute(
            "SELECT arn, kind, number, details, tags FROM resources ORDER BY number"
        ).fetchall()
        for arn, kind, number, details, tags in rows:
            found = Resource(KINDS[kind], arn, number, _loaded(details), orjson.loads(tags))
            if (settled := _settled(found)) is None:
                self.pop(arn, None)
            elif settled is found:
                super().__setitem__(arn, found)
            else:
                self[arn] = settled

    def __setitem__(self, arn: str, resource: Resource) -> None:
        """Keep a resource."""
        self._database.execute(
            "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?)",
            (
                arn,
                resource.kind.name,
                resource.number,
                _dumped(resource.details),
                orjson.dumps(dict(resource.tags)),
            ),
        )
        super().__setitem__(arn, resource)

    def pop(self, arn: str, default: Any = None) -> Any:
        """Forget a resource."""
        self._database.execute("DELETE FROM resources WHERE arn = ?", (arn,))
        return super().pop(arn, default)

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _settled(resource: Resource) -> Resource | None:
    """A resource as it is when nobody works for it any more; None if it was being deleted."""
    if resource.status in DELETING:
        return None
    details = dict(resource.details)
    if resource.kind.life and resource.status in CHANGING:
        stopping = resource.status == "CREATE STOPPING"
        details["status"] = "CREATE STOPPED" if stopping else resource.kind.life.failed
        if not stopping:
            details["failureReason"] = ENDED
    for member, value in resource.details.items():
        if isinstance(value, Mapping) and value.get("status") in CHANGING:
            details[member] = {**value, "status": "CREATE FAILED", "failureReason": ENDED}
    return resource if details == dict(resource.details) else replace(resource, details=details)


def _dumped(details: Mapping[str, Any]) -> bytes:
    return orjson.dumps(dict(details), default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {_MOMENT: value.isoformat()}
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _loaded(text: bytes) -> dict[str, Any]:
    def moments(value: Any) -> Any:
        if isinstance(value, dict):
            if _MOMENT in value:
                return datetime.fromisoformat(value[_MOMENT])
            return {name: moments(inner) for name, inner in value.items()}
        return [moments(inner) for inner in value] if isinstance(value, list) else value

    details: dict[str, Any] = moments(orjson.loads(text))
    return details


class Files:
    """The parts of each dataset's data, one file for each.

    Args:
        directory: Holds a directory for each dataset; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def save_bulk(self, arn: str, key: str | None, part: Part | None) -> None:
        """Put a dataset's bulk rows in place of those of before."""
        path = self._of(arn, key) / "bulk.npz"
        if part is None:
            path.unlink(missing_ok=True)
        else:
            _save(path, part)

    def add_streamed(self, arn: str, key: str | None, part: Part) -> None:
        """Keep single records besides those of before."""
        _save(self._of(arn, key) / f"streamed-{int(part.arrivals[-1]):012d}.npz", part)

    def save_streamed(self, arn: str, key: str | None, parts: tuple[Part, ...]) -> None:
        """Put single records in place of those of before."""
        directory = self._of(arn, key)
        before = set(directory.glob("streamed-*.npz"))
        for part in parts:
            self.add_streamed(arn, key, part)
            before.discard(directory / f"streamed-{int(part.arrivals[-1]):012d}.npz")
        for path in before:
            path.unlink()

    def drop(self, arn: str) -> None:
        """Forget a dataset."""
        shutil.rmtree(self._place(arn), ignore_errors=True)

    def load(self) -> Iterator[tuple[str, str | None, Part | None, tuple[Part, ...]]]:
        """Yield each dataset: its ARN, key column, bulk rows, single records oldest first."""
        for about in sorted(self._directory.glob("*/dataset.json")):
            told = orjson.loads(about.read_bytes())
            bulk = about.with_name("bulk.npz")
            streamed = sorted(about.parent.glob("streamed-*.npz"))
            yield (
                told["arn"],
                told["key"],
                _read(bulk) if bulk.exists() else None,
                tuple(map(_read, streamed)),
            )

    def _of(self, arn: str, key: str | None) -> Path:
        directory = self._place(arn)
        about = directory / "dataset.json"
        if not about.exists():
            directory.mkdir(exist_ok=True)
            with _written_whole(about) as file:
                file.write(orjson.dumps({"arn": arn, "key": key}))
        return directory

    def _place(self, arn: str) -> Path:
        return self._directory / hashlib.sha256(arn.encode()).hexdigest()[:16]


def _save(path: Path, part: Part) -> None:
    """Write a part as arrays without pickle: texts and nulls as JSON."""
    arrays: dict[str, NDArray[Any]] = {"arrivals": part.arrivals}
    for number, (name, values) in enumerate(part.table.columns.items()):
        text = np.frombuffer(name.encode(), np.uint8)
        is_object = values.dtype == object
        kept = np.frombuffer(orjson.dumps(values.tolist()), np.uint8) if is_object else values
        arrays |= {f"name-{number}": text, f"{'json' if is_object else 'array'}-{number}": kept}
    with _written_whole(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path) -> Part:
    columns: dict[str, NDArray[Any]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        arrivals = arrays["arrivals"]
        for number in range(sum(name.startswith("name-") for name in arrays)):
            name = arrays[f"name-{number}"].tobytes().decode()
            if f"array-{number}" in arrays:
                columns[name] = arrays[f"array-{number}"]
                continue
            values = orjson.loads(arrays[f"json-{number}"].tobytes())
            columns[name] = np.array(values, dtype=object)
    return Part(Table(columns, len(arrivals)), arrivals)


@contextmanager
def _written_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes the path's place, whole and on the disk, once it is written."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
