"""The lists that were published last, as a later run of the job finds them on S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from etl.runtime import RunFolder

LATEST = "recommendations/latest.json"


@dataclass(frozen=True)
class Publication:
    """What `recommendations/latest.json` says, and the manifest of the run that it names.

    Attributes:
        run: The run that published the lists.
        at: When, UTC.
        csv: S3 URI of the lists.
        version: ARN of the solution version that made them.
        users: Users that have a list.
        manifest: Of that run; empty if it is gone.
    """

    run: str
    at: datetime
    csv: str
    version: str = ""
    users: int = 0
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def timestamp(self) -> int:
        """When, UTC epoch seconds."""
        return int(self.at.timestamp())


def last_publication(folder: RunFolder) -> Publication | str:
    """Return what was published last in the bucket of a run, or the reason why it is not known."""
    latest = read_json(folder, LATEST)
    if latest is None:
        return "no list has been published yet"
    try:
        run, csv = str(latest["run"]), str(latest["csv"])
        at = datetime.fromisoformat(latest["createdAt"])
    except (KeyError, TypeError, ValueError) as error:
        return f"s3://{folder.bucket}/{LATEST} is not what a run wrote there: {error!r}"
    if not exists(folder, csv):
        return f"the lists of run '{run}' are gone: {csv}"
    return Publication(
        run=run,
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        csv=csv,
        version=str(latest.get("solutionVersionArn", "")),
        users=int(latest.get("users", 0)),
        manifest=manifest_of(folder.of(run)),
    )


def manifest_of(folder: RunFolder) -> Mapping[str, Any]:
    """Return the manifest of a run; empty if it is gone."""
    return read_json(folder, folder.key("manifest.json")) or {}


def exists(folder: RunFolder, uri: str) -> bool:
    """Return whether there is an object at an S3 URI, or one below it if it ends with `/`."""
    parts = urlsplit(uri)
    key = parts.path.removeprefix("/")
    found = folder.s3.list_objects_v2(Bucket=parts.netloc, Prefix=key, MaxKeys=1)
    return any(key.endswith("/") or item["Key"] == key for item in found.get("Contents", ()))


def read_json(folder: RunFolder, key: str) -> dict[str, Any] | None:
    """Return a JSON object of the bucket; None if there is none, or it is no JSON object."""
    try:
        body = folder.s3.get_object(Bucket=folder.bucket, Key=key)["Body"].read()
        content = json.loads(body)
    except folder.s3.exceptions.NoSuchKey:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
