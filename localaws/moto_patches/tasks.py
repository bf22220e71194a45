"""Repairs to how a state waits, calls a service, and gets times as JSON."""

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError
from botocore.utils import parse_timestamp
from moto.settings import moto_server_port
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import (
    JitterStrategyDecl,
)
from moto.stepfunctions.parser.asl.component.state import state
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    resource,
    state_task_service_callback,
    state_task_service_glue,
    state_task_service_lambda,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.backend import execution as execution_module

from localaws.http.service_names import new_session
from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.states import INLINE_MAP_CONCURRENCY
from localaws.principals import access_key

SHORTEST_WAIT = 0.02
"""Seconds that a Wait lasts at least, so that a poll loop at time scale 0 leaves the processor
to the job that it polls."""
SHARE_WAITED = 0.05
"""What is added to them, as a share of the time since the execution first came to that Wait: the
polls of a long job would take the processor from it, and fill the history."""
LONGEST_SHORT_WAIT = 2.0
"""Seconds that a Wait lasts at most because of those two."""
LONGEST_POLL_INTERVAL = 0.25
"""Seconds between two polls of a `.sync` job."""

_STOPS = 5  # requests to stop one
_LONGEST_STOP = 30.0  # seconds


def scaled_wait(patch: Patch) -> None:
    """Scale a Wait: it takes real time, and moto's loop over whole seconds ends late."""
    begins: WeakKeyDictionary[Any, float] = WeakKeyDictionary()  # by the state of one execution

    def wait_interval(self: Any, env: Any, wait_seconds: float) -> None:
        if wait_seconds > 0:
            now = time.monotonic()
            waited = now - begins.setdefault(self, now)
            shortest = min(SHORTEST_WAIT + SHARE_WAITED * waited, LONGEST_SHORT_WAIT, wait_seconds)
            _pause(env, max(wait_seconds * patch.time_scale, shortest))

    patch.replace(WaitFunction, "_wait_interval", wait_interval)


def scaled_retry(patch: Patch) -> None:
    """Scale a Retry: it sleeps its interval in real time, and cannot be stopped meanwhile.

    The jitter is the last step before moto sleeps: wait here, and leave it nothing to sleep.
    """

    @patch.around(JitterStrategyDecl)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        original(self, env)
        _pause(env, env.stack.pop() * patch.time_scale)
        env.stack.append(0)


def glue_sync(patch: Patch) -> None:
    """Mend `.sync` tasks: Glue's fail, all poll in fixed steps and leave what they started running.

    Step Functions tries to stop the job of a task that is aborted:
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync
    """

    def eval_sync(
        self: Any, env: Any, sync_resolver: Callable[[], Any], **_endpoints: Any
    ) -> Any | None:
        interval = SHORTEST_WAIT
        try:
            while env.is_running():
                if outcome := sync_resolver():
                    return outcome
                _pause(env, interval)
                interval = min(interval * 1.5, LONGEST_POLL_INTERVAL)
        except FailureEventException:
            raise  # the job itself has ended
        except Exception:
            # It cannot be asked: a Retry must not start another one beside it.
            if _stop(sync_resolver):
                _wait_for_end(sync_resolver)
            raise
        _stop(sync_resolver)
        return None

    patterns = {resource.ResourceCondition.Sync, resource.ResourceCondition.WaitForTaskToken}
    patch.replace(state_task_service_glue, "_SUPPORTED_INTEGRATION_PATTERNS", patterns)
    patch.replace(state_task_service_callback.StateTaskServiceCallback, "_eval_sync", eval_sync)

    @patch.around(state_task_service_glue.StateTaskServiceGlue)
    def _sync_to_start_job_run(
        original: Any, self: Any, env: Any, runtime: Any, parameters: Any, credentials: Any
    ) -> Any:
        started = env.stack[-1]
        resolver = original(self, env, runtime, parameters, credentials)

        def cancel() -> None:
            client = self._get_glue_client(runtime, credentials)
            client.batch_stop_job_run(JobName=started["JobName"], JobRunIds=[started["JobRunId"]])

        resolver.cancel = cancel
        return resolver


