"""JSONPath as Step Functions reads it, in paths and behind variables.

https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html
AWS's library is Jayway's: a path that can have one value alone has it or fails, any other (a
wildcard, a slice, a filter, `..`) is a list, however much it finds.
"""

import copy
import re
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
    StringVariableSample,
)
from moto.stepfunctions.parser.asl.utils.json_path import NoSuchJsonPathError

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.states_language.failures import failure
from localaws.moto_patches.states_language.jayway import Path, parsed
from localaws.moto_patches.states_language.variables import variables_of

_VARIABLE = re.compile(r"\$(\w+)(.*)", re.DOTALL)


class PathError(ValueError):
    """A path that cannot be parsed."""


def parsed_path(path: str) -> Path:
    """Return a JSONPath that begins with `$`, parsed.

    Raises:
        PathError: If it is none.
    """
    try:
        return parsed(path)
    except ValueError as error:
        raise PathError(f"{path!r} is not a JSONPath: {error}") from None


def value_at(path: str, data: Any) -> Any:
    """Return what a JSONPath finds in data.

    Raises:
        NoSuchJsonPathError: If it finds nothing and is no list.
        PathError: If it is no JSONPath.
    """
    try:
        return parsed_path(path).find(data)
    except LookupError:
        raise NoSuchJsonPathError(json_path=path, data=data) from None


def is_reference(path: str) -> bool:
    """Return whether a JSONPath leads to one place alone.

    Raises:
        PathError: If it is none.
    """
    return parsed_path(path).is_reference


def json_paths(patch: Patch) -> None:
    """Find by JSONPath what AWS finds: moto gives a filter without a match no list, but an error.

    It gives one match of `$.a[*].b.c` without its list, and cannot parse names in Japanese.
    """
    patch.replace_imported("moto.stepfunctions.parser", "extract_json", value_at)
    patch.replace(result_path, "parse", parsed_path)


def result_paths(patch: Patch) -> None:
    """Fail a state whose result has no place in its input by States.ResultPathMatchFailure.

    That of `$.a` where the input is a text is one; moto has no such error.
    """

    @patch.around(result_path.ResultPath)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        try:
            original(self, env)
        except (TypeError, IndexError) as error:
            cause = f"Unable to apply ResultPath '{self.result_path_src}' to the input of the state"
            raise failure(env, StatesErrorNameType.StatesResultPathMatchFailure, cause) from error


def variables(patch: Patch) -> None:
    """Read a variable by JSONPath: moto writes its value into JSONata, and unescaped.

    A text with a quote or a backslash fails there, and what is not there is null.
    """

    def eval_body(self: Any, env: Any) -> None:
        env.stack.append(variable_at(env, self.expression))

    patch.replace(StringVariableSample, "_eval_body", eval_body)


def variable_at(env: Any, expression: str) -> Any:
    """Return what `$name` or `$name.path` stands for.

    Raises:
        FailureEventException: States.Runtime if there is nothing.
    """
    match = _VARIABLE.fullmatch(expression)
    try:
        if match is None:
            raise PathError(f"{expression!r} is no variable")
        value = variables_of(env)[match[1]]
        return copy.deepcopy(value_at(f"${match[2]}", value) if match[2] else value)
    except (KeyError, NoSuchJsonPathError, PathError) as error:
        cause = f"The variable or path '{expression}' could not be found"
        raise failure(env, StatesErrorNameType.StatesRuntime, cause) from error


def sampled(env: Any, path: str) -> Any:
    """Return what a path of a definition stands for: of the input, the context or a variable.

    Args:
        env: The state's environment, its input on top of the stack.
        path: E.g. `$.a`, `$$.Execution.Name`, `$name[0]`.

    Raises:
        NoSuchJsonPathError: If the input or the context has nothing there.
        FailureEventException: If a variable has nothing there.
    """
    if path.startswith("$$"):
        return copy.deepcopy(value_at(path[1:], env.states.context_object.context_object_data))
    if re.match(r"\$(?:$|[.\[])", path):
        return copy.deepcopy(value_at(path, env.stack[-1]))
    return variable_at(env, path)
