"""The files of dataset jobs: those that are imported or exported, and lists of users to delete.

https://docs.aws.amazon.com/personalize/latest/dg/data-prep-formatting.html
https://docs.aws.amazon.com/personalize/latest/dg/export-data.html
https://docs.aws.amazon.com/personalize/latest/dg/delete-records.html
"""

from __future__ import annotations

import csv
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.personalize.data.csv_reader import TableReader
from localaws.personalize.data.s3 import Location
from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import JobFailedError
from localaws.personalize.resources.jobs import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST_DELETION_BYTES = 100 * 2**20


def read_rows(s3: S3Client, url: str, schema: Schema, report: Report) -> Table:
    """Read the rows of one CSV file, or of all files under a prefix.

    Raises:
        JobFailedError: If there is no file or a file breaks the schema's rules.
    """
    files = Location.parse(url).find(s3)
    if not files:
        raise JobFailedError("Invalid Data location.")
    reader = TableReader(schema)
    for number, file in enumerate(files):
        reader.read(file.name, file.open(s3), partial(report, number / len(files)))
        report((number + 1) / len(files))
    return reader.table()


def write_rows(
    s3: S3Client, url: str, name: str, table: Table, schema: Schema, scratch: Path
) -> None:
    """Write rows into a CSV file of this name.

    Args:
        s3: Writes the file.
        url: The folder of the file.
        name: The file's name.
        table: The rows.
        schema: The columns.
        scratch: A directory for the unfinished file.

    Raises:
        JobFailedError: If the file cannot be written.
    """
    with tempfile.TemporaryFile(dir=scratch) as out:
        out.writelines(table.csv([field.name for field in schema.fields]))
        out.seek(0)
        Location.parse(url).upload(s3, name, out)


def read_user_ids(s3: S3Client, url: str) -> frozenset[str]:
    """Read the users whose data shall be deleted, from one CSV file or all files under a prefix.

    Raises:
        JobFailedError: If there is no file, or one does not have the one column USER_ID.
    """
    files = Location.parse(url).find(s3)
    if not files:
        raise JobFailedError("Invalid Data location.")
    if (size := sum(file.size for file in files)) > _MOST_DELETION_BYTES:
        raise JobFailedError(f"{size:,} bytes in {url}; at most {_MOST_DELETION_BYTES:,}")
    users: set[str] = set()
    for file in files:
        with file.open(s3) as content:
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
