"""Repairs to moto's Step Functions interpreter, so that a definition runs here as it does on AWS.

moto interprets Amazon States Language state by state. `install` changes what it does differently
from AWS, or does in real time, and returns an object that puts everything back. Each repair is
one function whose docstring says the fault it mends. `Repairs.without` takes one out: the tests
use it to show that the pinned moto still has the fault, so a repair that is no longer needed is
noticed.

Timeouts (`TimeoutSeconds`) stay real seconds whatever the time scale: they guard real work.
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import botocore.session
import moto
from botocore.config import Config
from botocore.utils import parse_timestamp
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.settings import moto_server_port
from moto.stepfunctions.parser import models, utils
from moto.stepfunctions.parser.api import (
    ExecutionFailedEventDetails,
    ExecutionStatus,
    HistoryEventType,
)
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import (
    ErrorEqualsDecl,
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
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import (
    JitterStrategyDecl,
)
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    inline_iteration_component,
    iteration_worker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    resource,
    state_task_service_aws_sdk,
    state_task_service_callback,
    state_task_service_glue,
)
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.backend import execution as execution_module
from moto.stepfunctions.parser.backend import execution_worker
from moto.stepfunctions.responses import StepFunctionResponse

MOTO_VERSION = "5.2.5"
INLINE_MAP_CONCURRENCY = 40
"""What AWS runs at once of an inline Map, whatever `MaxConcurrency` says.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""
SHORTEST_WAIT = 0.02
"""Seconds that a Wait lasts at least, so that a poll loop at time scale 0 leaves the processor
to the job that it polls."""
LONGEST_SYNC_POLL = 0.25
"""Seconds between two looks at a `.sync` job."""
HISTORY_PAGE = 100
"""Events in a page of GetExecutionHistory, if the request does not say."""


class InterpreterError(RuntimeError):
    """The interpreter cannot be repaired."""


class Patch:
    """Attributes replaced by one repair, with what was there before."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> Any:
        """Set an attribute that `owner` itself has; return what was there.

        Raises:
            KeyError: If `owner` has no such attribute of its own: moto has changed.
        """
        before = vars(owner)[name]
        self._replaced.append((owner, name, before, value))
        setattr(owner, name, value)
        return before

    def undo(self) -> None:
        """Put back what was there."""
        for owner, name, before, _ in reversed(self._replaced):
            setattr(owner, name, before)

    def redo(self) -> None:
        """Replace again after `undo`."""
        for owner, name, _, value in self._replaced:
            setattr(owner, name, value)


class Repairs:
    """The installed repairs, by the names of their functions."""

    def __init__(self, patches: dict[str, Patch]) -> None:
        self._patches = patches

    @property
    def names(self) -> frozenset[str]:
        """The names of all repairs."""
        return frozenset(self._patches)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Leave one repair out for the time of a block: no execution may be running meanwhile."""
        self._patches[name].undo()
        try:
            yield
        finally:
            self._patches[name].redo()

    def undo(self) -> None:
        """Leave moto as it was before `install`."""
        for patch in self._patches.values():
            patch.undo()

    def redo(self) -> None:
        """Install them again after `undo`."""
        for patch in self._patches.values():
            patch.redo()


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
    patches = {repair.__name__: Patch() for repair in _REPAIRS}
    for repair in _REPAIRS:
        repair(patches[repair.__name__], time_scale)
    return Repairs(patches)


def _pause(env: Any, seconds: float) -> None:
    """Wait until the seconds are over or the execution has been stopped or has timed out."""
    deadline = time.monotonic() + seconds
    while env.is_running() and (left := deadline - time.monotonic()) > 0:
        # moto sets and clears the event at once, so a wait that begins a moment later misses it.
        env.program_state_event.wait(min(left, 0.25))


def scaled_wait(patch: Patch, time_scale: float) -> None:
    """A Wait takes real time, and moto's loop over whole seconds ends late for fractions."""

    def wait_interval(_: Any, env: Any, wait_seconds: float) -> None:
        if wait_seconds > 0:
            _pause(env, max(wait_seconds * time_scale, SHORTEST_WAIT))

    patch.replace(WaitFunction, "_wait_interval", wait_interval)


