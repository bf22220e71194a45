"""Dataset import jobs: CSV files on S3 → the data that solution versions are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from localaws.personalize.data.csv_reader import TableReader
from localaws.personalize.data.s3 import S3, Location
from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.store import Store
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import JobFailedError, Report


@dataclass(frozen=True)
class Import:
    """One import job.

    Args:
        dataset_arn: Where the rows go.
        schema: What they must look like.
        location: ``s3://…``: a file, or a prefix of files.
        incremental: Add and replace by id, instead of replacing all.
        least_interactions: Fewest rows, if they are interactions.
        imported: Told of the rows once they are kept, e.g. to report on them.
    """

    dataset_arn: str
    schema: Schema
    location: str
    incremental: bool
    least_interactions: int
    imported: Callable[[Table], None] | None = None

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
        is_short = table.n_rows < self.least_interactions
        if dataset.type == "INTERACTIONS" and is_short:
            raise JobFailedError(
                f"Dataset has fewer than {self.least_interactions} interactions: {table.n_rows} in "
                f"{self.location}."
            )
        if self.incremental:
            store.upsert(self.dataset_arn, table, dataset.key)
        else:
            store.replace(self.dataset_arn, table, dataset.key)
        if self.imported:
            self.imported(table)
        return {}
