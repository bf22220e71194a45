"""Operations on event trackers."""

from __future__ import annotations

import uuid

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Operations, Request, Response, created
from localaws.personalize.resources.types import EVENT_TRACKER


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
        return {**created(tracker), "trackingId": tracking_id}
