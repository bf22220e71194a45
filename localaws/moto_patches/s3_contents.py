"""What moto's S3 holds of a key, as data, and back into moto."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from moto.s3.models import FakeAcl, FakeDeleteMarker, FakeGrant, FakeGrantee, FakeKey, s3_backends
from moto.utilities.utils import LowercaseDict, get_partition

_PLAIN = (
    "name",
    "last_modified",
    "website_redirect_location",
    "checksum_algorithm",
    "_storage_class",
    "_expiry",
    "_etag",
    "_version_id",
    "_is_versioned",
    "bucket_name",
    "encryption",
    "kms_key_id",
    "bucket_key_enabled",
    "lock_mode",
    "lock_legal_status",
    "lock_until",
    "checksum_value",
    "checksum_type",
    "checksum_parts",
)
_FILE = "kept_in"


class Contents:
    """The objects of one account's buckets.

    Args:
        account: Account number.
        region: Its region; S3 has one name space for all regions of a partition.
    """

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        return bucket in self._backend().buckets

    def keys(self, bucket: str) -> list[str]:
        """The keys that have a version or a delete marker; none if there is no such bucket."""
        found = self._backend().buckets.get(bucket)
        return list(dict(found.keys)) if found else []

    def versions(
        self, bucket: str, key: str, keep: Callable[[Callable[[BinaryIO], None]], str]
    ) -> list[dict[str, Any]]:
        """A key's versions and delete markers, oldest first.

        Args:
            bucket: Its name.
            key: The object's.
            keep: Keeps bytes that are not kept yet: called with what writes them into a file, it
                returns the name under which `restore` asks for them.
        """
        found = self._backend().buckets.get(bucket)
        held = list(found.keys.getlist(key, [])) if found else []
        return [self._told(one, keep) for one in held]

    def restore(
        self, bucket: str, versions: list[Mapping[str, Any]], kept: Callable[[str], Path]
    ) -> None:
        """Put a key's versions back into a bucket that is there and does not have the key.

        Args:
            bucket: Its name.
            versions: As `versions` gave them.
            kept: Tells where the bytes of a name are.
        """
        keys = self._backend().buckets[bucket].keys
        before: Any = None
        for told in versions:
            before = self._made(told, before, kept)
            keys[before.name] = before

    def _backend(self) -> Any:
        return s3_backends[self._account][get_partition(self._region)]

    def _told(self, held: Any, keep: Callable[[Callable[[BinaryIO], None]], str]) -> dict[str, Any]:
        if isinstance(held, FakeDeleteMarker):
            return {
                "marker": held.version_id,
                "name": held.name,
                "last_modified": held.last_modified,
            }
        if _FILE not in vars(held):

            def write(file: BinaryIO) -> None:
                with held.lock:
                    held._value_buffer.seek(0)
                    shutil.copyfileobj(held._value_buffer, file, 1 << 20)

            setattr(held, _FILE, keep(write))
        held.etag  # noqa: B018  moto computes it when it is first asked for
        return {
            "file": getattr(held, _FILE),
            "metadata": dict(held.metadata),
            "tags": self._backend().tagger.get_tag_dict_for_resource(held.arn),
            "acl": list(_grants(held.acl)),
            **{name: getattr(held, name) for name in _PLAIN},
        }

    def _made(self, told: Mapping[str, Any], before: Any, kept: Callable[[str], Path]) -> Any:
        if "marker" in told:
            # A marker points at what it hides; of a key that has nothing else, at nothing.
            hidden = before or FakeKey(told["name"], b"", self._account, self._region)
            marker = FakeDeleteMarker(hidden)
            marker.last_modified, marker._version_id = told["last_modified"], told["marker"]
            return marker
        made = FakeKey(told["name"], kept(told["file"]).read_bytes(), self._account, self._region)
        for name in _PLAIN:
            setattr(made, name, told[name])
        setattr(made, _FILE, told["file"])
        made._metadata = LowercaseDict()
        made._metadata.update(told["metadata"])
        made.acl = FakeAcl([_grant(one) for one in told["acl"]])
        tagger = self._backend().tagger
        if told["tags"]:
            tagger.tag_resource(made.arn, tagger.convert_dict_to_tags_input(told["tags"]))
        return made


def _grants(acl: Any) -> Iterator[dict[str, Any]]:
    for grant in acl.grants if acl else []:
        yield {
            "grantees": [[one.id, one.uri, one.display_name] for one in grant.grantees],
            "permissions": grant.permissions,
        }


def _grant(told: Mapping[str, Any]) -> Any:
    return FakeGrant([FakeGrantee(*one) for one in told["grantees"]], told["permissions"])
