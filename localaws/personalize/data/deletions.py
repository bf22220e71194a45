"""Data deletion jobs: a CSV file of user ids on S3 → a dataset group that has forgotten them.

https://docs.aws.amazon.com/personalize/latest/dg/delete-records.html
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.data.s3 import S3, Location
from localaws.personalize.data.store import Store
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import JobFailedError, Report

_LARGEST = 100 * 2**20


@dataclass(frozen=True)
class Deletion:
    """One data deletion job.

    Args:
        dataset_arns: The datasets of the group that have a USER_ID.
        location: ``s3://…``: a CSV file with the one column USER_ID, or a prefix of such files.
    """

    dataset_arns: Sequence[str]
    location: str

    def run(self, s3: S3, store: Store, report: Report) -> Mapping[str, Any]:
        """Forget the users; what their resource is told.

        Raises:
            JobFailedError: If there is no file, or one is not as it must be.
        """
        users = self._users(s3)
        deleted = 0
        for number, arn in enumerate(self.dataset_arns, start=1):

            def others(table: Table) -> NDArray[np.bool_]:
                return ~np.array([user in users for user in table.column("USER_ID")], np.bool_)

            deleted += store.keep(arn, others)
            report(number / len(self.dataset_arns))
        return {"numDeleted": deleted, "users": sorted(users)}

    def _users(self, s3: S3) -> frozenset[str]:
        client = s3()
        files = Location.parse(self.location).find(client)
        if not files:
            raise JobFailedError("Invalid Data location.")
        if (size := sum(file.size for file in files)) > _LARGEST:
            raise JobFailedError(f"{size:,} bytes in {self.location}; at most {_LARGEST:,}")
        users: set[str] = set()
        for file in files:
            with file.open(client) as content:
                try:
                    rows = list(csv.reader(io.TextIOWrapper(content, "utf-8", newline="")))
                except (UnicodeDecodeError, csv.Error) as error:
                    raise JobFailedError(f"{file.name}: {error}") from error
            if rows[:1] != [["USER_ID"]]:
                raise JobFailedError(f"{file.name}, line 1: must be the one column USER_ID")
            for line, row in enumerate(rows[1:], start=2):
                if len(row) > 1:
                    raise JobFailedError(f"{file.name}, line {line}: {len(row)} values, not one")
                users.update(row)
        return frozenset(users - {""})
