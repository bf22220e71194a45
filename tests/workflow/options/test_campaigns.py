"""`[campaigns.NAME]`: their mistakes, the stage in the graph, what it may do, and its poll."""

import json
from pathlib import Path
from typing import Any

import pytest

from localaws.moto_patches.states_language.jsonata import evaluated
from workflow import Config, ConfigError, Stages, parse_config
from workflow.config import with_integration
from workflow.definition.asl import scopes
from workflow.definition.folding import poll_loops
from workflow.definition.render import StructureError, render, structural_faults
from workflow.deployment.deployed import deployed_functions
from workflow.deployment.permissions import permission_policy
from workflow.settings import FUNCTIONS

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
TWO = """
[campaigns.labbase-home]
exploration_weight = 0.2
freshness_influence = 0.5

[campaigns.Mail_2]
min_provisioned_tps = 3
metadata = true
on_failure = "fail"
"""
STATES = {
    "Name Campaigns",
    "Update All Campaigns",
    "Update Campaign",
    "Wait X Seconds for Campaign",
    "Get Campaign Status",
    "Campaign Updated?",
    "Campaign Serves New Version",
    "Campaign Serves as Before",
    "Record Campaigns",
}


def config_with(tables: str, integration: Any = "lambda") -> Config:
    return with_integration(parse_config(EXAMPLE + tables), integration)


def states(config: Config) -> dict[str, Any]:
    definition = json.loads(render(config))
    assert list(structural_faults(definition)) == []
    return {name: state for scope in scopes(definition) for name, state in scope.states.items()}


@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_campaigns_are_updated_after_the_publication(integration: str) -> None:
    config, without = config_with(TWO, integration), config_with("", integration)
    found = states(config)

    assert found.keys() - states(without).keys() == STATES
    assert found["Filter Recommended Item"]["Next"] == "Name Campaigns"
    first, second = found["Name Campaigns"]["Result"]
    assert first == {
        "name": "labbase-home",
        "campaignArn": "arn:aws:personalize:ap-northeast-1:123456789012:campaign/labbase-home",
        "minProvisionedTPS": 1,
        "campaignConfig": {
            "enableMetadataWithRecommendations": False,
            "syncWithLatestSolutionVersion": False,
            "itemExplorationConfig": {"explorationWeight": "0.2"},
            "rankingInfluence": {"FRESHNESS": 0.5},
        },
        "onFailure": "keep",
    }
    assert (second["minProvisionedTPS"], second["onFailure"]) == (3, "fail")
    assert second["campaignConfig"]["enableMetadataWithRecommendations"] is True
    assert found["Update All Campaigns"]["MaxConcurrency"] == 5
    for name in ("Update Campaign", "Get Campaign Status"):
        (catch,) = found[name]["Catch"]
        assert catch["Next"] == "Campaign Serves as Before"
    for name in ("Update All Campaigns", "Record Campaigns"):
        assert found[name]["Catch"][0]["Next"] == "Report Failure"
    assert found["Record Campaigns"]["End"] is True


@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_the_update_is_a_poll_loop_and_its_functions_are_deployed(integration: str) -> None:
    config = config_with(TWO, integration)
    definition = json.loads(render(config))

    loops = [loop.name for scope in scopes(definition) for loop in poll_loops(scope)]
    assert "Campaign Updated?" in loops
    deployed = {*deployed_functions(config, definition)}
    assert deployed >= {"update-campaign", "record-campaigns"}
    assert ("get-status" in deployed) == (integration == "lambda")
    assert not {*FUNCTIONS} & {"update-campaign"} <= {*config_with("").function_names}


@pytest.mark.parametrize(
    ("campaign", "job"),
    [
        (
            {"Status": "CREATE PENDING", "CreationDateTime": "2024-06-01T04:00:00Z"},
            {"status": "CREATE PENDING", "created": "2024-06-01T04:00:00Z", "Cause": ""},
        ),
        (
            {
                "Status": "ACTIVE",
                "CreationDateTime": "2024-06-01T04:00:00Z",
                "LatestCampaignUpdate": {
                    "Status": "CREATE FAILED",
                    "CreationDateTime": "2024-06-02T04:00:00Z",
                    "FailureReason": "No room.",
                },
            },
            {"status": "CREATE FAILED", "created": "2024-06-02T04:00:00Z", "Cause": "No room."},
        ),
    ],
)
def test_without_a_function_the_poll_is_of_the_update_too(
    campaign: dict[str, Any], job: dict[str, Any]
) -> None:
    polling = states(config_with(TWO, "sdk"))["Get Campaign Status"]
    expression = polling["Output"].removeprefix("{%").removesuffix("%}")

    given = {
        "input": {"name": "home"},
        "result": {"Campaign": {"CampaignArn": "arn:c", **campaign}},
    }
    output = evaluated(expression, {"states": given})

    expected = {"arn": "arn:c", "Error": "CampaignUpdateFailed", **job}
    assert output == {"name": "home", "job": expected}


