"""Repairs to an execution's start and end, and to the service's responses about it."""

import copy
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import InvalidToken, ResourceNotFound
from moto.stepfunctions.parser import models, utils
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.backend import execution as execution_module
from moto.stepfunctions.parser.backend import execution_worker
from moto.stepfunctions.responses import StepFunctionResponse

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.redrives import redrive_status, redrives
from localaws.moto_patches.request_checks import check_size
from localaws.moto_patches.state_machines import executed_revision, page_response
from localaws.moto_patches.states_language.texts import json_value
from localaws.moto_patches.stops import stop_execution

HISTORY_PAGE = 100
"""Events in a page of GetExecutionHistory, unless the request has maxResults.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""

_TIMES = orjson.OPT_PASSTHROUGH_DATETIME
_DATA = frozenset({"input", "inputDetails", "output", "outputDetails"})
_LAST_EVENTS = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)


def started_executions(patch: Patch) -> None:
    """Start what an ARN names: moto takes that of a version for a machine of its own, and no alias.

    An execution without a name is None, so that the second fails; any name and input pass. Its
    definition is described as it is now, and not as it was executed.
    """

    def start_execution(
        self: Any,
        state_machine_arn: str,
        name: str | None = None,
        execution_input: str | None = None,
        trace_header: str | None = None,
    ) -> Any:
        if name is not None:
            self._validate_name(name)
        text = execution_input or "{}"
        _check_input(text)
        machine, version, alias = executed_revision(self, state_machine_arn)
        name = name or str(uuid.uuid4())
        if existing := machine._handle_name_input_idempotency(name, text):
            return existing
        # What an update changes is not that of an execution that runs.
        revision = copy.copy(version or machine)
        revision.arn, revision.executions = machine.arn, []
        execution = execution_module.Execution(
            name=name,
            sm_type=revision.type,
            role_arn=revision.roleArn,
            exec_arn=f"{machine.arn.replace(':stateMachine:', ':execution:')}:{name}",
            account_id=self.account_id,
            region_name=self.region_name,
            state_machine=revision,
            start_date=datetime.now(UTC),
            cloud_watch_logging_session=None,
            input_data=text,
            trace_header=trace_header,
            activity_store={},
        )
        execution.version_arn = version.arn if version else None
        execution.alias_arn = alias.arn if alias else None
        machine.executions.append(execution)
        execution.start()
        return execution

    def list_executions(self: Any) -> Any:
        arn = self._get_param("stateMachineArn")
        if arn is None:
            raise ResourceNotFound(self._get_param("mapRunArn"))
        machine, version, _ = executed_revision(self.stepfunction_backend, arn)
        status, redriven = self._get_param("statusFilter"), self._get_param("redriveFilter")
        shown = [
            one
            for one in machine.executions
            if (version is None or arn in _qualified_arns(one).values())
            and status in {None, one.status}
            and redriven in {None, "REDRIVEN" if redrives(one)["redriveCount"] else "NOT_REDRIVEN"}
        ]
        shown.sort(key=lambda one: one.start_date, reverse=True)
        entries = [(-int(one.start_date.timestamp() * 1e6), _summary(one)) for one in shown]
        return page_response(self, "executions", entries, arn)

    def describe_state_machine_for_execution(self: Any) -> Any:
        machine = _execution_of(self).state_machine
        described = self._describe_state_machine(machine.arn).result
        described |= {
            "definition": machine.definition,
            "roleArn": machine.roleArn,
            "updateDate": machine.update_date,
        }
        for name in ("creationDate", "status", "type"):
            described.pop(name)
        return ActionResult(described)

    patch.replace(models.StepFunctionsParserBackend, "start_execution", start_execution)
    for operation in (list_executions, describe_state_machine_for_execution):
        patch.replace(StepFunctionResponse, operation.__name__, operation)


def _check_input(text: str) -> None:
    check_size("input", text)
    try:
        json_value(text)
    except ValueError as error:
        message = f"Invalid State Machine Execution Input: '{error}'"
        raise models.InvalidExecutionInput(message) from None


def _qualified_arns(execution: Any) -> dict[str, str]:
    """Return the version and the alias that an execution was started by, as responses have them."""
    arns = {
        "stateMachineVersionArn": getattr(execution, "version_arn", None),
        "stateMachineAliasArn": getattr(execution, "alias_arn", None),
    }
    return {name: arn for name, arn in arns.items() if arn}


def _summary(execution: Any) -> dict[str, Any]:
    return {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        **({"stopDate": execution.stop_date} if execution.stop_date else {}),
        **_qualified_arns(execution),
        **redrives(execution),
    }


def finished_threads(patch: Patch) -> None:
    """Forget finished threads: moto keeps those of every execution in a list that nobody reads."""

    @patch.around(execution_worker.ExecutionWorker)
    def _execution_logic(original: Any, self: Any) -> None:
        # In place: each module of the interpreter holds the same list.
        utils.TMP_THREADS[:] = [thread for thread in utils.TMP_THREADS if thread.is_alive()]
        original(self)


def first_end(patch: Patch) -> None:
    """Keep an execution's first end: stopped or timed out inside a Map or a Retry it is FAILED.

    The tasks that are cut off raise errors afterwards, which must not replace the first cause.
    """

    @patch.around(Environment)
    def set_error(original: Any, self: Any, error: Any) -> None:
        if not isinstance(self.program_state(), ProgramStopped | ProgramTimedOut):
            original(self, error)


def request_errors(patch: Patch) -> None:
    """Answer 400 to the caller's errors: moto answers 500, or leaves out the error's name.

    AWS's client errors are AWSError in moto's own code, but not in the vendored interpreter.
    """

    @patch.around(AWSError)
    def __init__(  # noqa: N807
        original: Any,
        self: Any,
        message: str = "",
        exception_type: str | None = None,
        status: int | None = None,
    ) -> None:
        original(self, message, exception_type or self.TYPE or type(self).__name__, status)

    for code in ("InvalidDefinition", "InvalidExecutionInput"):
        patch.replace(models, code, type(code, (AWSError,), {"TYPE": code, "STATUS": 400}))


def history_pages(patch: Patch) -> None:
    """Page a history: moto ignores maxResults, nextToken and reverseOrder.

    And it copies the whole history for every response, parses each time in it as a text, and shows
    what a Map's other items still did after the execution had ended, behind its end.
    """

    @patch.around(EventManager)
    def _publish_history_event(original: Any, self: Any, **event: Any) -> None:
        events = self._history_event_list
        is_over = events and events[-1]["type"] in _LAST_EVENTS
        if not is_over or event["event_type"] == HistoryEventType.ExecutionRedriven:
            original(self, **event)

    def get_execution_history(self: Any) -> Any:
        execution = _execution_of(self)
        # Events are only ever appended, so that a page of them can be taken without the lock.
        events = _events(execution)
        known = len(events)
        size = self._get_param("maxResults") or HISTORY_PAGE
        token = self._get_param("nextToken")
        if token and not token.isdecimal():
            raise InvalidToken()
        if self._get_param("reverseOrder"):
            end = int(token or known)
            following = max(0, end - size)
            page = events[following:end][::-1]
        else:
            start = int(token or 0)
            following = min(start + size, known)
            page = events[start:following]
        if self._get_param("includeExecutionData") is False:
            page = [without_data(event) for event in page]
        response: dict[str, Any] = {"events": [_members(event) for event in page]}
        if 0 < following < known:
            response["nextToken"] = str(following)
        return orjson.dumps(response, default=_epoch_seconds, option=_TIMES).decode()

    patch.replace(StepFunctionResponse, "get_execution_history", get_execution_history)


def _members(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without members that have no value."""
    return {
        name: {inner: one for inner, one in value.items() if one is not None}
        if isinstance(value, dict)
        else value
        for name, value in event.items()
        if value is not None
    }


