"""Repairs to executions that end from outside: StopExecution, and the machine's time limit."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from moto.stepfunctions.parser.api import (
    ExecutionAbortedEventDetails,
    ExecutionStatus,
    ExecutionTimedOutEventDetails,
    HistoryEventType,
)
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from localaws.moto_patches.patch import Patch

_ending = threading.Lock()


def immediate_ends(patch: Patch) -> None:
    """End an execution at once when it is stopped or its time is over, also in the midst of a task.

    In moto it runs on until the function returns, and for ever where a state waits for a token.
    """

    @patch.around(ExecutionWorker)
    def start(original: Any, self: Any) -> None:
        evaluate = self._execution_logic
        self.has_finished = threading.Event()

        def evaluate_to_the_end() -> None:
            try:
                evaluate()
            finally:
                self.has_finished.set()

        self._execution_logic = evaluate_to_the_end
        original(self)

    @patch.around(ExecutionWorker)
    def stop(original: Any, self: Any, **arguments: Any) -> None:
        original(self, **arguments)
        if isinstance(self.env.program_state(), ProgramStopped):
            _cut_off(self.env)
            self._execution_communication.terminated()

    @patch.around(Program, "eval")
    def eval_program(original: Any, self: Any, env: Any) -> None:
        original(self, env)
        if not env.is_frame() and isinstance(env.program_state(), ProgramTimedOut):
            _cut_off(env)

    @patch.around(BaseExecutionWorkerCommunication)
    def terminated(original: Any, self: Any) -> None:
        # The task that was cut off returns after the end, and ends the execution again.
        with _ending:
            is_over, self.is_over = getattr(self, "is_over", False), True
        if not is_over:
            original(self)


def _cut_off(env: Any) -> None:
    """Write the last event, and let nothing wait for a task token any more."""
    end = env.program_state()
    if isinstance(end, ProgramStopped):
        event_type, details = (
            HistoryEventType.ExecutionAborted,
            EventDetails(
                executionAbortedEventDetails=ExecutionAbortedEventDetails(
                    error=end.error, cause=end.cause
                )
            ),
        )
    else:
        event_type, details = (
            HistoryEventType.ExecutionTimedOut,
            EventDetails(executionTimedOutEventDetails=ExecutionTimedOutEventDetails()),
        )
    env.event_history_context.source_event_id = 0
    env.event_manager.add_event(
        context=env.event_history_context, event_type=event_type, event_details=details
    )
    for endpoint in list(env.callback_pool_manager._pool.values()):
        endpoint.interrupt_all()


def stop_execution(execution: Any, *, error: str | None = None, cause: str | None = None) -> None:
    """Abort one of moto's executions, also one that was started a moment ago."""
    worker = execution.exec_worker
    # Before its first state moto has no environment to stop, and ignores a stop.
    while execution.status == ExecutionStatus.RUNNING and not (
        worker.env and worker.env.program_state() is not None
    ):
        time.sleep(0.001)
    if execution.status == ExecutionStatus.RUNNING:
        execution.stop(datetime.now(UTC), error, cause)


def has_finished(execution: Any) -> bool:
    """Return whether nothing of an execution runs any more: a stopped job takes a moment."""
    return bool(execution.exec_worker.has_finished.is_set())
