"""Campaigns that follow: created, updated, waited for or left alone; and the run's record."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

import lambdas.update_campaign
from lambdas.campaigns import Followed, describe, follow, published_version
from lambdas.errors import (
    CampaignUpdateFailed,
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from lambdas.get_status import get_status
from lambdas.jobs import Job
from lambdas.record_campaigns import record_campaigns
from tests.lambdas.sample_run import ARN, LONG_AGO, RUN, SOLUTION, get
from workflow.definition.polling import BUSY_ERRORS

NEW, OLD = f"{SOLUTION}/new", f"{SOLUTION}/old"
HOME = f"{ARN}campaign/home"
CONFIG = {
    "enableMetadataWithRecommendations": False,
    "syncWithLatestSolutionVersion": False,
    "itemExplorationConfig": {"explorationWeight": "0.3"},
}
CAMPAIGN = {
    "name": "home",
    "campaignArn": HOME,
    "minProvisionedTPS": 1,
    "campaignConfig": CONFIG,
    "onFailure": "keep",
}
TAGS = [{"tagKey": "team", "tagValue": "search"}]
SETTINGS = {"minProvisionedTPS": 1, "campaignConfig": CONFIG}
UPDATE = {"campaignArn": HOME, "solutionVersionArn": NEW, **SETTINGS}
NOW = datetime(2024, 6, 2, 4, 0, 7, tzinfo=UTC)


def described(version: str = OLD, *, status: str = "ACTIVE", **members: Any) -> dict[str, Any]:
    """Return a campaign as Personalize describes it, with its defaults."""
    present = {
        "itemExplorationConfig": {"explorationWeight": "0.30", "explorationItemAgeCutOff": "30.0"}
    }
    return {
        "name": "home",
        "campaignArn": HOME,
        "solutionVersionArn": version,
        "minProvisionedTPS": 1,
        "campaignConfig": present,
        "status": status,
        "creationDateTime": LONG_AGO,
        "lastUpdatedDateTime": LONG_AGO + timedelta(minutes=8),
        **members,
    }


def update(status: str, version: str = NEW, **members: Any) -> dict[str, Any]:
    return {
        "solutionVersionArn": version,
        **SETTINGS,
        "status": status,
        "creationDateTime": NOW - timedelta(minutes=5),
        "lastUpdatedDateTime": NOW - timedelta(minutes=1),
        **members,
    }


def expect(calls: Stubber, campaign: dict[str, Any] | None) -> None:
    request = {"campaignArn": HOME}
    if campaign is None:
        calls.add_client_error(
            "describe_campaign", "ResourceNotFoundException", expected_params=request
        )
    else:
        calls.add_response("describe_campaign", {"campaign": campaign}, request)


def followed(personalize: Any) -> Followed:
    return follow(personalize, CAMPAIGN, NEW, TAGS)


def test_a_campaign_that_is_not_there_is_created(personalize: Any, calls: Stubber) -> None:
    expect(calls, None)
    request = {"name": "home", "solutionVersionArn": NEW, **SETTINGS, "tags": TAGS}
    calls.add_response("create_campaign", {"campaignArn": HOME}, request)

    assert followed(personalize) == (Job(HOME, "CREATE PENDING"), ())


def test_a_creation_whose_response_was_lost_is_waited_for(personalize: Any, calls: Stubber) -> None:
    expect(calls, None)
    calls.add_client_error("create_campaign", "ResourceAlreadyExistsException")
    expect(calls, described(NEW, status="CREATE IN_PROGRESS"))

    assert followed(personalize).job == Job(HOME, "CREATE IN_PROGRESS")


@pytest.mark.parametrize(
    "present",
    [
        described(OLD),
        described(OLD, latestCampaignUpdate=update("CREATE FAILED", failureReason="No room.")),
        described(NEW, minProvisionedTPS=2),
        described(NEW, campaignConfig={"syncWithLatestSolutionVersion": True}),
        described(NEW, status="CREATE FAILED", failureReason="No room."),
    ],
)
def test_a_campaign_that_serves_otherwise_is_updated(
    personalize: Any, calls: Stubber, present: dict[str, Any]
) -> None:
    expect(calls, present)
    calls.add_response("update_campaign", {"campaignArn": HOME}, UPDATE)

    assert followed(personalize).job == Job(HOME, "CREATE PENDING")


@pytest.mark.parametrize(
    "present", [described(NEW), described(NEW, latestCampaignUpdate=update("ACTIVE"))]
)
def test_a_campaign_that_has_the_version_is_left_alone(
    personalize: Any, calls: Stubber, present: dict[str, Any]
) -> None:
    expect(calls, present)

    assert followed(personalize).job == Job(HOME, "ACTIVE")


@pytest.mark.parametrize("status", ["CREATE PENDING", "CREATE IN_PROGRESS"])
def test_an_update_of_an_earlier_try_is_waited_for(
    personalize: Any, calls: Stubber, status: str
) -> None:
    expect(calls, described(OLD, latestCampaignUpdate=update(status)))

    assert followed(personalize).job == Job(HOME, status)


@pytest.mark.parametrize(
    ("present", "reason"),
    [
        (
            described(OLD, latestCampaignUpdate=update("CREATE IN_PROGRESS", f"{SOLUTION}/x")),
            f"campaign 'home' is being changed otherwise, to version {SOLUTION}/x; it can be"
            " updated when that has ended",
        ),
        (
            described(OLD, status="CREATE PENDING"),
            f"campaign 'home' is being changed otherwise, to version {OLD};",
        ),
        (
            described(OLD, status="DELETE IN_PROGRESS"),
            "campaign 'home' is DELETE IN_PROGRESS; it is created anew when it is gone",
        ),
    ],
)
def test_what_somebody_else_does_with_it_is_retried(
    personalize: Any, calls: Stubber, present: dict[str, Any], reason: str
) -> None:
    expect(calls, present)

    with pytest.raises(ResourceInUseException) as raised:
        followed(personalize)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("The quota of 5 campaigns is reached; delete one first.", "CampaignQuotaReached"),
        ("More than 5 resources with PENDING or IN_PROGRESS status.", "LimitExceededException"),
    ],
)
def test_a_quota_that_stays_used_up_has_a_name_that_is_not_retried(
    personalize: Any, calls: Stubber, message: str, name: str
) -> None:
    expect(calls, None)
    calls.add_client_error("create_campaign", "LimitExceededException", message)

    with pytest.raises(Exception, match=message) as raised:
        followed(personalize)
    assert type(raised.value).__name__ == name
    assert (name in BUSY_ERRORS) is (name == "LimitExceededException")


def test_a_campaign_of_another_solution_is_left_alone(personalize: Any, calls: Stubber) -> None:
    """It may be another team's, or that of this one under its solution's former name."""
    expect(calls, described(f"{ARN}solution/shop/1a2b"))

    with pytest.raises(InvalidInputException, match="of another solution") as raised:
        followed(personalize)
    assert "give [campaigns.home] the name of a new campaign, or delete" in str(raised.value)


def test_the_first_wait_comes_from_how_long_the_last_update_took(
    s3: Any, session: Any, calls: Stubber
) -> None:
    session.clients["s3"] = s3
    publish(s3)
    expect(calls, described(OLD, latestCampaignUpdate=update("ACTIVE", OLD)))
    calls.add_response("update_campaign", {"campaignArn": HOME}, UPDATE)

    event = {
        "bucket": "bucket",
        "campaign": CAMPAIGN,
        "tags": TAGS,
        "waitSeconds": 15,
        "maxSeconds": 900,
    }
    response = lambdas.update_campaign.handler(event, None)

    assert response["expected"]["seconds"] == 240
    assert 15 < response["waitSeconds"] < 240
    assert (response["arn"], response["status"]) == (HOME, "CREATE PENDING")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ("ACTIVE", "")),
        ({"latestCampaignUpdate": update("CREATE IN_PROGRESS")}, ("CREATE IN_PROGRESS", "")),
        (
            {"latestCampaignUpdate": update("CREATE FAILED", failureReason="No room.")},
            ("CREATE FAILED", "No room."),
        ),
    ],
)
def test_the_status_of_a_campaign_is_that_of_its_update(
    personalize: Any, calls: Stubber, members: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Its own stays ACTIVE."""
    expect(calls, described(OLD, **members))

    polled = get_status(personalize, HOME, least=15, most=900, now=NOW)

    assert (polled["status"], polled["failureReason"]) == expected
    if members:
        assert polled["waitSeconds"] == 30  # a tenth of five minutes, not of the campaign's age


