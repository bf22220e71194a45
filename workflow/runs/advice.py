"""Advice on a failed run: from the error of AWS, the job or a handler to a next step.

`advice.toml` beside this module holds the patterns and the texts.
"""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

TABLE = tomllib.loads((files("workflow.runs") / "advice.toml").read_text(encoding="utf-8"))


def advice(
    error: str, cause: str, *, bucket: str, run: str, connection: str, source: str = ""
) -> str:
    """Return the advice on a failure.

    Args:
        error: The error's name, for example `DatasetImportFailed`.
        cause: The reason in the words of whoever raised it.
        bucket: The runs' bucket.
        run: The run's name.
        connection: The Glue connection's name.
        source: The file of a team's own function that failed; empty if none did.
    """
    message = f"{error}: {cause}"
    text: str = next(
        (
            row["text"]
            for row in TABLE["advice"]
            if any(re.search(pattern, message) for pattern in row["patterns"])
        ),
        TABLE["own_function" if source else "otherwise"],
    )
    return text.format(bucket=bucket, run=run, connection=connection, source=source)
