"""JSONata, the query language that a definition may use instead of JSONPath.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jlens import Expression, JlensError

_SECONDS = 60.0
"""The longest evaluation: an expression may call itself without end."""


class ExpressionError(ValueError):
    """A JSONata expression that cannot be parsed or evaluated."""


@lru_cache(maxsize=1024)
def parsed_expression(text: str) -> Expression:
    """Return a JSONata expression, parsed.

    Raises:
        ExpressionError: If it is none.
    """
    try:
        expression = Expression(text)
    except JlensError as error:
        raise ExpressionError(f"{error.code}: {error}") from error
    for name, (signature, function) in _FUNCTIONS.items():
        expression.register_function(name, function, signature)
    return expression


def evaluated(text: str, variables: Mapping[str, Any]) -> Any:
    """Return what an expression gives, as JSON.

    Args:
        text: The expression, e.g. `$states.input.a & 'x'`.
        variables: Their values by their names, e.g. `states`.

    Raises:
        ExpressionError: If it gives nothing, or no JSON, or fails.
    """
    result = _result(text, variables)
    if result is not None:
        return json.loads(result)
    # A function is no JSON, and so is reported as nothing.
    if _result(f"$type(({text}\n))", variables) == '"function"':
        raise ExpressionError("returned an unsupported result type.")
    raise ExpressionError("returned nothing (undefined).")


def _result(text: str, variables: Mapping[str, Any]) -> str | None:
    """Return what an expression gives as JSON's text, or None if that is nothing."""
    try:
        return parsed_expression(text).evaluate_json(None, dict(variables), timeout=_SECONDS)
    except JlensError as error:
        raise ExpressionError(f"threw an error during evaluation. {error.code}: {error}") from error
    except ExpressionError:
        raise
    except Exception as error:  # whatever one of our functions raises of its arguments
        raise ExpressionError(f"threw an error during evaluation. {error}") from error


def _hash(text: str | None, algorithm: str | None = None) -> str:
    if text is None:
        raise ValueError("$hash needs a text")
    known = {"MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"}
    if (algorithm or "SHA-256") not in known:
        raise ValueError(f"$hash knows {', '.join(sorted(known))}, not {algorithm!r}")
    name = (algorithm or "SHA-256").replace("-", "").lower()
    return hashlib.new(name, text.encode()).hexdigest()


def _partition(values: list[Any] | None, size: float | None) -> list[list[Any]]:
    step = int(size or 0)
    if values is None or step < 1:
        raise ValueError("$partition needs an array, and a size of 1 or more")
    return [values[start : start + step] for start in range(0, len(values), step)]


def _range(first: float | None, last: float | None, step: float | None) -> list[float]:
    if first is None or last is None or not step:
        raise ValueError("$range needs a first and a last number, and a step other than 0")
    values = [first + number * step for number in range(math.floor((last - first) / step) + 1)]
    return [int(value) if value == int(value) else value for value in values]


def _parse(text: str | None) -> Any:
    if text is None:
        raise ValueError("$parse needs a text")
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _eval(*_: Any) -> Any:
    raise ValueError("Step Functions does not support $eval: use $parse for JSON")


_FUNCTIONS: Mapping[str, tuple[str | None, Callable[..., Any]]] = {
    "eval": (None, _eval),
    "hash": ("<ss?:s>", _hash),
    "parse": ("<s:x>", _parse),
    "partition": ("<an:a>", _partition),
    "random": ("<n?:n>", lambda seed=None: random.Random(seed).random()),
    "range": ("<nnn:a>", _range),
    "uuid": ("<:s>", lambda: str(uuid.uuid4())),
}
"""Step Functions' own functions, besides JSONata's, with their signatures."""
