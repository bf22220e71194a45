"""The messages of moto's queues and the events of its log streams as documents, and back."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.logs.models import LogEvent, logs_backends
from moto.sqs.models import Message, sqs_backends


class Queues:
    """The messages in an account's queues, of all regions."""

    def __init__(self, account: str) -> None:
        self._account = account

    def messages(self) -> dict[str, dict[str, Any]]:
        """Return all messages by key, in the order of each queue."""
        return {
            f"{region}/{queue.name}/{message.id}": {
                "region": region, "queue": queue.name, "message": dict(vars(message)),
            }
            for region, backend in list(sqs_backends[self._account].items())
            for queue in list(backend.queues.values())
            for message in list(queue._messages)
        }  # fmt: skip

    def restore(self, messages: list[Mapping[str, Any]]) -> None:
        """Put messages back, in place of those that making the queues again has sent.

        Messages of queues that are not there are left out.
        """
        for backend in list(sqs_backends[self._account].values()):
            for queue in backend.queues.values():
                queue._messages.clear()
        for document in messages:
            queue = sqs_backends[self._account][document["region"]].queues.get(document["queue"])
            if queue is None:
                continue
            message = Message(document["message"]["id"], document["message"]["body"])
            vars(message).update(document["message"])
            queue._messages.append(message)
            if not message.visible:
                queue.pending_messages.add(message)


class LogStreams:
    """The events in an account's log streams, of all regions."""

    def __init__(self, account: str) -> None:
        self._account = account

    def streams(self) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Yield what identifies each stream, and its events, to which others are only appended."""
        for region, backend in list(logs_backends[self._account].items()):
            for group in list(backend.groups.values()):
                for name, stream in list(group.streams.items()):
                    made = stream.creation_time
                    yield (
                        {"region": region, "group": group.name, "stream": name, "made": made},
                        [vars(event) for event in list(stream.events)],
                    )

    def restore(self, stream: Mapping[str, Any], events: list[Mapping[str, Any]]) -> bool:
        """Append events to a stream, which is made if it is not there; return whether it is.

        It is not where its group is not there.
        """
        group = logs_backends[self._account][stream["region"]].groups.get(stream["group"])
        if group is None:
            return False
        if stream["stream"] not in group.streams:
            group.create_log_stream(stream["stream"])
        restored = group.streams[stream["stream"]]
        restored.creation_time = stream["made"]
        for event in events:
            restored.events.append(LogEvent(event["ingestion_time"], event))
            restored.stored_bytes += len(event["message"])
            seconds = event["ingestion_time"] / 1_000
            restored.last_ingestion_time = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        return True
