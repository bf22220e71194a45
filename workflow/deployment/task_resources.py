"""ARNs of the resources that tasks name otherwise: by a name, a part of an ARN, a URL, an alias.

`FILTERS` are the names that `task_permissions.toml` has after the `|` of a member.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from workflow.config import Config
from workflow.definition import asl

_MACHINE = re.compile(r"arn:[\w-]+:states:[\w-]+:\d*:stateMachine:.+")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
_FUNCTION = re.compile(
    r"(arn:(?P<partition>aws[a-z-]*):lambda:)?"
    rf"((?P<region>{_REGION.pattern}):)?((?P<account>\d{{12}}):)?(function:)?"
    r"(?P<name>[\w.-]+)(?P<qualifier>:(\$LATEST(\.PUBLISHED)?|[\w-]+))?"
)
# https://docs.aws.amazon.com/general/latest/gr/sqs-service.html, with the legacy endpoints
_QUEUE = re.compile(
    r"https?://(?P<host>[^/:]+)(:\d+)?/(queue/)?(?P<account>\d{12})/(?P<name>[^/]+)"
)
_FIRST_QUEUES = {"queue.amazonaws.com", "sqs.amazonaws.com"}
_HOSTS_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class NotDerivableError(Exception):
    """A resource that the definition does not name; the text says why."""


def without_qualifier(arn: str) -> str:
    """Return a state machine's ARN without version or alias, on which IAM does not decide.

    Other texts stay as they are.
    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    return ":".join(arn.split(":")[:7]) if _MACHINE.fullmatch(arn) else arn


def _function(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a function's ARN for its name, or for its whole or partial ARN."""
    match = _FUNCTION.fullmatch(value)
    if match is None:
        raise NotDerivableError(f"FunctionName {value} is no name or ARN of a function")
    region, account = match["region"] or config.aws.region, match["account"] or config.aws.account
    function = f"function:{match['name']}{match['qualifier'] or ''}"
    arn = f"arn:{match['partition'] or config.partition}:lambda:{region}:{account}:{function}"
    if "Qualifier.$" in request or asl.is_chosen(request.get("Qualifier")):
        return f"{arn}:*"
    return f"{arn}:{request['Qualifier']}" if "Qualifier" in request else arn


def _queue(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a queue's ARN for its URL, whose host names the region in one way or another."""
    match = _QUEUE.fullmatch(value)
    if match is None:
        raise NotDerivableError(f"QueueUrl {value} is no URL of a queue")
    host = match["host"]
    named = next(filter(_REGION.fullmatch, host.split(".")), "")
    if host in _FIRST_QUEUES:
        named = "us-east-1"
    elif not named and host.endswith(_HOSTS_OF_AWS):
        raise NotDerivableError(f"QueueUrl {value} names no region")
    region = named or config.aws.region
    return f"arn:{config.partition}:sqs:{region}:{match['account']}:{match['name']}"


def _machine(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a state machine's ARN without the version or alias."""
    return without_qualifier(value)


def _executions(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return the ARNs of a state machine's executions."""
    return _machine(config, request, value).replace(":stateMachine:", ":execution:") + ":*"


def _task(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a task definition's ARN; of a family any revision, as ECS takes the latest."""
    arn = value if value.startswith("arn:") else config.arn("ecs", f"task-definition/{value}")
    return arn if re.search(r":\d+$", arn) else f"{arn}:*"


def _object(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return bucket and key of CopySource, which may be encoded and name a version."""
    return unquote(value).lstrip("/").partition("?")[0]


def _bucket(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return what stands before the key of an object: the bucket, or the ARN of an access point."""
    return f"{value}/object" if value.startswith("arn:") else value


def _encryption_key(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a key's ARN for its id; IAM decides on keys, not on their aliases."""
    if value.startswith("alias/") or ":alias/" in value:
        raise NotDerivableError(f"the key is not in the ASL, only its alias {value}")
    return value if value.startswith("arn:") else config.arn("kms", f"key/{value}")


FILTERS: Mapping[str | None, Callable[[Config, Mapping[str, Any], str], str]] = {
    "object": _object,
    "bucket": _bucket,
    "key": _encryption_key,
    "function": _function,
    "queue": _queue,
    "machine": _machine,
    "executions": _executions,
    "task": _task,
}
