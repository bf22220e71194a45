"""The command `retrain`, run as a person runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.projects import project

ROOT = Path(__file__).parents[2]


def retrain(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = "from retrain.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_summarizes_the_configuration():
    result = retrain("check")

    assert result.returncode == 0
    assert result.stdout.startswith("retraining.toml: sound\n")
    assert "USER_ID, DEPARTMENT, FACULTY, PREFECTURE, GRADE" in result.stdout


def test_mistakes_are_one_message_without_a_traceback(tmp_path):
    (tmp_path / "retraining.toml").write_text('name = "Shop"\n')

    result = retrain("check", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith('retraining.toml: 5 mistakes\n  name = "Shop"\n')
    assert "Traceback" not in result.stderr


def test_a_definition_file_that_exits_is_no_sound_one(tmp_path):
    table = '[workflow]\ndefinition = "retraining.py"\n'
    project(tmp_path, table, {"retraining.py": "import sys\nsys.exit(0)\n"})

    result = retrain("check", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith("retraining.py, line 2: it ends the program, with 0; take the")


def test_a_function_is_listed_with_its_files_and_noted_if_no_state_calls_it(tmp_path):
    project(tmp_path)

    result = retrain("check", cwd=tmp_path)

    assert result.returncode == 0
    assert result.stdout.endswith("  ask-editors  ask_editors.py\n")
    assert result.stderr == "note: no state calls the function 'ask-editors', which is deployed\n"


def test_a_fault_of_a_function_is_one_message_with_its_line(tmp_path):
    project(tmp_path, files={"functions/ask_editors.py": "x = 1\ndef handler(:\n"})

    result = retrain("check", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr == (
        "retraining.toml: 1 mistake\n"
        "  functions.ask-editors.source\n"
        "    functions/ask_editors.py, line 2: invalid syntax\n"
        "    fix: mend the syntax there\n"
    )


def test_render_writes_and_then_finds_its_files_current(tmp_path):
    (tmp_path / "retraining.toml").write_bytes((ROOT / "retraining.toml").read_bytes())

    first = retrain("render", cwd=tmp_path)
    second = retrain("render", "--check", cwd=tmp_path)

    assert first.stdout.splitlines() == [
        "asl/retraining.asl.json: written",
        "asl/retraining.md: written",
        "asl/retraining.svg: written",
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

    result = retrain("render", "--check", cwd=tmp_path)

    assert result.returncode == 1
    assert '-          "keep": 25' in result.stdout
    assert '+          "keep": 10' in result.stdout
    assert "run 'retrain render' and commit what it writes" in result.stderr
    assert (tmp_path / "asl" / "retraining.asl.json").read_bytes() == before


def test_a_local_run_that_fails_ends_with_exit_code_1_and_the_cause(tmp_path):
    result = retrain(
        "local",
        "run",
        "--output",
        str(tmp_path),
        "--database-url",
        "postgresql://me:very-secret@127.0.0.1:9/none",
    )

    assert result.returncode == 1
    assert "The run failed in state 'ETL'" in result.stdout
    assert "127.0.0.1:9" in result.stdout
    assert "very-secret" not in result.stdout + result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["local", "run", "--output", "FILE"],
            "output directory FILE: File exists; name a directory that can be written to\n",
        ),
        (
            ["local", "run", "--output", "FILE/below"],
            "output directory FILE/below: Not a directory; name a directory that can be written"
            " to\n",
        ),
        (
            ["local", "run", "--output", "OUTPUT", "--database-url", "mysql://me:pw@h/shop"],
            'database URL: is mysql, but the configuration says engine = "postgresql"; change one'
            " of them\n",
        ),
        (
            ["local", "load-sample", "--database-url", "postgresql://me:se/cret@h/shop"],
            "database URL: host or port cannot be read; write"
            " postgresql://user:password@host:port/name, and in the password %2F for /, %23 for"
            " #, %3F for ?, %5B for [\n",
        ),
        (["render", "--output", "FILE"], "FILE: File exists\n"),
    ],
)
def test_a_refused_command_prints_one_message_and_starts_nothing(tmp_path, arguments, message):
    (tmp_path / "retraining.toml").write_bytes((ROOT / "retraining.toml").read_bytes())
    (tmp_path / "FILE").touch()

    result = retrain(*arguments, cwd=tmp_path)

    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listen on a port that accepts connections and never responds: a Spark job waits there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_local_run_and_everything_that_it_started(tmp_path, number, silent_port):
    # A shell that runs the tests in its background has interrupts ignored, and the command honours
    # that.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from retrain.main import main; main()"
    )
    url = f"postgresql://me:x@127.0.0.1:{silent_port}/nowhere"
    arguments = ["--config", str(ROOT / "retraining.toml"), "--database-url", url]
    with subprocess.Popen(
        [sys.executable, "-c", program, "local", "run", *arguments],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "TMPDIR": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as running:
        assert running.stdout is not None
        assert any("→ ETL" in line for line in running.stdout)
        children = children_with_the_job(running.pid)
        os.killpg(running.pid, number)
        os.killpg(running.pid, number)
        _, errors = running.communicate(timeout=30)

    assert (running.returncode, errors) == (128 + number, "\nstopping\n")
    assert [child for child in children if psutil.pid_exists(child)] == []
    assert list(tmp_path.glob("retraining-*")) == []


def children_with_the_job(process: int) -> list[int]:
    """Return a process's children once the Spark job is one of them, beside a function's."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = psutil.Process(process).children()
        if any("--JOB_RUN_ID" in child.cmdline() for child in children):
            return [child.pid for child in children]
        time.sleep(0.1)
    raise AssertionError("no job was started")


@pytest.mark.parametrize(("package", "command"), [("pandas", "report"), ("scipy", "local run")])
def test_a_package_that_the_base_installation_leaves_out_is_named(package, command):
    """Our packages are read lazily, as in an installed wheel."""
    program = (
        f"import sys; sys.modules[{package!r}] = None;"
        " from retrain.own_packages import reserve; reserve();"
        " from retrain.main import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (
        1,
        f"this command needs the package '{package}', which the base installation leaves out; run"
        " pip install 'personalize-retraining[local]'\n",
    )


@pytest.mark.parametrize(
    ("command", "also"),
    [
        ("--help", ("boto3", "stepfunctions")),
        ("render --help", ("boto3", "stepfunctions")),
        ("local run --help", ("boto3", "stepfunctions")),
        ("check", ("graphlay",)),
        ("render --check", ()),
        ("render --check --integration sdk", ()),
        ("template --check", ("graphlay",)),
    ],
)
def test_a_command_loads_nothing_heavy_that_it_does_not_need(command, also):
    """Each of them takes between a tenth of a second and several seconds to load."""
    heavy = {
        *("IPython", "flask", "implicit", "jinja2", "matplotlib", "moto", "numpy", "orjson"),
        *("pandas", "pkg_resources", "psycopg", "pyspark", "sagemaker", "scipy"),
        *also,
    }
    program = (
        "import atexit, sys; from retrain.main import main;"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    loaded = set(result.stderr.split())
    assert "typer" in loaded
    assert loaded & heavy == set()


def test_a_path_is_shown_as_it_is_written(tmp_path):
    """What stands in brackets is no markup."""
    (tmp_path / "[old]").mkdir()
    (tmp_path / "[old]" / "a.toml").write_bytes((ROOT / "retraining.toml").read_bytes())

    result = retrain("check", "--config", "[old]/a.toml", cwd=tmp_path)

    assert result.stdout.startswith("[old]/a.toml: sound\n")
