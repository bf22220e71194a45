"""JSONata, the query language that a definition may use instead of JSONPath.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import hashlib
import json
import random
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.stepfunctions.parser.asl.component.intrinsic import jsonata as intrinsic
from moto.stepfunctions.parser.asl.jsonata import jsonata as module

from localaws.moto_patches.patch import Patch


def jsonata(patch: Patch) -> None:
    """Evaluate JSONata: moto parses it alone, and leaves out what LocalStack has in Java.

    That Java library has a port to Python by the same author, which is used here.
    """
    # The package lifts the process's recursion limit, which would hide endless recursions.
    limit = sys.getrecursionlimit()
    from jsonata import Jsonata  # noqa: PLC0415
    from jsonata.jexception import JException  # noqa: PLC0415

    sys.setrecursionlimit(limit)

    def evaluate(text: str) -> Any:
        try:
            expression = Jsonata.jsonata(text)
            for name, function in _FUNCTIONS.items():
                expression.register_lambda(name, function)
            return json.loads(json.dumps(expression.evaluate(None)))
        except (JException, ValueError, TypeError) as error:
            raise module.JSONataException("UNKNOWN", str(error)) from error

    patch.replace(module, "_eval_jsonata", evaluate)
    # Among moto's own declarations are functions that answer that they are not supported.
    patch.replace(intrinsic, "_DECLARATION_BY_VARIABLE_REFERENCE", {})


def _hash(text: str, algorithm: str = "SHA-256") -> str:
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def _partition(values: list[Any], size: float) -> list[list[Any]]:
    step = int(size)
    return [values[start : start + step] for start in range(0, len(values), step)]


def _range(first: float, last: float, step: float) -> list[int]:
    return list(range(int(first), int(last) + (1 if step > 0 else -1), int(step)))


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "hash": _hash,
    "parse": json.loads,
    "partition": _partition,
    "random": lambda seed=None: random.Random(seed).random(),
    "range": _range,
    "uuid": lambda: str(uuid.uuid4()),
}
"""Step Functions' own functions, besides JSONata's."""
