"""Repairs to an execution's start and end, and to the service's responses about it."""

import json
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import InvalidToken, ValidationException
from moto.stepfunctions.parser import models, utils
from moto.stepfunctions.parser.api import ExecutionStatus
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

HISTORY_PAGE = 100
"""Events in a page of GetExecutionHistory, unless the request has maxResults.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""

LARGEST_HISTORY_PAGE = 1_000

_LAST_EVENTS = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)
_REFUSAL = re.compile(r"Error=\w+ Args=\[['\"](.*)['\"]\] in definition '", re.DOTALL)
"""moto's message when it refuses a definition."""


def execution_names(patch: Patch) -> None:
    """Name an execution without a name: moto's is None, so the second fails; any name passes."""

    @patch.around(models.StepFunctionsParserBackend)
    def start_execution(
        original: Any,
        self: Any,
        state_machine_arn: str,
        name: str | None,
        execution_input: str,
        **more: Any,
    ) -> Any:
        if name is not None:
            self._validate_name(name)
        return original(self, state_machine_arn, name or str(uuid.uuid4()), execution_input, **more)


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
    """Answer 400 to an invalid definition or input: moto answers 500, and repeats the definition.

    AWS's client errors are AWSError in moto's own code, but not in the vendored interpreter.
    """

    def initialize(self: Any, message: str) -> None:
        if match := _REFUSAL.match(message):
            message = f"Invalid State Machine Definition: '{match[1]}'"
        AWSError.__init__(self, message)

    for code in ("InvalidDefinition", "InvalidExecutionInput"):
        members = {"TYPE": code, "STATUS": 400, "__init__": initialize}
        patch.replace(models, code, type(code, (AWSError,), members))


def history_pages(patch: Patch) -> None:
    """Page a history: moto ignores maxResults, nextToken and reverseOrder.

    And it copies the whole history for every response, and shows what a Map's other items still
    did after the execution had ended, behind its end.
    """

    @patch.around(EventManager)
    def _publish_history_event(original: Any, self: Any, **event: Any) -> None:
        events = self._history_event_list
        if not events or events[-1]["type"] not in _LAST_EVENTS:
            original(self, **event)

    def get_execution_history(self: Any) -> Any:
        execution = _execution_of(self)
        environment = execution.exec_worker.env
        # Events are only ever appended, so that a page of them can be taken without the lock.
        events = environment.event_manager._history_event_list if environment else []
        known = len(events)
        size = self._get_param("maxResults") or HISTORY_PAGE
        token = self._get_param("nextToken")
        if size > LARGEST_HISTORY_PAGE:
            raise ValidationException(
                f"1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy"
                f" constraint: Member must have value less than or equal to {LARGEST_HISTORY_PAGE}"
            )
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
        response: dict[str, Any] = {"events": page}
        if 0 < following < known:
            response["nextToken"] = str(following)
        return ActionResult(response)

    patch.replace(StepFunctionResponse, "get_execution_history", get_execution_history)


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


def stop_execution(execution: Any, *, error: str | None = None, cause: str | None = None) -> None:
    """Abort one of moto's executions, also one that was started a moment ago.

    It is ABORTED as soon as the task that it is in returns.
    """
    worker = execution.exec_worker
    # Before its first state moto has no environment to stop, and ignores a stop.
    while execution.status == ExecutionStatus.RUNNING and not (
        worker.env and worker.env.program_state() is not None
    ):
        time.sleep(0.001)
    if execution.status == ExecutionStatus.RUNNING:
        execution.stop(datetime.now(UTC), error, cause)
