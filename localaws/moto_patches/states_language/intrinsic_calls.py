"""The repair that puts our own intrinsic functions in the place of moto's."""

from types import SimpleNamespace
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
    StringIntrinsicFunction,
)
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.failures import failure
from localaws.moto_patches.states_language.intrinsic_syntax import Call, Path, parsed_call
from localaws.moto_patches.states_language.intrinsics import FUNCTIONS, Text
from localaws.moto_patches.states_language.paths import sampled


def intrinsic_functions(patch: Patch) -> None:
    r"""Call intrinsic functions as AWS does: moto drops the arguments that it cannot parse.

    So `States.Array(null)` is empty, `\'`, `\{` and decimal numbers end the text or the call.
    Base64 knows ASCII alone, a negative index counts from the end, MathRandom gives its end too,
    and no failure has the name States.IntrinsicFailure.
    """

    def visit(self: Any, ctx: Any) -> Any:
        text = self._inner_string_of(ctx)
        return StringIntrinsicFunction(text, _Function(text, parsed_call(text)))

    patch.replace(Preprocessor, "visitString_intrinsic_function", visit)


class _Function(EvalComponent):  # type: ignore[misc]
    """A call in a definition, as moto evaluates its components."""

    def __init__(self, text: str, call: Call) -> None:
        self._text = text
        self._call = call
        # Of ErrorPath and CausePath moto checks that the function gives a text, by its name
        # without the first and the last letter.
        self.name = SimpleNamespace(name=call.function[1:-1])

    def _eval_body(self, env: Any) -> None:
        try:
            env.stack.append(_value(env, self._call))
        except (FailureEventException, NoSuchJsonPathError):
            raise
        except Exception as error:  # whatever a function raises of its arguments
            cause = f"The function '{self._text}' had the following error: {error}"
            raise failure(env, StatesErrorNameType.StatesIntrinsicFailure, cause) from error


def _value(env: Any, argument: Any) -> Any:
    match argument:
        case Call():
            values = [_value(env, one) for one in argument.arguments]
            if argument.function != "Format":
                values = [str(one) if isinstance(one, Text) else one for one in values]
            return FUNCTIONS[argument.function](*values)
        case Path():
            return sampled(env, argument.text)
    return argument
