"""Errors under the names that the States Language reserves, and which of them a Catch matches."""

from typing import Any

from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name import (
    custom_error_name,
    error_equals_decl,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.eval.callback.callback import HeartbeatTimeoutError
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from localaws.moto_patches.patch import Patch

_RUNTIME = StatesErrorName(typ=StatesErrorNameType.StatesRuntime)
_TERMINAL = [
    _RUNTIME,
    StatesErrorName(typ=StatesErrorNameType.StatesStatesDataLimitExceeded),
]
_TASK_FAILED = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)
_TIMEOUT = StatesErrorName(typ=StatesErrorNameType.StatesTimeout)


def failure(env: Any, error: StatesErrorNameType, cause: str) -> FailureEventException:
    """Return the exception that fails a state by a reserved error, e.g. States.Runtime."""
    details = ExecutionFailedEventDetails(error=error.to_name(), cause=cause)
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=error),
            event_type=HistoryEventType.ExecutionFailed,
            event_details=EventDetails(executionFailedEventDetails=details),
        )
    )


def reserved_errors(patch: Patch) -> None:
    """Keep a `States.` error that leaves a Map, a Parallel or an ErrorPath.

    moto makes it States.Runtime.
    """

    def error_of_name(error_name: str | None) -> Any:
        if error_name is None or not error_name.startswith("States."):
            return custom_error_name.CustomErrorName(error_name)
        try:
            return StatesErrorName(typ=StatesErrorNameType.from_name(error_name))
        except ValueError:
            return ErrorName(error_name)

    for module in (state_fail, iteration_worker, branches_decl):
        patch.replace(module, "CustomErrorName", error_of_name)


def wildcard_errors(patch: Patch) -> None:
    """Match States.ALL and States.TaskFailed as AWS does.

    moto lets States.ALL catch States.Runtime and States.DataLimitExceeded, which end the execution
    on AWS (States.Runtime also where a Catch names it), and States.TaskFailed no reserved error,
    where AWS lets it catch all but States.Timeout:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """

    @patch.around(error_equals_decl.ErrorEqualsDecl)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        error = env.stack[-1]
        original(self, env)
        if error == _RUNTIME:
            env.stack[-1] = False
        if error in self.error_names:
            return
        if error in _TERMINAL:
            env.stack[-1] = False
        elif _TASK_FAILED in self.error_names and error != _TIMEOUT:
            env.stack[-1] = True


class _HeartbeatTimeout(StatesErrorName):  # type: ignore[misc]
    """The error of a task without a heartbeat, which AWS reports as States.Timeout."""

    def __init__(self) -> None:
        super().__init__(typ=StatesErrorNameType.StatesTimeout)

    def matches(self, error_name: str | None) -> bool:
        """Return whether a Retry or Catch on a name matches it."""
        return error_name in {"States.Timeout", "States.HeartbeatTimeout"}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorName) and self.matches(other.error_name)

    __hash__ = None  # type: ignore[assignment]


def heartbeat_timeouts(patch: Patch) -> None:
    """Let a Catch on States.HeartbeatTimeout match a missing heartbeat: moto's is States.Timeout.

    On AWS both names match it, and histories show States.Timeout.
    """

    @patch.around(StateTask)
    def _from_error(original: Any, self: Any, env: Any, ex: Exception) -> Any:
        event = original(self, env, ex)
        if isinstance(ex, HeartbeatTimeoutError):
            event.error_name = _HeartbeatTimeout()
        return event
