"""A Java in which the Spark jobs of many tests run, one after the other.

Most of the time of a job of a few rows is that of a new Java. pyspark joins the Java that its
environment names: a job is a process of its own with a Spark of its own, as always, but its Java
is warm. Tests of Java itself, its start, options, log or end, do not use it.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

SERVE = """
import sys, tempfile, threading
from pathlib import Path

import psutil
from pyspark import SparkContext

from etl.database import driver_settings
from etl.session import end_java, local_spark


def peers(process, port):
    connections = process.net_connections("tcp")
    return {c.raddr.port for c in connections if c.raddr and c.laddr.port == port}


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
    spark = local_spark(Path(directory), drivers=driver_settings("postgresql"))
    contexts = getattr(getattr(spark._jvm.org.apache.spark, "SparkContext$"), "MODULE$")
    spark.stop()
    gateway = SparkContext._gateway
    port, java = gateway.java_parameters.port, psutil.Process(gateway.proc.pid)
    own = peers(java, port)
    print(port, gateway.java_parameters.auth_token, flush=True)
    closed = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
    while not closed.wait(0.2):
        # A job that is killed leaves its Spark, beside which there can be no other.
        if (left := contexts.getActive()).isDefined() and peers(java, port) <= own:
            left.get().stop()
    end_java()
"""


@contextmanager
def shared_java() -> Iterator[Mapping[str, str]]:
    """Run a Java for the length of a block; yield the variables by which jobs join it."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            port, secret = process.stdout.readline().split()
            yield {"PYSPARK_GATEWAY_PORT": port, "PYSPARK_GATEWAY_SECRET": secret}
        finally:
            process.communicate()
