"""Recommendation ids: each tells which campaign or recommender the recommendations are from.

Events that carry one back are attributed to it, as on AWS:
https://docs.aws.amazon.com/personalize/latest/dg/attribution-events.html
"""

from __future__ import annotations

import re
import uuid

from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.types import CAMPAIGN, RECOMMENDER

_ID = re.compile(r"RID-([0-9a-f]{1,8})-[0-9a-f]{24}")


def recommendation_id(source: Resource) -> str:
    """Return a new id for a response of a campaign or recommender; at most 40 characters."""
    return f"RID-{source.number:x}-{uuid.uuid4().hex[:24]}"


def source_of(id_: str | None, registry: Registry) -> str | None:
    """Return the ARN of the campaign or recommender of an id; None if it is not ours, or gone."""
    match = _ID.fullmatch(id_ or "")
    if match is None:
        return None
    sources = registry.find(CAMPAIGN) + registry.find(RECOMMENDER)
    return next((source.arn for source in sources if source.number == int(match[1], 16)), None)
