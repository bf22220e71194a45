"""The uploads of a deployment: complete, and the same bytes wherever they are built."""

import ast
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from typer.testing import CliRunner

from etl.datasets import JobSpec
from retrain.main import app
from tests.projects import ASK, HANDLER, project
from tests.wheels import wheel
from workflow import ConfigError, load_config
from workflow.deployment.artefacts import Artefacts, build_artefacts
from workflow.deployment.resources import resources

ROOT = Path(__file__).parents[3]
CONFIG = load_config(ROOT / "retraining.toml")


@pytest.fixture(scope="module")
def artefacts() -> Artefacts:
    return build_artefacts(CONFIG)


def unpacked(body: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(body))


def test_the_archives_hold_the_modules_of_their_package_and_nothing_else(artefacts):
    functions = unpacked(artefacts.functions.body).namelist()
    library = unpacked(artefacts.etl_library.body).namelist()

    assert functions == sorted(f"lambdas/{file.name}" for file in (ROOT / "lambdas").glob("*.py"))
    assert {"lambdas/__init__.py", "lambdas/get_status.py", "lambdas/jobs.py"} <= {*functions}
    assert {"etl/__init__.py", "etl/runtime.py", "etl/validation.py"} <= {*library}
    own = [name for name in library if name.startswith("etl/")]
    assert own == sorted(f"etl/{file.name}" for file in (ROOT / "etl").glob("*.py"))
    shared = ["lambdas/__init__.py", "lambdas/errors.py", "lambdas/recommendations.py"]
    assert library == [*own, *shared]


def test_the_spark_jobs_archive_has_every_module_of_ours_that_it_imports(artefacts):
    archive = unpacked(artefacts.etl_library.body)
    imported = {
        name
        for file in archive.namelist()
        for node in ast.walk(ast.parse(archive.read(file)))
        if isinstance(node, ast.ImportFrom)
        and (name := node.module or "").split(".")[0] in {"etl", "lambdas"}
    }

    assert {f"{name.replace('.', '/')}.py" for name in imported} <= {*archive.namelist()}
    assert "lambdas.recommendations" in imported


