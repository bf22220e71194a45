"""JSONPath as Step Functions reads it, in paths and behind variables.

https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html
AWS's library is Jayway's: a path that can have one value alone has it or fails, any other (a
wildcard, a slice, a filter, `..`) is a list, however much it finds.
"""

import copy
import re
from functools import lru_cache
from typing import Any

from jsonpath_ng.ext.parser import parse
from jsonpath_ng.jsonpath import Child, Descendants, Fields, Index, JSONPath, Root
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
from localaws.moto_patches.states_language.variables import variables_of

_VARIABLE = re.compile(r"\$(\w+)(.*)", re.DOTALL)
_NAME_OR_BRACKET = re.compile(
    r"""\.(?P<name>[^\s.\[\]()*'"@?,]+)   # .name
    | \['(?P<text>(?:\\.|[^'\\])*)'\]    # ['a name']
    | \[(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\]'"])*\]  # ['a.b'], [?(@.c == 'd')]
    """,
    re.VERBOSE,
)


class PathError(ValueError):
    """A path that cannot be parsed."""


@lru_cache(maxsize=1024)
def parsed_path(path: str) -> JSONPath:
    """Return a JSONPath that begins with `$`, parsed.

    Raises:
        PathError: If it is none.
    """
    try:
        # AWS takes `$.[0]` too, with a dot that the parser refuses.
        expression = parse(_NAME_OR_BRACKET.sub(_quoted, path.replace(".[", "[")))
    except Exception as error:
        raise PathError(f"{path!r} is not a JSONPath: {error}") from None
    return expression


def _quoted(match: re.Match[str]) -> str:
    """Put a name of other letters than the parser's between quotes: `.名前` is `['名前']`.

    Between quotes, AWS takes a backslash for itself, unless an apostrophe follows.
    """
    if match["text"] is not None:
        written = re.sub(r"\\(?!')", r"\\\\", match["text"])
        return f"['{written}']"
    name = match["name"]
    if name is None or re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return match[0]
    return f"['{name}']"


def value_at(path: str, data: Any) -> Any:
    """Return what a JSONPath finds in data.

    Raises:
        NoSuchJsonPathError: If it finds nothing and is no list.
        PathError: If it is no JSONPath.
    """
    expression = parsed_path(path)
    beginning = _definite_beginning(expression)
    if not beginning.find(data):
        raise NoSuchJsonPathError(json_path=path, data=data)
    matches = [match.value for match in expression.find(data)]
    return matches[0] if beginning is expression else matches


def _definite_beginning(expression: JSONPath) -> JSONPath:
    """Return as much of a path, from its beginning, as can have one value alone."""
    if _is_definite(expression):
        return expression
    if isinstance(expression, Child | Descendants):
        return _definite_beginning(expression.left)
    return Root()


def _is_definite(expression: JSONPath) -> bool:
    match expression:
        case Child():
            return _is_definite(expression.left) and _is_definite(expression.right)
        case Fields():
            return len(expression.fields) == 1 and expression.fields[0] != "*"
        case Index():
            return len(expression.indices) == 1
    return isinstance(expression, Root)


def is_reference(path: str) -> bool:
    """Return whether a JSONPath leads to one place alone.

    Raises:
        PathError: If it is none.
    """
    return _is_definite(parsed_path(path))


def json_paths(patch: Patch) -> None:
    """Find by JSONPath what AWS finds: moto gives a filter without a match no list, but an error.

    It gives one match of `$.a[*].b.c` without its list, and cannot parse names in Japanese.
    """
    patch.replace_imported("moto.stepfunctions.parser", "extract_json", value_at)
    patch.replace(result_path, "parse", parsed_path)


def result_paths(patch: Patch) -> None:
    """Fail a state whose result has no place in its input: moto loses the result in silence.

    That of `$.a` where the input is a text is States.ResultPathMatchFailure.
    """

    @patch.around(result_path.ResultPath)
    def _eval_body(original: Any, self: Any, env: Any) -> None:
        path, result = self.result_path_src, env.stack[-1]
        try:
            original(self, env)
            is_there = path in {None, "$"} or value_at(path, env.stack[-1]) == result
        except (NoSuchJsonPathError, TypeError, IndexError):
            is_there = False
        if not is_there:
            cause = f"Unable to apply ResultPath '{path}' to the input of the state"
            raise failure(env, StatesErrorNameType.StatesResultPathMatchFailure, cause)


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
