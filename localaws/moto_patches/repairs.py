"""Repairs to moto's Step Functions interpreter, so that a definition runs here as it does on AWS.

moto interprets Amazon States Language state by state. `install` changes what it does differently
from AWS, or does in real time, and returns an object that puts everything back. Each repair is
one function of this package whose docstring says the fault it mends. `Repairs.without` takes one
out: the tests use it to show that the pinned moto still has the fault, so a repair that is no
longer needed is noticed.

Timeouts (`TimeoutSeconds`) stay real seconds whatever the time scale: they guard real work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import moto

from localaws.errors import LocalAwsError
from localaws.moto_patches import (
    aws_sdk_tasks,
    event_rules,
    executions,
    nested_workflows,
    redrives,
    request_checks,
    s3_and_logs,
    sagemaker_jobs,
    schedule_expressions,
    server,
    service_errors,
    state_machines,
    status_events,
    stops,
    task_tokens,
    tasks,
)
from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language import (
    choices,
    evaluations,
    failures,
    intrinsic_calls,
    limits,
    paths,
    states,
    texts,
    timestamps,
    variables,
)
from localaws.moto_patches.stops import has_finished, stop_execution

__all__ = [
    "MOTO_VERSION",
    "InterpreterError",
    "Repairs",
    "has_finished",
    "install",
    "stop_execution",
]

MOTO_VERSION = "5.2.5"
_REPAIRS: tuple[Callable[[Patch], None], ...] = (
    tasks.scaled_wait,
    tasks.scaled_retry,
    tasks.glue_sync,
    tasks.json_clients,
    service_errors.service_errors,
    tasks.context_times,
    tasks.invocation_types,
    aws_sdk_tasks.sdk_tasks,
    aws_sdk_tasks.passed_on_tasks,
    nested_workflows.nested_workflows,
    sagemaker_jobs.sagemaker_jobs,
    texts.definition_texts,
    texts.parse_trees,
    texts.json_texts,
    paths.json_paths,
    paths.result_paths,
    paths.variables,
    variables.variables_on_entry,
    evaluations.jsonata,
    evaluations.evaluation_events,
    evaluations.task_outputs,
    evaluations.arguments,
    evaluations.item_selectors,
    intrinsic_calls.intrinsic_functions,
    choices.comparisons,
    choices.choice_rules,
    timestamps.wait_timestamps,
    states.map_concurrency,
    states.map_items,
    states.query_languages,
    states.role_paths,
    limits.execution_limits,
    limits.numbers_by_path,
    failures.reserved_errors,
    failures.wildcard_errors,
    failures.heartbeat_timeouts,
    state_machines.definitions,
    state_machines.second_creations,
    state_machines.versions,
    state_machines.aliases,
    executions.started_executions,
    redrives.redriven_executions,
    executions.finished_threads,
    executions.first_end,
    executions.request_errors,
    request_checks.request_constraints,
    task_tokens.task_answers,
    executions.history_pages,
    executions.reported_end,
    s3_and_logs.bucket_policy_conditions,
    s3_and_logs.bucket_policies,
    s3_and_logs.conditional_writes,
    s3_and_logs.log_keys,
    s3_and_logs.bounded_log_streams,
    s3_and_logs.log_streams_by_prefix,
    event_rules.rule_targets,
    schedule_expressions.schedule_expressions,
    status_events.status_events,
    stops.immediate_ends,
    server.cross_origin_headers,
    server.forgotten_models,
)


class InterpreterError(LocalAwsError):
    """The interpreter cannot be repaired."""


class Repairs:
    """The installed repairs, by the names of their functions.

    Args:
        time_scale: Factor on the seconds of Wait states and of Retry intervals.
    """

    def __init__(self, time_scale: float) -> None:
        self._time_scale = time_scale
        self._left_out: set[str] = set()
        self._patches: list[Patch] = []

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Leave one repair out for the time of a block: no execution may be running meanwhile."""
        self.undo()
        self._left_out.add(name)
        self.redo()
        try:
            yield
        finally:
            self.undo()
            self._left_out.remove(name)
            self.redo()

    def undo(self) -> None:
        """Leave moto as it was before `install`."""
        while self._patches:
            self._patches.pop().undo()

    def redo(self) -> None:
        """Install them again after `undo`."""
        for repair in _REPAIRS:
            if repair.__name__ not in self._left_out:
                patch = Patch(self._time_scale)
                self._patches.append(patch)
                repair(patch)


def install(time_scale: float) -> Repairs:
    """Repair the interpreter in this process.

    Args:
        time_scale: Factor on the seconds of Wait states and of Retry intervals. 1.0 is real
            time, 0.0 does not wait.

    Raises:
        InterpreterError: If another version of moto is installed than the one repaired here.
        ValueError: If `time_scale` is negative.
    """
    if moto.__version__ != MOTO_VERSION:
        raise InterpreterError(
            f"the Step Functions repairs are written for moto {MOTO_VERSION}, installed is "
            f"{moto.__version__}: run 'pip install moto=={MOTO_VERSION}'"
        )
    if time_scale < 0:
        raise ValueError(f"time_scale must be 0 or more, got {time_scale}")
    installed = Repairs(time_scale)
    installed.redo()
    return installed
