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

from etl.datasets import JobSpec
from workflow import load_config
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
    assert library == sorted(f"etl/{file.name}" for file in (ROOT / "etl").glob("*.py"))
    assert {"etl/__init__.py", "etl/runtime.py", "etl/validation.py"} <= {*library}


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

    assert len(handlers) == 6
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
