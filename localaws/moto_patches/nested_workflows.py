"""Tasks that start another state machine: `states:startExecution`, `.sync` and `.sync:2`.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
"""

import json
from collections.abc import Callable
from typing import Any

from botocore.utils import parse_timestamp
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_sfn,
)

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.service_errors import task_failed
from localaws.moto_patches.states_language.texts import json_text

_PARAMETERS = {"Input", "Name", "StateMachineArn", "TraceHeader"}
_STOPPED = "the task that started this execution was aborted"


def nested_workflows(patch: Patch) -> None:
    """Start other state machines: moto sends and returns boto3's names, so that each task fails.

    It waits on after the parent has been stopped, and leaves the child running.
    """
    module: Any = state_task_service_sfn
    task = module.StateTaskServiceSfn

    def eval_service_task(
        self: Any,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        client = _client(resource_runtime_part, state_credentials)
        given = {name: value for name, value in normalised_parameters.items() if value is not None}
        if not isinstance(given.setdefault("Input", {}), str):
            given["Input"] = json_text(given["Input"])
        started = client.start_execution(**{_camel(name): given[name] for name in given})
        env.stack.append(_result(started))

    def sync_resolver(*, reads_json: bool) -> Callable[..., Any]:
        def build(
            self: Any,
            env: Any,
            resource_runtime_part: Any,
            normalised_parameters: Any,
            state_credentials: Any,
        ) -> Any:
            client = _client(resource_runtime_part, state_credentials)
            arn = env.stack.pop()["ExecutionArn"]

            def resolve() -> Any:
                described = client.describe_execution(executionArn=arn)
                if described["status"] == "RUNNING":
                    return None
                result = _result(described)
                if reads_json:
                    texts = result.keys() & {"Input", "Output"}
                    result |= {name: json.loads(result[name]) for name in texts}
                if described["status"] != "SUCCEEDED":
                    raise _task_failed(self, env, json_text(result))
                return result

            def cancel() -> None:
                client.stop_execution(executionArn=arn, cause=_STOPPED)

            resolver: Any = resolve
            resolver.cancel = cancel
            return resolver

        return build

    patch.replace(module, "_SUPPORTED_API_PARAM_BINDINGS", {"startexecution": _PARAMETERS})
    patch.replace(task, "_normalise_parameters", lambda self, parameters, **_: None)
    patch.replace(task, "_eval_service_task", eval_service_task)
    patch.replace(task, "_build_sync_resolver", sync_resolver(reads_json=False))
    patch.replace(task, "_build_sync2_resolver", sync_resolver(reads_json=True))


def _client(runtime: Any, credentials: Any) -> Any:
    module: Any = state_task_service_sfn
    return module.boto_client_for(
        region=runtime.region, service="stepfunctions", state_credentials=credentials
    )


def _result(response: dict[str, Any]) -> dict[str, Any]:
    """Return a state's result for a response of Step Functions: its times are milliseconds."""
    return {
        _pascal(name): _value(name, value)
        for name, value in response.items()
        if name != "ResponseMetadata"
    }


def _value(name: str, value: Any) -> Any:
    if name.endswith("Date"):
        return round(parse_timestamp(value).timestamp() * 1000)
    if isinstance(value, dict):
        return {_pascal(member): one for member, one in value.items()}
    return value


def _task_failed(task: Any, env: Any, cause: str) -> FailureEventException:
    error = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)
    return FailureEventException(task_failed(task, env, error, cause))


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]
