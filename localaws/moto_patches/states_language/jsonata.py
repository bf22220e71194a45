"""JSONata, the query language that a definition may use instead of JSONPath.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import hashlib
import json
import math
import random
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
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
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison import (
    ConditionStringJSONata,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from localaws.moto_patches.patch import Patch


def _imported() -> tuple[Any, Any, Any]:
    """Return JSONata, its exception and its null.

    The package lifts the process's recursion limit, which would hide endless recursions.
    """
    limit = sys.getrecursionlimit()
    from jsonata import Jsonata  # noqa: PLC0415
    from jsonata.jexception import JException  # noqa: PLC0415
    from jsonata.utils import Utils  # noqa: PLC0415

    sys.setrecursionlimit(limit)
    return Jsonata, JException, Utils.NULL_VALUE


_Jsonata, _JException, _NULL = _imported()


class ExpressionError(ValueError):
    """A JSONata expression that cannot be parsed or evaluated."""


def parsed_expression(text: str) -> Any:
    """Return a JSONata expression, parsed.

    Raises:
        ExpressionError: If it is none.
    """
    try:
        expression = _Jsonata.jsonata(text)
    except (_JException, ValueError, TypeError) as error:
        raise ExpressionError(str(error)) from error
    expression.set_output_convert_nulls(False)
    for name, function in _FUNCTIONS.items():
        expression.register_lambda(name, function)
    return expression


def _evaluated(text: str, bindings: Mapping[str, Any]) -> Any:
    """Return what an expression gives, as JSON.

    Raises:
        ExpressionError: If it gives nothing, or no JSON, or fails.
    """
    expression = parsed_expression(text)
    try:
        result = expression.evaluate(None, {name: _nulls(one) for name, one in bindings.items()})
    except (_JException, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ExpressionError(f"threw an error during evaluation. {error}") from error
    if result is None:
        raise ExpressionError("returned nothing (undefined).")
    try:
        return json.loads(json.dumps(result, default=_json_null, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ExpressionError("returned an unsupported result type.") from error


def _json_null(value: Any) -> None:
    if value is not _NULL:
        raise TypeError


def _nulls(value: Any) -> Any:
    """Return JSON with JSONata's null, whose nothing is Python's None."""
    if isinstance(value, dict):
        return {name: _nulls(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_nulls(member) for member in value]
    return _NULL if value is None else value


def jsonata(patch: Patch) -> None:
    """Evaluate JSONata: moto parses it alone, and leaves out what LocalStack has in Java.

    That Java library has a port to Python by the same author, which is used here. Variables are
    bound, where moto writes them into the expression: a quote or a backslash in a text ends that.
    What fails is States.QueryEvaluationError, which a Catch sees, and not States.Runtime.
    """

    def eval_body(self: Any, env: Any) -> None:
        store = env.variable_store
        bindings = {**store._outer_scope, **store._inner_scope, "states": env.states._states_data}
        try:
            env.stack.append(_evaluated(self.expression, bindings))
        except ExpressionError as error:
            cause = f"The JSONata expression '{self.expression}' {error}"
            raise _query_evaluation_error(env, cause) from error

    patch.replace(StringJSONata, "_eval_body", eval_body)

    def eval_condition(self: Any, env: Any) -> None:
        self.string_jsonata.eval(env=env)
        if not isinstance(env.stack[-1], bool):
            cause = (
                f"The JSONata expression '{self.string_jsonata.expression}' specified for the field"
                " 'Condition' returned an unexpected result type. Expected 'boolean', but was"
                f" '{_type_name(env.stack[-1])}'."
            )
            raise _query_evaluation_error(env, cause)

    patch.replace(ConditionStringJSONata, "_eval_body", eval_condition)


def _type_name(value: Any) -> str:
    names = {str: "string", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "number")


def _query_evaluation_error(env: Any, cause: str) -> FailureEventException:
    error = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(error=error.error_name, cause=cause)
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=error,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),
        )
    )


def _hash(text: str, algorithm: str = "SHA-256") -> str:
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def _partition(values: list[Any], size: float) -> list[list[Any]]:
    step = int(size)
    return [values[start : start + step] for start in range(0, len(values), step)]


def _range(first: float, last: float, step: float) -> list[float]:
    if not step:
        raise ValueError("the step of $range must not be 0")
    values = [first + number * step for number in range(math.floor((last - first) / step) + 1)]
    return [int(value) if value == int(value) else value for value in values]


def _eval(*_: Any) -> Any:
    raise ValueError("Step Functions does not support $eval: use $parse for JSON")


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "eval": _eval,
    "hash": _hash,
    "parse": lambda text: _nulls(json.loads(text)),
    "partition": _partition,
    "random": lambda seed=None: random.Random(seed).random(),
    "range": _range,
    "uuid": lambda: str(uuid.uuid4()),
}
"""Step Functions' own functions, besides JSONata's."""
