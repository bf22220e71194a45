"""`[increments]`: runs that import, train and publish only what has changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from workflow.settings import InteractionsData, Rule, Settings

UPDATABLE_RECIPES = frozenset({"aws-user-personalization"})
"""The recipes that are trained with `trainingMode` UPDATE.

https://docs.aws.amazon.com/personalize/latest/dg/API_CreateSolutionVersion.html
"""

_COLUMN = re.compile(r"(?:(?:`([^`]+)`|(\w+))\.)?(?:`([^`]+)`|(\w+))")
_NO_NAME = re.compile(r"[^\w $#-]|\s(?:ASC|DESC)$", re.IGNORECASE)


class IncrementsSettings(Settings):
    """Imports, trains and publishes only what has changed; without this table, all of it each time.

    A run in which nothing has changed ends at once, with the published lists as they are.
    """

    watermark: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        "",
        examples=["inserted_at"],
        description="column of the interactions' table that says when a row was written, by its"
        " bare name in the database, without the alias: a date, a timestamp, or epoch seconds. The"
        " greatest one is where the next run begins. That of TIMESTAMP if left out",
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


def watermark_faults(
    increments: IncrementsSettings, interactions: InteractionsData
) -> Iterator[Rule]:
    """Yield why the watermark is no column that the database can be asked for."""
    key, name = ("watermark",), increments.watermark
    match = _COLUMN.fullmatch(name)
    former = {new: old for old, new in interactions.rename.items()}
    if "watermark" in increments.model_fields_set and not name:
        yield key, "the name of a column is empty", "name one, or leave watermark out"
    elif match and (alias := match[1] or match[2]):
        column = match[3] or match[4]
        if alias.lower() == _alias(interactions).lower():
            fix = f"write '{former.get(column, column)}'"
        else:
            fix = f"name one of {interactions.table}, without an alias"
        rule = "it is a column of the interactions' own table, and is written without an alias"
        yield key, rule, fix
    elif _NO_NAME.search(name):
        rule = f"'{name}' is no column's name"
        yield key, rule, f"name a column of {interactions.table}, such as 'inserted_at'"
    elif name in former:
        rule = f"'{name}' is the new name of '{former[name]}', and the database knows the old one"
        yield key, rule, f"write '{former[name]}'"
    elif not watermark_column(increments, interactions):
        yield (
            key,
            "TIMESTAMP is no plain column of the interactions' table, so that the database cannot"
            " be asked for the rows since a time",
            f"name the column of {interactions.table} that says when a row was written",
        )


def _alias(interactions: InteractionsData) -> str:
    return interactions.alias or interactions.table.rpartition(".")[2].strip('"`')


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
    own = _alias(interactions)
    if alias.lower() not in {"", own.lower()} or (not alias and interactions.joins):
        return ""
    return {new: old for old, new in interactions.rename.items()}.get(name, name)