def scaled_retry(patch: Patch, time_scale: float) -> None:
    """A Retry sleeps its interval in real time, and cannot be stopped meanwhile.

    The jitter is the last step before moto sleeps: wait here, and leave it nothing to sleep.
    """

    def eval_body(self: Any, env: Any) -> None:
        jitter(self, env)
        _pause(env, env.stack.pop() * time_scale)
        env.stack.append(0)

    jitter = patch.replace(JitterStrategyDecl, "_eval_body", eval_body)


def glue_sync(patch: Patch, _: float) -> None:
    """`glue:startJobRun.sync` fails always, polls in fixed steps, and leaves a stopped job running.

    Step Functions stops the job run of a task that is aborted:
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync
    """

    def eval_sync(
        self: Any, env: Any, sync_resolver: Callable[[], Any], **_endpoints: Any
    ) -> Any | None:
        pause = SHORTEST_WAIT
        while env.is_running():
            if outcome := sync_resolver():
                return outcome
            _pause(env, pause)
            pause = min(pause * 1.5, LONGEST_SYNC_POLL)
        cancel = getattr(sync_resolver, "cancel", None)
        return cancel() if cancel else None

    def sync_to_start_job_run(
        self: Any, env: Any, runtime: Any, parameters: Any, credentials: Any
    ) -> Callable[[], Any]:
        started = env.stack[-1]
        resolver = build(self, env, runtime, parameters, credentials)

        def look() -> Any:
            return resolver()

        def cancel() -> None:
            client = self._get_glue_client(runtime, credentials)
            client.batch_stop_job_run(JobName=started["JobName"], JobRunIds=[started["JobRunId"]])

        look.cancel = cancel  # type: ignore[attr-defined]
        return look

    patterns = {resource.ResourceCondition.Sync, resource.ResourceCondition.WaitForTaskToken}
    patch.replace(state_task_service_glue, "_SUPPORTED_INTEGRATION_PATTERNS", patterns)
    patch.replace(state_task_service_callback.StateTaskServiceCallback, "_eval_sync", eval_sync)
    build = patch.replace(
        state_task_service_glue.StateTaskServiceGlue,
        "_sync_to_start_job_run",
        sync_to_start_job_run,
    )


def json_clients(patch: Patch, _: float) -> None:
    """Each task makes a new client (15 ms), whose datetimes break DescribeExecution.

    Glue's times are epoch milliseconds in a state's result, all other services' ISO 8601.
    """
    clients: dict[tuple[str, str, str], Any] = {}
    lock = threading.Lock()

    def boto_client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        with lock:
            key = (region, service, moto_server_port())
            if key not in clients:
                clients[key] = _json_client(*key)
            return clients[key]

    users = [
        module
        for name, module in sys.modules.items()
        if name.startswith("moto.stepfunctions.parser.") and "boto_client_for" in vars(module)
    ]
    for user in users:
        patch.replace(user, "boto_client_for", boto_client_for)


def _json_client(region: str, service: str, port: str) -> Any:
    """A client of the one port, whose answers hold JSON values only."""

    def milliseconds(value: Any) -> int:
        return round(parse_timestamp(value).timestamp() * 1000)

    def iso(value: Any) -> str:
        return _iso(parse_timestamp(value).astimezone(UTC))

    session = botocore.session.Session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=milliseconds if service == "glue" else iso)
    return session.create_client(
        service,
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  nothing checks it
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            max_pool_connections=INLINE_MAP_CONCURRENCY,
            connect_timeout=5,
            # A handler may run for 15 minutes; the state's own TimeoutSeconds ends it earlier.
            read_timeout=3600,
        ),
    )


