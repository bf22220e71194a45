"""Repairs to moto's EventBridge: matches of events, and targets."""

import copy
import logging
from types import SimpleNamespace
from typing import Any

from moto.core.utils import iso_8601_datetime_without_milliseconds, utcfromtimestamp
from moto.events import models
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
)

from localaws.moto_patches.patch import Patch
from localaws.targets import EVENT_TARGETS, deliver_event

_log = logging.getLogger(__name__)


def rule_targets(patch: Patch) -> None:
    """Start what rules match: moto's disabled rules, and those with a schedule alone, match all.

    PutEvents answers 500 as soon as a rule that matches has a state machine, a function or a topic,
    and a queue gets the whole event, whatever its target's Input and InputPath say.
    """

    @patch.around(models.Rule)
    def send_to_targets(original: Any, self: Any, event: Any, transform_input: bool = True) -> None:
        if self.state == "DISABLED" or not self.event_pattern.get_pattern():
            return
        if not self.event_pattern.matches_event(event):
            return
        for target in self.targets:
            if _service(target) in EVENT_TARGETS:
                _deliver(self, target, event)
        rest = copy.copy(self)
        rest.targets = [target for target in self.targets if _service(target) not in EVENT_TARGETS]
        original(rest, event, transform_input)


def _service(target: Any) -> str:
    return str(target["Arn"].split(":")[2])


def _deliver(rule: Any, target: Any, message: Any) -> None:
    """Start a target; its errors are not those of whoever puts an event."""

    def client(service: str, role: str) -> Any:
        module: Any = state_task_service_aws_sdk
        return module.boto_client_for(rule.region_name, service, SimpleNamespace(role_arn=role))

    event = {name: value for name, value in message.items() if name != "ingestion-time"}
    errors = deliver_event(
        client,
        target,
        {**event, "time": _iso_8601(event["time"])},
        rule_arn=rule.arn,
        role=target.get("RoleArn") or rule.role_arn or "",
        ingestion_time=_iso_8601(message["ingestion-time"]),
    )
    for line in errors:
        _log.warning("rule %s %s", rule.name, line)


def _iso_8601(time: str | float) -> str:
    if isinstance(time, str):
        return time
    return str(iso_8601_datetime_without_milliseconds(utcfromtimestamp(time)))
