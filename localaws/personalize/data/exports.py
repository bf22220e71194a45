"""Dataset export jobs: a dataset's rows → a CSV file on S3.

Which rows: https://docs.aws.amazon.com/personalize/latest/dg/export-data.html
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws.personalize.data.s3 import S3, Location
from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.store import Store
from localaws.personalize.data.tables import Table, empty_table
from localaws.personalize.resources.jobs import JobFailedError, Report


@dataclass(frozen=True)
class Export:
    """One export job.

    Args:
        dataset_arn: Whose rows.
        schema: Their columns.
        mode: ``BULK``, ``PUT`` or ``ALL``.
        target: ``s3://…``: the folder that gets the file.
        file_name: The file's name.
        scratch: A directory for the unfinished file.
    """

    dataset_arn: str
    schema: Schema
    mode: str
    target: str
    file_name: str
    scratch: Path

    def run(self, s3: S3, store: Store, report: Report) -> Mapping[str, Any]:
        """Write the file.

        Raises:
            JobFailedError: If the output cannot be written.
        """
        client, folder = s3(), Location.parse(self.target)
        table = self._rows(store).without_copies()
        report(0.5)
        with tempfile.TemporaryFile(dir=self.scratch) as out:
            for block in table.csv([field.name for field in self.schema.fields]):
                out.write(block)
                report(0.5)
            out.seek(0)
            try:
                client.upload_fileobj(out, folder.bucket, folder.inside(self.file_name))
            except (ClientError, OSError) as error:
                raise JobFailedError("Invalid S3 output path") from error
        return {}

    def _rows(self, store: Store) -> Table:
        rows = {"BULK": store.bulk, "PUT": store.streamed, "ALL": store.get}[self.mode]
        table = rows(self.dataset_arn)
        return empty_table(self.schema) if table is None else table