def publish(s3: Any, version: str = NEW) -> None:
    latest = {"run": RUN, "solutionVersionArn": version}
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=json.dumps(latest))


def record(s3: Any, personalize: Any, *jobs: dict[str, Any], on_failure: str = "keep") -> Any:
    campaigns = [{**CAMPAIGN, "onFailure": on_failure, "job": job} for job in jobs]
    event = {"bucket": "bucket", "run": RUN, "campaigns": campaigns}
    return record_campaigns(s3, personalize, event, now=NOW)


def written(s3: Any) -> Any:
    return json.loads(get(s3, f"runs/{RUN}/record/campaigns.json"))


def test_the_record_says_what_each_campaign_serves(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    publish(s3)
    expect(calls, described(NEW))

    assert record(s3, personalize, {"status": "ACTIVE"}) == {"degraded": False, "reason": ""}

    assert written(s3) == {
        "run": RUN,
        "degraded": False,
        "reason": "",
        "solutionVersionArn": NEW,
        "campaigns": [
            {
                "name": "home",
                "campaignArn": HOME,
                "solutionVersionArn": NEW,
                "minProvisionedTPS": 1,
                "onFailure": "keep",
                "follows": True,
                "error": "",
                "reason": "",
            }
        ],
        "recordedAt": "2024-06-02T04:00:07Z",
    }


@pytest.mark.parametrize(
    ("present", "job", "reason"),
    [
        (
            described(OLD, latestCampaignUpdate=update("CREATE FAILED")),
            {"Error": "CampaignUpdateFailed", "Cause": "No room."},
            f"campaign 'home' still serves {OLD}: No room",
        ),
        (
            None,
            {"Error": "AccessDeniedException", "Cause": "not authorized"},
            "campaign 'home' does not serve: not authorized",
        ),
        (
            described(NEW, status="CREATE FAILED", failureReason="No room."),
            {"Error": "CampaignUpdateFailed", "Cause": ""},
            "campaign 'home' does not serve: No room",
        ),
        (
            described(OLD),
            {
                "Error": "InvalidInputException",
                "Cause": json.dumps({"errorMessage": "campaign 'home' is of another solution"}),
            },
            f"campaign 'home' still serves {OLD}: it is of another solution",
        ),
    ],
)
def test_a_campaign_that_does_not_follow_degrades_the_run_or_fails_it(
    s3: Any,
    personalize: Any,
    calls: Stubber,
    present: dict[str, Any] | None,
    job: dict[str, Any],
    reason: str,
) -> None:
    publish(s3)
    expect(calls, present)
    expect(calls, present)

    assert record(s3, personalize, job) == {"degraded": True, "reason": reason}
    assert written(s3)["degraded"]
    assert written(s3)["campaigns"][0]["error"] == job["Error"]
    with pytest.raises(CampaignUpdateFailed) as raised:
        record(s3, personalize, job, on_failure="fail")
    assert str(raised.value) == reason


def test_an_update_that_became_active_after_its_poll_failed_is_no_failure(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    publish(s3)
    expect(calls, described(NEW))

    job = {"Error": "ConnectionFailed", "Cause": "no answer"}
    assert record(s3, personalize, job, on_failure="fail") == {"degraded": False, "reason": ""}


def test_campaigns_need_a_published_list(s3: Any, personalize: Any) -> None:
    with pytest.raises(ResourceNotFoundException, match=r"stages\.campaigns\(\) stands after"):
        published_version(s3, "bucket")


def test_a_campaign_that_is_not_there_is_described_as_none(
    personalize: Any, calls: Stubber
) -> None:
    expect(calls, None)

    assert describe(personalize, HOME) is None