def test_without_the_table_there_is_no_campaign() -> None:
    config = config_with("")
    assert not STATES & states(config).keys()
    with pytest.raises(StructureError, match=r"add a table \[campaigns.NAME\]"):
        Stages(config).campaigns()


def test_a_file_of_one_s_own_has_to_name_the_stage() -> None:
    stages = Stages(config_with(TWO))
    with pytest.raises(StructureError, match=r"needs stages.campaigns\(\) after stages.publish"):
        stages.compose(stages.batch_inference(), stages.publish())


def test_permissions_are_given_for_these_campaigns_alone() -> None:
    def statements(config: Config) -> dict[str, Any]:
        policy = permission_policy(config, "functions")
        return {each["Sid"]: each for each in policy["Statement"]}

    config = config_with(TWO)
    added = statements(config).keys() - statements(config_with("")).keys()
    assert added == {"CreateCampaigns", "UpdateCampaigns", "DescribeCampaigns", "RecordCampaigns"}
    arns = [config.campaign_arn(name) for name in ("labbase-home", "Mail_2")]
    assert statements(config)["UpdateCampaigns"]["Resource"] == arns
    assert statements(config)["DescribeCampaigns"]["Resource"] == arns
    solution = config.arn("personalize", "solution/labbase/*")
    assert statements(config)["CreateCampaigns"]["Resource"] == [*arns, solution]


@pytest.mark.parametrize(
    ("table", "key", "rule", "fix"),
    [
        (
            "[campaigns.home]\nmin_provisioned_tps = 0",
            "campaigns.home.min_provisioned_tps",
            "the value should be greater than or equal to 1",
            "min_provisioned_tps: requests a second",
        ),
        (
            '[campaigns."1 home"]',
            "campaigns.1 home",
            "Personalize has no campaign of such a name",
            "write 1 to 63 letters",
        ),
        (
            "[campaigns.home]\nfreshness_influence = 2.0",
            "campaigns.home.freshness_influence",
            "the value should be less than or equal to 1",
            "for example freshness_influence = 0.3",
        ),
        (
            "[campaigns.home]\nfreshnes_influence = 0.5",
            "campaigns.home.freshnes_influence",
            "there is no such key",
            "did you mean freshness_influence?",
        ),
        (
            "[campaigns]\nmin_provisioned_tps = 2",
            "campaigns.min_provisioned_tps",
            "the value should be a table",
            "each has a table of its own, by its name: [campaigns.NAME]",
        ),
        (
            "[[campaigns]]\nname = 'home'",
            "campaigns",
            "the value should be a table",
            "each has a table of its own, by its name: [campaigns.NAME]",
        ),
    ],
)
def test_mistakes(table: str, key: str, rule: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{EXAMPLE}\n{table}\n")

    (mistake,) = caught.value.mistakes
    assert mistake.key == key
    assert mistake.rule.startswith(rule)
    assert mistake.fix.startswith(fix)


def test_what_the_recipe_or_the_data_do_not_take_is_a_mistake() -> None:
    def mistakes(text: str) -> list[tuple[str, str]]:
        with pytest.raises(ConfigError) as caught:
            parse_config(text)
        return [(mistake.key, mistake.rule) for mistake in caught.value.mistakes]

    popular = EXAMPLE.replace('"aws-user-personalization"', '"aws-popularity-count"')
    assert mistakes(popular + TWO) == [
        (
            "campaigns.labbase-home.exploration_weight",
            "recipe aws-popularity-count does not explore items",
        ),
        (
            "campaigns.labbase-home.freshness_influence",
            "recipe aws-popularity-count has no scores to change",
        ),
    ]
    automatic = EXAMPLE.replace("auto_ml = false", "auto_ml = true")
    automatic = automatic.replace('recipe = "aws-user-personalization"\n', "")
    assert mistakes(automatic + TWO)[0][1] == (
        "a recipe that AutoML chooses does not explore items"
    )
    begin, end = EXAMPLE.index("[datasets.items]"), EXAMPLE.index("[datasets.interactions]")
    no_items = (EXAMPLE[:begin] + EXAMPLE[end:]).replace('title = "TITLE"', 'title = ""')
    assert ("campaigns.Mail_2.metadata") in [key for key, _ in mistakes(no_items + TWO)]
    segments = EXAMPLE.replace('"aws-user-personalization"', '"aws-item-affinity"')
    assert mistakes(segments + "\n[campaigns.home]\n")[0][0] == "solution.recipe"
