"""The signatures of `awsglue` that the job calls, and stand-ins that refuse any other call.

Read in https://github.com/awslabs/aws-glue-libs, branch `glue-5.1`, commit dc40ea0: names of
parameters in their order, with their defaults, as facts.
"""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

REQUIRED = Parameter.empty
REST = "**"
"""Marks what takes further names too and ignores them: a misspelt one would pass unseen."""

SIGNATURES: dict[str, dict[str, Any]] = {
    "GlueContext": {"sparkContext": None, REST: None},
    "GlueContext.create_dynamic_frame_from_options": {
        "connection_type": REQUIRED,
        "connection_options": {},
        "format": None,
        "format_options": {},
        "transformation_ctx": "",
        "push_down_predicate": "",
        REST: None,
    },
    "GlueContext.extract_jdbc_conf": {"connection_name": REQUIRED, "catalog_id": None},
    "DynamicFrameWriter.from_options": {
        "frame": REQUIRED,
        "connection_type": REQUIRED,
        "connection_options": {},
        "format": None,
        "format_options": {},
        "transformation_ctx": "",
    },
    "DynamicFrame.fromDF": {"dataframe": REQUIRED, "glue_ctx": REQUIRED, "name": ""},
    "DynamicFrame.toDF": {"options": None},
    "Job": {"glue_context_or_spark_session": REQUIRED},
    "Job.init": {"job_name": REQUIRED, "args": {}},
    "Job.commit": {},
    "getResolvedOptions": {"args": REQUIRED, "options": REQUIRED},
}


def held(name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that has a signature of `awsglue` and answers with what it was given.

    Args:
        name: Of `SIGNATURES`.
        answer: Gets the arguments that were given, each by its name.
    """
    parameters = [
        Parameter(parameter, Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for parameter, default in SIGNATURES[name].items()
        if parameter != REST
    ]
    signature = Signature(parameters)

    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"awsglue's {name}{signature}: {error}") from None
        return answer(**given)

    return called
