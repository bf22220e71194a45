"""The published list: `recommendations/latest.json`, and the record of each run that published.

Each further recommender has its own, `recommendations/NAME/latest.json`.

A list is as old as its data: the one whose data were extracted later is the newer, whichever run
ends first. `latest.json` is written on condition that it is what was read, so that of two runs at
once the newer one stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdas.errors import NewerListPublished, ResourceInUseException
from lambdas.records import SharedObject, latest_key, record_key, write_object

_CONTENDERS = 20  # that can be faster, one after the other, before this one gives up


PUBLICATION = "publication"
"""The record that a run leaves once its list was published."""


def newest_data(latest: Mapping[str, Any]) -> str:
    """Return when the newest data were extracted that were ever published; empty if unknown.

    Args:
        latest: The content of `latest.json`, which may have gone back to an older list.
    """
    return max(str(latest.get("extractedAt", "")), str(latest.get("newestExtractedAt", "")))


def publish_list(s3: Any, bucket: str, publication: Mapping[str, Any]) -> None:
    """Write `latest.json`, then the run's record.

    Args:
        s3: A client.
        bucket: The runs' bucket.
        publication: The content of `latest.json`: `run`, `extractedAt`, `csv` and so on; its
            `recommender`, if there are several and it is not the first.

    Raises:
        NewerListPublished: If a list of newer data is, or was, published; it stays.
    """
    recommender = publication.get("recommender", "")
    key = latest_key(recommender)
    for _ in range(_CONTENDERS):
        latest = SharedObject.read(s3, bucket, key)
        newest = newest_data(latest.content)
        if newest > publication["extractedAt"]:
            raise NewerListPublished(
                f"the list of run '{latest.content.get('run')}' is published, and lists of data"
                f" extracted at {newest} were; those of run '{publication['run']}' are of"
                f" {publication['extractedAt']}: its list is at {publication['csv']}, and the"
                " published one stays"
            )
        if latest.replace(dict(publication)):
            break
    else:
        raise ResourceInUseException(f"s3://{bucket}/{key} changes all the time")
    write_object(
        s3, bucket, record_key(publication["run"], PUBLICATION, recommender), dict(publication)
    )
