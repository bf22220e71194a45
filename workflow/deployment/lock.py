"""One deployment at a time: an object in the bucket that only one writer can make.

S3 refuses a conditional write where there is an object already, whoever comes first.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from workflow.errors import DeployError

LOCK_KEY = "artifacts/deploying.json"
_HELD = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class LockedError(DeployError):
    """A lock that another deployment holds; says whose, since when, and what to do."""


class DeploymentLock:
    """The lock on a deployment, a context manager.

    Entering raises `LockedError` while another deployment holds it.

    Args:
        s3: A boto3 `s3` client.
        bucket: The bucket of the deployment.
        owner: Who deploys, for example an ARN; others are shown it.
        now: The time, aware.
        take_over: Take the lock even if another deployment holds it, which is known to have ended.
    """

    left_behind = False
    """Whether it could not be released, for example because the token has expired."""

    def __init__(
        self, s3: Any, bucket: str, *, owner: str, now: datetime, take_over: bool = False
    ) -> None:
        self._s3 = s3
        self._location = {"Bucket": bucket, "Key": LOCK_KEY}
        self._owner = owner
        self._now = now
        self._condition = {} if take_over else {"IfNoneMatch": "*"}
        self._version = {"VersionId": "null"}

    def __enter__(self) -> Self:
        since = self._now.astimezone(UTC).isoformat(timespec="seconds")
        body = json.dumps({"owner": self._owner, "since": since}).encode()
        try:
            response = self._s3.put_object(**self._location, Body=body, **self._condition)
        except ClientError as error:
            if error.response["Error"].get("Code") not in _HELD:
                raise
            raise LockedError(self._holder()) from error
        # Deleted without it, a versioned bucket would keep the object and a marker for ever. What
        # was written without versions is known as "null" when they are switched on meanwhile.
        self._version = {"VersionId": response.get("VersionId") or "null"}
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._s3.delete_object(**self._location, **self._version)
        except (ClientError, BotoCoreError):
            self.left_behind = True

    def _holder(self) -> str:
        try:
            lock = json.loads(self._s3.get_object(**self._location)["Body"].read())
            minutes = (self._now - datetime.fromisoformat(lock["since"])).total_seconds() / 60
            who = f"{lock['owner']} has been deploying for {minutes:.0f} min ({lock['since']})"
        except (ClientError, ValueError, KeyError, TypeError):
            who = "somebody else is deploying, or has ended this moment"
        return (
            f"{who}: wait, and run the same command again. If that deployment was killed and runs"
            " no more, take its lock over with --take-over"
        )
