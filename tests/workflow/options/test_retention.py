"""`[retention]`: its mistakes, the stage that it makes, and what it may do."""

import json
from typing import Any

import pytest

from tests.projects import EXAMPLE
from workflow import ConfigError, Stages, build_workflow, parse_config
from workflow.config import with_integration
from workflow.definition.render import StructureError, structural_faults
from workflow.deployment.permissions import permission_policy
from workflow.run_names import RUN

RETENTION = "\n[retention]\nruns = 5\n"
DELETING = f'{RETENTION}former_solutions = "delete"\n'


def definition(tables: str, integration: Any = "lambda") -> Any:
    config = with_integration(parse_config(EXAMPLE + tables), integration)
    return json.loads(build_workflow(config).to_asl())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[retention]\nruns = 0", "retention.runs = 0"),
        ('[retention]\nformer_solutions = "remove"', "retention.former_solutions"),
        ("[retention]\ndays = 3", "retention.days"),
    ],
)
def test_a_mistake_names_its_key(table: str, message: str) -> None:
    with pytest.raises(ConfigError) as mistake:
        parse_config(f"{EXAMPLE}\n{table}")

    assert message in str(mistake.value)


@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_the_stage_comes_after_the_publication(integration: Any) -> None:
    with_table, without = definition(RETENTION, integration), definition("", integration)
    states = with_table["States"]

    assert list(structural_faults(with_table)) == []
    assert states.keys() - without["States"].keys() == {"Clean Up Old Runs"}
    assert states["Filter Recommended Item"]["Next"] == "Clean Up Old Runs"
    assert states["Clean Up Old Runs"]["End"]
    payload = states["Clean Up Old Runs"]["Parameters"]["Payload"]
    assert payload["run.$"] == RUN
    assert (payload["keep"], payload["solutionNames"]) == (5, None)


def test_solutions_are_deleted_where_that_is_asked_for() -> None:
    states = definition(DELETING)["States"]

    payload = states["Clean Up Old Runs"]["Parameters"]["Payload"]
    assert payload["solutionNames"] == ["labbase"]
    assert payload["tag"] == {"tagKey": "retraining:name", "tagValue": "labbase"}


def test_the_stage_needs_the_table() -> None:
    with pytest.raises(StructureError, match=r"add the table \[retention\]"):
        Stages(parse_config(EXAMPLE)).clean_up()


@pytest.mark.parametrize(
    ("table", "missing"),
    [
        (RETENTION, r"\[retention\] needs stages\.clean_up\(\) after stages\.publish\(\)"),
        (
            "\n[gate.metrics.coverage]\nminimum = 0.1\n",
            r"\[gate\] needs stages\.quality_gate\(\) after stages\.training\(\)",
        ),
    ],
)
def test_a_table_without_its_stage_is_refused(table: str, missing: str) -> None:
    """It would be without effect, and nobody would know."""
    stages = Stages(parse_config(EXAMPLE + table))

    with pytest.raises(StructureError, match=missing):
        stages.compose(stages.etl(), stages.imports(), stages.training(), stages.publish())


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", set()),
        (RETENTION, {"s3:DeleteObject"}),
        (DELETING, {"s3:DeleteObject", "personalize:DeleteSolution"}),
    ],
)
@pytest.mark.parametrize("who", ["functions", "operator"])
def test_nobody_may_delete_more_than_the_table_asks_for(
    table: str, expected: set[str], who: Any
) -> None:
    policy = permission_policy(parse_config(EXAMPLE + table), who)
    actions = {action for each in policy["Statement"] for action in each["Action"]}

    assert {action for action in actions if "Delete" in action} == expected
