"""A function's configuration: Lambda's defaults, rules and updates, as data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.functions.packages import Code, invalid

MAX_TIMEOUT = 900
"""Seconds; botocore's model allows more.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_ENVIRONMENT_LIMIT = 4096  # bytes
_SETTINGS = (
    "Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "VpcConfig",
    "DeadLetterConfig", "Environment", "KMSKeyArn", "TracingConfig", "PackageType",
    "Architectures", "EphemeralStorage", "LoggingConfig",
)  # fmt: skip
# With these the function would run otherwise than it does here.
_UNSUPPORTED = (
    "Layers", "FileSystemConfigs", "ImageConfig", "ImageUri", "CodeSigningConfigArn",
    "CapacityProviderConfig", "DurableConfig", "TenancyConfig", "Publish",
)  # fmt: skip
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
_RESERVED = frozenset({
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
})  # fmt: skip


def new_configuration(request: Mapping[str, Any], arn: str, code: Code | None) -> dict[str, Any]:
    """Return a new function's configuration, as GetFunctionConfiguration shows it.

    Raises:
        ServiceError: InvalidParameterValueException if Lambda refuses it, or if it would not run
            here as on Lambda.
    """
    if not {"Runtime", "Handler"} <= request.keys():
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with "
            "deployment packages."
        )
    name = arn.rpartition(":")[2]
    defaults = {
        "FunctionName": name,
        "FunctionArn": arn,
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    return updated_configuration(defaults, request, code)


def updated_configuration(
    before: Mapping[str, Any], request: Mapping[str, Any], code: Code | None
) -> dict[str, Any]:
    """Return a configuration with a request's settings over it, and another revision.

    Raises:
        ServiceError: As `new_configuration`.
    """
    _validate(request)
    settings = {name: request[name] for name in _SETTINGS if name in request}
    if "LoggingConfig" in settings:
        settings["LoggingConfig"] = {**before["LoggingConfig"], **settings["LoggingConfig"]}
    if "VpcConfig" in settings:
        settings["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": [], **settings["VpcConfig"]}
    now = datetime.now(UTC)
    after = {
        **before,
        **settings,
        "LastModified": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}+0000",
        "RevisionId": str(uuid.uuid4()),
    }
    if code is not None:
        after |= {"CodeSha256": code.sha256, "CodeSize": code.size}
    # Lambda shows no empty environment.
    if not after.get("Environment", {}).get("Variables"):
        after.pop("Environment", None)
    return after


def _validate(request: Mapping[str, Any]) -> None:
    if unsupported := [name for name in _UNSUPPORTED if request.get(name)]:
        raise invalid(
            f"{', '.join(unsupported)}: not supported by the local Lambda, whose functions are "
            "zips without layers and versions"
        )
    if not request.get("Runtime", "python").startswith("python"):
        raise invalid(f"Runtime {request['Runtime']}: the local Lambda runs Python alone")
    if request.get("Timeout", 1) > MAX_TIMEOUT:
        raise invalid(
            f"1 validation error detected: Value '{request['Timeout']}' at 'timeout' failed to "
            f"satisfy constraint: Member must have value less than or equal to {MAX_TIMEOUT}"
        )
    variables = request.get("Environment", {}).get("Variables", {})
    problem = "Lambda was unable to configure your environment variables because the environment"
    if reserved := sorted(_RESERVED & set(variables)):
        raise invalid(
            f"{problem} variables you have provided contains reserved keys that are currently not "
            f"supported for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > _ENVIRONMENT_LIMIT:
        raise invalid(f"{problem} variables you have provided exceeded the 4KB limit.")
