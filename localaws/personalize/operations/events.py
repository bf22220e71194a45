"""The events API: single records, streamed into datasets, with the ids of event trackers.

https://docs.aws.amazon.com/personalize/latest/dg/recording-item-interaction-events.html
https://docs.aws.amazon.com/personalize/latest/dg/incremental-data-updates.html
They are kept apart from bulk data, are part of the next training, and change a user's next
recommendations at once (see `runtime`). What AWS leaves open is decided here: a property that the
schema does not have is refused by name; an event's own members that the schema does not have are
not kept, as in AWS's first example.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from localaws.errors import suggestion
from localaws.http.errors import ServiceError
from localaws.personalize.backend import Backend, Operations, Request, Response, arn_response
from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table, table_of
from localaws.personalize.errors import invalid
from localaws.personalize.operations.metric_attributions import MetricAttributions
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.types import DATASET, EVENT_TRACKER

_SESSIONS_KEPT = 10_000
_ATTRIBUTION = ("RECOMMENDATION_ID", "EVENT_ATTRIBUTION_SOURCE")
Row = dict[str, str]
"""A record's texts by field name, written as in CSV."""


class EventTrackers(Operations):
    """Operations on event trackers."""

    def create_event_tracker(self, request: Request) -> Response:
        """Create a tracker; the only one of its group.

        https://docs.aws.amazon.com/personalize/latest/dg/API_CreateEventTracker.html
        """
        registry, group_arn = self._registry, request["datasetGroupArn"]
        with registry.lock:
            others = registry.find(EVENT_TRACKER, datasetGroupArn=group_arn)
            if len(others) >= registry.quotas.event_trackers:
                raise ServiceError(
                    "ResourceAlreadyExistsException",
                    f"{group_arn} has the event tracker {others[0].arn}; delete that first, or use"
                    " its trackingId.",
                )
            digits = registry.new_id(f"{group_arn} {self._backend.seed}")
            tracking_id = str(uuid.UUID(hex=digits[:32]))
            tracker = registry.create(
                EVENT_TRACKER,
                request["name"],
                request,
                trackingId=tracking_id,
                accountId=registry.account,
            )
        # No work is needed, and published code sends events in the next line.
        registry.update(tracker.arn, status="ACTIVE")
        return {**arn_response(tracker), "trackingId": tracking_id}


class Events(Operations):
    """The operations of the events API.

    Args:
        attributions: Reports the metrics of events with items.
    """

    def __init__(self, backend: Backend, attributions: MetricAttributions) -> None:
        super().__init__(backend)
        self._attributions = attributions
        self._sessions = _Sessions()

    def put_events(self, request: Request) -> None:
        trackers = self._registry.find(EVENT_TRACKER, trackingId=request["trackingId"])
        if not trackers:
            raise invalid(f"there is no event tracker with the trackingId {request['trackingId']}")
        group_arn = self._registry.active(trackers[0].arn).details["datasetGroupArn"]
        datasets = self._registry.find(
            DATASET, datasetGroupArn=group_arn, datasetType="INTERACTIONS"
        )
        if not datasets:
            raise invalid(f"{group_arn} has no Interactions dataset; create one first")
        dataset, schema = self._active(datasets[0].arn)
        most = self._registry.quotas.event_bytes
        rows = []
        for number, event in enumerate(request["eventList"], start=1):
            if len(orjson.dumps(event, default=str)) > most:
                raise invalid(f"entry {number}: an event has at most {most:,} bytes")
            rows.append(_event_row(event, schema, number))
        self._add(dataset, schema, rows, request, f"{group_arn} {request['sessionId']}")

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
        dataset, schema = self._active(datasets[0].arn)
        for number, event in enumerate(request["actionInteractions"], start=1):
            row = _event_row({**event, "sentAt": event["timestamp"]}, schema, number)
            row["ACTION_ID"] = event["actionId"]
            self._add(dataset, schema, [row], event, f"{dataset.arn} {event['sessionId']}")

    def _active(self, arn: str) -> tuple[Resource, Schema]:
        """Return a dataset that is ACTIVE, and its schema."""
        dataset = self._registry.active(arn, DATASET)
        return dataset, self._backend.groups.schema(dataset.details["schemaArn"])

    def _add(
        self,
        dataset: Resource,
        schema: Schema,
        rows: Sequence[Row],
        request: Request,
        session: str,
    ) -> None:
        """Add events, with their user; or keep them until their session has one."""
        user = request.get("userId") or self._sessions.user(session)
        # Checked with some user, so that a fault is reported now and not when the user is known.
        complete = [{**row, "USER_ID": user or "anonymous"} for row in rows]
        table = _table(schema, complete)
        if user is None:
            self._sessions.wait(session, rows)
            return
        earlier = [{**row, "USER_ID": user} for row in self._sessions.identify(session, user)]
        if earlier:
            table = table_of(schema, earlier) + table
        self._backend.store.append(dataset.arn, table, schema.dataset.key)
        if dataset.details["datasetType"] == "INTERACTIONS":
            events = _with_attribution(table, [*earlier, *complete])
            self._attributions.send(dataset.details["datasetGroupArn"], events)

    def _put_entities(self, request: Request, type_: str, member: str, id_member: str) -> None:
        dataset, schema = self._active(request["datasetArn"])
        if dataset.details["datasetType"] != type_:
            raise invalid(f"{dataset.arn} holds {dataset.details['datasetType']}, not {type_}")
        rows = []
        for number, entity in enumerate(request[member], start=1):
            row = _properties(entity.get("properties"), schema, number)
            rows.append({**row, str(schema.dataset.key): entity[id_member]})
        self._backend.store.append(dataset.arn, _table(schema, rows), schema.dataset.key)


