"""Lines to CloudWatch Logs, as AWS's services deliver them under a role."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localaws.repeated_work import repeated

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
_MOST_EVENTS, _MOST_BYTES, _BYTES_OF_EVENT = 10_000, 1 << 20, 26
# Where Docker's driver cuts a line: https://docs.docker.com/engine/logging/drivers/awslogs/
_LONGEST = (256 << 10) - _BYTES_OF_EVENT
_FOLLOW_SECONDS = 1.0


def deliver(
    client: Any, group: str, stream: str, lines: Iterable[str], *, make_group: bool = False
) -> None:
    """Write lines to a stream, which is made if it does not exist, with the client of a role.

    Lines for a group that does not exist are dropped, unless it is to be made. Empty lines are
    left out, as CloudWatch takes none; a very long one becomes several events.
    """
    if make_group:
        _make(client.create_log_group, logGroupName=group)
    where = {"logGroupName": group, "logStreamName": stream}
    is_made = False
    for batch in _batches(lines):
        is_made = is_made or _make(client.create_log_stream, **where)
        if not is_made:
            return
        client.put_log_events(**where, logEvents=batch)


@contextmanager
def followed(path: Path, send: Callable[[list[str]], None]) -> Iterator[None]:
    """Send the lines of a file while it grows, and at the end what is left of it.

    What cannot be sent is tried again with what comes after it; at the end it stays in the file.

    Args:
        path: The file, which may not exist yet.
        send: Is given lines, some MB at most, by one thread at a time.
    """
    position = 0

    def send_new(*, is_all: bool) -> None:
        nonlocal position
        for lines, position_after in _lines_after(path, position, is_all=is_all):
            send(lines)
            position = position_after

    def follow(*, is_all: bool = False) -> None:
        with suppress(ClientError, BotoCoreError, OSError):  # the endpoint may be closing
            send_new(is_all=is_all)

    try:
        with repeated(follow, _FOLLOW_SECONDS):
            yield
    finally:
        follow(is_all=True)


def _lines_after(path: Path, position: int, *, is_all: bool) -> Iterator[tuple[list[str], int]]:
    """Yield lines from a position of a file on, part by part, and the position after them.

    A line without an end is left for later, unless it is `all` that there will be, or too long.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(position)
        while part := file.read(_MOST_BYTES):
            end = part.rfind(b"\n") + 1
            if not end and (is_all or len(part) == _MOST_BYTES):
                end = len(part)
            if not end:
                return
            position += end
            file.seek(position)
            yield [line.decode(errors="replace") for line in part[:end].splitlines()], position


def _batches(lines: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield the events of lines, as many at a time as PutLogEvents takes."""
    now = int(time.time() * 1_000)
    batch: list[dict[str, Any]] = []
    size = 0
    for message, length in _messages(lines):
        length_of_event = length + _BYTES_OF_EVENT
        if len(batch) == _MOST_EVENTS or size + length_of_event > _MOST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append({"timestamp": now, "message": message})
        size += length_of_event
    if batch:
        yield batch


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield the messages of lines, each with its bytes in UTF-8."""
    for line in lines:
        content = line.encode(errors="replace")
        while len(content) > _LONGEST:
            message = content[:_LONGEST].decode(errors="ignore")
            length = len(message.encode())
            yield message, length
            content = content[length:]
        if content:
            yield content.decode(), len(content)


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
