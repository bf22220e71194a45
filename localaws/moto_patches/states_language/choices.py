"""Repairs to Choice states: what a rule compares, and what follows when it matches.

https://states-language.net/#choice-state
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.stepfunctions.parser.asl.component.common.assign.assign_decl import AssignDecl
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison_variable import (
    ComparisonVariable,
)
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.failures import failure
from localaws.moto_patches.states_language.paths import sampled
from localaws.moto_patches.states_language.timestamps import instant

_COMPARISON = re.compile(
    r"(String|Numeric|Boolean|Timestamp)(Matches|Equals|(?:Less|Greater)Than(?:Equals)?)(Path)?"
)


def comparisons(patch: Patch) -> None:
    """Compare as the States Language says; moto's operators differ in silence.

    A variable that is not there matches nothing, and Default is taken: on AWS the execution fails,
    unless IsPresent asks. Timestamps with fractions of a second or an offset are none, the context
    is no operand, StringMatches knows `?` and `[a]` besides `*`, and two types fail to compare.
    """

    def eval_body(self: Any, env: Any) -> None:
        path, function = self.variable.string_sampler.literal_value, self.comparison_function
        name = function.operator_type.name
        try:
            # moto keeps a path into the context without its first `$`.
            path = getattr(self.variable.string_sampler, "context_object_path", path)
            value = sampled(env, path)
        except (NoSuchJsonPathError, FailureEventException) as error:
            if name != "IsPresent":
                raise _invalid_path(env, path) from error
            env.stack.append(not function.value)
            return
        if name in _TESTS:
            env.stack.append(_TESTS[name](value) is function.value)
            return
        match = _COMPARISON.fullmatch(name)
        if match is None:
            raise ValueError(f"unknown comparison {name}")
        env.stack.append(_compare(match[1], match[2], value, _operand(env, function, match[3])))

    patch.replace(ComparisonVariable, "_eval_body", eval_body)


def _operand(env: Any, function: Any, is_path: str | None) -> Any:
    if not is_path:
        return function.value
    sample = getattr(function, "string_variable_sample", None)
    path = sample.expression if sample else function.value
    try:
        return sampled(env, path)
    except (NoSuchJsonPathError, FailureEventException) as error:
        raise _invalid_path(env, path) from error


def _invalid_path(env: Any, path: str) -> FailureEventException:
    cause = f"Invalid path '{path}': The choice state's condition path references an invalid value."
    return failure(env, StatesErrorNameType.StatesRuntime, cause)


def _compare(kind: str, comparison: str, value: Any, operand: Any) -> bool:
    """Return whether a comparison holds; it never does of other types than its own."""
    typed = TYPED[kind]
    left, right = typed(value), typed(operand)
    return left is not None and right is not None and _COMPARE[comparison](left, right)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _matches(value: str, pattern: str) -> bool:
    """Return whether a text matches a pattern in which `*` stands for any characters."""
    parts = re.split(r"(\\.|\*)", pattern, flags=re.DOTALL)
    expression = "".join(
        ".*" if part == "*" else re.escape(part[1:] if part.startswith("\\") else part)
        for part in parts
    )
    return re.fullmatch(expression, value, re.DOTALL) is not None


TYPED: Mapping[str, Callable[[Any], Any]] = {
    "String": _string,
    "Numeric": _number,
    "Boolean": _boolean,
    "Timestamp": instant,
}
"""What a value is to the comparisons of a type; None if it is of another type."""
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
    "Matches": _matches,
}
_TESTS: Mapping[str, Callable[[Any], bool]] = {
    "IsPresent": lambda _: True,
    "IsNull": lambda value: value is None,
    "IsString": lambda value: _string(value) is not None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsBoolean": lambda value: _boolean(value) is not None,
    "IsTimestamp": lambda value: instant(value) is not None,
}


def choice_rules(patch: Patch) -> None:
    """Let a matching rule assign its variables: moto drops its Assign, or fails at a path in it.

    The state's own Assign and Output are for Default alone, also when a rule leads to the same
    state. A Choice without a match and Default is States.NoChoiceMatched, and not States.Runtime.
    """

    @patch.around(Preprocessor)
    def visitChoice_rule_comparison_variable(  # noqa: N802  moto's name
        original: Any, self: Any, context: Any
    ) -> Any:
        rule = original(self, context)
        declared = [self.visit(child) for child in context.children]
        rule.assign = next((one for one in declared if isinstance(one, AssignDecl)), None)
        return rule

    def eval_state(self: Any, env: Any) -> None:
        # Assign and Output are the state's own where no rule matches.
        chosen, next_state = self, getattr(self.default_state, "state_name", None)
        assign = self.assign_decl
        for rule in self.choices_decl.rules:
            rule.comparison.eval(env)
            if env.stack.pop() is True:
                chosen, next_state, assign = rule, rule.next_stmt.name, rule.assign
                break
        if next_state is None:
            cause = (
                f"no rule of the Choice state {self.name!r} matches its input and it has no Default"
            )
            raise failure(env, StatesErrorNameType.StatesNoChoiceMatched, cause)
        if assign:
            assign.eval(env=env)
        if chosen.output:
            chosen.output.eval(env=env)
        env.stack.append(next_state)

    def eval_state_output(self: Any, env: Any) -> None:
        next_state = env.stack.pop()
        if self.output_path:
            self.output_path.eval(env=env)
        env.next_state_name = next_state

    patch.replace(StateChoice, "_eval_state", eval_state)
    patch.replace(StateChoice, "_eval_state_output", eval_state_output)
