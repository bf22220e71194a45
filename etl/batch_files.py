"""The files of batch inference as the job reads them: whom lists are asked for, and who made them.

https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html
"""

from __future__ import annotations

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
    field = FIELDS["USER_ID"]
    lines = runtime.read_lines(runtime.folder.paths(INPUT))
    request = F.from_json(F.decode("line", "UTF-8"), f"{field} string")
    return lines.select(request[field].alias("USER_ID"), *ORDER).filter("USER_ID IS NOT NULL")


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
