"""EventBridge Scheduler: the schedule that starts runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    found,
    picked,
)
from workflow.deployment.differences import Difference

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource


class Schedule(Adapter):
    """AWS::Scheduler::Schedule; it has no tags: whose it is follows from what it starts."""

    service = "scheduler"
    properties = frozenset(
        {
            "Description",
            "EndDate",
            "FlexibleTimeWindow",
            "GroupName",
            "KmsKeyArn",
            "Name",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "StartDate",
            "State",
            "Target",
        }
    )
    replaced_by = frozenset({"GroupName"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "GroupName": "default",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "Target": {
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
        },
    }

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        answer = found(
            self.client.get_schedule, "ResourceNotFoundException", **self._place(resource)
        )
        return picked(answer, self.properties) if answer else None

    def owner(self, resource: Resource, was: Mapping[str, Any]) -> str | None:
        """Ours if it starts what ours starts."""
        ours = was["Target"]["Arn"] == resource.properties["Target"]["Arn"]
        return self.site.config.name if ours else None

    def create(self, resource: Resource) -> None:
        """Make the schedule."""
        self.client.create_schedule(**self._wanted(resource))

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Put the whole schedule in place of the other."""
        self.client.update_schedule(**self._wanted(resource))

    def delete(self, resource: Resource) -> None:
        """Delete the schedule."""
        self.client.delete_schedule(**self._place(resource))

    def _wanted(self, resource: Resource) -> Properties:
        window = self.defaults["FlexibleTimeWindow"]
        return {"FlexibleTimeWindow": window, **resource.properties, **self._place(resource)}

    @staticmethod
    def _place(resource: Resource) -> Properties:
        group = resource.properties.get("GroupName", "default")
        name = resource.properties.get("Name", resource.name)
        return {"Name": name, "GroupName": group}
