"""Repairs to moto's S3 and CloudWatch Logs that a deployment needs."""

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import LogStream
from moto.logs.responses import LogsResponse
from moto.s3 import models
from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

from localaws.moto_patches.patch import Patch

LARGEST_STREAM = 16 << 20
"""Bytes that a stream of CloudWatch Logs has at most."""

_BYTES_OF_EVENT = 26  # beside its message, as CloudWatch counts


def bucket_policy_conditions(patch: Patch) -> None:
    """Ignore a bucket policy's statements that have a Condition.

    moto takes a condition that it cannot verify for a refusal, even in a statement that allows: a
    policy that demands TLS closes the bucket to everybody. Here nothing leaves the machine, so
    there is no TLS that could be demanded; who may do what is not imitated.
    """

    def get_permission(bucket: Any, action: str, resource: str) -> PermissionResult:
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(bucket.policy)
        statements = policy["Statement"]
        statements = statements if isinstance(statements, list) else [statements]
        policy["Statement"] = [
            statement for statement in statements if "Condition" not in statement
        ]
        iam_policy = IAMPolicy(json.dumps(policy))
        result: PermissionResult = iam_policy.is_action_permitted(action, resource)
        return result

    patch.replace(models.FakeBucket, "get_permission", get_permission)


def bucket_policies(patch: Patch) -> None:
    """Refuse a bucket's policy that is none: moto stores it, and fails at each later request.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
    """

    @patch.around(models.S3Backend)
    def put_bucket_policy(original: Any, self: Any, bucket_name: str, policy: bytes) -> Any:
        if fault := _policy_fault(policy):
            raise S3ClientError("MalformedPolicy", fault)
        return original(self, bucket_name, policy)


def _policy_fault(text: bytes) -> str:
    """Return what is wrong with a bucket's policy, in S3's words; empty if nothing is."""
    try:
        policy = json.loads(text.decode())
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        return "Policies must be valid JSON and the first byte must be '{'"
    statements = policy.get("Statement")
    if not statements:
        return "Missing required field Statement"
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict):
            return "Statement is not valid JSON object"
        if statement.get("Effect") not in {"Allow", "Deny"}:
            return f"Invalid effect: {statement.get('Effect')}"
        for field in ("Principal", "Action", "Resource"):
            value = statement.get(field, statement.get(f"Not{field}"))
            if not value:
                return f"Missing required field {field}"
            values = value if isinstance(value, list) else [value]
            if field != "Principal" and not all(isinstance(each, str) for each in values):
                return f"Policy has invalid {field.lower()}"
    return ""


def conditional_writes(patch: Patch) -> None:
    """Write one object at a time, so that a condition still holds when the object is written.

    moto checks `IfNoneMatch` and `IfMatch` before it writes: of two requests at once both pass the
    check, and both take a lock that S3 gives to one. S3 evaluates the condition with the write.
    """
    lock = threading.RLock()

    def one_at_a_time(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with lock:
            return original(*arguments, **named)

    for name in ("put_object", "delete_object", "_key_response_post"):
        patch.around(S3Response, name)(one_at_a_time)


def log_keys(patch: Patch) -> None:
    """Add AssociateKmsKey and DisassociateKmsKey, which moto lacks; it shows a group's key."""

    def set_key(response: Any) -> str:
        group = response._get_param("logGroupName")
        groups = response.logs_backend.groups
        if group not in groups:
            raise ResourceNotFoundException
        groups[group].kms_key_id = response._get_param("kmsKeyId")
        return ""

    patch.add(LogsResponse, "associate_kms_key", set_key)
    patch.add(LogsResponse, "disassociate_kms_key", set_key)


def bounded_log_streams(patch: Patch) -> None:
    """Keep the newest events of a stream alone: moto has all of them in memory for ever."""

    @patch.around(LogStream)
    def put_log_events(original: Any, self: Any, log_events: list[dict[str, Any]]) -> Any:
        token = original(self, log_events)
        self.kept_bytes = getattr(self, "kept_bytes", 0)
        self.kept_bytes += sum(len(event["message"]) + _BYTES_OF_EVENT for event in log_events)
        dropped = 0
        while self.kept_bytes > LARGEST_STREAM:
            self.kept_bytes -= len(self.events[dropped].message) + _BYTES_OF_EVENT
            dropped += 1
        if dropped:
            self.events = self.events[dropped:]  # another one: a reader may be in the old one
        return token


def log_streams_by_prefix(patch: Patch) -> None:
    """FilterLogEvents reads the streams of `logStreamNamePrefix` alone, which moto ignores."""

    @patch.around(LogsResponse)
    def filter_log_events(original: Any, self: Any) -> Any:
        prefix = self._get_param("logStreamNamePrefix")
        group = self.logs_backend.groups.get(self._get_param("logGroupName"))
        if prefix is None or group is None:
            return original(self)
        names = [name for name in group.streams if name.startswith(prefix)]
        if not names:  # of which moto makes all
            return json.dumps({"events": [], "searchedLogStreams": []})
        self.body = json.dumps({**json.loads(self.body), "logStreamNames": names})
        return original(self)
