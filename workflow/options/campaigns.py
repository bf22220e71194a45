"""`[campaigns.NAME]`: campaigns that serve in real time the version of the published list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from pydantic import Field

from workflow.personalize import EXPLORING_RECIPES, INFLUENCED_RECIPES
from workflow.settings import Rule, Settings

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")


class CampaignSettings(Settings):
    """A campaign that follows: each run has it serve the version that made the published list.

    The table's name is the campaign's. The first run creates it; it serves, and costs, until you
    delete it, also where the table is taken out.
    """

    min_provisioned_tps: int = Field(
        1,
        ge=1,
        description="requests a second that Personalize keeps ready, and bills all the time; more"
        " are served too, and billed then",
    )
    exploration_weight: float | None = Field(
        None, ge=0, le=1, description="how much new items are tried out: 0 not at all, 1 most"
    )
    exploration_item_age_cut_off: float | None = Field(
        None, gt=0, description="days; items younger than this count as new"
    )
    popularity_influence: float | None = Field(
        None, ge=0, le=1, description="how much the popularity of items counts beside relevance"
    )
    freshness_influence: float | None = Field(
        None, ge=0, le=1, examples=[0.3], description="the same of how new items are"
    )
    metadata: bool = Field(
        False,
        description="whether requests may ask for columns of the items, which costs more",
    )
    on_failure: Literal["keep", "fail"] = Field(
        "keep",
        description="keep: the run goes on, marked as degraded; fail: it fails with"
        " CampaignUpdateFailed when the others are through. The list is published, and the campaign"
        " serves as before, in either case",
    )

    @property
    def campaign_config(self) -> dict[str, Any]:
        """`campaignConfig` as CreateCampaign and UpdateCampaign take it."""
        exploration = {
            "explorationWeight": self.exploration_weight,
            "explorationItemAgeCutOff": self.exploration_item_age_cut_off,
        }
        influence = {
            "POPULARITY": self.popularity_influence,
            "FRESHNESS": self.freshness_influence,
        }
        optional = {
            "itemExplorationConfig": {
                name: str(value) for name, value in exploration.items() if value is not None
            },
            "rankingInfluence": {
                name: value for name, value in influence.items() if value is not None
            },
        }
        return {
            "enableMetadataWithRecommendations": self.metadata,
            # It would serve every new version, one that the quality gate refuses too.
            "syncWithLatestSolutionVersion": False,
            **{name: value for name, value in optional.items() if value},
        }


def campaign_faults(
    campaigns: Mapping[str, CampaignSettings], recipe: str | None, *, has_items: bool
) -> Iterator[Rule]:
    """Yield what the solution's recipe, or its data, does not take.

    https://docs.aws.amazon.com/personalize/latest/dg/API_CampaignConfig.html

    Args:
        campaigns: By their names.
        recipe: The solution's; None where AutoML chooses it.
        has_items: Whether there is a data set ITEMS.
    """
    chosen = f"recipe {recipe}" if recipe else "a recipe that AutoML chooses"
    limited: dict[str, tuple[AbstractSet[str], str]] = {
        "exploration_weight": (EXPLORING_RECIPES, "does not explore items"),
        "exploration_item_age_cut_off": (EXPLORING_RECIPES, "does not explore items"),
        "popularity_influence": (INFLUENCED_RECIPES, "has no scores to change"),
        "freshness_influence": (INFLUENCED_RECIPES, "has no scores to change"),
    }
    for name, campaign in campaigns.items():
        if not _NAME.fullmatch(name):
            rule = "Personalize has no campaign of such a name"
            yield (name,), rule, "write 1 to 63 letters, digits, - and _, not - or _ first"
        for key, (recipes, fault) in limited.items():
            if getattr(campaign, key) is not None and recipe not in recipes:
                fix = f"leave it out, or write a recipe of {', '.join(sorted(recipes))}"
                yield (name, key), f"{chosen} {fault}", fix
        if campaign.metadata and not has_items:
            rule = "there is no data set ITEMS whose columns could be asked for"
            yield (name, "metadata"), rule, "add [datasets.items], or leave this out"
