"""JSON objects on S3 that several writers share: each write is conditional on what was read.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

# The object has changed; another write of it is under way; it was deleted.
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
_CHANGED_STATUSES = frozenset({404, 409, 412})  # of an answer without a code


@dataclass(frozen=True)
class SharedObject:
    """A JSON object as it was read, at one moment.

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
            self.s3.put_object(
                Bucket=self.bucket,
                Key=self.key,
                Body=json.dumps(content, ensure_ascii=False, indent=2).encode(),
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = error.response["Error"].get("Code", "")
            if code in _CHANGED or (code.isdecimal() and status in _CHANGED_STATUSES):
                return False
            raise
        return True
