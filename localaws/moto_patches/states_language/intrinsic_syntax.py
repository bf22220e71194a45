r"""The syntax of intrinsic functions: `States.Format('It\'s {}', $.name)`.

https://states-language.net/#intrinsic-functions
"""

import inspect
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from localaws.errors import suggestion
from localaws.moto_patches.states_language.intrinsics import FUNCTIONS, Text
from localaws.moto_patches.states_language.paths import parsed_path

DEEPEST_NESTING = 10
"""How many functions may stand in each other.
https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html"""

_PARSER = Lark(
    r"""
    ?start: call
    call: NAME "(" [_argument ("," _argument)*] ")"
    _argument: call | TEXT | NUMBER | CONSTANT | PATH

    NAME: /States\.\w+/
    TEXT: /'(\\['{}\\]|[^'\\])*'/
    NUMBER: /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/
    CONSTANT: /(true|false|null)\b/
    PATH: /\$([^\s,()\[\]']|\[('(\\.|[^'\\])*'|"(\\.|[^"\\])*"|[^\[\]'"]|\[[^\[\]]*\])*\])*/
    %ignore /\s+/
    """,
    parser="lalr",
    maybe_placeholders=False,
)
_CONSTANTS = {"true": True, "false": False, "null": None}


class IntrinsicError(ValueError):
    """A call of an intrinsic function that cannot be parsed."""


@dataclass(frozen=True)
class Path:
    """A path, or a variable, that stands for an argument's value."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call; its arguments are calls, paths and constants.

    Attributes:
        function: The function's name without `States.`.
        depth: How many calls stand in each other, this one counted.
    """

    function: str
    arguments: tuple[Any, ...]
    depth: int


def parsed_call(text: str) -> Call:
    """Parse a call.

    Raises:
        IntrinsicError: If it is none, or AWS has no such function, or other arguments.
    """
    try:
        call: Call = _Calls().transform(_PARSER.parse(text))
    except UnexpectedInput as error:
        place = f"character {error.column}" if error.column > 0 else "its end"
        raise IntrinsicError(f"{text} is not an intrinsic function: see {place}") from None
    except VisitError as error:
        raise IntrinsicError(f"{text}: {error.orig_exc}") from None
    if call.depth > DEEPEST_NESTING:
        raise IntrinsicError(f"{text}: more than {DEEPEST_NESTING} functions stand in each other")
    return call


@v_args(inline=True)
class _Calls(Transformer[Token, Any]):
    def call(self, name: Token, *arguments: Any) -> Call:
        function = name.removeprefix("States.")
        if function not in FUNCTIONS:
            hint = suggestion(function, FUNCTIONS, show=lambda near: f"States.{near}")
            raise ValueError(f"there is no intrinsic function {name}{hint and '; '}{hint}")
        try:
            inspect.signature(FUNCTIONS[function]).bind(*arguments)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
        depths = [argument.depth for argument in arguments if isinstance(argument, Call)]
        return Call(function, arguments, 1 + max(depths, default=0))

    def TEXT(self, token: Token) -> Text:  # noqa: N802  lark's way to name a terminal
        return Text(token[1:-1])

    def NUMBER(self, token: Token) -> int | float:  # noqa: N802
        return int(token) if token.lstrip("-").isdigit() else float(token)

    def CONSTANT(self, token: Token) -> bool | None:  # noqa: N802
        return _CONSTANTS[token]

    def PATH(self, token: Token) -> Path:  # noqa: N802
        if token.startswith(("$.", "$[", "$$")):
            parsed_path(token.replace("$$", "$", 1))
        return Path(str(token))
