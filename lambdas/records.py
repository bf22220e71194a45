"""JSON objects on S3: what the stages of a run decided, and those that several writers share.

The former are at `runs/RUN/record/STAGE.json`, and are written once, whole. Of the others, the lock
and the names of the published lists, each write is conditional on what was read.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

Of several recommenders the first has no name, and its files are where those of a run with one
recommender are; those of any other are in `recommenders/NAME/` below the run's prefix.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas.errors import InvalidInputException

PUBLISHED = "recommendations/"
"""Below it are the objects that name the published lists."""

LATEST = f"{PUBLISHED}latest.json"
"""Key of the object that names the published list."""

GATE = "gate"
"""The record of what the quality gate decided."""

# The object has changed; another write of it is under way; it was deleted.
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
_CHANGED_STATUSES = frozenset({404, 409, 412})  # of an answer without a code


def latest_key(recommender: str = "") -> str:
    """Return the key of the object that names a recommender's published list."""
    return f"{PUBLISHED}{recommender}/latest.json" if recommender else LATEST


def folder_of(recommender: str = "") -> str:
    """Return where a recommender's files are below a run's prefix; empty for the first."""
    return f"recommenders/{recommender}/" if recommender else ""


def record_key(run: str, stage: str, recommender: str = "") -> str:
    """Return the key of what a stage of a run decided."""
    return f"runs/{run}/{folder_of(recommender)}record/{stage}.json"


def read_object(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """Return an object of JSON; None if it is not there.

    Raises:
        InvalidInputException: If it is no JSON object.
    """
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    try:
        content = json.loads(body)
    except ValueError as error:
        raise InvalidInputException(f"s3://{bucket}/{key} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidInputException(f"s3://{bucket}/{key} is no JSON object")
    return content


def write_object(s3: Any, bucket: str, key: str, content: dict[str, Any], **condition: str) -> None:
    """Write an object of JSON, whole, on the condition that S3 is given, if any."""
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=json.dumps(content, ensure_ascii=False, indent=2).encode(),
        ContentType="application/json",
        **condition,
    )


@dataclass(frozen=True)
class SharedObject:
    """A JSON object that several write, as it was read, at one moment.

    Attributes:
        content: Its members; none of an object that does not exist, or is no JSON object.
        etag: Of its bytes; empty if it does not exist.
    """

    s3: Any
    bucket: str
    key: str
    content: dict[str, Any]
    etag: str

    @classmethod
    def read(cls, s3: Any, bucket: str, key: str) -> SharedObject:
        """Return an object as it is now."""
        try:
            response = s3.get_object(Bucket=bucket, Key=key)
        except s3.exceptions.NoSuchKey:
            return cls(s3, bucket, key, {}, "")
        try:
            content = json.loads(response["Body"].read())
        except ValueError:
            content = {}
        content = content if isinstance(content, dict) else {}
        return cls(s3, bucket, key, content, response["ETag"])

    def replace(self, content: dict[str, Any]) -> bool:
        """Write another content; return False, and write nothing, if it has changed since."""
        condition = {"IfMatch": self.etag} if self.etag else {"IfNoneMatch": "*"}
        try:
            write_object(self.s3, self.bucket, self.key, content, **condition)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = error.response["Error"].get("Code", "")
            if code in _CHANGED or (code.isdecimal() and status in _CHANGED_STATUSES):
                return False
            raise
        return True
