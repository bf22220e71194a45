"""Deployment packages: a zip as Lambda takes it, unpacked once per content."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from localaws.http.errors import ServiceError
from localaws.persistence.files import written_whole

UNZIPPED_LIMIT = 262_144_000
"""Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

UPLOAD_LIMIT = 50 * 1024 * 1024
"""Bytes of a zip that is sent, and not read from a bucket."""

_UNIX = 3
_UNZIP_FAILED = "Could not unzip uploaded file. Please check your file, then try to upload again."


@dataclass(frozen=True)
class Code:
    """An unpacked package.

    Attributes:
        sha256: Of the zip, in base64 as Lambda shows it.
        size: Of the zip, in bytes.
        archive: The zip.
        directory: Where its files lie.
        unreadable: Absolute paths of what Lambda's user may not read: entries whose mode does not
            let others read a file or enter a directory.
    """

    sha256: str
    size: int
    archive: Path
    directory: Path
    unreadable: frozenset[str]


def invalid(message: str) -> ServiceError:
    """Return the error of an invalid request."""
    return ServiceError("InvalidParameterValueException", message)


class Packages:
    """Where deployment packages come from, and where they go.

    Args:
        directory: Where they are unpacked; without one, nothing can be.
        s3: Answers the client with which packages are read from buckets.
    """

    def __init__(self, directory: Path | None, s3: Callable[[], Any] | None) -> None:
        self._directory = directory
        self._s3 = s3

    def archive(self, told: Mapping[str, Any]) -> bytes:
        """The zip that a request carries (`ZipFile`) or names (`S3Bucket`, `S3Key`).

        Raises:
            ServiceError: InvalidParameterValueException if there is none.
        """
        if (sent := told.get("ZipFile")) is not None:
            if len(sent) > UPLOAD_LIMIT:
                raise invalid(
                    f"ZipFile must be smaller than {UPLOAD_LIMIT} bytes; upload it to a bucket "
                    "and give S3Bucket and S3Key instead"
                )
            return bytes(sent)
        if self._s3 is None or "S3Key" not in told or "S3Bucket" not in told:
            raise invalid(
                "Please provide a source for function code: ZipFile, or S3Bucket and S3Key"
            )
        version = {"VersionId": told["S3ObjectVersion"]} if "S3ObjectVersion" in told else {}
        try:
            found = self._s3().get_object(Bucket=told["S3Bucket"], Key=told["S3Key"], **version)
        except ClientError as error:
            detail = error.response["Error"]
            raise invalid(
                f"Error occurred while GetObject. S3 Error Code: {detail['Code']}. "
                f"S3 Error Message: {detail['Message']}"
            ) from error
        return bytes(found["Body"].read())

    def unpacked(self, told: Mapping[str, Any]) -> Code:
        """The package that a request carries or names, unpacked.

        Raises:
            ServiceError: InvalidParameterValueException if Lambda would not take it,
                ServiceException if there is no directory.
        """
        if self._directory is None:
            raise ServiceError(
                "ServiceException",
                "this local Lambda has no directory for code: give it one, or register a handler",
            )
        return unpack(self.archive(told), self._directory)


def describe_archive(archive: bytes) -> tuple[str, int]:
    """A zip's SHA-256 in base64, and its size in bytes.

    Raises:
        ServiceError: InvalidParameterValueException if it is no zip, or too large when unpacked.
    """
    if not archive:
        raise invalid("Uploaded file must be a non-empty zip")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            unzipped = sum(entry.file_size for entry in opened.infolist())
            broken = opened.testzip() if unzipped <= UNZIPPED_LIMIT else None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise invalid(_UNZIP_FAILED) from error
    if unzipped > UNZIPPED_LIMIT:
        raise invalid(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
    if broken:
        raise invalid(_UNZIP_FAILED)
    return base64.b64encode(hashlib.sha256(archive).digest()).decode("ascii"), len(archive)


def unpack(archive: bytes, directory: Path) -> Code:
    """Unpack a zip below `directory`, unless the same bytes are there already.

    Raises:
        ServiceError: As `describe_archive`.
    """
    sha256, size = describe_archive(archive)
    root = directory / hashlib.sha256(archive).hexdigest()[:16]
    kept = root.with_suffix(".zip")
    if not kept.exists():
        shutil.rmtree(root, ignore_errors=True)
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(root)
        with written_whole(kept) as file:
            file.write(archive)
    with zipfile.ZipFile(kept) as opened:
        unreadable = frozenset(str(root / path) for path in _unreadable(opened.infolist()))
    return Code(sha256, size, kept, root, unreadable)


def _unreadable(entries: list[zipfile.ZipInfo]) -> list[str]:
    """Paths of the entries that only their owner could open; Lambda unpacks modes as they are."""
    closed = [
        entry.filename.rstrip("/")
        for entry in entries
        if entry.create_system == _UNIX
        and not (entry.external_attr >> 16) & (stat.S_IXOTH if entry.is_dir() else stat.S_IROTH)
    ]
    return [
        entry.filename
        for entry in entries
        if any(PurePosixPath(entry.filename).is_relative_to(path) for path in closed)
    ]


def link_libraries(directory: Path, *, names: tuple[str, ...] = ("boto3",)) -> Path:
    """Make a directory that holds the named distributions and what they require, as links.

    It stands for the site-packages of Lambda's Python runtime, which holds boto3 and no more.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for found in _with_requirements(names):
        for part in {Path(file).parts[0] for file in found.files or ()}:
            if part not in {"..", "__pycache__"} and not (directory / part).is_symlink():
                (directory / part).symlink_to(Path(str(found.locate_file(part))).resolve())
    return directory


def _with_requirements(names: tuple[str, ...]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        wanted += [
            re.split(r"[^\w.-]", requirement)[0]
            for requirement in found[name].requires or ()
            if "extra ==" not in requirement
        ]
    return list(found.values())
