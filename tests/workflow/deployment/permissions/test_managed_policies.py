"""The policies of people, in files that IAM takes as managed policies."""

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from retrain.main import app
from tests.projects import EXAMPLE
from workflow import parse_config
from workflow.deployment.permissions import PEOPLE, permission_policy

MOST = 6_144
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


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
