"""Who signs a request: the access key's id is a role's name, and it stands in every signature.

Nothing here checks a secret. The name is what `localaws.http.calls` tells of a call, so that it can
be held against the role's policy.
"""

from __future__ import annotations

CALLER = "local"
"""The key's id of whoever deploys, starts and looks: not a role of the workflow."""


def access_key(role_arn: str) -> str:
    """Return the access key's id with which a role signs; `CALLER` for no role.

    Args:
        role_arn: for example `arn:aws:iam::123456789012:role/labbase-retraining-glue`.
    """
    return role_arn.rpartition("/")[2] or CALLER


def credentials(role_arn: str) -> dict[str, str]:
    """Return the environment variable with which a role's process signs."""
    return {"AWS_ACCESS_KEY_ID": access_key(role_arn)}
