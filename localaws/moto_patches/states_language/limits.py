"""Limits of a running execution: its history, its variables, and the numbers that paths lead to.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

from typing import Any

from moto.stepfunctions.parser.asl.component.common.assign.assign_decl import AssignDecl
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.timeouts.heartbeat import HeartbeatSecondsPath
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSecondsPath
from moto.stepfunctions.parser.asl.component.state.exec.state_map.max_concurrency import (
    MaxConcurrencyPath,
)
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.seconds_path import (
    SecondsPath,
)

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.failures import failure
from localaws.moto_patches.states_language.fields import LONGEST_TIME
from localaws.moto_patches.states_language.texts import json_text

MOST_EVENTS = 25_000
"""Events in the history of an execution."""
LARGEST_VARIABLE = 256 * 1024
"""Bytes of a variable, and of all that one Assign sets."""


def execution_limits(patch: Patch) -> None:
    """Fail an execution at the 25,000th event and at a variable of more than 256 KiB.

    moto knows neither limit: a loop that AWS ends goes on.
    """

    @patch.around(CommonStateField, "_eval_body")
    def eval_state(original: Any, self: Any, env: Any) -> None:
        # The failure itself is the last event.
        if len(env.event_manager._history_event_list) >= MOST_EVENTS - 1:
            cause = f"The execution reached the maximum number of history events ({MOST_EVENTS})."
            raise failure(env, StatesErrorNameType.StatesRuntime, cause)
        original(self, env)

    def assign(self: Any, env: Any) -> None:
        declared: dict[str, Any] = {}
        for binding in self.declaration_bindings:
            binding.eval(env=env)
            declared |= env.stack.pop()
        size = sum(len(json_text(value).encode()) for value in declared.values())
        if size > LARGEST_VARIABLE:
            names = ", ".join(declared)
            cause = f"The variables {names} have {size} bytes, more than {LARGEST_VARIABLE}"
            raise failure(env, StatesErrorNameType.StatesStatesDataLimitExceeded, cause)
        for name, value in declared.items():
            env.variable_store.set(variable_identifier=name, variable_value=value)

    patch.replace(AssignDecl, "_eval_body", assign)


def numbers_by_path(patch: Patch) -> None:
    """Refuse the numbers that a path may not lead to: moto takes 1.5, and 0 times out."""

    def check(env: Any, path: Any, value: Any, least: int) -> None:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or not least <= value <= LONGEST_TIME:
            cause = (
                f"The value at {path.string_sampler.literal_value} must be an integer from {least}"
                f" to {LONGEST_TIME}, not {json_text(value)}"
            )
            raise failure(env, StatesErrorNameType.StatesRuntime, cause)

    for owner in (TimeoutSecondsPath, HeartbeatSecondsPath):

        @patch.around(owner, "_eval_seconds")
        def eval_seconds(original: Any, self: Any, env: Any) -> Any:
            depth = len(env.stack)
            try:
                seconds = original(self, env)
            except (TypeError, ValueError):
                del env.stack[depth:]
                self.string_sampler.eval(env=env)
                seconds = env.stack.pop()
            check(env, self, seconds, 1)
            return seconds

    @patch.around(SecondsPath)
    def _validate_seconds_value(original: Any, self: Any, env: Any, seconds: Any) -> None:
        original(self, env=env, seconds=seconds)
        check(env, self, seconds, 0)

    @patch.around(MaxConcurrencyPath)
    def _eval_max_concurrency(original: Any, self: Any, env: Any) -> Any:
        self.string_sampler.eval(env=env)
        value = env.stack.pop()
        if isinstance(value, bool | float):
            cause = (
                f'The MaxConcurrencyPath field refers to value "{json_text(value)}" which is not a'
                f" valid integer: {self.string_sampler.literal_value}"
            )
            raise failure(env, StatesErrorNameType.StatesRuntime, cause)
        return original(self, env)
