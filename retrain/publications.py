"""The lists that runs have published: which there are, and going back to one of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from lambdas.publication import PUBLICATION, newest_data
from lambdas.records import SharedObject, latest_key, record_key
from workflow.config import Config
from workflow.runs.executions import RunningError

_READ_AT_A_TIME = 16


class NothingPublishedError(RunningError):
    """A run without the record of a list that it published."""


@dataclass(frozen=True)
class Publication:
    """A list that was published.

    Attributes:
        content: What the run wrote into `latest.json`.
        is_current: Whether it is the published list now.
    """

    content: Mapping[str, Any]
    is_current: bool

    @property
    def run(self) -> str:
        """The run whose list it is."""
        return str(self.content.get("run", ""))

    @property
    def degraded(self) -> str:
        """What the quality gate found wrong; empty if nothing."""
        return str((self.content.get("degraded") or {}).get("reason", ""))

    @property
    def model(self) -> str:
        """The name of the model of `[models]` that made it; empty for Personalize."""
        return str((self.content.get("model") or {}).get("name", ""))

    @property
    def version(self) -> str:
        """The ARN of the solution version, or of the training job, that made it.

        Of a model that the Spark job trained it is the name.
        """
        model = self.content.get("model") or {}
        arn = self.content.get("solutionVersionArn") or model.get("trainingJobArn")
        return str(arn or self.model)


def publications(s3: Any, bucket: str, recommender: str = "") -> list[Publication]:
    """Return the lists that were published and are still there, the newest data first.

    Args:
        s3: A boto3 `s3` client.
        bucket: The runs' bucket.
        recommender: Whose lists, if there are several recommenders; empty for the first.
    """
    latest = SharedObject.read(s3, bucket, latest_key(recommender)).content

    def record(run: str) -> Mapping[str, Any]:
        return _record(s3, bucket, run, recommender).content

    with ThreadPoolExecutor(_READ_AT_A_TIME) as threads:
        records = threads.map(record, _runs(s3, bucket))
        published = {each["run"]: each for each in records if each}
    # A list that an earlier version published has no record.
    if latest:
        published.setdefault(latest.get("run", ""), latest)
    return sorted(
        (Publication(each, run == latest.get("run")) for run, each in published.items()),
        key=lambda each: (_data(each), str(each.content.get("createdAt", ""))),
        reverse=True,
    )


def published_now(s3: Any, bucket: str, recommender: str = "") -> Publication | None:
    """Return the published list of a recommender; None if nothing is published."""
    latest = SharedObject.read(s3, bucket, latest_key(recommender)).content
    return Publication(latest, is_current=True) if latest else None


def publish_again(
    s3: Any, bucket: str, run: str, recommender: str = "", *, now: datetime
) -> Publication:
    """Go back to the list of a run; a later run publishes over it as usual.

    Args:
        s3: A boto3 `s3` client.
        bucket: The runs' bucket.
        run: The run's name.
        recommender: Whose list, if there are several recommenders; empty for the first.
        now: UTC.

    Raises:
        NothingPublishedError: If the run has no record of a list that it published.
        RunningError: If its list is deleted or is published, or another list was published at the
            same time; nothing has changed in any case.
    """
    latest = SharedObject.read(s3, bucket, latest_key(recommender))
    if latest.content.get("run") == run:
        raise RunningError(f"the list of run '{run}' is the published one already")
    record = _record(s3, bucket, run, recommender).content
    if not record:
        raise NothingPublishedError(f"run '{run}' has no record of a list that it published")
    if not _is_there(s3, record["csv"]):
        raise RunningError(
            f"{record['csv']} is deleted: files of runs are kept for aws.run_retention_days;"
            " 'retrain published' lists the others"
        )
    content = {
        **record,
        "publishedAgainAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "newestExtractedAt": newest_data(latest.content),
    }
    if not latest.replace(content):
        raise RunningError(
            "another list was published at this moment, and stays; 'retrain published' shows it"
        )
    return Publication(content, is_current=True)


def delivery_command(config: Config, run: str) -> str:
    """Return the command of AWS's that delivers the published list of a run into its table."""
    from workflow.definition.parts.delivery import delivery_of  # noqa: PLC0415  it takes the SDK

    request = json.dumps(delivery_of(config, run))
    if config.delivery and config.delivery.to == "dynamodb":
        function = config.function("deliver-recommendations")
        words = ["lambda", "invoke", "--function-name", function, "--payload", request]
        words += ["--cli-binary-format", "raw-in-base64-out", "/dev/stdout"]
    else:
        words = ["glue", "start-job-run", "--job-name", config.glue_job, "--arguments", request]
    return shlex.join(["aws", *words])


def _data(publication: Publication) -> str:
    return str(publication.content.get("extractedAt", ""))


def _record(s3: Any, bucket: str, run: str, recommender: str) -> SharedObject:
    return SharedObject.read(s3, bucket, record_key(run, PUBLICATION, recommender))


def _runs(s3: Any, bucket: str) -> Iterator[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="runs/", Delimiter="/"
    )
    for page in pages:
        for prefix in page.get("CommonPrefixes", ()):
            yield prefix["Prefix"].removeprefix("runs/").removesuffix("/")


def _is_there(s3: Any, uri: str) -> bool:
    parts = urlsplit(uri)
    key = parts.path.removeprefix("/")
    listed = s3.list_objects_v2(Bucket=parts.netloc, Prefix=key, MaxKeys=1)
    return any(entry["Key"] == key for entry in listed.get("Contents", ()))
