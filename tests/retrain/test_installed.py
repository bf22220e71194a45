"""The wheel, installed into an environment of its own and used from an empty folder."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from tests.projects import write
from tests.retrain.project.databases import VIDEO
from tests.wheels import wheel as wheel_of
from workflow.runs.history import history

ROOT = Path(__file__).parents[2]
NAMES = ("analysis", "etl", "lambdas", "localaws", "recommenders", "retrain", "workflow")
TEST = '''
"""A project's own test."""

import json

from workflow import build_workflow, load_config


def test_the_workflow_is_taken_by_step_functions(local_aws):
    config = load_config("retraining.toml")
    definition = json.loads(build_workflow(config).definition.to_json())
    states = local_aws.client("stepfunctions")
    answer = states.validate_state_machine_definition(definition=json.dumps(definition))
    assert answer["result"] == "OK"
'''
EXECUTE = """
import os, sys
from pathlib import Path
from analysis.notebooks import execute
for cell in execute(Path(sys.argv[1]), environment=os.environ).cells:
    for output in cell.get("outputs", ()):
        print(output.get("text", ""), output.get("data", {}).get("text/plain", ""))
"""

RETRAINING = """
from workflow import Stages


def build(config):
    stages = Stages(config)
    ask = stages.function(
        "Ask the Editors",
        "ask-editors",
        result_selector={"answer.$": "$.Payload.answer"},
        result_path="$.editors",
    )
    return stages.compose(
        stages.etl(), stages.imports(), stages.training(), ask, stages.batch_inference(),
        stages.publish(),
    )
"""
ONLY_THE_FUNCTION = """
from workflow import Stages


def build(config):
    stages = Stages(config)
    return stages.compose(stages.function("Ask the Editors", "ask-editors"))
"""
FUNCTION_TABLES = """
[workflow]
definition = "retraining.py"

[functions.ask-editors]
source = "functions/ask_editors.py"
environment = { DESK = "tokyo" }
requirements = ["greetings==1.0"]
"""
ASK_EDITORS = """
import os

import greetings
from desks import question


def handler(event, context):
    print("asking", os.environ["DESK"])
    return {"answer": f"{greetings.HELLO}, {question(event['run'])}"}
"""
DESKS = "def question(run):\n    return f'how is {run}?'\n"
BROKEN_DESKS = "def question(run):\n    raise ValueError('on holiday')\n"


class Installed:
    """An environment with the wheel, and a project's folder.

    Args:
        environment: The environment's folder.
        project: The project's folder.
        variables: Of the environment, beside the machine's own.
    """

    def __init__(
        self, environment: Path, project: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.environment, self.project = environment, project
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "PYTHON", "PYTEST_", "DATABASE_"))
        }
        self.variables = {**inherited, "AWS_EC2_METADATA_DISABLED": "true", **(variables or {})}

    def run(self, *command: str, expected: int = 0) -> str:
        """Run a program of the environment in the project's folder, and return what it prints."""
        done = subprocess.run(
            [self.environment / "bin" / command[0], *command[1:]],
            cwd=self.project,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stdout
        return done.stdout

    def retrain(self, *arguments: str, expected: int = 0) -> str:
        """Run our command."""
        return self.run("retrain", *arguments, expected=expected)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve AWS in a process of its own; commands of a block reach it."""
        options = ("--port", "0", "--time-scale", "0", "--until-eof")
        process = subprocess.Popen(
            [self.environment / "bin" / "retrain", "local", "serve", *options],
            cwd=self.project,
            env=self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        before, printed = dict(self.variables), []
        assert process.stdout is not None
        try:
            for line in process.stdout:
                printed.append(line)
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    self.variables[name] = value
                if line.startswith("Serving"):
                    break
            else:
                pytest.fail("".join(printed))
            yield
        finally:
            process.communicate(timeout=60)
            self.variables = before


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources: building leaves files beside them."""
    sources = tmp_path_factory.mktemp("sources")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in NAMES:
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", sources / "dist"]
    subprocess.run([*pip, *options, sources], check=True)
    (built,) = (sources / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel, which finds what this environment has of other projects."""
    environment, project = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("shop")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    scheme = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", vars=scheme))
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "install", "--no-index", "--no-deps", wheel],
        check=True,
    )
    # By its true path, of which the archive of Spark's classes is. No .pth file is read there, so
    # that our checkout stays unknown.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    pytest_program = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    (environment / "bin" / "pytest").write_text(f"#!{python}\n{pytest_program}\n")
    (environment / "bin" / "pytest").chmod(0o755)
    shutil.copy(ROOT / "retraining.toml", project)
    (project / "tests").mkdir()
    (project / "tests" / "test_workflow.py").write_text(TEST)
    for name in NAMES:  # a project's own modules, of the names of ours
        (project / f"{name}.py").write_text(f"raise RuntimeError('another {name}')\n")
    return Installed(environment, project)


def test_the_wheel_holds_what_is_no_python_too(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    missing = {
        str(path.relative_to(ROOT))
        for name in NAMES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".pth"}
    } - held
    assert missing == set()
    assert "personalize_retraining.pth" in held


def test_the_command_works_beside_modules_of_the_same_names(installed: Installed) -> None:
    assert "retraining.toml: sound" in installed.run("retrain", "check")
    assert "asl/retraining.asl.json: written" in installed.run("retrain", "render")
    golden = (ROOT / "asl" / "retraining.asl.json").read_bytes()
    assert (installed.project / "asl" / "retraining.asl.json").read_bytes() == golden
    assert "up to date" in installed.run("python", "-m", "retrain", "render", "--check")


def test_python_takes_the_library_in_a_notebook_s_folder_too(installed: Installed) -> None:
    program = "import workflow; print(workflow.load_config('retraining.toml').name)"
    assert installed.run("python", "-c", program) == "labbase\n"
    program = "from recommenders import Popularity; import etl.job, analysis.frames, lambdas.jobs"
    assert installed.run("python", "-c", program) == ""


@pytest.mark.parametrize("command", [("pytest",), ("python", "-m", "pytest")])
def test_a_project_s_own_tests_have_the_local_aws(
    installed: Installed, command: tuple[str, ...]
) -> None:
    printed = installed.run(*command, "-p", "no:cacheprovider", "tests")
    assert "1 passed" in printed
    assert "PytestAssertRewriteWarning" not in printed


def test_a_notebook_of_an_initialised_project_runs_on_its_database(
    installed: Installed, database: str, tmp_path: Path
) -> None:
    """Nothing is cloned; the database is none that the notebooks know."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIDEO)
    project = Installed(installed.environment, tmp_path, {"DATABASE_URL": database})
    project.run("retrain", "init", "--yes")

    printed = project.run("python", "-c", EXECUTE, "notebooks/1-explore-the-data.ipynb")

    assert "No AWS endpoint and no credentials: starting a local AWS" in printed
    assert re.search(r"users +285 ", printed)  # of 300 accounts 15 are deleted
    assert re.search(r"items +150 ", printed)


def test_a_project_without_its_database_is_told_so_before_anything_starts(
    installed: Installed, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIDEO)
    project = Installed(installed.environment, tmp_path, {"DATABASE_URL": database})
    project.run("retrain", "init", "--yes")
    without = Installed(installed.environment, tmp_path)

    printed = without.run("retrain", "local", "run", expected=1)

    assert "the configuration reads accounts, catalog.channels, catalog.videos" in printed
    assert "name a database of yours by --database-url or DATABASE_URL" in printed


def test_a_model_of_one_s_own_takes_the_place_of_personalize(
    installed: Installed, database: str, tmp_path: Path, java_of_jobs: Mapping[str, str]
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIDEO)
    variables = {"DATABASE_URL": database, **java_of_jobs}
    project = Installed(installed.environment, tmp_path, variables)
    project.retrain("init", "--yes")
    file, model = tmp_path / "retraining.toml", '[models.hybrid]\nbuiltin = "hybrid"\n'
    proposed = re.sub("^personalize_filter = .*\n", "", file.read_text("utf-8"), flags=re.M)
    file.write_text(f'{proposed}\n{model}[publish]\nfrom = "hybrid"\n', "utf-8")

    project.retrain("render")
    printed = project.retrain("local", "run", "--output", "out")

    assert "personalize" not in (tmp_path / "asl" / "retraining.asl.json").read_text("utf-8")
    assert "✓ Train hybrid" in printed
    with (tmp_path / "out" / "recommendations.csv").open(encoding="utf-8", newline="") as file:
        lengths = Counter(row["USER_ID"] for row in csv.DictReader(file))
    assert len(lengths) == 285  # of 300 accounts 15 are deleted
    assert set(lengths.values()) == {25}


def functions_of_states(project: Installed) -> list[str]:
    """Return the functions that the state machine's role may call."""
    policy: dict[str, Any] = json.loads(project.retrain("permissions", "states"))
    (calls,) = [each for each in policy["Statement"] if each["Sid"] == "CallFunctions"]
    resources: list[str] = calls["Resource"]
    return resources


def output_of(project: Installed, run: str, state: str) -> Any:
    """Return the output of a state in a run."""
    states = boto3.client("stepfunctions", endpoint_url=project.variables["AWS_ENDPOINT_URL"])
    (machine,) = states.list_state_machines()["stateMachines"]
    arn = f"{machine['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{run}"
    exits = (event.get("stateExitedEventDetails", {}) for event in history(states, arn))
    (output,) = [each["output"] for each in exits if each.get("name") == state]
    return json.loads(output)


def test_the_whole_way_on_a_database_never_seen(
    installed: Installed,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    java_of_jobs: Mapping[str, str],
) -> None:
    """From an empty folder to a deployed workflow with an own function, which then fails."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIDEO)
    wheel_of(tmp_path, "greetings", {"greetings.py": "HELLO = 'hello'\n"})
    folder = tmp_path / "project"
    folder.mkdir()
    project = Installed(
        installed.environment,
        folder,
        {
            **{"DATABASE_URL": database, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
            **java_of_jobs,
        },
    )
    project.retrain("init", "--yes")
    assert "INTERACTIONS" in project.retrain("preview")
    project.retrain("local", "run", "--output", "out")
    recommendations = (folder / "out" / "recommendations.csv").read_text("utf-8")
    assert recommendations.startswith("USER_ID,ITEM_ID,RANK,SCORE\n")
    assert recommendations.count("\n") > 1_000

    with (folder / "retraining.toml").open("a", encoding="utf-8") as file:
        file.write(FUNCTION_TABLES)
    sources = {"functions/ask_editors.py": ASK_EDITORS, "functions/desks.py": DESKS}
    write(folder, {"retraining.py": RETRAINING, **sources})
    assert "ask-editors  ask_editors.py, desks.py" in project.retrain("check")
    assert "asl/retraining.asl.json: written" in project.retrain("render")
    with project.served():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, project.variables[name])
        assert re.search(r"create +AskEditorsFunction", project.retrain("plan"))
        project.retrain("template")
        project.retrain("deploy", "--yes")
        poll = ("--wait", "--poll-seconds", "0.2")
        started = project.retrain("start", "--name", "nightly", *poll)
        assert "✓ Ask the Editors" in started
        assert "nightly: SUCCEEDED\n" in started
        asked = output_of(project, "nightly", "Ask the Editors")
        assert asked["editors"] == {"answer": "hello, how is nightly?"}
        assert "arn" in asked["job"]
        allowed = functions_of_states(project)
        (function,) = [arn for arn in allowed if arn.endswith("-ask-editors")]
        assert len(allowed) == 8
        assert "nothing to do" in project.retrain("plan")
        cost = json.loads(project.retrain("cost", "nightly", "--json"))
        assert cost["transitions"]["Ask the Editors"]

        # A workflow of that function alone, which now fails: no other one is allowed any more.
        write(folder, {"retraining.py": ONLY_THE_FUNCTION, "functions/desks.py": BROKEN_DESKS})
        project.retrain("render")
        assert "update    AskEditorsFunction" in project.retrain("plan")
        project.retrain("deploy", "--yes")
        project.retrain("start", "--name", "broken", *poll, expected=1)
        explanation = project.retrain("explain", "broken")
        assert f"the function '{function.rpartition(':')[2]}'" in explanation
        assert "asking tokyo" in explanation
        assert "raise ValueError('on holiday')" in explanation
        assert "Mend functions/ask_editors.py, then 'retrain deploy'" in explanation
        assert functions_of_states(project) == [function]
        project.retrain("destroy", "--yes", "--empty-bucket")
