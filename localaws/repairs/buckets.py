"""Repairs to moto's S3: bucket policies."""

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3 import models

from localaws.repairs.patch import Patch


def bucket_policy_conditions(patch: Patch, _: float) -> None:
    """Pass over a bucket policy's statements that have a Condition.

    moto takes a condition that it cannot verify for a refusal, even in a statement that allows: a
    policy that demands TLS closes the bucket to everybody. Here nothing leaves the machine, so
    there is no TLS that could be demanded; who may do what is not imitated.
    """

    def get_permission(bucket: Any, action: str, resource: str) -> PermissionResult:
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(bucket.policy)
        found = policy["Statement"]
        statements = found if isinstance(found, list) else [found]
        policy["Statement"] = [one for one in statements if "Condition" not in one]
        answer: PermissionResult = IAMPolicy(json.dumps(policy)).is_action_permitted(
            action, resource
        )
        return answer

    patch.replace(models.FakeBucket, "get_permission", get_permission)
