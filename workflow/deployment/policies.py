"""IAM policies in the sizes that IAM takes: short enough for a role, or in several managed ones.

IAM counts a policy's characters without white space.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from workflow.errors import DeployError

Policy = dict[str, Any]

MOST_INLINE = 10_240
"""Characters of a role's own policy."""

MOST_MANAGED = 6_144
"""Characters of a policy that is attached."""


def size_of(policy: Mapping[str, Any]) -> int:
    """Return a policy's characters as IAM counts them."""
    return len(json.dumps(policy, separators=(",", ":")))


def inline_policy(policy: Policy) -> Policy:
    """Return a policy for a role, with fewer statements if it is too long as it is.

    It allows the same: statements of the same actions, or of the same resources, become one under
    the first one's Sid, and a resource goes that another one's pattern covers.
    """
    if size_of(policy) <= MOST_INLINE:
        return policy
    by_actions = _merged(policy["Statement"], "Action", "Resource")
    for statement in by_actions:
        statement["Resource"] = _uncovered(statement["Resource"])
    return {**policy, "Statement": _merged(by_actions, "Resource", "Action")}


def _merged(statements: Iterable[Mapping[str, Any]], same: str, joined: str) -> list[Policy]:
    """Return statements that are alike in one member, and in their condition, as one."""
    found: dict[str, Policy] = {}
    for each in statements:
        alike = {name: value for name, value in each.items() if name not in ("Sid", joined)}
        alike[same] = sorted(each[same])
        first = found.setdefault(json.dumps(alike, sort_keys=True), {**each, joined: []})
        first[joined] = list(dict.fromkeys([*first[joined], *each[joined]]))
    return list(found.values())


def _uncovered(resources: Iterable[str]) -> list[str]:
    known = list(resources)
    return [each for each in known if not any(each != o and fnmatchcase(each, o) for o in known)]


def managed_policies(policy: Policy) -> list[Policy]:
    """Return a policy as managed ones, as few as their limit allows in this order.

    Raises:
        DeployError: If one statement alone is longer.
    """
    parts: list[Policy] = []
    for statement in policy["Statement"]:
        alone = {**policy, "Statement": [statement]}
        if size_of(alone) > MOST_MANAGED:
            raise DeployError(
                f"statement {statement['Sid']}: it is longer than a managed policy may be, which is"
                f" {MOST_MANAGED:,} characters; name its resources by a pattern"
            )
        longer = {**policy, "Statement": [*parts[-1]["Statement"], statement]} if parts else alone
        if parts and size_of(longer) <= MOST_MANAGED:
            parts[-1] = longer
        else:
            parts.append(alone)
    return parts