def test_nothing_in_an_archive_varies_from_machine_to_machine(artefacts):
    for artefact in (artefacts.functions, artefacts.etl_library):
        entries = unpacked(artefact.body).infolist()
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
        assert {entry.create_system for entry in entries} == {3}
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_another_checkout_with_other_dates_and_modes_gives_the_same_bytes(artefacts, tmp_path):
    for package in ("workflow", "lambdas", "etl"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    for file in tmp_path.rglob("*.py"):
        file.chmod(0o600)
        os.utime(file, (1_000_000_000, 1_000_000_000))
    program = (
        "import sys, workflow; from workflow.deployment.artefacts import build_artefacts;"
        "print(workflow.__file__);"
        "[print(a.key, a.sha256) for a in build_artefacts(workflow.load_config(sys.argv[1]))]"
    )

    lines = subprocess.run(
        [sys.executable, "-B", "-P", "-c", program, str(ROOT / "retraining.toml")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()

    assert Path(lines[0]).is_relative_to(tmp_path)
    assert lines[1:] == [f"{artefact.key} {artefact.sha256}" for artefact in artefacts]


def test_every_deployed_function_finds_its_handler_in_the_archive(artefacts):
    archive = unpacked(artefacts.functions.body)
    handlers = [
        resource.properties["Handler"]
        for resource in resources(CONFIG, artefacts)
        if resource.type == "AWS::Lambda::Function"
    ]

    assert len(handlers) == 7
    for handler in handlers:
        module, _, name = handler.rpartition(".")
        tree = ast.parse(archive.read(f"{module.replace('.', '/')}.py"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_everything_is_named_by_its_content(artefacts):
    keys = [artefact.key for artefact in artefacts]

    assert keys == [
        f"artifacts/functions-{artefacts.functions.sha256[:12]}.zip",
        f"artifacts/etl-{artefacts.etl_library.sha256[:12]}.zip",
        f"artifacts/etl-job-{artefacts.etl_script.sha256[:12]}.py",
        f"artifacts/etl-job-{artefacts.etl_spec.sha256[:12]}.json",
    ]
    assert artefacts.etl_script.body == (ROOT / "etl" / "job.py").read_bytes()
    assert JobSpec.from_json(artefacts.etl_spec.body.decode()) == CONFIG.job_spec()


def test_artefacts_are_written_to_their_keys(artefacts, tmp_path):
    files = artefacts.write(tmp_path)

    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        artefact.key for artefact in artefacts
    ]
    assert [file.read_bytes() for file in files] == [artefact.body for artefact in artefacts]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of wheels that pip takes for its only index."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def requiring(*requirements: str) -> str:
    return f"{ASK}requirements = {list(requirements)}\n"


def test_an_own_function_is_archived_with_its_requirements(tmp_path, index):
    wheel(index, "greetings", {"greetings/__init__.py": "import words"}, requires="words==1.0")
    wheel(index, "words", {"words.py": "HELLO = 'hello'"})
    asking = {"functions/ask_editors.py": f"import greetings\nimport desks\n{HANDLER}"}
    config = project(
        tmp_path,
        requiring("greetings==1.0", "words==1.0"),
        {**asking, "functions/desks.py": "NAME = 'tokyo'"},
    )

    artefact = build_artefacts(config).own_functions["ask-editors"]

    archive = unpacked(artefact.body)
    assert archive.namelist() == [
        "ask_editors.py",
        "desks.py",
        "greetings-1.0.dist-info/METADATA",
        "greetings-1.0.dist-info/WHEEL",
        "greetings/__init__.py",
        "words-1.0.dist-info/METADATA",
        "words-1.0.dist-info/WHEEL",
        "words.py",
    ]
    assert artefact.key == f"artifacts/function-ask-editors-{artefact.sha256[:12]}.zip"
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert artefact in [*build_artefacts(config)]


def test_an_own_function_has_the_same_bytes_wherever_it_is_built(tmp_path):
    digests = set()
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        config = project(directory)
        (directory / "functions" / "__pycache__").mkdir()
        (directory / "functions" / "ask_editors.py").chmod(0o600 if name == "one" else 0o644)
        digests.add(build_artefacts(config).own_functions["ask-editors"].sha256)

    assert len(digests) == 1


@pytest.mark.parametrize(
    ("requirement", "rule", "fix"),
    [
        ("absent==1.0", "pip finds no wheel of it", "correct name and version"),
        ("words==2.0", "pip finds no wheel of it: Could not find a version", "correct name and"),
        (
            "compiled==1.0",
            "it is not of pure Python: its wheels are each for",
            "take another packag",
        ),
    ],
)
def test_a_requirement_that_pip_cannot_provide_is_told(tmp_path, index, requirement, rule, fix):
    wheel(index, "words", {"words.py": ""})
    tag = next(iter(map(str, sys_tags())))
    wheel(index, "compiled", {"compiled.py": ""}, tag=tag)
    config = project(tmp_path, requiring(requirement))

    with pytest.raises(ConfigError) as raised:
        build_artefacts(config)

    (mistake,) = raised.value.mistakes
    assert (mistake.key, mistake.value) == ("functions.ask-editors.requirements", requirement)
    assert mistake.rule.startswith(rule)
    assert mistake.fix.startswith(fix)


def test_an_import_that_no_requirement_has_is_told(tmp_path, index):
    wheel(index, "letters", {"letters.py": ""})
    source = f"import letters\nimport numbers_of\n{HANDLER}"
    config = project(tmp_path, requiring("letters==1.0"), {"functions/ask_editors.py": source})

    with pytest.raises(ConfigError, match="line 2: imports 'numbers_of', which Lambda's Python"):
        build_artefacts(config)
    checked = CliRunner().invoke(app, ["check", "--config", str(tmp_path / "retraining.toml")])
    assert checked.exit_code == 1
    assert "imports 'numbers_of', which Lambda's Python does not have" in checked.stderr


def test_a_module_with_the_path_of_a_requirement_is_told(tmp_path, index):
    wheel(index, "syllables", {"syllables.py": ""})
    source = f"import syllables\n{HANDLER}"
    config = project(
        tmp_path,
        requiring("syllables==1.0"),
        {"functions/ask_editors.py": source, "functions/syllables.py": ""},
    )

    with pytest.raises(ConfigError, match=r"syllables\.py is a file of a requirement, too"):
        build_artefacts(config)


def test_a_requirement_of_a_requirement_that_is_not_named_is_told_with_its_version(tmp_path, index):
    """Its newest version would be another one later, and so would the archive."""
    wheel(index, "sentences", {"sentences.py": ""}, requires="Full_Stops")
    wheel(index, "Full_Stops", {"full_stops.py": ""})
    config = project(tmp_path, requiring("sentences==1.0"))

    with pytest.raises(ConfigError) as raised:
        build_artefacts(config)

    (mistake,) = raised.value.mistakes
    assert mistake.rule.startswith("they require others")
    assert mistake.fix == 'name these too: "full-stops==1.0"'
