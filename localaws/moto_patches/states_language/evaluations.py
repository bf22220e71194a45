"""How states evaluate their JSONata: where an expression stands, and what its failure leads to.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import json
import re
from typing import Any

from antlr4.tree.Tree import TerminalNode
from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
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
from moto.stepfunctions.parser.asl.component.common.parargs import ArgumentsStringJSONata
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_selector import ItemSelector
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.state_parallel import (
    StateParallel,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.failures import failure
from localaws.moto_patches.states_language.jsonata import ExpressionError, evaluated
from localaws.moto_patches.states_language.texts import json_text
from localaws.moto_patches.states_language.timestamps import instant
from localaws.moto_patches.states_language.variables import variables_of

_TYPES = {
    "Items": "array",
    "Condition": "boolean",
    "Timestamp": "string",
    "Error": "string",
    "Cause": "string",
}
_LONGEST = 99_999_999
_RANGES = {
    "Seconds": (0, _LONGEST),
    "TimeoutSeconds": (1, _LONGEST),
    "HeartbeatSeconds": (1, _LONGEST),
    "MaxConcurrency": (0, _LONGEST),
}
_RULE = re.compile(r"Choices\[\d+\]/(?=Condition$)")
_PREFIX = "An error occurred while executing the state '"
_WHOLE = "{%}"
"""The field of an ItemSelector that is one expression: moto's grammar wants an object there."""


def jsonata(patch: Patch) -> None:
    """Evaluate JSONata: moto parses it alone, and leaves out what LocalStack has in Java.

    Variables are bound, where moto writes them into the expression: a quote or a backslash in a
    text ends that. What fails is States.QueryEvaluationError with AWS's cause, which names the
    field, and not States.Runtime; so is a value that the field does not take.
    """

    @patch.around(Preprocessor)
    def visitString_jsonata(original: Any, self: Any, ctx: Any) -> Any:  # noqa: N802  moto's name
        expression = original(self, ctx)
        expression.field = _field_of(ctx)
        return expression

    def eval_body(self: Any, env: Any) -> None:
        bindings = {**variables_of(env), "states": env.states._states_data}
        try:
            value = evaluated(self.expression, bindings)
            _check(_RULE.sub("", self.field), value)
        except ExpressionError as error:
            cause = f"The JSONata expression '{self.expression}' specified for the field"
            raise _evaluation_failure(env, f"{cause} '{self.field}' {error}", self.field) from error
        env.stack.append(value)

    patch.replace(StringJSONata, "_eval_body", eval_body)


def _field_of(context: Any) -> str:
    """Return where an expression stands in its state, e.g. `Output/rows[0]/name`."""
    steps: list[str] = []
    while context.parentCtx and not isinstance(context.parentCtx, ASLParser.State_declContext):
        children = context.parentCtx.children
        is_member = len(children) > 1 and _is_sign(children[1], ":")
        begin = 2 if is_member else 0
        if len(children) > begin and _is_sign(children[begin], "["):
            items = [one for one in children[begin:] if not isinstance(one, TerminalNode)]
            steps.append(f"[{items.index(context)}]")
        if is_member:
            steps.append("/" + json.loads(children[0].getText()))
        context = context.parentCtx
    return "".join(reversed(steps)).removeprefix("/").removesuffix(f"/{_WHOLE}")


def _is_sign(node: Any, sign: str) -> bool:
    return isinstance(node, TerminalNode) and node.getText() == sign


def _check(field: str, value: Any) -> None:
    """Refuse a value that a state's field does not take.

    Raises:
        ExpressionError: If it is one.
    """
    wanted = "number" if field in _RANGES else _TYPES.get(field, "")
    if wanted and _type_of(value) != wanted:
        raise ExpressionError(
            f"returned an unexpected result type. Expected '{wanted}', but was"
            f" '{_type_of(value)}' for value: {json_text(value)}"
        )
    if field == "Timestamp" and instant(value) is None:
        raise ExpressionError(
            f"returned an unexpected value. Expected an RFC 3339 timestamp, but was {value!r}"
        )
    least, most = _RANGES.get(field, (0, 0))
    if field in _RANGES and not (value == int(value) and least <= value <= most):
        raise ExpressionError(
            f"returned an unexpected value. Expected an integer from {least} to {most}, but was"
            f" {json_text(value)}"
        )


