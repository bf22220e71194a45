"""The archive of Spark's classes: Java starts from it, and starts as well if it is no good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from etl.class_archive import recorded_classes
from etl.errors import EtlError
from etl.java import class_archive

PROGRAM = """
import sys
from pathlib import Path
from etl.database import driver_settings
from etl.session import local_spark
spark = local_spark(Path(sys.argv[1]), drivers=driver_settings("mysql"))
print([row.id for row in spark.range(3).collect()])
spark.stop()
"""


def run_spark(directory: Path, environment: dict[str, str]) -> str:
    """Run a Spark program in a process of its own; return all that it printed."""
    directory.mkdir()
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory)],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return finished.stdout


def source_of_spark(directory: Path, environment: dict[str, str]) -> str:
    """Return where a Spark program took Spark's main class from, by Java's own log."""
    log = directory.with_suffix(".log")
    options = f"-Xlog:class+load:file={log}"
    assert "[0, 1, 2]" in run_spark(directory, environment | {"JDK_JAVA_OPTIONS": options})
    (line,) = (
        line for line in log.read_text().splitlines() if " org.apache.spark.SparkContext " in line
    )
    return line.partition("source: ")[2]


def test_java_starts_from_an_archive_that_is_whole(tmp_path: Path) -> None:
    """It is one archive for all engines; a damaged one changes neither results nor output."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "caches")}
    environment.pop("JDK_JAVA_OPTIONS", None)
    archive = class_archive("postgresql", environment)
    with recorded_classes(environment) as recording:
        run_spark(tmp_path / "recorded", environment)
        assert archive.write(recording) == archive.path
    assert "JDK_JAVA_OPTIONS" not in environment
    assert list(archive.path.parent.iterdir()) == [archive.path]
    assert source_of_spark(tmp_path / "used", environment) == "shared objects file"

    archive.path.chmod(0o600)
    with archive.path.open("r+b") as file:
        file.seek(archive.path.stat().st_size // 2)
        file.write(bytes(1 << 20))
    assert run_spark(tmp_path / "damaged", environment) == "[0, 1, 2]\n"


def test_an_archive_that_cannot_be_written(tmp_path: Path) -> None:
    caches = tmp_path / "caches"
    caches.touch()
    recording = tmp_path / "recording"
    recording.mkdir()
    archive = class_archive("postgresql", {"XDG_CACHE_HOME": str(caches)})
    assert archive.options() == ""
    with pytest.raises(EtlError, match=r"class archive .*: .*; name another directory by XDG"):
        archive.write(recording)
