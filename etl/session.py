"""Spark on this machine: its session; and the messages of Java errors, on Glue too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import SparkSession

from etl.errors import EtlError, PassingError
from etl.java import GATEWAY, Java, start_java

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
_NO_GATEWAY = "JAVA_GATEWAY_EXITED"
_OF_EXPRESSIONS = {
    "functions": ("coalesce", "col", "expr", "lit", "struct", "when"),
    "PythonUtils": ("toSeq",),
}
_SECONDS_TO_END = 1.0  # between the last word of Java and its end
_UNDEFINED_TABLE = ("42P01", "42S02")  # SQLSTATEs of PostgreSQL and MySQL

# Beginnings of SQLSTATEs: no connection, a deadlock, no room, a lock, an administrator's shutdown.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("08", "40", "53", "55P03", "57")


def local_spark(
    directory: Path,
    *,
    drivers: Mapping[str, str],
    is_large: bool = False,
    java: Java | None = None,
) -> SparkSession:
    """Start Spark in this process's own JVM, in UTC, with two threads and 1 GB.

    Args:
        directory: An empty directory for Spark's own files.
        drivers: The settings that `driver_settings` returned.
        is_large: As `start_java` takes it.
        java: The JVM; started here if left out.

    Raises:
        EtlError: If there is no Java.
    """
    # pyspark reads the path of the workers' Python from the environment alone.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    if SparkContext._gateway is None and GATEWAY[0] not in os.environ:
        java = java or start_java(
            directory, drivers=drivers, environment=os.environ, is_large=is_large
        )
        _connect(java)
    settings: dict[str, str | bool | int | float | None] = {
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
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    keep_found(spark)
    return spark


def _connect(java: Java) -> None:
    """Let Spark for Python take a JVM that is there, as it does where Spark's script starts it.

    Raises:
        PySparkRuntimeError: If it has ended.
    """
    connection = java.gateway()
    if connection is None:
        raise PySparkRuntimeError(error_class=_NO_GATEWAY, message_parameters={})
    variables = dict(zip(GATEWAY, map(str, connection), strict=True))
    os.environ.update(variables)
    try:
        SparkContext._ensure_initialized()
    finally:
        for name in variables:
            del os.environ[name]
    gateway: Any = SparkContext._gateway
    gateway.proc = java.process


def keep_found(spark: SparkSession) -> None:
    """Keep what makes expressions: else each is sought in all of Spark's jars, each time."""
    jvm: Any = spark.sparkContext._jvm
    for name in ("functions", "PythonUtils"):
        found = getattr(jvm, name)
        for member in _OF_EXPRESSIONS[name]:
            setattr(found, member, getattr(found, member))
        setattr(jvm, name, found)


def end_java() -> None:
    """End this process's JVM, whose sessions are stopped: the next one has options of its own."""
    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None
    if gateway is not None and gateway.proc is not None:  # else it is not of this process
        gateway.shutdown()
        gateway.proc.kill()
        gateway.proc.stdin.close()
        gateway.proc.wait()


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
