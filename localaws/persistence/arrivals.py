"""What arrives in queues and log streams, kept until it is deleted.

A WSGI application in front of SQS and CloudWatch Logs. State is kept, not requests: a message is
also sent by SNS or by a rule, and is another one once it was received. What SQS and SNS answer is
kept before anybody has the answer; the next `sweep` keeps the rest: lines of logs, and what rules
send.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localaws.http.calls import signature_of
from localaws.http.wsgi import perform
from localaws.moto_patches.arrivals import LogStreams, Queues
from localaws.persistence.documents import Documents

_MESSAGE, _EVENTS = "message", "log events"
_SENDING = frozenset({"sqs", "sns"})


class Arrivals:
    """Keeps the messages and the log events of an account."""

    def __init__(self, application: WSGIApplication, documents: Documents, account: str) -> None:
        self._application = application
        self._documents = documents
        self._queues, self._streams = Queues(account), LogStreams(account)
        self._messages: dict[str, dict[str, Any]] = {}
        self._batches: dict[str, list[str]] = {}  # documents of each stream
        self._n_events: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if signature_of(environ).service not in _SENDING:
            return self._application(environ, start_response)
        response = perform(self._application, environ)
        with self._lock:
            self._keep_messages()
        return response(environ, start_response)

    def restore(self) -> None:
        """Put everything back into queues and groups that exist again; the rest is dropped."""
        self._messages = dict(self._documents.all(_MESSAGE))
        self._queues.restore(list(self._messages.values()))
        for key, document in self._documents.all(_EVENTS):
            stream, events = document["stream"], document["events"]
            if self._streams.restore(stream, events):
                self._note(_name(stream), key, len(events))
            else:
                self._documents.drop(_EVENTS, key)

    def sweep(self) -> None:
        """Keep what has changed."""
        with self._lock:
            self._keep_messages()
            self._keep_events()

    def _keep_messages(self) -> None:
        messages = self._queues.messages()
        for key in self._messages.keys() - messages.keys():
            self._documents.drop(_MESSAGE, key, can_wait=True)
        for key, message in messages.items():
            if self._messages.get(key) != message:
                self._documents.put(_MESSAGE, key, message, can_wait=True)
        self._messages = messages

    def _keep_events(self) -> None:
        gone = set(self._batches)
        for stream, events in self._streams.streams():
            name = _name(stream)
            gone.discard(name)
            n_kept = self._n_events.get(name, 0)
            if len(events) > n_kept or name not in self._batches:
                key = f"{name} {n_kept}"
                batch = {"stream": stream, "events": events[n_kept:]}
                self._documents.put(_EVENTS, key, batch, can_wait=True)
                self._note(name, key, len(events) - n_kept)
        for name in gone:
            del self._n_events[name]
            for key in self._batches.pop(name):
                self._documents.drop(_EVENTS, key, can_wait=True)

    def _note(self, name: str, key: str, n_events: int) -> None:
        self._batches.setdefault(name, []).append(key)
        self._n_events[name] = self._n_events.get(name, 0) + n_events


def _name(stream: dict[str, Any]) -> str:
    return " ".join(map(str, stream.values()))
