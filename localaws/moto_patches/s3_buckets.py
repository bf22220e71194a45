"""The objects of moto's S3 as documents, and documents back into moto's S3."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from moto.s3.models import FakeAcl, FakeDeleteMarker, FakeGrant, FakeGrantee, FakeKey, s3_backends
from moto.utilities.utils import LowercaseDict, get_partition

_ATTRIBUTES = (
    "name", "last_modified", "website_redirect_location", "checksum_algorithm", "_storage_class",
    "_expiry", "_etag", "_version_id", "_is_versioned", "bucket_name", "encryption", "kms_key_id",
    "bucket_key_enabled", "lock_mode", "lock_legal_status", "lock_until", "checksum_value",
    "checksum_type", "checksum_parts",
)  # fmt: skip
_FILE = "kept_in"
_DIGEST = "kept_digest"


class DamagedFileError(Exception):
    """A file has other bytes than were written into it; the text names it."""


class Buckets:
    """The objects of an account's buckets; all regions of a partition share their names."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def __contains__(self, bucket: str) -> bool:
        """Return whether there is such a bucket."""
        return bucket in self._backend().buckets

    def keys(self, bucket: str) -> list[str]:
        """Return the keys that have a version or a delete marker; none for an unknown bucket."""
        return list(dict(self._backend().buckets[bucket].keys)) if bucket in self else []

    def versions(
        self, bucket: str, key: str, store: Callable[[BinaryIO], tuple[str, str]]
    ) -> list[dict[str, Any]]:
        """Return a key's versions and delete markers, oldest first.

        `store` keeps bytes that are not kept yet, and returns the name of their file and their
        SHA-256.
        """
        if bucket not in self:
            return []
        versions = list(self._backend().buckets[bucket].keys.getlist(key, []))
        return [self._document(version, store) for version in versions]

    def restore(self, bucket: str, versions: list[Mapping[str, Any]], directory: Path) -> None:
        """Put a key's versions back into a bucket that exists and does not have the key.

        Their files are in the directory.

        Raises:
            DamagedFileError: If one cannot be read or has other bytes; then no version is back.
        """
        keys = self._backend().buckets[bucket].keys
        restored: list[Any] = []
        for document in versions:
            restored.append(self._version(document, (restored or [None])[-1], directory))
        for version in restored:
            keys[version.name] = version

    def _backend(self) -> Any:
        return s3_backends[self._account][get_partition(self._region)]

    def _document(
        self, version: Any, store: Callable[[BinaryIO], tuple[str, str]]
    ) -> dict[str, Any]:
        if isinstance(version, FakeDeleteMarker):
            return {
                "marker": version.version_id,
                "name": version.name,
                "last_modified": version.last_modified,
            }
        if _FILE not in vars(version):
            with version.lock:
                version._value_buffer.seek(0)
                file, digest = store(version._value_buffer)
                setattr(version, _FILE, file)
                setattr(version, _DIGEST, digest)
        version.etag  # noqa: B018  moto computes it when it is first read
        return {
            "file": getattr(version, _FILE),
            "sha256": getattr(version, _DIGEST),
            "metadata": dict(version.metadata),
            "tags": self._backend().tagger.get_tag_dict_for_resource(version.arn),
            "acl": [
                {
                    "grantees": [
                        [grantee.id, grantee.uri, grantee.display_name]
                        for grantee in grant.grantees
                    ],
                    "permissions": grant.permissions,
                }
                for grant in (version.acl.grants if version.acl else [])
            ],
            **{name: getattr(version, name) for name in _ATTRIBUTES},
        }

    def _version(self, document: Mapping[str, Any], previous: Any, directory: Path) -> Any:
        name = document["name"]
        if "marker" in document:
            # A marker points at what it hides; of a key that has nothing else, at nothing.
            hidden = previous or FakeKey(name, b"", self._account, self._region)
            marker = FakeDeleteMarker(hidden)
            marker.last_modified = document["last_modified"]
            marker._version_id = document["marker"]
            return marker
        content, digest = _content(document, directory)
        version = FakeKey(name, content, self._account, self._region)
        for attribute in _ATTRIBUTES:
            setattr(version, attribute, document[attribute])
        setattr(version, _FILE, document["file"])
        setattr(version, _DIGEST, digest)
        version._metadata = LowercaseDict()
        version._metadata.update(document["metadata"])
        version.acl = FakeAcl(
            [
                FakeGrant(
                    [FakeGrantee(*grantee) for grantee in grant["grantees"]], grant["permissions"]
                )
                for grant in document["acl"]
            ]
        )
        tagger = self._backend().tagger
        if document["tags"]:
            tags = tagger.convert_dict_to_tags_input(document["tags"])
            tagger.tag_resource(version.arn, tags)
        return version


def _content(document: Mapping[str, Any], directory: Path) -> tuple[bytes, str]:
    """Return a version's bytes and their SHA-256.

    Raises:
        DamagedFileError: If they cannot be read, or are not those that were written.
    """
    path = directory / document["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path} is damaged: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    if "sha256" in document:
        is_whole = digest == document["sha256"]
    else:  # kept by an earlier version; of an object in parts, the ETag is no digest of its bytes
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        etag = str(document["_etag"] or "")
        is_whole = "-" in etag or etag in {"", md5}
    if not is_whole:
        raise DamagedFileError(f"{path} is damaged: it has other bytes than were written")
    return content, digest
