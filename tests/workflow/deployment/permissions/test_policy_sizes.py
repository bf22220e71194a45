"""Policies in the sizes that IAM takes: inline ones of roles, and people's in several files."""

import json
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from retrain.main import app
from tests.projects import EXAMPLE
from workflow import parse_config
from workflow.definition.graph import retraining_graph
from workflow.deployment.permissions import PEOPLE, check_sizes, permission_policy, role_policies
from workflow.errors import DeployError

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


MANY = tuple(f"recommender-{letter * 12}" for letter in "abcdefghijklmnopqrst")


def with_recommenders(*names: str, own_names: bool = False) -> str:
    """Return a configuration with all tables and further recommenders of these names."""
    tables = [EVERYTHING]
    for name in names:
        solution = 'recipe = "aws-similar-items"' + f', name = "own-{name}"' * own_names
        tables.append(
            f"[recommenders.{name}]\nsolution = {{ {solution} }}\n"
            'batch_inference = { table = "job_postings", item_id = "job_postings.id" }\n'
        )
    text = EXAMPLE.replace('"labbase"', '"a-name-of-24-letters-xyz"', 1)
    # Of each recommender polls are events, of 25,000 at most.
    text = text.replace("min_seconds = 15", "min_seconds = 1800").replace("= 900", "= 3600")
    return text + "\n".join(tables)


def test_the_policies_of_roles_do_not_grow_with_the_recommenders() -> None:
    sizes = []
    for number in (5, 20):
        config = parse_config(with_recommenders(*MANY[:number]))
        policies = role_policies(config, retraining_graph(config).to_dict())
        sizes.append(len(json.dumps(policies["functions"], separators=(",", ":"))))
        longest = max(len(json.dumps(each, separators=(",", ":"))) for each in policies.values())
        assert longest <= MOST_INLINE
    assert sizes[0] == sizes[1]


def test_patterns_allow_what_names_do_and_only_the_configurations_own_besides() -> None:
    config = parse_config(with_recommenders(*MANY))
    name = config.name
    exact = allowed(permission_policy(config, "functions"))
    short = allowed(role_policies(config, retraining_graph(config).to_dict())["functions"])

    assert [one for one in exact if not is_covered(one, short)] == []
    wider = {
        (action, resource)
        for action, resource, condition in short
        if not is_covered((action, resource, condition), exact)
    }
    assert {resource.split(":", 5)[5] for _, resource in wider} == {
        f"solution/{name}-*",
        f"{config.bucket}/recommendations/*/latest.json",
        f"log-group:/aws/lambda/{name}-*:*",
    }
    # For each pattern an action is allowed only where it is on each of the names.
    for action, pattern in wider:
        assert [one for one in exact if one[0] == action and fnmatchcase(one[1], pattern)]


def test_check_says_which_policy_iam_would_refuse_and_what_makes_it_shorter(
    tmp_path: Path,
) -> None:
    file = tmp_path / "retraining.toml"
    many = MANY[:12]
    file.write_text(with_recommenders(*many, own_names=True), encoding="utf-8")

    for command in ("check", "template"):
        result = CliRunner().invoke(app, [command, "--config", str(file)])
        assert result.exit_code == 1
        message = " ".join(result.output.split())
        assert "role a-name-of-24-letters-xyz-retraining-functions: its policy has" in message
        assert "IAM takes 10,240. Let the name of each recommender's solution begin with" in message
        assert f"(recommenders.{MANY[0]}.solution.name and 11 more)" in message

    file.write_text(with_recommenders(*many), encoding="utf-8")
    assert CliRunner().invoke(app, ["check", "--config", str(file)]).exit_code == 0


def test_a_role_with_too_many_permissions_of_ones_own_is_told_where_they_are() -> None:
    many = ", ".join(f'"arn:aws:s3:::our-bucket/{number:032}/*"' for number in range(200))
    own = f'[[workflow.permissions]]\nactions = ["s3:GetObject"]\nresources = [{many}]\n'
    config = parse_config(EXAMPLE + own)
    policies = role_policies(config, retraining_graph(config).to_dict())

    with pytest.raises(DeployError, match="by a pattern in workflow"):
        check_sizes(config, policies)


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
