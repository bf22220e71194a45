"""A team's own file composes the workflow, and each fault in it is told with its line."""

import subprocess
import sys
from pathlib import Path

import pytest

from workflow import Config, build_workflow, load_config
from workflow.definition.definition_file import DefinitionFileError
from workflow.definition.graph import retraining_graph
from workflow.errors import StructureError

EXAMPLE = Path(__file__).parents[3] / "retraining.toml"
WITH_A_PAUSE = """
from pauses import PAUSE
from workflow import Stages
from workflow.sdk import Wait


def build(config):
    stages = Stages(config)
    return stages.compose(Wait("Wait for the Backup", seconds=PAUSE), stages.etl())
"""


def project(directory: Path, source: str | None) -> Config:
    """Write a configuration that names `retraining.py`, and the file."""
    text = EXAMPLE.read_text(encoding="utf-8")
    table = '[workflow]\ndefinition = "retraining.py"\n\n[polling]'
    (directory / "retraining.toml").write_text(text.replace("[polling]", table), encoding="utf-8")
    if source is not None:
        (directory / "retraining.py").write_text(source, encoding="utf-8")
    return load_config(directory / "retraining.toml")


def test_the_file_composes_the_workflow_and_imports_what_stands_beside_it(tmp_path):
    config = project(tmp_path, WITH_A_PAUSE)
    for seconds in (60, 90):  # edited between two calls, as in a notebook
        (tmp_path / "pauses.py").write_text(f"PAUSE = {seconds}  # s\n" * seconds, "utf-8")

        definition = build_workflow(config).definition.to_dict()

        assert definition["StartAt"] == "Wait for the Backup"
        assert definition["States"]["Wait for the Backup"]["Seconds"] == seconds


def test_a_module_beside_it_takes_no_package_s_place(tmp_path):
    (tmp_path / "workflow.py").write_text("raise RuntimeError('mine')", "utf-8")
    config = project(tmp_path, WITH_A_PAUSE.replace("from pauses import PAUSE", "PAUSE = 1"))

    assert retraining_graph(config).to_dict()["StartAt"] == "Wait for the Backup"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "retraining.py: there is no such file; write it"),
        ("x = 1", "retraining.py: has no function build(config); add `def build(config)"),
        ("build = 1", "retraining.py: has no function build(config)"),
        ("def build(config): pass", "build(config) returned None, which is no graph; end it"),
        ("x = 1\ny = 1 / 0", "retraining.py, line 2: ZeroDivisionError: division by zero"),
        ("def build(config):\n\n  config.nope", "retraining.py, line 3: AttributeError: "),
        ("def build(config): raise ValueError", "retraining.py, line 1: ValueError"),
        ("x = 1\nimport no_such_package", "line 2: No module named 'no_such_package'; run 'pip"),
        ("x = 1\ndef build(:", "retraining.py, line 2: invalid syntax"),
        ("def build(): pass", "retraining.py: TypeError: build() takes 0 positional arguments"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_line(tmp_path, source, message):
    config = project(tmp_path, source)

    with pytest.raises(DefinitionFileError) as raised:
        retraining_graph(config)

    assert message in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("from analysis import helper", "cannot import name 'helper' from 'analysis'"),
        ("import analysis; analysis.helper()", "module 'analysis' has no attribute 'helper'"),
        ("import analysis.helper", "No module named 'analysis.helper'"),
    ],
)
def test_a_module_whose_name_is_taken_is_to_be_renamed(tmp_path, line, error):
    (tmp_path / "analysis.py").write_text("helper = int", "utf-8")
    config = project(tmp_path, f"{line}\ndef build(config): ...\n")

    with pytest.raises(DefinitionFileError) as raised:
        retraining_graph(config)

    text = str(raised.value)
    assert f"retraining.py, line 1: {error}" in text
    assert text.endswith(
        ": the name 'analysis' is that of an installed package, and the module beside retraining.py"
        " is not taken; rename your module"
    )


def test_parts_that_make_no_workflow_are_told_as_the_structural_check_does(tmp_path):
    source = "from workflow import Stages\ndef build(config): return Stages(config).compose()"

    with pytest.raises(StructureError, match="no parts: name at least one stage"):
        retraining_graph(project(tmp_path, source))


def test_a_fault_of_the_graph_is_told_with_the_line_that_makes_it(tmp_path):
    source = """from workflow import Stages
def build(config):
    stages = Stages(config)
    return stages.compose(
        stages.etl(),
        stages.function("Check the Lists", "list-dataset"),
    )
"""

    with pytest.raises(StructureError) as raised:
        retraining_graph(project(tmp_path, source))

    assert str(raised.value) == (
        f"{tmp_path / 'retraining.py'}, line 6: the workflow graph is faulty:\n"
        "  'Check the Lists': there is no function 'list-dataset'; did you mean 'list-datasets'?"
    )


WITH_AN_ESTIMATOR = """
import logging
import boto3
from sagemaker.estimator import Estimator
from sagemaker.session import Session
from workflow import Stages
from workflow.sdk import TrainingStep

logging.getLogger("mine").warning("a warning of mine")
print("a line of mine")
aws = boto3.Session("key", "secret", region_name="ap-northeast-1")


def build(config):
    stages = Stages(config)
    estimator = Estimator(
        "1.dkr.ecr.ap-northeast-1.amazonaws.com/own:1", "arn:aws:iam::123456789012:role/training",
        1, "ml.m5.large", output_path="s3://own", sagemaker_session=Session(aws),
    )
    return stages.compose(stages.etl(), TrainingStep("Train", estimator, "own", data="s3://rows"))
"""


def test_sagemaker_says_nothing_of_itself_and_the_file_what_it_likes(tmp_path):
    project(tmp_path, WITH_AN_ESTIMATOR)

    done = subprocess.run(
        [sys.executable, "-m", "retrain", "check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    said, *verdict = done.stdout.splitlines()
    assert (said, done.stderr) == ("a line of mine", "a warning of mine\n")
    assert verdict[0] == "retraining.toml: sound"
