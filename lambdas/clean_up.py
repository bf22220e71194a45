"""Clean Up: delete the files of old runs, and solutions that are not used any more.

The stages: what is there, what of it goes (`retention`), its deletion as far as the function's time
reaches, and the run's `record/retention.json`. What is left goes in the next run.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.records import record_key, write_object
from lambdas.retention import clean_up_of, delete, read_stock

STAGE = "retention"
_LAST_MILLISECONDS = 15_000  # for what is under way, the solutions and the record


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Clean up after a `run`; the event is that of `retention.read_stock`, with `keep`.

    Returns:
        How many `files` and `bytes` have gone, and of how many `runs`.
    """
    s3, personalize = client("s3"), client("personalize")
    clean_up = clean_up_of(
        read_stock(s3, client("stepfunctions"), personalize, event), event["keep"]
    )
    deleted = delete(
        s3,
        personalize,
        event["bucket"],
        clean_up,
        has_time=lambda: context.get_remaining_time_in_millis() > _LAST_MILLISECONDS,
    )
    record = {
        "run": event["run"],
        "keep": event["keep"],
        **asdict(deleted),
        "kept": {**clean_up.kept, **clean_up.kept_solutions},
        "cleanedUpAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    write_object(s3, event["bucket"], record_key(event["run"], STAGE), record)
    return {"runs": len(deleted.runs), "files": deleted.files, "bytes": deleted.bytes}
