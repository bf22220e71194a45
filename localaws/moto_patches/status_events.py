"""Events of executions: EventBridge's rules see that one runs, and how it ends.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

from __future__ import annotations

import json
import logging
import uuid
from datetime import datetime
from typing import Any

from moto.core.utils import unix_time
from moto.events.models import events_backends
from moto.stepfunctions.parser.api import StateMachineType
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.redrives import redrive_status, redrives

LARGEST_TEXTS = 248 * 1024
"""Characters of the escaped input and output together, above which the input is left out."""

_log = logging.getLogger(__name__)


def status_events(patch: Patch) -> None:
    """Send an event when an execution starts, is redriven or ends: moto sends none."""

    @patch.around(ExecutionWorker)
    def start(original: Any, self: Any) -> None:
        _send(self._execution_communication.execution, "RUNNING")
        original(self)

    @patch.around(BaseExecutionWorkerCommunication)
    def terminated(original: Any, self: Any) -> None:
        original(self)
        _send(self.execution, self.execution.exec_status.value)


def _send(execution: Any, status: str) -> None:
    """Let the rules of the default bus start their targets; no error is the execution's."""
    if execution.sm_type == StateMachineType.EXPRESS:
        return
    try:
        backend = events_backends[execution.account_id][execution.region_name]
        rules = list(backend.describe_event_bus("default").rules.values())
        if not rules:
            return
        now = unix_time()
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": execution.account_id,
            "time": now,
            "region": execution.region_name,
            "resources": [execution.exec_arn],
            "detail": _detail(execution, status),
            "ingestion-time": now,
        }
        for rule in rules:
            rule.send_to_targets(event)
    except Exception:
        _log.exception("the event that %s is %s", execution.exec_arn, status)


def _detail(execution: Any, status: str) -> dict[str, Any]:
    is_running = status == "RUNNING"
    redriven = redrives(execution)
    able = {} if is_running else redrive_status(execution)
    given = execution.input_data
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    output = None
    if status == "SUCCEEDED":
        output = json.dumps(execution.output, ensure_ascii=False, separators=(",", ":"))
    has_output = len(json.dumps(output or "")) <= LARGEST_TEXTS
    has_input = len(json.dumps(text)) + len(json.dumps(output or "")) <= LARGEST_TEXTS
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine.arn,
        "stateMachineVersionArn": getattr(execution, "version_arn", None),
        "stateMachineAliasArn": getattr(execution, "alias_arn", None),
        "name": execution.name,
        "status": status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": None if is_running else _milliseconds(execution.stop_date),
        "input": text if has_input else None,
        "inputDetails": {"included": has_input},
        "output": output if has_output else None,
        "outputDetails": None if output is None else {"included": has_output},
        "error": None if is_running else execution.error,
        "cause": None if is_running else execution.cause,
        "redriveCount": redriven["redriveCount"],
        "redriveDate": _milliseconds(redriven.get("redriveDate")),
        "redriveStatus": able.get("redriveStatus"),
        "redriveStatusReason": able.get("redriveStatusReason"),
    }


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)
