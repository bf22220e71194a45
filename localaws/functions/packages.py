"""Deployment packages: a zip as Lambda takes it, unpacked once per content."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from localaws.http.errors import ServiceError
from localaws.persistence.files import remove, written_whole

UNZIPPED_LIMIT = 262_144_000
"""Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

UPLOAD_LIMIT = 50 * 1024 * 1024
"""Bytes of a zip that is sent, and not read from a bucket."""

_UNIX = 3
_UNZIP_FAILED = "Could not unzip uploaded file. Please check your file, then try to upload again."


class DamagedPackageError(Exception):
    """A stored zip is not the one that was deployed; the text names it."""


@dataclass(frozen=True)
class Code:
    """An unpacked package.

    Attributes:
        sha256: The zip's, in base64 as Lambda shows it.
        size: The zip's, in bytes.
        archive: The zip.
        directory: Holds its files.
        unreadable: Absolute paths of the files that Lambda's user may not read: entries whose mode
            does not let others read a file or enter a directory.
    """

    sha256: str
    size: int
    archive: Path
    directory: Path
    unreadable: frozenset[str]


def invalid(message: str) -> ServiceError:
    """Return the error of an invalid request."""
    return ServiceError("InvalidParameterValueException", message)


def read_archive(request: Mapping[str, Any], s3: Callable[[], Any] | None) -> bytes:
    """Return the zip that a request carries (`ZipFile`) or names (`S3Bucket`, `S3Key`).

    Args:
        request: A member `Code` of CreateFunction, or UpdateFunctionCode's request.
        s3: Returns the client that reads from buckets.

    Raises:
        ServiceError: InvalidParameterValueException if there is none.
    """
    if (archive := request.get("ZipFile")) is not None:
        if len(archive) > UPLOAD_LIMIT:
            raise invalid(
                f"ZipFile must be smaller than {UPLOAD_LIMIT} bytes; upload it to a bucket "
                "and give S3Bucket and S3Key instead"
            )
        return bytes(archive)
    if s3 is None or not {"S3Bucket", "S3Key"} <= request.keys():
        raise invalid("Please provide a source for function code: ZipFile, or S3Bucket and S3Key")
    version = {"VersionId": request["S3ObjectVersion"]} if "S3ObjectVersion" in request else {}
    try:
        s3_object = s3().get_object(Bucket=request["S3Bucket"], Key=request["S3Key"], **version)
    except ClientError as error:
        detail = error.response["Error"]
        raise invalid(
            f"Error occurred while GetObject. S3 Error Code: {detail['Code']}. "
            f"S3 Error Message: {detail['Message']}"
        ) from error
    return bytes(s3_object["Body"].read())


def describe_archive(archive: bytes) -> tuple[str, int]:
    """Return a zip's SHA-256 in base64, and its size in bytes.

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
    stored = root.with_suffix(".zip")
    if not (stored.is_file() and root.is_dir() and stored.read_bytes() == archive):
        remove(root)
        if stored.is_dir():
            remove(stored)
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(root)
        with written_whole(stored) as file:
            file.write(archive)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        unreadable = frozenset(str(root / path) for path in _unreadable(opened.infolist()))
    return Code(sha256, size, stored, root, unreadable)


def unpack_again(stored: Path, sha256: str) -> Code:
    """Unpack a zip that `unpack` has stored, whatever has become of its files.

    Args:
        stored: The zip.
        sha256: What it had when it was stored, in base64.

    Raises:
        DamagedPackageError: If the zip cannot be read or is another one.
    """
    try:
        archive = stored.read_bytes()
    except OSError as error:
        raise DamagedPackageError(f"{stored} is damaged: {error.strerror}") from None
    if base64.b64encode(hashlib.sha256(archive).digest()).decode("ascii") != sha256:
        raise DamagedPackageError(f"{stored} is damaged: it has other bytes than were deployed")
    remove(stored.with_suffix(""))
    return unpack(archive, stored.parent)


def _unreadable(entries: list[zipfile.ZipInfo]) -> list[str]:
    """Return the paths that only their owner could open; Lambda unpacks modes as they are."""
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
