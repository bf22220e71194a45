"""What a run goes on with: a training, the lists alone, or nothing.

Nothing is left to do only if the published list is what a run would make now, and is where it
belongs: in the table of `[delivery]` and, by its version, in each campaign. Whatever AWS knows of
that is asked, and not kept a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lambdas.campaigns import can_follow
from lambdas.jobs import solution_of
from lambdas.plan_increment import INCREMENT
from lambdas.records import GATE, LATEST, read_object, record_key

NOTHING, INFERENCE, TRAINING = "nothing", "inference", "training"
"""What a run goes on with."""


@dataclass(frozen=True)
class Version:
    """A solution version that is ACTIVE."""

    arn: str
    mode: str
    created: datetime
    ended: datetime


@dataclass(frozen=True)
class Publication:
    """The published list.

    Attributes:
        version: ARN of the solution version that made it.
        lists: The hash of what it was made of, besides the version; None if that is unknown.
        published: When it was published.
        refused: ARN of the version that the quality gate refused for it; empty if there is none.
        rules: Those of the gate by which it was refused; None if they are unknown.
        missing: Where the list, or its version, is not yet; a clause, empty for nowhere.
        is_of_another: Whether another solution than the configured one made it.
    """

    version: str
    lists: str | None
    published: datetime
    refused: str = ""
    rules: Any = None
    missing: str = ""
    is_of_another: bool = False


def step_after(
    training: str | None,
    newest: Version | None,
    publication: Publication | None,
    lists: str,
    *,
    rules: Any,
    renewed_after: timedelta,
    now: datetime,
) -> tuple[str, str, str | None]:
    """Return what the run goes on with, why, and the version that makes the lists without training.

    A version that the gate has refused is judged again with each list, and is not trained again.

    Args:
        training: The training's mode; None without one.
        newest: The newest ACTIVE version of the solution.
        publication: The published list; None if there is none.
        lists: The hash of what the lists of this run are made of.
        rules: Those of the quality gate.
        renewed_after: How old the published list may become before it is made again.
        now: The time.
    """
    if training or newest is None:
        return TRAINING, "a solution version is trained", None
    if publication is None:
        return INFERENCE, "nothing is published yet", newest.arn
    if publication.published < newest.ended.replace(microsecond=0):  # S3 knows whole seconds
        return INFERENCE, "the newest solution version has not been published", newest.arn
    if publication.is_of_another:
        return INFERENCE, "the published list was made by another solution", newest.arn
    is_refused = publication.refused == newest.arn
    reasons = (
        (publication.lists is None, "what the published list was made of is unknown"),
        (
            publication.lists != lists,
            "whom to recommend to, the filters or their settings have changed",
        ),
        (
            is_refused and publication.rules != rules,
            "the rules of the gate have changed since it refused the newest solution version",
        ),
        (bool(publication.missing), publication.missing),
        (
            now - publication.published >= renewed_after,
            "the published list would be deleted, or expire, before a new one comes",
        ),
    )
    why = next((reason for applies, reason in reasons if applies), "")
    if not why:
        return NOTHING, "nothing has changed since the published list", None
    return INFERENCE, why, newest.arn if is_refused else publication.version


def read_publication(
    personalize: Any, s3: Any, bucket: str, settings: Mapping[str, Any]
) -> Publication | None:
    """Return what is published; None if nothing is.

    Args:
        personalize: A client.
        s3: A client.
        bucket: The runs' bucket.
        settings: `delivery`, the table that the list goes into (`to`, `table` and, of a
            database's, `columns`, of DynamoDB's `expireDays`; null for none), `campaigns`, those
            that serve its version (`name`, `campaignArn`), and `solutionName`.
    """
    latest = read_object(s3, bucket, LATEST)
    if latest is None or "model" in latest:  # a model of one's own made it
        return None
    run, version = latest["run"], latest["solutionVersionArn"]
    published = s3.head_object(Bucket=bucket, Key=LATEST)["LastModified"]
    refused = (latest.get("degraded") or {}).get("refusedSolutionVersionArn") or ""
    gate = (read_object(s3, bucket, record_key(run, GATE)) or {}) if refused else {}
    missing = [
        *_tables_without(s3, bucket, run, settings["delivery"], since=published),
        *_campaigns_without(personalize, settings["campaigns"], version),
    ]
    return Publication(
        version,
        (read_object(s3, bucket, record_key(run, INCREMENT)) or {}).get("lists"),
        published,
        refused,
        gate.get("judgedBy"),
        "; ".join(missing),
        solution_of(version).rpartition("/")[2] != settings["solutionName"],
    )


def _tables_without(
    s3: Any, bucket: str, run: str, delivery: Mapping[str, Any] | None, *, since: datetime
) -> Iterator[str]:
    """Yield that the table has not the published list: it failed, or another list came after."""
    if delivery is None:
        return
    record = read_object(s3, bucket, record_key(run, "delivery")) or {}
    is_there = (
        record.get("status") == "DELIVERED"
        and {name: record.get(name) for name in delivery} == delivery
        and datetime.fromisoformat(record["createdAt"]) >= since
    )
    if not is_there:
        yield f"the published list was not delivered into table '{delivery['table']}'"


def _campaigns_without(
    personalize: Any, campaigns: list[Mapping[str, Any]], version: str
) -> Iterator[str]:
    """Yield each campaign that does not serve the version, and could."""
    for campaign in campaigns:
        if can_follow(personalize, campaign["campaignArn"], version):
            yield f"campaign '{campaign['name']}' does not serve the published list's version"
