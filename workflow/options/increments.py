"""`[increments]`: runs that import, train and publish only what has changed."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from workflow.settings import InteractionsData, Settings

UPDATABLE_RECIPES = frozenset({"aws-user-personalization"})
"""The recipes that are trained with `trainingMode` UPDATE.

https://docs.aws.amazon.com/personalize/latest/dg/API_CreateSolutionVersion.html
"""

_COLUMN = re.compile(r"(?:(?:`([^`]+)`|(\w+))\.)?(?:`([^`]+)`|(\w+))")


class IncrementsSettings(Settings):
    """Imports, trains and publishes only what has changed; without this table, all of it each time.

    A run in which nothing has changed ends at once, with the published lists as they are.
    """

    watermark: str = Field(
        "",
        examples=["inserted_at"],
        description="column of the interactions' table that says when a row was written: a date, a"
        " timestamp, or epoch seconds. The greatest one is where the next run begins. That of"
        " TIMESTAMP if left out",
    )
    overlap_hours: int = Field(
        24,
        ge=0,
        le=8_760,
        description="so much before the watermark is read again, which finds events that came late"
        " or were corrected",
    )
    full_every: int = Field(
        7,
        ge=1,
        le=1_000,
        description="of so many imports of interactions, and of so many trainings, one is in full:"
        " it alone finds deleted interactions; 1 makes each full",
    )
    training: Literal["update", "full"] = Field(
        "update",
        description="between full trainings: update has Personalize bring new items and events into"
        f" the last full model, which {', '.join(sorted(UPDATABLE_RECIPES))} alone can",
    )


def watermark_column(increments: IncrementsSettings, interactions: InteractionsData) -> str:
    """Return the watermark's column in the database; empty if TIMESTAMP is no plain column.

    Args:
        increments: Its `watermark` goes first.
        interactions: Whose column TIMESTAMP is asked, and whose table has the column.
    """
    if increments.watermark:
        return increments.watermark
    timestamp = interactions.columns.get("TIMESTAMP")
    match = timestamp and _COLUMN.fullmatch(timestamp.source.strip())
    if not match:
        return ""
    alias, name = match[1] or match[2] or "", match[3] or match[4]
    own = interactions.alias or interactions.table.rpartition(".")[2].strip('"`')
    if alias.lower() not in {"", own.lower()} or (not alias and interactions.joins):
        return ""
    return {new: old for old, new in interactions.rename.items()}.get(name, name)
