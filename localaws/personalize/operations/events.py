"""The events API: single records, streamed into datasets.

https://docs.aws.amazon.com/personalize/latest/dg/recording-item-interaction-events.html
https://docs.aws.amazon.com/personalize/latest/dg/incremental-data-updates.html
They are kept apart from bulk data, take part in the next training, and shift a user's next
answer at once (see `runtime`). What AWS leaves open is decided here: a property that the schema
does not have is refused by name; an event's own members that the schema does not have are not
kept, as in AWS's first example.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from localaws.errors import suggestion
from localaws.http.errors import ServiceError
from localaws.personalize.backend import Parts, Request, invalid
from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table, table_of
from localaws.personalize.operations.metric_attributions import MetricAttributions
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import DATASET, EVENT_TRACKER

_SESSIONS_KEPT = 10_000
_ATTRIBUTION = ("RECOMMENDATION_ID", "EVENT_ATTRIBUTION_SOURCE")
Row = dict[str, str]
"""A record's texts by field name, written as in CSV."""


class Events:
    """The operations of the events API.

    Args:
        parts: What all operations share.
        attributions: Told of events with items.
    """

    def __init__(self, parts: Parts, attributions: MetricAttributions) -> None:
        self._parts = parts
        self._attributions = attributions
        self._registry = parts.registry
        self._sessions = _Sessions()

    def put_events(self, request: Request) -> None:
        found = self._registry.find(EVENT_TRACKER, trackingId=request["trackingId"])
        if not found:
            raise invalid(f"there is no event tracker with the trackingId {request['trackingId']}")
        tracker = self._registry.active(found[0].arn)
        group = tracker.details["datasetGroupArn"]
        datasets = self._registry.find(DATASET, datasetGroupArn=group, datasetType="INTERACTIONS")
        if not datasets:
            raise invalid(f"{group} has no Interactions dataset; create one first")
        dataset = self._registry.active(datasets[0].arn)
        schema = self._parts.schema(dataset.details["schemaArn"])
        most = self._registry.quotas.event_bytes
        rows = []
        for number, event in enumerate(request["eventList"], start=1):
            if len(orjson.dumps(event, default=str)) > most:
                raise invalid(f"entry {number}: an event has at most {most:,} bytes")
            rows.append(_event_row(event, schema, number))
        self._take_in(dataset, schema, rows, request, f"{group} {request['sessionId']}")

    def put_items(self, request: Request) -> None:
        self._put_entities(request, "ITEMS", "items", "itemId")

    def put_users(self, request: Request) -> None:
        self._put_entities(request, "USERS", "users", "userId")

    def put_actions(self, request: Request) -> None:
        self._put_entities(request, "ACTIONS", "actions", "actionId")

    def put_action_interactions(self, request: Request) -> None:
        datasets = self._registry.find(DATASET, trackingId=request["trackingId"])
        if not datasets:
            raise ServiceError(
                "ResourceNotFoundException",
                f"No Action interactions dataset has the trackingId {request['trackingId']}.",
            )
        dataset = self._registry.active(datasets[0].arn)
        schema = self._parts.schema(dataset.details["schemaArn"])
        for number, given in enumerate(request["actionInteractions"], start=1):
            row = _event_row({**given, "sentAt": given["timestamp"]}, schema, number)
            row["ACTION_ID"] = given["actionId"]
            scope = f"{dataset.arn} {given['sessionId']}"
            self._take_in(dataset, schema, [row], given, scope)

    def _take_in(
        self, dataset: Resource, schema: Schema, rows: Sequence[Row], given: Request, session: str
    ) -> None:
        """Keep events: with their user, or until their session has one."""
        user = given.get("userId") or self._sessions.user(session)
        # Checked with some user, so that a fault is told now and not when the user is known.
        complete = [{**row, "USER_ID": user or "anonymous"} for row in rows]
        try:
            table = table_of(schema, complete)
        except ValueError as fault:
            raise invalid(str(fault)) from fault
        if user is None:
            self._sessions.wait(session, rows)
            return
        earlier = [{**row, "USER_ID": user} for row in self._sessions.known(session, user)]
        if earlier:
            table = table_of(schema, earlier) + table
        self._parts.store.append(dataset.arn, table, schema.dataset.key)
        if dataset.details["datasetType"] == "INTERACTIONS":
            told = _attributed(table, [*earlier, *complete])
            self._attributions.send(dataset.details["datasetGroupArn"], told)

    def _put_entities(self, request: Request, kind: str, member: str, id_member: str) -> None:
        dataset = self._registry.active(request["datasetArn"], DATASET)
        if dataset.details["datasetType"] != kind:
            raise invalid(f"{dataset.arn} holds {dataset.details['datasetType']}, not {kind}")
        schema = self._parts.schema(dataset.details["schemaArn"])
        rows = []
        for number, given in enumerate(request[member], start=1):
            row = _properties(given.get("properties"), schema, number)
            rows.append({**row, str(schema.dataset.key): given[id_member]})
        try:
            table = table_of(schema, rows)
        except ValueError as fault:
            raise invalid(str(fault)) from fault
        self._parts.store.append(dataset.arn, table, schema.dataset.key)


