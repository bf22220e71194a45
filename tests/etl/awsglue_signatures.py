"""The signatures of `awsglue` that the job calls, and fakes that refuse any other call.

Source: https://github.com/awslabs/aws-glue-libs, branch `glue-5.1`, commit dc40ea0: names of
parameters in their order, with their defaults.
"""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

REQUIRED = Parameter.empty
REST = "**"
"""Marks a function that ignores further keyword arguments: a misspelt name would pass unseen."""

SIGNATURES: dict[str, dict[str, Any]] = {
    "GlueContext": {"sparkContext": None, REST: None},
    "GlueContext.extract_jdbc_conf": {"connection_name": REQUIRED, "catalog_id": None},
    "Job": {"glue_context_or_spark_session": REQUIRED},
    "Job.init": {"job_name": REQUIRED, "args": {}},
    "Job.commit": {},
    "getResolvedOptions": {"args": REQUIRED, "options": REQUIRED},
}


def with_signature(name: str, result: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that has a signature of `awsglue`.

    Args:
        name: A key of `SIGNATURES`.
        result: Called with the arguments by name; its result is the function's.
    """
    parameters = [
        Parameter(parameter, Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for parameter, default in SIGNATURES[name].items()
        if parameter != REST
    ]
    signature = Signature(parameters)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"awsglue's {name}{signature}: {error}") from None
        return result(**arguments)

    return call
