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

NO_SYNTAX = "\ndef build(config):\n    return config config"
STAGE = """from workflow import Stages
def build(config): return Stages(config).etl()
"""
BY_ITSELF = """from workflow import build_workflow

def build(config):
    return build_workflow(config)
"""


def project(directory: Path, source: str | None) -> Config:
    """Write a configuration that names `retraining.py`, and the file."""
    directory.mkdir(exist_ok=True)
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

        assert definition["States"]["Begin Run"]["Next"] == "Wait for the Backup"
        assert definition["States"]["Wait for the Backup"]["Seconds"] == seconds


WITH_A_PACKAGE = """
from steps import extra
from workflow import Stages


def build(config):
    return Stages(config).compose(extra())
"""


@pytest.mark.parametrize("name", ["steps/__init__.py", "steps.py"])
def test_what_it_imports_is_read_anew_each_time_and_is_its_own_project_s(tmp_path, name):
    """Also if it is saved twice within a second, as bytes of the same number."""

    def first_state(directory: Path, state: str) -> str:
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"from workflow.sdk import Pass\ndef extra(): return Pass('{state}')")
        config = project(directory, WITH_A_PACKAGE)
        return build_workflow(config).definition.to_dict()["StartAt"]

    assert first_state(tmp_path / "a", "One") == "One"
    assert first_state(tmp_path / "a", "Two") == "Two"
    assert first_state(tmp_path / "b", "Six") == "Six"
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_package_without_init_is_read_anew_too(tmp_path):
    source = WITH_A_PACKAGE.replace("from steps import", "from steps.more import")
    for state in ("One", "Two"):
        (tmp_path / "steps").mkdir(exist_ok=True)
        (tmp_path / "steps" / "more.py").write_text(
            f"from workflow.sdk import Pass\ndef extra(): return Pass('{state}')"
        )

        definition = build_workflow(project(tmp_path, source)).definition.to_dict()

        assert definition["StartAt"] == state


def test_packages_that_are_loaded_already_stay(tmp_path):
    import workflow.sdk as before  # noqa: PLC0415

    retraining_graph(project(tmp_path, WITH_A_PAUSE.replace("from pauses import PAUSE", "PAUSE=1")))

    assert sys.modules["workflow.sdk"] is before


def test_a_module_beside_it_takes_no_package_s_place(tmp_path):
    (tmp_path / "workflow.py").write_text("raise RuntimeError('mine')", "utf-8")
    config = project(tmp_path, WITH_A_PAUSE.replace("from pauses import PAUSE", "PAUSE = 1"))

    assert "Wait for the Backup" in retraining_graph(config).to_dict()["States"]


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
        ("import sys\nsys.exit(0)", "retraining.py, line 2: it ends the program, with 0; take the"),
        (
            "def build(config):\n  exit('no')",
            "line 2: it ends the program, with 'no'; take the exit",
        ),
        (
            "x = 1\0",
            "retraining.py: source code string cannot contain null bytes; save it as a text",
        ),
        (NO_SYNTAX, "retraining.py, line 3: invalid syntax"),
        ("async def build(config): pass", "build(config) is async; write it without `async`"),
        (STAGE, "build(config) returned the stage 'ETL', which is no graph; end it with `return"),
        ("def build(config): return [config]", "returned a list, which is no graph; end it with"),
        (
            BY_ITSELF,
            "line 4: RecursionError: build(config) calls what calls build(config)",
        ),
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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_file_in_another_encoding_is_told(tmp_path, encoding):
    config = project(tmp_path, "")
    text = "x = 'é'\ndef build(config): pass"
    (tmp_path / "retraining.py").write_bytes(text.encode(encoding))

    with pytest.raises(DefinitionFileError) as raised:
        retraining_graph(config)

    assert "line None" not in str(raised.value)
    assert "save it as a text in UTF-8" in str(raised.value)


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
