"""What the configured campaigns serve beside the published list, and taking them along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas.campaigns import BEGUN, describe, follow, said_after_its_name
from lambdas.errors import InvalidInputException, ResourceInUseException
from workflow.config import Config


@dataclass(frozen=True)
class Campaign:
    """A configured campaign.

    Attributes:
        name: Its own.
        serves: The ARN of the solution version that it serves; empty if it serves none.
        wanted: That of the published list.
        status: Of its creation or update, if that is in progress; empty if none is.
        fault: Why it could not be updated; empty if it could, or was not to be.
    """

    name: str
    serves: str
    wanted: str
    status: str = ""
    fault: str = ""

    @property
    def follows(self) -> bool:
        """Whether it serves the published list's version."""
        return self.serves == self.wanted

    def __str__(self) -> str:
        """Return what it serves, in a sentence."""
        present = f"serves {self.serves}" if self.serves else "serves nothing"
        if self.fault:
            fault = said_after_its_name(self.name, self.fault)
            return f"campaign '{self.name}' {present}, and was not updated: {fault}"
        if self.status:
            return f"campaign '{self.name}' {present}, until its update is ACTIVE: {self.status}"
        if self.follows:
            return f"campaign '{self.name}' serves the version of this list"
        if not self.serves:
            return f"campaign '{self.name}' does not exist; the next run creates it"
        return (
            f"campaign '{self.name}' still {present}, and this list is of {self.wanted};"
            " 'retrain publish RUN --campaigns' takes it along"
        )


def campaigns(personalize: Any, config: Config, wanted: str) -> list[Campaign]:
    """Return the configured campaigns as they are.

    Args:
        personalize: A boto3 `personalize` client.
        config: Names them.
        wanted: The ARN of the solution version of the published list.
    """
    return [_campaign(personalize, config, name, wanted) for name in config.campaigns]


def take_along(personalize: Any, config: Config, wanted: str) -> Iterator[Campaign]:
    """Begin to update each campaign that exists to the published list's version; yield all.

    Args:
        personalize: A boto3 `personalize` client.
        config: Names them.
        wanted: The ARN of the solution version of the published list.
    """
    for name, settings in config.campaigns.items():
        present = _campaign(personalize, config, name, wanted)
        if not present.serves:  # to create one, which costs, is a run's
            yield present
            continue
        request = {
            "name": name,
            "campaignArn": config.campaign_arn(name),
            "minProvisionedTPS": settings.min_provisioned_tps,
            "campaignConfig": settings.campaign_config,
        }
        fault = ""
        try:
            follow(personalize, request, wanted, config.personalize_tags)
        except ClientError as error:
            fault = str(error)
        except (InvalidInputException, ResourceInUseException) as error:
            fault = str(error)
        now = _campaign(personalize, config, name, wanted)
        yield Campaign(name, now.serves, wanted, now.status, fault)


def _campaign(personalize: Any, config: Config, name: str, wanted: str) -> Campaign:
    found = describe(personalize, config.campaign_arn(name))
    if found is None:
        return Campaign(name, "", wanted)
    update = found.get("latestCampaignUpdate") or found
    serves = found["solutionVersionArn"] if found["status"] == "ACTIVE" else ""
    return Campaign(name, serves, wanted, update["status"] if update["status"] in BEGUN else "")
