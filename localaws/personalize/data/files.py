"""The data of datasets, in a file for each part of them that came at once.

Every change is on disk before it is answered, whole or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from localaws.persistence.files import written_whole
from localaws.personalize.data.store import Part
from localaws.personalize.data.tables import Table


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
            with written_whole(about) as file:
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
    with written_whole(path) as file:
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
