"""Files between S3 and a container: input channels, archives, output, checkpoints.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from backports import tarfile
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from localaws.repeated_work import repeated
from localaws.sagemaker.errors import JobFailedError, invalid

_CHECKPOINT_SECONDS = 1.0


@dataclass(frozen=True)
class Location:
    """A location on S3: `s3://bucket/key`."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str, member: str) -> Location:
        """Read an `s3://` URL, or one of S3 over HTTPS.

        Raises:
            ServiceError: ValidationException that names the member, if it is none.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme == "https" and ".amazonaws.com" in bucket:
            host, path = bucket, key
            bucket, _, _ = host.partition(".s3")
            if bucket == host or not bucket:
                bucket, _, path = path.partition("/")
            return cls(bucket, path)
        if scheme != "s3" or not bucket:
            raise invalid(f"{member}: {url!r} is not of the form s3://bucket/path")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> Location:
        return Location(self.bucket, f"{self.key.rstrip('/')}/{name}" if self.key else name)


@dataclass(frozen=True)
class StoredObject:
    """An object, and its name below the location at which it was found."""

    location: Location
    name: str


def find_objects(s3: Any, location: Location, *, role: str, region: str) -> list[StoredObject]:
    """Return every object whose key begins with a location's key, by key.

    Raises:
        JobFailedError: If there is none.
    """
    prefix = location.key
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=prefix)
    folder = prefix.rfind("/") + 1
    try:
        keys = [
            entry["Key"]
            for page in pages
            for entry in page.get("Contents", ())
            if not entry["Key"].endswith("/")
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchBucket", "AccessDenied"}:
            raise
        keys = []
    if not keys:
        raise JobFailedError(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{location}" given'
            " in input data source. Please ensure that the bucket exists in the selected region"
            f" ({region}), that objects exist under that S3 prefix, and that the role"
            f' "{role}" has "s3:ListBucket" permissions on bucket "{location.bucket}".'
        )

    def name(key: str) -> str:
        below = key.removeprefix(f"{prefix}/")
        return below if below != key else key[folder:]

    return [StoredObject(Location(location.bucket, key), name(key)) for key in keys]


def find_of_source(
    s3: Any, source: Mapping[str, Any], *, member: str, role: str, region: str
) -> list[StoredObject]:
    """Return the objects of an S3DataSource: below a prefix, or named by a manifest.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html

    Raises:
        JobFailedError: If there is none, or the manifest is not one.
    """
    location = Location.parse(source["S3Uri"], member)
    if source.get("S3DataType", "S3Prefix") != "ManifestFile":
        return find_objects(s3, location, role=role, region=region)
    try:
        manifest = json.loads(read(s3, location))
        first, *names = manifest
        prefix = Location.parse(first["prefix"], "prefix")
        return [StoredObject(Location(prefix.bucket, prefix.key + name), name) for name in names]
    except (ValueError, TypeError, LookupError) as error:
        raise JobFailedError(
            f'ClientError: the manifest {location} must be [{{"prefix": "s3://…"}}, "name", …]'
        ) from error


def download(s3: Any, objects: list[StoredObject], directory: Path) -> None:
    """Write objects into a directory, which is made, by their names.

    Raises:
        JobFailedError: If one cannot be read.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for found in objects:
        path = directory / PurePosixPath(found.name)
        if not path.resolve().is_relative_to(directory.resolve()):
            raise JobFailedError(f"ClientError: {found.location} has '..' in its name")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            _copy(s3, found.location, file)


def read(s3: Any, location: Location) -> bytes:
    """Return an object's bytes.

    Raises:
        JobFailedError: If it cannot be read.
    """
    file = io.BytesIO()
    _copy(s3, location, file)
    return file.getvalue()


def extract(s3: Any, location: Location, directory: Path) -> None:
    """Unpack a `tar.gz` of S3 into a directory, which is made.

    Raises:
        JobFailedError: If it cannot be read or is no such archive.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        _copy(s3, location, file)
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:*") as archive:
                archive.extractall(directory, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise JobFailedError(f"ClientError: {location} is no tar.gz: {error}") from error


def upload_archive(s3: Any, directory: Path, location: Location, extra: Mapping[str, str]) -> bool:
    """Write a directory's content to S3 as a `tar.gz`; nothing if it is empty.

    Returns:
        Whether there was anything.
    """
    entries = sorted(directory.iterdir()) if directory.is_dir() else []
    if not entries:
        return False
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for entry in entries:
                archive.add(entry, entry.name)
        file.seek(0)
        _upload(s3, file, location, extra)
    return True


def upload_directory(
    s3: Any, directory: Path, location: Location, extra: Mapping[str, str] | None = None
) -> bool:
    """Write a directory's files to S3, by their paths in it; return whether there was any."""
    files = [file for file in sorted(directory.rglob("*")) if file.is_file()]
    for path in files:
        with path.open("rb") as file:
            _upload(s3, file, location / path.relative_to(directory).as_posix(), extra or {})
    return bool(files)


@contextmanager
def synchronized(s3: Any, directory: Path, location: Location) -> Iterator[None]:
    """Copy checkpoints from S3 into a directory, and to S3 whatever changes there meanwhile.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
    """
    folder = Location(location.bucket, f"{location.key.rstrip('/')}/" if location.key else "")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.key)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    names = [(key, key[len(folder.key) :]) for key in keys if not key.endswith("/")]
    download(
        s3, [StoredObject(Location(folder.bucket, key), name) for key, name in names], directory
    )
    with copied(s3, directory, folder, {}):
        yield


@contextmanager
def copied(
    s3: Any, directory: Path, location: Location, extra: Mapping[str, str]
) -> Iterator[None]:
    """Copy whatever changes in a directory to S3, while it does and at the end."""
    written = _changes(directory)

    def copy() -> None:
        nonlocal written
        now = _changes(directory)
        for path in sorted(now.keys()):
            if now[path] != written.get(path):
                with path.open("rb") as file:
                    _upload(s3, file, location / path.relative_to(directory).as_posix(), extra)
        written = now

    def follow() -> None:
        with suppress(OSError, JobFailedError):
            copy()  # unless a file went away, or S3 is busy; the end copies it

    try:
        with repeated(follow, _CHECKPOINT_SECONDS):
            yield
    finally:
        copy()


def _changes(directory: Path) -> dict[Path, tuple[int, int]]:
    """Return the time and size of each file."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def _copy(s3: Any, location: Location, file: BinaryIO) -> None:
    try:
        body = s3.get_object(Bucket=location.bucket, Key=location.key)["Body"]
        shutil.copyfileobj(body, file, 1 << 20)
    except (ClientError, BotoCoreError) as error:
        raise JobFailedError(f"ClientError: Data download failed: {location}: {error}") from error


def _upload(s3: Any, file: BinaryIO, location: Location, extra: Mapping[str, str]) -> None:
    try:
        s3.upload_fileobj(file, location.bucket, location.key, ExtraArgs=dict(extra))
    except (ClientError, BotoCoreError, S3UploadFailedError) as error:
        raise JobFailedError(f"ClientError: Data upload failed: {location}: {error}") from error


def upload(s3: Any, file: BinaryIO, location: Location, config: Mapping[str, Any]) -> None:
    """Write an open file to S3, by the configuration of an output.

    Raises:
        JobFailedError: If it cannot be written.
    """
    _upload(s3, file, location, encryption(config))


def encryption(config: Mapping[str, Any]) -> dict[str, str]:
    """Return PutObject's parameters for an output with a KMS key; none without one."""
    if key := config.get("KmsKeyId"):
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    return {}