def _stop(resolver: Callable[[], Any]) -> bool:
    """Stop what a task has started; return whether its service takes the request.

    A fault of the service passes, mostly.
    """
    cancel: Callable[[], None] | None = getattr(resolver, "cancel", None)
    if cancel is None:
        return False
    for attempt in range(_STOPS):
        with suppress(ClientError, BotoCoreError):
            cancel()
            return True
        time.sleep(SHORTEST_WAIT * 2**attempt)
    return False


def _wait_for_end(resolver: Callable[[], Any]) -> None:
    """Wait until what is being stopped has ended, or cannot be asked."""
    deadline, faults = time.monotonic() + _LONGEST_STOP, 0
    while faults < _STOPS and time.monotonic() < deadline:
        try:
            if resolver():
                return
        except FailureEventException:
            return
        except (ClientError, BotoCoreError):
            faults += 1
        time.sleep(LONGEST_POLL_INTERVAL)


def invocation_types(patch: Patch) -> None:
    """Pass on the InvocationType of `lambda:invoke`: moto drops it, and waits for each handler.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
    """
    supported = state_task_service_lambda._SUPPORTED_API_PARAM_BINDINGS
    with_type = {"invoke": supported["invoke"] | {"InvocationType"}}
    patch.replace(state_task_service_lambda, "_SUPPORTED_API_PARAM_BINDINGS", with_type)


def _pause(env: Any, seconds: float) -> None:
    """Wait until the seconds are over or the execution has been stopped or has timed out."""
    deadline = time.monotonic() + seconds
    while env.is_running() and (left := deadline - time.monotonic()) > 0:
        # moto sets and clears the event at once, so a wait that begins a moment later misses it.
        env.program_state_event.wait(min(left, 0.25))


def json_clients(patch: Patch) -> None:
    """Share clients: each task makes a new one (15 ms), whose datetimes break DescribeExecution.

    Glue's times are epoch milliseconds in a state's result, all other services' ISO 8601.
    """
    clients: dict[tuple[str, str, str, str], Any] = {}
    lock = threading.Lock()

    def boto_client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        with lock:
            role = state_credentials.role_arn if state_credentials else ""
            key = (region, service, moto_server_port(), access_key(role))
            if key not in clients:
                clients[key] = _json_client(*key)
            return clients[key]

    patch.replace_imported("moto.stepfunctions.parser", "boto_client_for", boto_client_for)


def _json_client(region: str, service: str, port: str, key_id: str) -> Any:
    """Return a client of the one port, whose responses hold JSON values only."""

    def milliseconds(value: Any) -> int:
        return round(parse_timestamp(value).timestamp() * 1000)

    def iso(value: Any) -> str:
        return _iso(parse_timestamp(value).astimezone(UTC))

    session = new_session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=milliseconds if service == "glue" else iso)
    client = session.create_client(
        service,
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key_id,
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
    # What moto's interpreter reads of each error, and its services leave out of some.
    client.meta.events.register("after-call", _complete_error)
    client.meta.events.register("before-parse", _raise_if_cut)
    return client


def _raise_if_cut(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Compare a response's length with its Content-Length, as AWS's SDK for Java does."""
    body, length = response_dict["body"], response_dict["headers"].get("Content-Length")
    if isinstance(body, bytes) and length and operation_model.http.get("method") != "HEAD":
        expected = int(length)
        if len(body) < expected:
            raise IncompleteReadError(actual_bytes=len(body), expected_bytes=expected)


def _complete_error(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    parsed.setdefault("ResponseMetadata", {}).setdefault("RequestId", str(uuid.uuid4()))
    if http_response.status_code >= 300:
        error = parsed.setdefault("Error", {})
        error["Code"] = error.get("Code") or "InternalFailure"
        error["Message"] = error.get("Message") or ""


def context_times(patch: Patch) -> None:
    """Write the context's times as AWS does: a datetime breaks DescribeExecution.

    `$$.State.EnteredTime` has an offset in moto, and microseconds.
    """

    @patch.around(execution_module.Execution)
    def get_start_execution_details(original: Any, self: Any) -> Any:
        details = original(self)
        details.start_time = _iso(details.start_time)
        return details

    def state_data(**members: str) -> dict[str, str]:
        entered = _iso(datetime.fromisoformat(members["EnteredTime"]))
        return {**members, "EnteredTime": entered}

    patch.replace(state, "StateData", state_data)


def _iso(moment: datetime) -> str:
    """Return a time like 2026-01-31T12:00:00.000Z."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