class _Sessions:
    """The users of sessions, and the events of sessions whose user is not known yet.

    https://docs.aws.amazon.com/personalize/latest/dg/recording-anonymous-user-events.html
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: OrderedDict[str, str] = OrderedDict()
        self._waiting: OrderedDict[str, list[Row]] = OrderedDict()

    def user(self, session: str) -> str | None:
        """Return the session's user, if known."""
        with self._lock:
            return self._users.get(session)

    def wait(self, session: str, rows: Sequence[Row]) -> None:
        """Keep the events of a session until its user is known."""
        with self._lock:
            self._waiting.setdefault(session, []).extend(rows)
            if len(self._waiting) > _SESSIONS_KEPT:
                self._waiting.popitem(last=False)

    def identify(self, session: str, user: str) -> list[Row]:
        """Set the user of a session, and return the events that waited for that."""
        with self._lock:
            self._users[session] = user
            self._users.move_to_end(session)
            if len(self._users) > _SESSIONS_KEPT:
                self._users.popitem(last=False)
            return self._waiting.pop(session, [])


def _table(schema: Schema, rows: Sequence[Row]) -> Table:
    try:
        return table_of(schema, rows)
    except ValueError as error:
        raise invalid(str(error)) from error


def _event_row(event: Mapping[str, Any], schema: Schema, number: int) -> Row:
    """Return the record of an event, without its user.

    Raises:
        ServiceError: If it names no item, or a property is not one of the schema's.
    """
    row = _properties(event.get("properties"), schema, number)
    attribution = event.get("metricAttribution", {})
    members = {
        "ITEM_ID": event.get("itemId"),
        "EVENT_TYPE": event["eventType"],
        "EVENT_VALUE": event.get("eventValue"),
        "TIMESTAMP": int(event["sentAt"].timestamp()),
        "IMPRESSION": "|".join(event.get("impression", ())) or None,
        "RECOMMENDATION_ID": event.get("recommendationId"),
        "EVENT_ATTRIBUTION_SOURCE": attribution.get("eventAttributionSource"),
    }
    fields = schema.by_name
    row |= {
        name: _csv_text(value)
        for name, value in members.items()
        if value is not None and (name in fields or name in _ATTRIBUTION)
    }
    if "ITEM_ID" in fields and not row.get("ITEM_ID"):
        raise invalid(f"entry {number}: itemId is missing; name the item that the user met")
    return row


def _with_attribution(table: Table, rows: Sequence[Row]) -> Table:
    """Return events with their attribution, which counts without columns in the schema too."""
    columns = {
        name: np.array([row.get(name) for row in rows], dtype=object)
        for name in _ATTRIBUTION
        if name not in table.columns
    }
    return Table({**table.columns, **columns})


def _properties(text: str | None, schema: Schema, number: int) -> Row:
    """Return the fields in a JSON text of properties.

    Raises:
        ServiceError: If it is no JSON object of values, or names a field that does not exist.
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
            row[name] = _csv_text(value)
    return row


def _camel_case(name: str) -> str:
    """Return `NUMBER_OF_RATINGS` as `numberOfRatings`, as properties are named."""
    if re.search("[a-z]", name) and "_" not in name:
        return name
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def _csv_text(value: Any) -> str:
    """Return a JSON value as it stands in CSV."""
    return str(value).lower() if isinstance(value, bool) else str(value)
