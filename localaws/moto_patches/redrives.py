"""RedriveExecution: an execution that did not succeed goes on from where it ended.

https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
moto does not have it. While an execution runs, its progress is noted: the state that it is in,
with its input and variables, and inside of a Map or a Parallel the same of each item and branch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branches_decl import (
    BranchesDecl,
)
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded
from moto.stepfunctions.parser.backend import execution_worker
from moto.stepfunctions.responses import StepFunctionResponse

from localaws.moto_patches.patch import Patch

REDRIVABLE_FOR = timedelta(days=14)
MOST_EVENTS = 24_999
"""Of the history of an execution that can be redriven.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html"""


class ExecutionNotRedrivable(AWSError):  # type: ignore[misc]  # noqa: N818  AWS's name
    """The execution succeeded, runs, or ended too long ago."""

    TYPE = "ExecutionNotRedrivable"


@dataclass
class Progress:
    """How far a machine has come: the whole one, a branch, or an item of a Map.

    Attributes:
        state: The state that it is in; None before the first.
        input: That state's input.
        variables: Those that are assigned before that state.
        parts: The progress of the state's branches or items, by their numbers.
        is_done: Whether it ended well, with the output.
        is_resumed: Whether it goes on from that state, whose parts go on too.
    """

    state: str | None = None
    input: Any = None
    variables: dict[str, Any] = field(default_factory=dict)
    parts: dict[int, Progress] = field(default_factory=dict)
    is_done: bool = False
    output: Any = None
    is_resumed: bool = False

    def enter(self, state: str, env: Any) -> None:
        """Note that a state begins; its parts are new, unless it goes on."""
        if not self.is_resumed:
            self.parts = {}
        self.is_resumed = False
        # Nothing changes these values: a state gets copies.
        self.state, self.input = state, env.states._states_data["input"]
        self.variables = dict(env.variable_store._inner_scope)

    def resume(self) -> None:
        """Let it go on where it is, and what is not done in it."""
        self.is_resumed = self.state is not None
        for part in self.parts.values():
            part.resume()


def redriven_executions(patch: Patch) -> None:
    """Redrive an execution: moto does not know the operation."""

    def redrive_execution(self: Any) -> Any:
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        if reason := _refusal(execution):
            raise ExecutionNotRedrivable(reason)
        _redrive(execution)
        return ActionResult({"redriveDate": execution.redrive_date})

    patch.add(StepFunctionResponse, "redrive_execution", redrive_execution)

    @patch.around(execution_worker.ExecutionWorker)
    def _get_evaluation_environment(original: Any, self: Any) -> Any:
        env = original(self)
        env.states.context_object.context_object_data["Execution"]["RedriveCount"] = 0
        return env

    _note_progress(patch)


def _redrive(execution: Any) -> None:
    """Start an execution again, with the history and the progress that it has."""
    before = execution.exec_worker.env
    execution.redrive_count = getattr(execution, "redrive_count", 0) + 1
    execution.redrive_date = datetime.now(UTC)
    execution.stop_date = execution.output = execution.error = execution.cause = None
    execution.exec_worker = None
    worker = execution._get_start_execution_worker()
    env = worker._get_evaluation_environment()
    # What items of a Map still do belongs to the attempt before.
    events = before.event_manager._history_event_list
    env.event_manager._history_event_list.extend(events)
    env.event_manager._event_id_gen._next_id = events[-1]["id"] + 1
    env.progress = copy.deepcopy(before.progress)
    env.progress.resume()
    context = env.states.context_object.context_object_data["Execution"]
    context["RedriveCount"] = execution.redrive_count
    context["RedriveTime"] = execution.redrive_date.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.ExecutionRedriven,
        event_details={"executionRedrivenEventDetails": {"redriveCount": execution.redrive_count}},
        update_source_event_id=False,
    )
    worker.env = env

    def go_on() -> None:
        worker._get_evaluation_entrypoint().eval(env)
        worker._execution_communication.terminated()

    worker._execution_logic = go_on
    execution.exec_worker = worker
    execution.exec_status = ExecutionStatus.RUNNING
    worker.start()


def _note_progress(patch: Patch) -> None:
    @patch.around(Environment)
    def __init__(original: Any, self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807
        original(self, *arguments, **named)
        self.progress = Progress()

    @patch.around(Environment)
    def open_frame(original: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        frame = original(self, *arguments, **named)
        frame.progress = self.progress
        return frame

    @patch.around(Environment)
    def open_inner_frame(original: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        frame = original(self, *arguments, **named)
        frame.progress = self.progress
        return frame

    @patch.around(CommonStateField, "_eval_body")
    def eval_state(original: Any, self: Any, env: Any) -> None:
        env.progress.enter(self.name, env)
        original(self, env)

    @patch.around(ExecutionState)
    def _handle_retry(original: Any, self: Any, env: Any, failure_event: Any) -> Any:
        env.progress.parts = {}  # a Retry of a Map runs all of its items again
        return original(self, env, failure_event)

    @patch.around(BranchesDecl, "__init__")
    def number_branches(original: Any, self: Any, programs: Any) -> None:
        original(self, programs)
        for number, program in enumerate(programs):
            program.number = number

    @patch.around(iteration_worker.IterationWorker)
    def _eval_job(original: Any, self: Any, env: Any, job: Any) -> None:
        env.progress = env.progress.parts.setdefault(job.job_index, Progress())
        if env.progress.is_done:
            job.job_output = env.progress.output
        else:
            original(self, env, job)

    @patch.around(Program, "eval")
    def eval_program(original: Any, self: Any, env: Any) -> None:
        if hasattr(self, "number"):
            env.progress = env.progress.parts.setdefault(self.number, Progress())
        progress = env.progress
        if progress.is_done:
            env.next_state_name = self.start_at.start_at_name
            env.states.reset(progress.output)
            env.set_ended()
            return
        if progress.is_resumed:
            self = copy.copy(self)
            self.start_at = copy.copy(self.start_at)
            self.start_at.start_at_name = progress.state
            env.states.reset(progress.input)
            env.variable_store._inner_scope.update(copy.deepcopy(progress.variables))
        original(self, env)
        if isinstance(env.program_state(), ProgramEnded):
            progress.is_done, progress.output = True, env.states.get_input()


def redrives(execution: Any) -> dict[str, Any]:
    """Return how often an execution was redriven, and when, as responses have it."""
    date = getattr(execution, "redrive_date", None)
    shown: dict[str, Any] = {"redriveCount": getattr(execution, "redrive_count", 0)}
    return shown | ({"redriveDate": date} if date else {})


def redrive_status(execution: Any) -> dict[str, str]:
    """Return whether an execution can be redriven, as responses have it."""
    if reason := _refusal(execution):
        return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}
    return {"redriveStatus": "REDRIVABLE"}


def _refusal(execution: Any) -> str:
    """Return why an execution cannot be redriven; empty if it can."""
    if execution.status in {"RUNNING", "SUCCEEDED"}:
        return f"Execution is {execution.status} and cannot be redriven"
    env = execution.exec_worker.env
    if env is None or len(env.event_manager._history_event_list) >= MOST_EVENTS:
        return "Execution history event limit exceeded"
    if execution.stop_date and datetime.now(UTC) - execution.stop_date > REDRIVABLE_FOR:
        return "Execution redrivable period exceeded"
    return ""
