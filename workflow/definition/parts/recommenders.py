"""Several recommenders: a Map in which each is trained, infers and publishes a list of its own.

    List Recommenders → Retrain Each Recommender → …
    All Recommenders Published? → …
               └→ Name Failed Recommenders → …

`List Recommenders` holds what is one recommender's alone, an object for each, which is
`$.recommender` inside the Map. A failure there ends at `Recommender Failed` without an error, since
an error would end the Map, and the recommenders that are still trained would be given up. So each
that can publish does, what follows is done with its list, and the run fails at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow.config import Config
from workflow.definition.composition import linked
from workflow.definition.recommender import ITEM, EachRecommender
from workflow.definition.stage import JOB, Part, Stage, catch_all, fail_inside
from workflow.errors import StructureError
from workflow.sdk import Choice, ChoiceRule, Map, Pass, State

EACH = "Retrain Each Recommender"
ALL_PUBLISHED = "All Recommenders Published?"
FAILED = "RecommendersFailed"
"""The error of a run in which recommenders failed."""

_LIST = "$.recommenders"
OUTCOMES = "$.outcomes"
"""Where `recommenders` leaves who has published, and who failed."""


def each_recommender(recommender: EachRecommender, parts: Sequence[Part]) -> Stage:
    """Return the stage that repeats parts for each recommender.

    Args:
        recommender: That of the Map's item.
        parts: In their order.

    Raises:
        StructureError: If there are no further recommenders.
    """
    config = recommender.config
    _check_several(config, "recommenders()", "repeat")
    items = [{"recommender": item} for item in recommender.items()]
    listing = Pass("List Recommenders", result=items, result_path=_LIST)
    repeating = Map(
        EACH,
        items_path=_LIST,
        max_concurrency=config.recommender_concurrency,
        iterator=_one(parts),
        result_selector={
            "published.$": "$[?(@.csv)].csv",
            "older.$": "$[?(@.job)].job",  # a newer list stays published
            "failed.$": "$[?(@.failed)]",
        },
        result_path=OUTCOMES,
    )
    listing.next(repeating)

    def lead_failures(failure: State) -> None:
        repeating.add_catch(catch_all(failure))

    return Stage("Each Recommender", listing, lead_on=repeating.next, lead_failures=lead_failures)


def all_published(config: Config) -> Stage:
    """Return the stage that fails the run if recommenders failed.

    Args:
        config: Says how many there are.

    Raises:
        StructureError: If there are no further recommenders.
    """
    _check_several(config, "all_published()", "check")
    choice, naming = Choice(ALL_PUBLISHED), _name_failed(config)
    there = ChoiceRule.IsPresent(variable=f"{OUTCOMES}.failed[0]", value=True)
    choice.add_choice(there, naming)
    return Stage(
        "Recommenders",
        choice,
        lead_on=choice.default_choice,
        lead_failures=naming.next,
        must_go_on=True,
    )


def _check_several(config: Config, method: str, what: str) -> None:
    if not config.recommenders:
        raise StructureError([f"{method} has nothing to {what}; add a table [recommenders.NAME]"])


def _one(parts: Sequence[Part]) -> Part:
    """Return the parts, linked, with each failure led to the end of the item."""
    failed = Pass(
        "Recommender Failed",
        parameters={
            "failed.$": f"{ITEM}.solutionName",
            "Error.$": f"{JOB}.Error",
            "Cause.$": f"{JOB}.Cause",
        },
    )
    one = linked(parts)
    fail_inside(parts[0], failed)
    return one


def _name_failed(config: Config) -> Pass:
    """Return the state that makes one reason of those of the recommenders that failed."""
    failed = f"{OUTCOMES}.failed"
    message = (
        f"States.Format('{{}} of {len(config.each_recommender)} recommenders failed, and the lists"
        f" of the others are published: {{}}', States.ArrayLength({failed}),"
        f" States.JsonToString({failed}))"
    )
    return Pass(
        "Name Failed Recommenders",
        parameters={"Error": FAILED, "Cause.$": message},
        result_path=JOB,
    )
