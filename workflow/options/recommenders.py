"""`[recommenders.NAME]`: further recommenders, which share data sets, Spark job and imports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from workflow.options.gate import GateSettings
from workflow.settings import (
    BatchInferenceSettings,
    FilterSettings,
    Rule,
    Settings,
    SolutionSettings,
)

BASELINE = "popularity"
"""Ends the name of the solution that local runs compare with, NAME-popularity."""

_LONGEST = 24
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")


class RecommenderSettings(Settings):
    """A further recommender: it is trained, infers and publishes a list of its own.

    Its files are below `recommenders/NAME/` of a run, and its list is published by
    `recommendations/NAME/latest.json`. One that fails leaves the lists of the others alone.
    """

    solution: SolutionSettings = Field(
        SolutionSettings(), description="the solution to train, as [solution] of the first"
    )
    batch_inference: BatchInferenceSettings = Field(
        description="the users to recommend for, or the items, as [batch_inference] of the first"
    )
    filter: FilterSettings = Field(
        FilterSettings(), description="items to leave out of the lists, as [filter] of the first"
    )
    gate: GateSettings | None = Field(
        None, description="what a new solution version must reach; nothing if left out"
    )


def recommender_name_faults(solutions: Mapping[str, str]) -> Iterator[Rule]:
    """Yield what is wrong with the names of recommenders, and of their solutions.

    Args:
        solutions: Recommender → name of its solution; that of the first is empty.
    """
    taken: dict[str, str] = {}
    for name, solution in solutions.items():
        path = ("recommenders", name) if name else ()
        if name and (not _NAME.fullmatch(name) or len(name) > _LONGEST):
            rule = f"a recommender's name has up to {_LONGEST} letters a-z, digits and hyphens"
            yield path, rule, "begin each part of it with a letter, as in similar-postings"
        elif name == BASELINE:
            rule = "the solution with which local runs are compared has this name"
            yield path, rule, "give the recommender another one"
        elif solution in taken:
            other = f"recommenders.{taken[solution]}" if taken[solution] else "[solution]"
            rule = f"the solution '{solution}' is that of {other} already"
            yield (*path, "solution", "name"), rule, "give each solution a name of its own"
        taken.setdefault(solution, name)
