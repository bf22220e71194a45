"""A function's resource-based policy: which services and accounts may invoke it.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from localaws.http.errors import ServiceError

Statement = dict[str, Any]

_ACCOUNT = re.compile(r"\d{12}")
_UNSUPPORTED = (
    "EventSourceToken", "FunctionUrlAuthType", "InvokedViaFunctionUrl", "PrincipalOrgID",
    "Qualifier",
)  # fmt: skip


def with_statement(
    statements: Sequence[Statement], request: Mapping[str, Any], function_arn: str
) -> tuple[Statement, ...]:
    """Return a policy's statements with the one that AddPermission requests.

    Raises:
        ServiceError: If there is one of this id, or the request has what counts for nothing here.
    """
    if unsupported := [name for name in _UNSUPPORTED if request.get(name)]:
        raise ServiceError(
            "InvalidParameterValueException",
            f"{', '.join(unsupported)}: not supported by the local Lambda",
        )
    sid = request["StatementId"]
    if any(each["Sid"] == sid for each in statements):
        raise ServiceError(
            "ResourceConflictException",
            f"The statement id ({sid}) provided already exists. Please provide a new statement id,"
            " or remove the existing statement.",
        )
    principal = request["Principal"]
    if _ACCOUNT.fullmatch(principal):
        principal = f"arn:aws:iam::{principal}:root"
    condition: dict[str, Any] = {}
    if account := request.get("SourceAccount"):
        condition["StringEquals"] = {"AWS:SourceAccount": account}
    if source := request.get("SourceArn"):
        condition["ArnLike"] = {"AWS:SourceArn": source}
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS" if principal.startswith("arn:") else "Service": principal},
        "Action": request["Action"],
        "Resource": function_arn,
        **({"Condition": condition} if condition else {}),
    }
    return (*statements, statement)


def without_statement(statements: Sequence[Statement], sid: str) -> tuple[Statement, ...]:
    """Return a policy's statements without one.

    Raises:
        ServiceError: If there is none of this id.
    """
    kept = tuple(each for each in statements if each["Sid"] != sid)
    if len(kept) == len(statements):
        raise ServiceError(
            "ResourceNotFoundException", f"Statement {sid} is not found in resource policy."
        )
    return kept


def policy_text(statements: Iterable[Statement]) -> str:
    """Return a policy as GetPolicy has it."""
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": list(statements)}
    return json.dumps(policy, separators=(",", ":"))


def is_invoker(policy: str, service: str, source_arn: str) -> bool:
    """Return whether a policy lets a service invoke the function for one of its resources.

    Args:
        policy: As GetPolicy has it.
        service: For example `events.amazonaws.com`.
        source_arn: For example the rule's.
    """
    return any(
        statement["Principal"] == {"Service": service}
        and statement["Action"] in {"lambda:InvokeFunction", "lambda:*", "*"}
        and fnmatchcase(
            source_arn,
            statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "*"),
        )
        for statement in json.loads(policy)["Statement"]
    )
