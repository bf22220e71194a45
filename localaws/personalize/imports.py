"""Dataset import jobs: CSV files on S3 → the data that solution versions are trained on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from localaws.personalize.jobs import JobFailedError, Report
from localaws.personalize.objects import S3, Location
from localaws.personalize.schemas import Schema
from localaws.personalize.tables import Table, TableReader

LEAST_INTERACTIONS = 1_000
"""https://docs.aws.amazon.com/personalize/latest/dg/limits.html"""


class Store:
    """The imported data of every data set, by dataset ARN; safe to use from many threads.

    Tables are never changed, only replaced: who reads one keeps it while another is imported.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, Table] = {}

    def get(self, arn: str) -> Table | None:
        """What is imported, or None."""
        with self._lock:
            return self._tables.get(arn)

    def replace(self, arn: str, table: Table) -> None:
        """Forget all rows and take in others."""
        with self._lock:
            self._tables[arn] = table

    def upsert(self, arn: str, table: Table, key: str | None) -> None:
        """Append rows; where `key` names a column, they replace the rows of the same key."""
        with self._lock:
            merged = self._tables[arn] + table
            self._tables[arn] = merged.keep_last(key) if key else merged

    def drop(self, arn: str) -> None:
        """Forget a data set."""
        with self._lock:
            self._tables.pop(arn, None)


@dataclass(frozen=True)
class Import:
    """One import job.

    Args:
        dataset_arn: Where the rows go.
        schema: What they must look like.
        location: ``s3://…``: a file, or a prefix of files.
        incremental: Add and replace by id, instead of replacing all.
    """

    dataset_arn: str
    schema: Schema
    location: str
    incremental: bool

    def run(self, s3: S3, store: Store, report: Report) -> Mapping[str, Any]:
        """Read, check and keep the rows; all of them or none.

        Raises:
            JobFailedError: If there is no file or a file breaks the schema's rules.
        """
        client = s3()
        files = Location.parse(self.location).find(client)
        if not files:
            raise JobFailedError("Invalid Data location.")
        reader = TableReader(self.schema)
        for number, file in enumerate(files):
            reader.read(file.name, file.open(client), partial(report, number / len(files)))
            report((number + 1) / len(files))
        table = reader.table()
        dataset = self.schema.dataset
        if dataset.key is None and not self.incremental and table.n_rows < LEAST_INTERACTIONS:
            raise JobFailedError(
                f"Dataset has fewer than {LEAST_INTERACTIONS} interactions: {table.n_rows} in "
                f"{self.location}."
            )
        if self.incremental:
            store.upsert(self.dataset_arn, table, dataset.key)
        else:
            store.replace(self.dataset_arn, table.keep_last(dataset.key) if dataset.key else table)
        return {}
