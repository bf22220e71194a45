"""Lines to CloudWatch Logs, as AWS's services deliver them under a role."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

_BATCH = 1_000  # PutLogEvents takes 10,000 events and 1 MiB
_LONGEST = 900  # characters of one line on the way, so that a batch keeps below that


def deliver(
    client: Any, group: str, stream: str, lines: Iterable[str], *, make_group: bool = False
) -> None:
    """Write lines to a stream, which is made if it is not there.

    Args:
        client: A boto3 `logs` client of the role that writes.
        group: The log group; lines for one that is not there are dropped.
        stream: The stream in it.
        lines: What was written; empty lines are passed over, as CloudWatch takes none.
        make_group: Make the group first if it is not there.
    """
    now = int(time.time() * 1_000)
    events = [{"timestamp": now, "message": line[:_LONGEST]} for line in lines if line]
    if make_group:
        _made(client.create_log_group, logGroupName=group)
    if not events or not _made(client.create_log_stream, logGroupName=group, logStreamName=stream):
        return
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)


def _made(create: Any, **request: Any) -> bool:
    """Make something; whether it is there now."""
    try:
        create(**request)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in {"ResourceAlreadyExistsException", "ResourceNotFoundException"}:
            raise
        return code == "ResourceAlreadyExistsException"
    return True
