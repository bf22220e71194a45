"""Objects on S3, as Personalize's jobs read and write them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from botocore.exceptions import ClientError


class S3Client(Protocol):
    """The calls of boto3's S3 client that are made here."""

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        """List one page of a bucket."""

    def get_object(self, **request: Any) -> dict[str, Any]:
        """Open an object."""

    def put_object(self, **request: Any) -> dict[str, Any]:
        """Write a small object."""

    def upload_fileobj(self, Fileobj: BinaryIO, Bucket: str, Key: str) -> None:  # noqa: N803 - boto3's own names
        """Write an object of any size, in parts."""


S3 = Callable[[], S3Client]
"""Gives the S3 client of the calling thread."""


@dataclass(frozen=True)
class Location:
    """A place on S3: ``s3://bucket/key``."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Location:
        """Read an ``s3://`` URL.

        Raises:
            ValueError: If it is none.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise ValueError(f"{url!r} is not of the form s3://bucket/path")
        return cls(bucket, key)

    def inside(self, name: str) -> str:
        """The key of a file in the folder that this place is."""
        return f"{self.key.rstrip('/')}/{name}" if self.key else name

    def find(self, s3: S3Client) -> list[StoredObject]:
        """Every non-empty object here, by key: the one object, or all under the prefix.

        A path is a prefix of keys, as everywhere on S3: ``folder`` takes in ``folder_test/`` too,
        ``folder/`` does not. Nothing is found in a bucket that is missing.
        """
        found: list[StoredObject] = []
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.key}
        while True:
            try:
                page = s3.list_objects_v2(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] in {"NoSuchBucket", "AccessDenied"}:
                    return []
                raise
            for entry in page.get("Contents", ()):
                if entry["Size"]:
                    key = entry["Key"]
                    name = key[self.key.rfind("/") + 1 :]
                    found.append(StoredObject(self.bucket, key, name, entry["Size"]))
            exact = [one for one in found if one.key == self.key]
            if exact or not page.get("IsTruncated"):
                return exact or found
            request["ContinuationToken"] = page["NextContinuationToken"]


@dataclass(frozen=True)
class StoredObject:
    """One object that is there.

    Args:
        bucket: Its bucket.
        key: Its whole key.
        name: Its key below the folder that was asked for.
        size: Bytes.
    """

    bucket: str
    key: str
    name: str
    size: int

    def open(self, s3: S3Client) -> BinaryIO:
        """The object's bytes as a stream."""
        body = s3.get_object(Bucket=self.bucket, Key=self.key)["Body"]
        return io.BufferedReader(body, 1 << 18)
