"""Operations on event trackers."""

from __future__ import annotations

import hashlib
import uuid

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Answer, Parts, Request, created
from localaws.personalize.resources.resource_types import EVENT_TRACKER


class Trackers:
    """Operations on event trackers.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def create_event_tracker(self, request: Request) -> Answer:
        """Create a tracker; the only one of its group.

        https://docs.aws.amazon.com/personalize/latest/dg/API_CreateEventTracker.html
        """
        registry = self._parts.registry
        with registry.lock:
            others = registry.find(EVENT_TRACKER, datasetGroupArn=request["datasetGroupArn"])
            if len(others) >= registry.quotas.event_trackers:
                raise ServiceError(
                    "ResourceAlreadyExistsException",
                    f"{request['datasetGroupArn']} has the event tracker {others[0].arn}; delete"
                    " that first, or use its trackingId.",
                )
            digest = hashlib.sha256(
                f"{request['datasetGroupArn']} {self._parts.seed} {registry.created}".encode()
            ).digest()
            tracking = str(uuid.UUID(bytes=digest[:16]))
            tracker = registry.create(
                EVENT_TRACKER,
                request["name"],
                request,
                trackingId=tracking,
                accountId=registry.account,
            )
        # Nothing has to be made, and published code sends events in the next line.
        registry.update(tracker.arn, status="ACTIVE")
        return {**created(tracker), "trackingId": tracking}
