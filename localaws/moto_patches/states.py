"""Repairs to Map, Choice and Fail states, and to the errors that leave a state."""

from typing import Any

from antlr4 import CommonTokenStream, InputStream
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
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
from moto.stepfunctions.parser.asl.component.common.payload.payloadvalue.payloadbinding.payload_binding import (  # noqa: E501
    PayloadBindingStringExpressionSimple,
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
"""What AWS runs at once of an inline Map, whatever `MaxConcurrency` says.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""


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


def role_paths(patch: Patch, _: float) -> None:
    """`RoleArn.$` is a word of moto's grammar for Credentials, and no path anywhere else."""

    def visit(self: Any, context: Any) -> Any:
        name = self.visitString_literal(ctx=context.string_literal()).literal_value
        if not name.endswith(".$"):
            return visit_value(self, context)
        text = InputStream(context.payload_value_decl().getText())
        value = ASLParser(CommonTokenStream(ASLLexer(text))).string_expression_simple()
        return PayloadBindingStringExpressionSimple(
            field=name.removesuffix(".$"),
            string_expression_simple=self.visitString_expression_simple(value),
        )

    visit_value = patch.replace(Preprocessor, "visitPayload_binding_value", visit)
