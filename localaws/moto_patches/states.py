"""Repairs to Map, Choice and Fail states, and to the errors that leave a state."""

from typing import Any

from antlr4 import CommonTokenStream, InputStream
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.common.error_name import (
    custom_error_name,
    error_equals_decl,
    failure_event,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.payload.payloadvalue.payloadbinding import (
    payload_binding,
)
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    inline_iteration_component,
    iteration_worker,
)
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

from localaws.moto_patches.patch import Patch

INLINE_MAP_CONCURRENCY = 40
"""The most items that AWS runs at once of an inline Map, whatever its `MaxConcurrency`.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""


def map_concurrency(patch: Patch) -> None:
    """Run 40 items of a Map at most, as AWS does: moto starts a thread for each of them."""

    @patch.around(inline_iteration_component.InlineIterationComponent)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        request = env.stack[-1]
        limit = request.max_concurrency or INLINE_MAP_CONCURRENCY
        request.max_concurrency = min(limit, INLINE_MAP_CONCURRENCY, len(request.input_items)) or 1
        original(self, env)


def no_choice_matched(patch: Patch) -> None:
    """Report States.NoChoiceMatched of a Choice without a match: moto reports States.Runtime."""

    @patch.around(StateChoice)
    def _eval_state(original: Any, self: Any, env: Any) -> None:
        try:
            original(self, env)
        except RuntimeError as error:
            if self.default_state is not None or "No branching option" not in str(error):
                raise
            failure = _no_choice_matched(env, self.name)
            raise failure_event.FailureEventException(failure) from error


def _no_choice_matched(env: Any, state: str) -> Any:
    error_type = StatesErrorNameType.StatesNoChoiceMatched
    details = ExecutionFailedEventDetails(
        error=error_type.to_name(),
        cause=f"no rule of the Choice state {state!r} matches its input and it has no Default",
    )
    return failure_event.FailureEvent(
        env=env,
        error_name=StatesErrorName(typ=error_type),
        event_type=HistoryEventType.ExecutionFailed,
        event_details=EventDetails(executionFailedEventDetails=details),
    )


def reserved_errors(patch: Patch) -> None:
    """Keep a `States.` error that leaves a Map or an ErrorPath: moto makes it States.Runtime."""

    def error_of_name(error_name: str | None) -> Any:
        if error_name is None or not error_name.startswith("States."):
            return custom_error_name.CustomErrorName(error_name)
        try:
            return StatesErrorName(typ=StatesErrorNameType.from_name(error_name))
        except ValueError:
            return ErrorName(error_name)

    for module in (state_fail, iteration_worker):
        patch.replace(module, "CustomErrorName", error_of_name)


def terminal_errors(patch: Patch) -> None:
    """Let States.Runtime and States.DataLimitExceeded pass Retry and Catch on States.ALL.

    moto matches them there. On AWS they end the execution:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    terminal = [
        StatesErrorName(typ=StatesErrorNameType.StatesRuntime),
        StatesErrorName(typ=StatesErrorNameType.StatesStatesDataLimitExceeded),
    ]

    @patch.around(error_equals_decl.ErrorEqualsDecl)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        error = env.stack[-1]
        original(self, env)
        if error in terminal and error not in self.error_names:
            env.stack[-1] = False


def role_paths(patch: Patch) -> None:
    """Read `RoleArn.$` as a path: in moto's grammar it is a word of Credentials, and no path."""

    @patch.around(Preprocessor)
    def visitPayload_binding_value(  # noqa: N802  moto's name
        original: Any, self: Any, context: Any
    ) -> Any:
        name = self.visitString_literal(ctx=context.string_literal()).literal_value
        if not name.endswith(".$"):
            return original(self, context)
        text = InputStream(context.payload_value_decl().getText())
        value = ASLParser(CommonTokenStream(ASLLexer(text))).string_expression_simple()
        return payload_binding.PayloadBindingStringExpressionSimple(
            field=name.removesuffix(".$"),
            string_expression_simple=self.visitString_expression_simple(value),
        )
