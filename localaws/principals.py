"""The principals that sign requests: the id of an access key is the name of a role.

The id is in every signature, where `localaws.http.calls` reads it, so that a call can be checked
against the role's policy. Nothing here checks a secret.
"""

from __future__ import annotations

CALLER = "local"
"""The key's id of whoever deploys, starts and reads: not a role of the workflow."""

EVENTS = "events.amazonaws.com"
"""The key's id of EventBridge, which starts a target without a role by the target's own policy."""

SAGEMAKER = "sagemaker.amazonaws.com"
"""The key's id of SageMaker, which looks at the role of a request before it assumes it."""


def access_key(role_arn: str) -> str:
    """Return the access key's id with which a role signs, by its ARN; `CALLER` for no role."""
    return role_arn.rpartition("/")[2] or CALLER
