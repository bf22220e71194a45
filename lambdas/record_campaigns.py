"""Record Campaigns: whether the campaigns serve the published list's version, in the record.

It asks Personalize: what a campaign serves is what it says, whatever became of the tasks before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lambdas.campaigns import describe, published_version, said_after_its_name
from lambdas.clients import client
from lambdas.errors import CampaignUpdateFailed, named_errors, sentence
from lambdas.records import record_key, write_object


def record_campaigns(
    s3: Any, personalize: Any, event: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Write the run's `record/campaigns.json`; return whether it is `degraded`, and the `reason`.

    Raises:
        CampaignUpdateFailed: If a campaign does not follow that has `onFailure` fail; the record
            is written before.
    """
    bucket, run = event["bucket"], event["run"]
    version = published_version(s3, bucket)
    outcomes = [_outcome(personalize, campaign, version) for campaign in event["campaigns"]]
    behind = [each for each in outcomes if not each["follows"]]
    reason = "; ".join(each["reason"].rstrip(".") for each in behind)
    record = {
        "run": run,
        "degraded": bool(behind),
        "reason": reason,
        "solutionVersionArn": version,
        "campaigns": outcomes,
        "recordedAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    write_object(s3, bucket, record_key(run, "campaigns"), record)
    if any(each["onFailure"] == "fail" for each in behind):
        raise CampaignUpdateFailed(reason)
    return {"degraded": bool(behind), "reason": reason}


def _outcome(personalize: Any, campaign: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return what became of a campaign; `reason` is empty if it follows."""
    found = describe(personalize, campaign["campaignArn"])
    serves = found["solutionVersionArn"] if found and found["status"] == "ACTIVE" else None
    follows = serves == version
    job = campaign.get("job") or {}
    cause = job.get("Cause") or (found or {}).get("failureReason") or "no reason was given"
    why = said_after_its_name(campaign["name"], sentence(cause))
    stands = f"still serves {serves}" if serves else "does not serve"
    return {
        "name": campaign["name"],
        "campaignArn": campaign["campaignArn"],
        "solutionVersionArn": serves,
        "minProvisionedTPS": (found or {}).get("minProvisionedTPS"),
        "onFailure": campaign["onFailure"],
        "follows": follows,
        "error": "" if follows else job.get("Error") or "CampaignUpdateFailed",
        "reason": "" if follows else f"campaign '{campaign['name']}' {stands}: {why}",
    }


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Record what became of `campaigns` of a `run` in a `bucket`.

    Event: each of the campaigns has `name`, `campaignArn`, `onFailure`, and `job`, its update as it
    was polled last, or `Error` and `Cause`.
    """
    return record_campaigns(client("s3"), client("personalize"), event, now=datetime.now(UTC))