def _iso(moment: datetime) -> str:
    """2026-01-31T12:00:00.000Z."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def context_times(patch: Patch, _: float) -> None:
    """`$$.Execution.StartTime` is a datetime, which breaks DescribeExecution; AWS gives a text."""

    def start_execution_details(self: Any) -> Any:
        details = get_details(self)
        details.start_time = _iso(details.start_time)
        return details

    get_details = patch.replace(
        execution_module.Execution, "get_start_execution_details", start_execution_details
    )


def execution_names(patch: Patch, _: float) -> None:
    """An execution without a name is called None, so that the second one fails; any name passes."""

    def start_execution(
        self: Any, state_machine_arn: str, name: str | None, execution_input: str, **more: Any
    ) -> Any:
        if name is not None:
            self._validate_name(name)
        name = name or str(uuid.uuid4())
        return start(self, state_machine_arn, name, execution_input, **more)

    start = patch.replace(models.StepFunctionsParserBackend, "start_execution", start_execution)


def finished_threads(patch: Patch, _: float) -> None:
    """Every thread of every execution is kept for ever in a list that nobody reads."""

    def run(self: Any) -> None:
        # In place: each module of the interpreter holds the same list.
        utils.TMP_THREADS[:] = [thread for thread in utils.TMP_THREADS if thread.is_alive()]
        execute(self)

    execute = patch.replace(execution_worker.ExecutionWorker, "_execution_logic", run)


def first_end(patch: Patch, _: float) -> None:
    """An execution stopped or timed out inside a Map or a Retry ends as FAILED.

    The tasks that are cut off raise errors afterwards, which must not replace the first cause.
    """

    def set_error(self: Any, error: Any) -> None:
        if not isinstance(self.program_state(), ProgramStopped | ProgramTimedOut):
            fail(self, error)

    fail = patch.replace(Environment, "set_error", set_error)


def map_concurrency(patch: Patch, _: float) -> None:
    """A Map without MaxConcurrency starts a thread for each item; AWS runs 40 at most."""

    def eval_body(self: Any, env: Any) -> None:
        request = env.stack[-1]
        limit = request.max_concurrency or INLINE_MAP_CONCURRENCY
        request.max_concurrency = min(limit, INLINE_MAP_CONCURRENCY, len(request.input_items)) or 1
        evaluate(self, env)

    evaluate = patch.replace(
        inline_iteration_component.InlineIterationComponent, "_eval_body", eval_body
    )


def no_choice_matched(patch: Patch, _: float) -> None:
    """A Choice without a match reports States.Runtime instead of States.NoChoiceMatched."""

    def eval_state(self: Any, env: Any) -> None:
        try:
            evaluate(self, env)
        except RuntimeError as error:
            if self.default_state is not None or "No branching option" not in str(error):
                raise
            raise FailureEventException(_no_choice_matched(env, self.name)) from error

    evaluate = patch.replace(StateChoice, "_eval_state", eval_state)


def _no_choice_matched(env: Any, state: str) -> Any:
    kind = StatesErrorNameType.StatesNoChoiceMatched
    details = ExecutionFailedEventDetails(
        error=kind.to_name(),
        cause=f"no rule of the Choice state {state!r} matches its input and it has no Default",
    )
    return FailureEvent(
        env=env,
        error_name=StatesErrorName(typ=kind),
        event_type=HistoryEventType.ExecutionFailed,
        event_details=EventDetails(executionFailedEventDetails=details),
    )


def reserved_errors(patch: Patch, _: float) -> None:
    """A `States.` error leaving a Map, or rethrown by ErrorPath, turns into States.Runtime."""

    def error_named(error_name: str | None) -> Any:
        if error_name is None or not error_name.startswith("States."):
            return CustomErrorName(error_name)
        try:
            return StatesErrorName(typ=StatesErrorNameType.from_name(error_name))
        except ValueError:
            return ErrorName(error_name)

    for module in (state_fail, iteration_worker):
        patch.replace(module, "CustomErrorName", error_named)


def sdk_tasks(patch: Patch, _: float) -> None:
    """`aws-sdk` tasks take boto3's names; AWS takes and gives PascalCase.

    Refused, because a definition that passes here would fail there.
    """

    def refuse(self: Any) -> None:
        raise ValueError(
            f"{self.resource.resource_arn}: aws-sdk tasks are not supported by the local Step "
            "Functions; call the service in a Lambda function"
        )

    patch.replace(
        state_task_service_aws_sdk.StateTaskServiceAwsSdk,
        "_validate_service_integration_is_supported",
        refuse,
    )


def request_errors(patch: Patch, _: float) -> None:
    """An invalid definition or input answers 500 without a code.

    AWS's client errors are AWSError in moto's own code, but not in the vendored interpreter.
    """
    for code in ("InvalidDefinition", "InvalidExecutionInput"):
        patch.replace(models, code, type(code, (AWSError,), {"TYPE": code, "STATUS": 400}))


def history_pages(patch: Patch, _: float) -> None:
    """GetExecutionHistory ignores maxResults, nextToken and reverseOrder."""

    def get_execution_history(self: Any) -> Any:
        events = history(self).result["events"]
        if self._get_param("reverseOrder"):
            events.reverse()
        start = int(self._get_param("nextToken") or 0)
        end = start + (self._get_param("maxResults") or HISTORY_PAGE)
        page: dict[str, Any] = {"events": events[start:end]}
        if end < len(events):
            page["nextToken"] = str(end)
        return ActionResult(page)

    history = patch.replace(StepFunctionResponse, "get_execution_history", get_execution_history)


def terminal_errors(patch: Patch, _: float) -> None:
    """Retry and Catch on States.ALL match States.Runtime and States.DataLimitExceeded.

    On AWS these end the execution:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    terminal = [
        StatesErrorName(typ=StatesErrorNameType.StatesRuntime),
        StatesErrorName(typ=StatesErrorNameType.StatesStatesDataLimitExceeded),
    ]

    def eval_body(self: Any, env: Any) -> None:
        error = env.stack[-1]
        evaluate(self, env)
        if error in terminal and error not in self.error_names:
            env.stack[-1] = False

    evaluate = patch.replace(ErrorEqualsDecl, "_eval_body", eval_body)