class _Sessions:
    """Which user each session belongs to, and the events of sessions whose user is not known yet.

    https://docs.aws.amazon.com/personalize/latest/dg/recording-anonymous-user-events.html
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: OrderedDict[str, str] = OrderedDict()
        self._waiting: OrderedDict[str, list[Row]] = OrderedDict()

    def user(self, session: str) -> str | None:
        """The session's user, if known."""
        with self._lock:
            return self._users.get(session)

    def wait(self, session: str, rows: Sequence[Row]) -> None:
        """Keep the events of a session until its user is known."""
        with self._lock:
            self._waiting.setdefault(session, []).extend(rows)
            if len(self._waiting) > _SESSIONS_KEPT:
                self._waiting.popitem(last=False)

    def known(self, session: str, user: str) -> list[Row]:
        """Say whose session it is; returns the events that waited for that."""
        with self._lock:
            self._users[session] = user
            self._users.move_to_end(session)
            if len(self._users) > _SESSIONS_KEPT:
                self._users.popitem(last=False)
            return self._waiting.pop(session, [])


def _event_row(event: Mapping[str, Any], schema: Schema, number: int) -> Row:
    """The record of an event, without its user.

    Raises:
        ServiceError: If it names no item, or a property is not one of the schema's.
    """
    row = _properties(event.get("properties"), schema, number)
    own = {
        "ITEM_ID": event.get("itemId"),
        "EVENT_TYPE": event["eventType"],
        "EVENT_VALUE": event.get("eventValue"),
        "TIMESTAMP": int(event["sentAt"].timestamp()),
        "IMPRESSION": "|".join(event.get("impression", ())) or None,
        "RECOMMENDATION_ID": event.get("recommendationId"),
        "EVENT_ATTRIBUTION_SOURCE": event.get("metricAttribution", {}).get(
            "eventAttributionSource"
        ),
    }
    fields = schema.by_name
    row |= {
        name: _text(value)
        for name, value in own.items()
        if value is not None and (name in fields or name in _ATTRIBUTION)
    }
    if "ITEM_ID" in fields and not row.get("ITEM_ID"):
        raise invalid(f"entry {number}: itemId is missing; name the item that the user met")
    return row


def _attributed(table: Table, rows: Sequence[Row]) -> Table:
    """Events with what led to them, which counts whether the schema has columns for it or not."""
    led = {
        name: np.array([row.get(name) for row in rows], dtype=object)
        for name in _ATTRIBUTION
        if name not in table.columns
    }
    return Table({**table.columns, **led}, table.n_rows)


def _properties(text: str | None, schema: Schema, number: int) -> Row:
    """The fields that a JSON text of properties gives.

    Raises:
        ServiceError: If it is no JSON object of values, or names a field that is not there.
    """
    if text is None:
        return {}
    try:
        properties = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid(f"entry {number}: properties is not JSON: {error}") from error
    if not isinstance(properties, dict):
        raise invalid(f'entry {number}: properties must be an object, e.g. {{"price": "5"}}')
    names = {_camel_case(field.name): field.name for field in schema.fields}
    row: Row = {}
    for key, value in properties.items():
        name = names.get(key) or names.get(_camel_case(key))
        if name is None:
            hint = suggestion(key, names, f"it has {', '.join(names)}", show=repr)
            raise invalid(f"entry {number}: the schema has no field {key!r}; {hint}")
        if isinstance(value, dict | list):
            raise invalid(f"entry {number}: {key} must be one value; join several by |")
        if value is not None:
            row[name] = _text(value)
    return row


def _camel_case(name: str) -> str:
    """``NUMBER_OF_RATINGS`` as ``numberOfRatings``, the way properties are named."""
    if re.search("[a-z]", name) and "_" not in name:
        return name
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


def _text(value: Any) -> str:
    """A JSON value as it stands in CSV."""
    return str(value).lower() if isinstance(value, bool) else str(value)
