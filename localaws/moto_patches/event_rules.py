"""Repairs to moto's EventBridge: which rules match an event, and what they start."""

import copy
import json
import logging
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.utils import iso_8601_datetime_without_milliseconds, utcfromtimestamp
from moto.events import models
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
)

from localaws.moto_patches.patch import Patch

_log = logging.getLogger(__name__)
_STARTED = {"states": "stepfunctions", "lambda": "lambda", "sns": "sns"}
"""boto3's names of the services whose targets moto does not know, by those in ARNs."""


def rule_targets(patch: Patch, _: float) -> None:
    """A rule that is disabled or has a schedule alone matches all events; some targets break all.

    PutEvents answers 500 as soon as a rule that matches has a state machine, a function or a topic.
    """

    def send_to_targets(self: Any, event: Any, transform_input: bool = True) -> None:
        if self.state == "DISABLED" or not self.event_pattern.get_pattern():
            return
        if not self.event_pattern.matches_event(event):
            return
        others = copy.copy(self)
        others.targets = [one for one in self.targets if _service(one) not in _STARTED]
        for target in self.targets:
            if _service(target) in _STARTED:
                _start(self, target, _input(target, event))
        send(others, event, transform_input)

    send = patch.replace(models.Rule, "send_to_targets", send_to_targets)


def _service(target: Any) -> str:
    return str(target["Arn"].split(":")[2])


def _input(target: Any, event: Any) -> str:
    """What a target gets: its own input, what it takes of the event, or all of that."""
    told = {name: value for name, value in event.items() if name != "ingestion-time"}
    if not isinstance(told.get("time"), str):
        moment = utcfromtimestamp(told["time"])
        told["time"] = iso_8601_datetime_without_milliseconds(moment)
    if "Input" in target:
        return str(target["Input"])
    if transformer := target.get("InputTransformer"):
        filled = models.EventTemplateParser.parse(
            input_template=transformer.get("InputTemplate"),
            input_paths_map=transformer.get("InputPathsMap", {}),
            event=told,
        )
        return filled if isinstance(filled, str) else json.dumps(filled)
    chosen: Any = told
    for name in filter(None, target.get("InputPath", "$").removeprefix("$").split(".")):
        chosen = chosen.get(name) if isinstance(chosen, dict) else None
    return json.dumps(chosen)


def _start(rule: Any, target: Any, text: str) -> None:
    """Start a target; what becomes of it is not the business of whoever puts an event."""
    arn, service = target["Arn"], _STARTED[_service(target)]
    module: Any = state_task_service_aws_sdk
    role = SimpleNamespace(role_arn=target.get("RoleArn") or rule.role_arn or "")
    client = module.boto_client_for(rule.region_name, service, role)
    try:
        if service == "stepfunctions":
            client.start_execution(stateMachineArn=arn, input=text)
        elif service == "lambda":
            client.invoke(FunctionName=arn, InvocationType="Event", Payload=text.encode())
        else:
            client.publish(TopicArn=arn, Message=text)
    except (ClientError, BotoCoreError) as error:
        _log.warning("rule %s could not start %s: %s", rule.name, arn, error)