def _type_of(value: Any) -> str:
    names = {str: "string", list: "array", dict: "object", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


class _Details(dict[str, Any]):
    """What an event says of a failed evaluation, which moto adds once, twice or not at all."""

    is_reported = False


def _evaluation_failure(env: Any, cause: str, field: str) -> FailureEventException:
    """Report a failed evaluation in the history, and return the exception of it."""
    entered = getattr(env, "entered_event_id", env.event_history_context.source_event_id)
    state = env.next_state_name
    error = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(
        error=error.error_name,
        cause=f"{_PREFIX}{state}' (entered at the event id #{entered}). {cause}",
        location=field,
        state=state,
    )
    event = EventDetails(evaluationFailedEventDetails=_Details(details))
    kind = HistoryEventType.EvaluationFailed
    env.event_manager.add_event(
        context=env.event_history_context, event_type=kind, event_details=event
    )
    return FailureEventException(FailureEvent(env, error, kind, event))


def evaluation_events(patch: Patch) -> None:
    """Say once that an evaluation failed: moto does it for some states, and for others twice.

    The cause, too, says once where the error occurred.
    """

    @patch.around(EventManager)
    def add_event(original: Any, self: Any, context: Any, *rest: Any, **named: Any) -> Any:
        details = (named.get("event_details") or {}).get("evaluationFailedEventDetails")
        if isinstance(details, _Details):
            if details.is_reported:
                return context.source_event_id
            details.is_reported = True
        return original(self, context, *rest, **named)

    @patch.around(FailureEventException)
    def get_evaluation_failed_event_details(original: Any, self: Any) -> Any:
        details = self.failure_event.event_details.get("evaluationFailedEventDetails")
        return details if isinstance(details, _Details) else original(self)

    @patch.around(FailureEventException)
    def get_execution_failed_event_details(original: Any, self: Any) -> Any:
        details = original(self)
        cause = (self.extract_error_cause_pair() or ("", ""))[1]
        if details and cause and cause.startswith(_PREFIX):
            details["cause"] = cause
        return details


def task_outputs(patch: Patch) -> None:
    """Catch and retry what fails in the Output of a Task, Map or Parallel: it ends moto's run.

    A variable keeps its value where the state's Output or another variable fails. The Arguments
    of a Parallel are evaluated outside of what its Catch sees, too.
    """

    @patch.around(ExecutionState)
    def _evaluate_with_timeout(original: Any, self: Any, env: Any) -> None:
        store = env.variable_store
        before, traced = dict(store._inner_scope), set(store._declaration_tracing)
        try:
            original(self, env)
            if self.output:
                self.output.eval(env=env)
        except Exception:
            store._inner_scope.clear()
            store._inner_scope.update(before)
            store._declaration_tracing.intersection_update(traced)
            raise

    @patch.around(ExecutionState)
    def _eval_state_output(original: Any, self: Any, env: Any) -> None:
        if not self.output or isinstance(env.stack[-1], CatchOutcome):
            original(self, env)

    @patch.around(StateParallel)
    def _eval_state(original: Any, self: Any, env: Any) -> None:
        try:
            original(self, env)
        except FailureEventException as error:
            details = error.failure_event.event_details.get("evaluationFailedEventDetails", {})
            is_own = details.get("state") == self.name and self.catch is not None
            if not is_own or not details["location"].startswith("Arguments"):
                raise
            env.states.set_error_output(self._construct_error_output_value(error.failure_event))
            self._handle_catch(env=env, failure_event=error.failure_event)
            if env.stack[-1] != CatchOutcome.Caught:
                raise


def arguments(patch: Patch) -> None:
    """Refuse unknown fields in Arguments that are one expression: moto drops them in silence."""

    @patch.around(StateTask)
    def _eval_parameters(original: Any, self: Any, env: Any) -> Any:
        if not isinstance(self.parargs, ArgumentsStringJSONata):
            return original(self, env)
        self.parargs.eval(env=env)
        given, known = env.stack.pop(), self._get_supported_parameters()
        faults = ["They must be an object"]
        if isinstance(given, dict):
            unknown = [name for name in given if known and name not in known]
            faults = [f'The field "{one}" is not supported by Step Functions' for one in unknown]
        if faults:
            cause = f"The Parameters '{json_text(given)}' could not be used to start the Task"
            cause = f"{cause}: [{', '.join(faults)}]"
            raise failure(env, StatesErrorNameType.StatesRuntime, cause)
        return given


def item_selectors(patch: Patch) -> None:
    """Take an ItemSelector that is one expression: moto's grammar knows an object alone."""

    @patch.around(AmazonStateLanguageParser)
    def parse(original: Any, definition: str) -> Any:
        if re.search(r'"ItemSelector"\s*:\s*"', definition):
            definition = json.dumps(_with_objects(json.loads(definition)))
        return original(definition)

    @patch.around(ItemSelector)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        original(self, env)
        if isinstance(env.stack[-1], dict) and list(env.stack[-1]) == [_WHOLE]:
            env.stack[-1] = env.stack[-1][_WHOLE]


def _with_objects(machine: dict[str, Any], outer: str = "JSONPath") -> dict[str, Any]:
    """Write the expressions that are ItemSelectors as objects of one field."""
    of_machine = machine.get("QueryLanguage", outer)
    for state in machine["States"].values():
        language = state.get("QueryLanguage", of_machine)
        selector = state.get("ItemSelector") if state["Type"] == "Map" else None
        if language == "JSONata" and isinstance(selector, str) and selector.startswith("{%"):
            state["ItemSelector"] = {_WHOLE: state["ItemSelector"]}
        nested = [state.get("ItemProcessor"), state.get("Iterator"), *state.get("Branches", ())]
        for one in filter(None, nested):
            _with_objects(one, language)
    return machine
