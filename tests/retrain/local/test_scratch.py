"""What a killed run leaves is removed by the next one, and nothing else is."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from retrain.local.scratch import remove_left_behind, scratch_directory

WAITS = """
import sys, time
from retrain.local.postgres import Postgres
from retrain.local.scratch import scratch_directory

with scratch_directory("retraining-") as directory, Postgres(directory / "database"):
    print(directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let temporary directories be made where PostgreSQL's user can reach them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory)
        path.chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        monkeypatch.setenv("TMPDIR", directory)
        yield path


def test_a_killed_run_s_database_and_files_are_removed_by_the_next_one(parent: Path) -> None:
    (parent / "retraining-of-others").mkdir()
    with (
        subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as run,
        scratch_directory("retraining-") as own,
    ):
        assert run.stdout is not None
        left = Path(run.stdout.readline().strip())
        assert remove_left_behind(parent, "retraining-") == []  # both live
        pid = int((left / "database/data/postmaster.pid").read_text().split()[0])
        server = psutil.Process(pid)
        run.kill()
        run.wait()
        assert server.is_running()

        with scratch_directory("retraining-") as following:
            assert not left.exists()
            assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
            assert own.exists() and following.exists()
    assert [path.name for path in parent.iterdir()] == ["retraining-of-others"]
