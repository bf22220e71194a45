"""Campaigns that follow: they serve in real time by the version of the list that is published.

    Name Campaigns → Update All Campaigns → Record Campaigns → …

Each campaign is updated in a Map, and polled by its `latestCampaignUpdate`: its own status stays
ACTIVE. What fails there ends at `Campaign Serves as Before`, so that the others go on; the
recording function says it in the run's `record/campaigns.json` and at `$.campaigns`, and raises
`CampaignUpdateFailed` where a campaign is to fail the run. The list is published by then.
"""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.definition.direct import (
    INPUT,
    RESULT,
    jsonata,
    pause,
    personalize_task,
    text,
)
from workflow.definition.polling import lambda_task, poll_loop
from workflow.definition.stage import Stage, catch_all, kept_job
from workflow.errors import StructureError
from workflow.run_names import RUN
from workflow.sdk import Map, Pass, State, Succeed, Wait

CAMPAIGNS = "$.campaigns"
NAMING = "Name Campaigns"
_AT_A_TIME = 5  # as many as a dataset group has, unless its quota was raised
_FAILED = "CampaignUpdateFailed"


def campaigns(config: Config) -> Stage:
    """Return the stage that has the campaigns follow; it adds what came of it at `$.campaigns`.

    Args:
        config: Its tables `[campaigns.NAME]` name them.

    Raises:
        StructureError: If there is no such table.
    """
    if not config.campaigns:
        raise StructureError(
            ["campaigns() has none to update; add a table [campaigns.NAME] to the configuration"]
        )
    naming = Pass(NAMING, result=_named(config), result_path=CAMPAIGNS)
    updating = _one_campaign(config)
    updating.next(Succeed("Campaign Serves New Version"))
    updating.fail_to(Succeed("Campaign Serves as Before"))
    every = Map(
        "Update All Campaigns",
        items_path=CAMPAIGNS,
        max_concurrency=_AT_A_TIME,
        iterator=updating,
        result_path=CAMPAIGNS,
    )
    recording = lambda_task(
        config,
        "Record Campaigns",
        function="record-campaigns",
        payload={"bucket": config.bucket, "run.$": RUN, "campaigns.$": CAMPAIGNS},
        result_selector={"degraded.$": "$.Payload.degraded", "reason.$": "$.Payload.reason"},
        result_path=CAMPAIGNS,
    )
    naming.next(every)
    every.next(recording)

    def lead_failures(failure: State) -> None:
        for state in (every, recording):
            state.add_catch(catch_all(failure))

    return Stage("Campaigns", naming, lead_on=recording.next, lead_failures=lead_failures)


def _named(config: Config) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "campaignArn": config.campaign_arn(name),
            "minProvisionedTPS": campaign.min_provisioned_tps,
            "campaignConfig": campaign.campaign_config,
            "onFailure": campaign.on_failure,
        }
        for name, campaign in config.campaigns.items()
    ]


def _one_campaign(config: Config) -> Stage:
    """Return the loop that updates one campaign, the Map's item, or creates it."""
    wait, get_status = "Wait X Seconds for Campaign", "Get Campaign Status"
    return poll_loop(
        config,
        title="Campaign",
        create="Update Campaign",
        wait=wait,
        get_status=get_status,
        choose="Campaign Updated?",
        function="update-campaign",
        payload={"bucket": config.bucket, "campaign.$": "$", "tags": config.personalize_tags},
        error=_FAILED,
        polled_by=_without_function(config, wait, get_status)
        if config.workflow.integration == "sdk"
        else None,
    )


def _without_function(config: Config, wait: str, get_status: str) -> tuple[Wait, State]:
    """Return the states that wait, and poll Personalize themselves."""
    campaign = f"{RESULT}.Campaign"
    update = (
        f"$exists({campaign}.LatestCampaignUpdate) ? {campaign}.LatestCampaignUpdate : {campaign}"
    )
    job = kept_job(
        f"{{'arn': {campaign}.CampaignArn, 'status': $update.Status,"
        f" 'created': $update.CreationDateTime, 'Error': {text(_FAILED)},"
        " 'Cause': $exists($update.FailureReason) ? $update.FailureReason : ''}"
    )
    polling = personalize_task(
        config,
        get_status,
        "describeCampaign",
        arguments={"CampaignArn": jsonata(f"{INPUT}.job.arn")},
        output=f"($update := {update}; {job})",
    )
    return Wait(wait, query_language="JSONata", seconds=jsonata(pause(config))), polling
