"""The files of batch inference as the job reads them: whom lists are asked for, and who made them.

https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.errors import EtlError
from etl.runtime import RunFolder, Runtime

INPUT = "batch-input/"
FIELDS = {"USER_ID": "userId", "ITEM_ID": "itemId"}
"""Columns by their names in a line of the input."""
ORDER = ("file", "block", "number")
"""The columns by which lines that `Runtime.read_lines` has read are sorted."""


def requested_users(runtime: Runtime) -> DataFrame:
    """Return USER_ID of each line of the batch input that has one, and the columns of `ORDER`."""
    lines = requested(runtime, runtime.folder.paths(INPUT))
    return lines.drop("ITEM_ID").filter("USER_ID IS NOT NULL")


def requested(runtime: Runtime, paths: Sequence[str]) -> DataFrame:
    """Return USER_ID and ITEM_ID of each line of batch input, one of them null, and `ORDER`.

    Args:
        runtime: Reads the files.
        paths: Theirs, sorted.
    """
    schema = ", ".join(f"{field} string" for field in FIELDS.values())
    request = F.from_json(F.decode("line", "UTF-8"), schema)
    ids = (request[field].alias(column) for column, field in FIELDS.items())
    return runtime.read_lines(paths).select(*ids, *ORDER)


def output_paths(folder: RunFolder, prefix: str) -> list[str]:
    """Return the paths of batch output below a prefix, sorted.

    Raises:
        EtlError: If there are none.
    """
    paths = [path for path in folder.paths(prefix) if path.endswith(".out")]
    if not paths:
        raise EtlError(
            f"no .out file at {folder.uri(prefix)}: did batch inference write elsewhere?"
        )
    return paths
