"""Lines to CloudWatch Logs, as AWS's services deliver them under a role."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

_BATCH = 1_000  # PutLogEvents takes 10,000 events and 1 MiB
_MAX_LINE = 900  # characters that are sent of a line, so that a batch keeps below that


def deliver(
    client: Any, group: str, stream: str, lines: Iterable[str], *, make_group: bool = False
) -> None:
    """Write lines to a stream, which is made if it does not exist, with the client of a role.

    Lines for a group that does not exist are dropped, unless it is to be made. Empty lines are
    left out, as CloudWatch takes none.
    """
    now = int(time.time() * 1_000)
    events = [{"timestamp": now, "message": line[:_MAX_LINE]} for line in lines if line]
    if make_group:
        _make(client.create_log_group, logGroupName=group)
    if not events or not _make(client.create_log_stream, logGroupName=group, logStreamName=stream):
        return
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)


def _make(create: Any, **request: Any) -> bool:
    """Make a group or a stream; return whether it exists now."""
    try:
        create(**request)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in {"ResourceAlreadyExistsException", "ResourceNotFoundException"}:
            raise
        return code == "ResourceAlreadyExistsException"
    return True
