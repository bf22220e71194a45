"""Campaigns that follow the published list: creation, update, and what each serves.

A campaign is asked of Personalize each time: one that serves the version already is left alone,
a creation or an update of an earlier try is waited for. Until an update is ACTIVE, and where it
fails, a campaign serves as before.
https://docs.aws.amazon.com/personalize/latest/dg/API_UpdateCampaign.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lambdas.errors import (
    CampaignQuotaReached,
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from lambdas.jobs import Job, solution_of
from lambdas.records import LATEST, read_object

_PASSING_LIMIT = "PENDING or IN_PROGRESS"
"""Of a quota that is free again when others have ended; another holds until somebody deletes."""

BEGUN = frozenset({"CREATE PENDING", "CREATE IN_PROGRESS"})
"""The statuses of a creation or update that is in progress."""


class Followed(NamedTuple):
    """A campaign that has the version, or will have it.

    Attributes:
        job: Its ARN, and the status of its creation or update.
        like: Descriptions of the last creation or update like it, for how long they took.
    """

    job: Job
    like: Sequence[Mapping[str, Any]] = ()


def published_version(s3: Any, bucket: str) -> str:
    """Return the ARN of the solution version that made the published list.

    Raises:
        ResourceNotFoundException: If nothing is published.
    """
    latest = read_object(s3, bucket, LATEST) or {}
    if not latest.get("solutionVersionArn"):
        raise ResourceNotFoundException(
            f"s3://{bucket}/{LATEST} names no solution version: campaigns follow a list that is"
            " published, so that stages.campaigns() stands after stages.publish()"
        )
    return str(latest["solutionVersionArn"])


def describe(personalize: Any, arn: str) -> dict[str, Any] | None:
    """Return a campaign as Personalize describes it; None if there is none."""
    try:
        described: dict[str, Any] = personalize.describe_campaign(campaignArn=arn)["campaign"]
    except personalize.exceptions.ResourceNotFoundException:
        return None
    return described


def can_follow(personalize: Any, arn: str, version: str) -> bool:
    """Return whether a campaign serves another version, and an update could change that.

    One that is being created or updated to the version will serve it; one of another solution is
    left alone.
    """
    found = describe(personalize, arn)
    if found is None:
        return True
    update = found.get("latestCampaignUpdate") or {}
    serves = found["status"] in {"ACTIVE", *BEGUN} and found["solutionVersionArn"] == version
    will = update.get("status") in BEGUN and update["solutionVersionArn"] == version
    return not serves and not will and _is_of_solution(found, version)


def follow(
    personalize: Any,
    campaign: Mapping[str, Any],
    version: str,
    tags: Sequence[Mapping[str, str]],
) -> Followed:
    """Have a campaign serve a version; a further call changes nothing.

    Args:
        personalize: A client.
        campaign: `name`, `campaignArn`, `minProvisionedTPS`, `campaignConfig`.
        version: The solution version's ARN.
        tags: Of a campaign that is created.

    Raises:
        InvalidInputException: If the campaign is one of another solution.
        CampaignQuotaReached: If there are as many campaigns as there may be.
        ResourceInUseException: If it is deleted, created or updated otherwise just now.
    """
    arn = str(campaign["campaignArn"])
    wanted = {
        "solutionVersionArn": version,
        "minProvisionedTPS": campaign["minProvisionedTPS"],
        "campaignConfig": campaign["campaignConfig"],
    }
    found = describe(personalize, arn)
    if found is None:
        try:
            personalize.create_campaign(name=campaign["name"], tags=list(tags), **wanted)
        except personalize.exceptions.LimitExceededException as error:
            if _PASSING_LIMIT in str(error):
                raise
            raise CampaignQuotaReached(str(error)) from None
        except personalize.exceptions.ResourceAlreadyExistsException:
            # An attempt whose response was lost has created it.
            found = describe(personalize, arn)
            if found is None:
                raise
        else:
            return Followed(Job(arn, "CREATE PENDING"))
    _check(campaign["name"], found, version)
    update = found.get("latestCampaignUpdate") or {}
    last = {**(update or found), "campaignArn": ""}
    for status, present in ((found["status"], found), (update.get("status"), update)):
        if status in BEGUN:
            if is_like(present, wanted):
                return Followed(Job(arn, status), [{**present, "campaignArn": arn}])
            raise ResourceInUseException(
                f"campaign '{campaign['name']}' is being changed otherwise, to version"
                f" {present.get('solutionVersionArn')}; it can be updated when that has ended"
            )
    if found["status"] == "ACTIVE" and is_like(found, wanted):
        return Followed(Job(arn, "ACTIVE"))
    personalize.update_campaign(campaignArn=arn, **wanted)
    return Followed(Job(arn, "CREATE PENDING"), [last])


def said_after_its_name(name: str, fault: str) -> str:
    """Return why a campaign does not follow, for a sentence that has named it already."""
    named = f"campaign '{name}' "
    return f"it {fault.removeprefix(named)}" if fault.startswith(named) else fault


def _check(name: str, found: Mapping[str, Any], version: str) -> None:
    """Raise unless the campaign is one of the version's solution, and stays."""
    if str(found["status"]).startswith("DELETE"):
        raise ResourceInUseException(
            f"campaign '{name}' is {found['status']}; it is created anew when it is gone"
        )
    if not _is_of_solution(found, version):
        raise InvalidInputException(
            f"campaign '{name}' is of another solution than {version}, and is left alone: give"
            f" [campaigns.{name}] the name of a new campaign, or delete this one, and it is created"
            " anew"
        )


def _is_of_solution(found: Mapping[str, Any], version: str) -> bool:
    """Return whether a campaign serves a version of the same solution."""
    return solution_of(found["solutionVersionArn"]) == solution_of(version)


def is_like(present: Any, wanted: Any) -> bool:
    """Return whether a campaign has what is wanted; what is not may have AWS's defaults."""
    if isinstance(wanted, Mapping):
        return all(is_like((present or {}).get(name), value) for name, value in wanted.items())
    if isinstance(wanted, bool):
        return bool(present) == wanted
    try:
        return float(present) == float(wanted)  # 0.3 or "0.30"
    except (TypeError, ValueError):
        return bool(present == wanted)
