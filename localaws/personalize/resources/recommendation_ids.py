"""Recommendation ids: each tells which campaign or recommender gave the answer.

Events that carry one back are attributed to it, as on AWS:
https://docs.aws.amazon.com/personalize/latest/dg/attribution-events.html
"""

from __future__ import annotations

import re
import uuid

from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.resource_types import CAMPAIGN, RECOMMENDER

_ID = re.compile(r"RID-([0-9a-f]{1,8})-[0-9a-f]{24}")


def recommendation_id(source: Resource) -> str:
    """A new id for an answer of a campaign or recommender; at most 40 characters."""
    return f"RID-{source.number:x}-{uuid.uuid4().hex[:24]}"


def source_of(recommendation: str | None, registry: Registry) -> str | None:
    """The ARN of what gave an answer; None if the id is not one of ours, or it is gone."""
    found = _ID.fullmatch(recommendation or "")
    if found is None:
        return None
    number = int(found[1], 16)
    for kind in (CAMPAIGN, RECOMMENDER):
        for one in registry.find(kind):
            if one.number == number:
                return one.arn
    return None
