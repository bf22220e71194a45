"""The command `retrain`, run as a person runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def retrain(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = "from workflow.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_says_what_the_configuration_holds():
    done = retrain("check")

    assert done.returncode == 0
    assert done.stdout.startswith("retraining.toml: sound\n")
    assert "USER_ID, DEPARTMENT, FACULTY, PREFECTURE, GRADE" in done.stdout


def test_mistakes_are_one_message_without_a_traceback(tmp_path):
    (tmp_path / "retraining.toml").write_text('name = "Shop"\n')

    done = retrain("check", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith('retraining.toml: 5 mistakes\n  name = "Shop"\n')
    assert "Traceback" not in done.stderr


def test_render_writes_and_then_finds_its_files_current(tmp_path):
    (tmp_path / "retraining.toml").write_bytes((ROOT / "retraining.toml").read_bytes())

    first = retrain("render", cwd=tmp_path)
    second = retrain("render", "--check", cwd=tmp_path)

    assert first.stdout.splitlines() == [
        "asl/retraining.asl.json: written",
        "asl/retraining.md: written",
    ]
    assert second.returncode == 0
    committed = (ROOT / "asl" / "retraining.asl.json").read_bytes()
    assert (tmp_path / "asl" / "retraining.asl.json").read_bytes() == committed


def test_a_stale_rendering_is_shown_as_a_difference_and_left_alone(tmp_path):
    text = (ROOT / "retraining.toml").read_text(encoding="utf-8")
    (tmp_path / "retraining.toml").write_text(text, encoding="utf-8")
    retrain("render", cwd=tmp_path)
    before = (tmp_path / "asl" / "retraining.asl.json").read_bytes()
    (tmp_path / "retraining.toml").write_text(
        text.replace("keep = 25", "keep = 10"), encoding="utf-8"
    )

    done = retrain("render", "--check", cwd=tmp_path)

    assert done.returncode == 1
    assert '-          "keep": 25' in done.stdout
    assert '+          "keep": 10' in done.stdout
    assert "run 'retrain render' and commit what it writes" in done.stderr
    assert (tmp_path / "asl" / "retraining.asl.json").read_bytes() == before


def test_a_local_run_that_fails_ends_with_exit_code_1_and_the_cause(tmp_path):
    done = retrain(
        "local",
        "run",
        "--output",
        str(tmp_path),
        "--database-url",
        "postgresql://me:very-secret@127.0.0.1:9/none",
    )

    assert done.returncode == 1
    assert "The run failed in state 'ETL'" in done.stdout
    assert "127.0.0.1:9" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["--help"], ["render", "--help"], ["local", "run", "--help"]])
def test_help_is_there_without_the_local_stack_being_loaded(command):
    done = retrain(*command)

    assert done.returncode == 0
    assert "Usage" in done.stdout
