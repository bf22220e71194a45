"""Update Campaign: have one campaign serve the published list's version, once per run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lambdas.campaigns import follow, published_version
from lambdas.clients import client
from lambdas.errors import named_errors
from lambdas.polling import created_response


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the creation or update of a campaign, as a job.

    Event: `bucket`, `campaign` (`name`, `campaignArn`, `minProvisionedTPS`, `campaignConfig`),
    `tags`, `waitSeconds`, `maxSeconds`.
    """
    version = published_version(client("s3"), event["bucket"])
    followed = follow(client("personalize"), event["campaign"], version, event["tags"])
    return created_response(followed.job, followed.like, event, datetime.now(UTC))
