"""EventBridge Scheduler: the schedule that starts runs."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import Adapter, pick, unless_absent
from workflow.deployment.resources import Resource


class Schedule(Adapter):
    """AWS::Scheduler::Schedule; it has no tags: its owner follows from its target."""

    service = "scheduler"
    properties = frozenset(
        {"Description", "EndDate", "FlexibleTimeWindow", "GroupName", "KmsKeyArn", "Name",
         "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "State", "Target"}
    )  # fmt: skip
    defaults: ClassVar[Mapping[str, Any]] = {
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "Target": {
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
        },
    }
    _identity = frozenset({"GroupName", "Name"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        identity = pick(resource.properties, self._identity)
        absent = "ResourceNotFoundException"
        response = unless_absent(self.client.get_schedule, absent, **identity)
        return pick(response, self.properties) if response else None

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        is_ours = current["Target"]["Arn"] == resource.properties["Target"]["Arn"]
        return self.config.name if is_ours else None

    def create(self, resource: Resource) -> None:
        self.client.create_schedule(**resource.properties)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        self.client.update_schedule(**resource.properties)

    def delete(self, resource: Resource) -> None:
        self.client.delete_schedule(**pick(resource.properties, self._identity))
