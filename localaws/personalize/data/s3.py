"""Objects on S3, as Personalize's jobs read and write them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from localaws.personalize.errors import JobFailedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Location:
    """A location on S3: `s3://bucket/key`."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Location:
        """Read an `s3://` URL.

        Raises:
            ValueError: If it is none.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise ValueError(f"{url!r} is not of the form s3://bucket/path")
        return cls(bucket, key)

    def upload(self, s3: S3Client, name: str, file: BinaryIO) -> None:
        """Write a file into the folder at this location.

        Raises:
            JobFailedError: If it cannot be written.
        """
        key = f"{self.key.rstrip('/')}/{name}" if self.key else name
        try:
            s3.upload_fileobj(file, self.bucket, key)
        except (ClientError, OSError) as error:
            raise JobFailedError("Invalid S3 output path") from error

    def find(self, s3: S3Client) -> list[StoredObject]:
        """Return every non-empty object here, by key: the one object, or all under the prefix.

        A path is a prefix of keys, as everywhere on S3: `folder` takes in `folder_test/` too,
        `folder/` does not. A bucket that is missing has no objects.
        """
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.key)
        folder = self.key.rfind("/") + 1
        try:
            objects = [
                StoredObject(self.bucket, entry["Key"], entry["Key"][folder:], entry["Size"])
                for page in pages
                for entry in page.get("Contents", ())
                if entry["Size"]
            ]
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchBucket", "AccessDenied"}:
                return []
            raise
        return [entry for entry in objects if entry.key == self.key] or objects


@dataclass(frozen=True)
class StoredObject:
    """One object.

    Attributes:
        bucket: Its bucket.
        key: Its whole key.
        name: Its key below the folder of the location at which it was found.
        size: Bytes.
    """

    bucket: str
    key: str
    name: str
    size: int

    def open(self, s3: S3Client) -> BinaryIO:
        """Return the object's bytes as a stream."""
        body: Any = s3.get_object(Bucket=self.bucket, Key=self.key)["Body"]
        return io.BufferedReader(body, 1 << 18)
