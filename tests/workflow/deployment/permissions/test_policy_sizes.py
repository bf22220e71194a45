"""Policies in the sizes that IAM takes: inline ones of roles, and people's in several files."""

import json
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from retrain.main import app
from tests.projects import EXAMPLE
from workflow import parse_config
from workflow.definition.graph import retraining_graph
from workflow.deployment.permissions import PEOPLE, permission_policy, role_policies

MOST_INLINE, MOST = 10_240, 6_144
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

EVERYTHING = """
[gate.metrics.coverage]
minimum = 0.1

[backtest]

[campaigns.home]

[delivery]
to = "dynamodb"
table = "lists"

[retention]
former_solutions = "delete"

[notification]
events = true

[recommenders.similar]
solution = { recipe = "aws-similar-items" }
batch_inference = { table = "job_postings", item_id = "job_postings.id" }
"""


def allowed(policy: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return each action, resource and condition of a policy."""
    return {
        (action, resource, json.dumps(statement.get("Condition")))
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def is_covered(one: tuple[str, str, str], by: set[tuple[str, str, str]]) -> bool:
    return any(
        (one[0], one[2]) == (action, condition) and fnmatchcase(one[1], resource)
        for action, resource, condition in by
    )


def test_a_role_that_needs_everything_has_a_policy_that_iam_takes() -> None:
    """It allows what the long one allows, and no more."""
    config = parse_config(EXAMPLE.replace('"labbase"', '"a-name-of-22-letters-x"', 1) + EVERYTHING)
    long = permission_policy(config, "functions")
    short = role_policies(config, retraining_graph(config).to_dict())["functions"]
    assert len(json.dumps(long, separators=(",", ":"))) > MOST_INLINE
    assert len(json.dumps(short, separators=(",", ":"))) <= MOST_INLINE
    assert len({each["Sid"] for each in short["Statement"]}) == len(short["Statement"])
    before, after = allowed(long), allowed(short)
    assert [one for one in before if not is_covered(one, after)] == []
    assert [one for one in after if not is_covered(one, before)] == []


def write_policies(folder: Path, *who: str) -> None:
    (folder / "retraining.toml").write_text(EXAMPLE, encoding="utf-8")
    config = str(folder / "retraining.toml")
    options = ["--output", str(folder / "iam"), "--config", config]
    result = CliRunner().invoke(app, ["permissions", *who, *options])
    assert result.exit_code == 0, result.output


def test_each_file_is_short_enough_and_together_they_allow_the_same(tmp_path: Path) -> None:
    write_policies(tmp_path)
    config = parse_config(EXAMPLE)
    for who in PEOPLE:
        files = sorted((tmp_path / "iam").glob(f"{who}*.json"))
        policies = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        assert max(len(json.dumps(each, separators=(",", ":"))) for each in policies) <= MOST
        statements = [statement for each in policies for statement in each["Statement"]]
        assert statements == permission_policy(config, who)["Statement"]
    assert len(list((tmp_path / "iam").glob("deployer-*.json"))) > 1


def test_what_an_earlier_configuration_was_allowed_does_not_stay(tmp_path: Path) -> None:
    write_policies(tmp_path, "deployer")
    iam = tmp_path / "iam"
    names = {path.name for path in iam.iterdir()}
    for stale in ("deployer.json", "deployer-7.json", "deployer-notes.json"):
        shutil.copy(iam / "deployer-1.json", iam / stale)
    write_policies(tmp_path, "deployer")
    assert {path.name for path in iam.iterdir()} == {*names, "deployer-notes.json"}