def reported_end(patch: Patch, _: float) -> None:
    """StopExecution drops its error and cause, and fails right after the start.

    DescribeExecution has no stopDate after a timeout, and shows a text output without its quotes.
    """

    def stop(self: Any) -> Any:
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        stop_execution(execution, error=self._get_param("error"), cause=self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date or datetime.now(UTC)})

    def describe_execution(self: Any) -> Any:
        answer = describe(self).result
        execution = self.stepfunction_backend.describe_execution(answer["executionArn"])
        if execution.stop_date:
            answer["stopDate"] = execution.stop_date
        if execution.status == ExecutionStatus.SUCCEEDED:
            answer["output"] = json.dumps(
                execution.output, ensure_ascii=False, separators=(",", ":")
            )
        return ActionResult(answer)

    def reflect_execution_status(self: Any) -> None:
        reflect(self)
        end = self.execution.exec_worker.env.program_state()
        if isinstance(end, ProgramStopped):
            self.execution.error, self.execution.cause = end.error, end.cause
        elif self.execution.exec_status == ExecutionStatus.TIMED_OUT:
            self.execution.error = StatesErrorNameType.StatesTimeout.to_name()

    patch.replace(StepFunctionResponse, "stop_execution", stop)
    describe = patch.replace(StepFunctionResponse, "describe_execution", describe_execution)
    reflect = patch.replace(
        execution_module.BaseExecutionWorkerCommunication,
        "_reflect_execution_status",
        reflect_execution_status,
    )


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


_REPAIRS: tuple[Callable[[Patch, float], None], ...] = (
    scaled_wait,
    scaled_retry,
    glue_sync,
    json_clients,
    context_times,
    execution_names,
    finished_threads,
    first_end,
    map_concurrency,
    no_choice_matched,
    reserved_errors,
    terminal_errors,
    sdk_tasks,
    request_errors,
    history_pages,
    reported_end,
)