def _epoch_seconds(moment: datetime) -> float:
    return int(moment.timestamp() * 1000) / 1000


def without_data(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without the inputs and outputs of states and tasks."""
    return {
        name: {inner: one for inner, one in value.items() if inner not in _DATA}
        if isinstance(value, dict)
        else value
        for name, value in event.items()
    }


def _events(execution: Any) -> list[dict[str, Any]]:
    """Return an execution's events; right after the start, wait for the first one a moment."""
    deadline = time.monotonic() + 1
    while True:
        environment = execution.exec_worker.env
        events: list[dict[str, Any]] = (
            environment.event_manager._history_event_list if environment else []
        )
        if events or execution.status != ExecutionStatus.RUNNING or time.monotonic() > deadline:
            return events
        time.sleep(0.001)


def reported_end(patch: Patch) -> None:
    """Report how an execution ended: StopExecution drops its error and cause.

    It fails right after the start. DescribeExecution has no stopDate after a timeout, and shows a
    text output without its quotes.
    """

    def stop(self: Any) -> Any:
        execution = _execution_of(self)
        stop_execution(execution, error=self._get_param("error"), cause=self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date or datetime.now(UTC)})

    patch.replace(StepFunctionResponse, "stop_execution", stop)

    @patch.around(StepFunctionResponse)
    def describe_execution(original: Any, self: Any) -> Any:
        response, execution = original(self).result, _execution_of(self)
        response |= {
            "inputDetails": {"included": True},
            **_qualified_arns(execution),
            **redrives(execution),
            **redrive_status(execution),
        }
        if execution.stop_date:
            response["stopDate"] = execution.stop_date
        if execution.status == ExecutionStatus.SUCCEEDED:
            response["output"] = json.dumps(
                execution.output, ensure_ascii=False, separators=(",", ":")
            )
        return ActionResult(response)

    @patch.around(execution_module.BaseExecutionWorkerCommunication)
    def _reflect_execution_status(original: Any, self: Any) -> None:
        original(self)
        end = self.execution.exec_worker.env.program_state()
        if isinstance(end, ProgramStopped):
            self.execution.error, self.execution.cause = end.error, end.cause
        elif self.execution.exec_status == ExecutionStatus.TIMED_OUT:
            self.execution.error = StatesErrorNameType.StatesTimeout.to_name()


def _execution_of(request: Any) -> Any:
    return request.stepfunction_backend.describe_execution(request._get_param("executionArn"))
