"""Where the job runs: AWS Glue, or Spark on this machine, behind the same few calls.

A runtime gives the job its arguments, reads a table as a DataFrame, writes files below the run's
prefix and commits. The transforms know nothing of it. `--runtime` alone decides which one is
used, never what happens to be installed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql.types import NumericType

from etl.database import Database, TableName, driver_settings
from etl.datasets import JobSpec
from etl.errors import EtlError, TableError, listing, suggestion
from etl.session import SQL_SETTINGS, java_fault, local_spark, sql_state

# One unquoted header, fields quoted as RFC 4180 has it, null empty, blanks kept.
CSV_OPTIONS: Mapping[str, Any] = {
    "header": True,
    "quote": '"',
    "escape": '"',
    "nullValue": "",
    "emptyValue": "",
    "ignoreLeadingWhiteSpace": False,
    "ignoreTrailingWhiteSpace": False,
    "encoding": "UTF-8",
    "lineSep": "\n",
}
# Personalize imports every object below a data set's prefix: an empty `_SUCCESS` is none of it.
_NO_MARKER = ("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")


@dataclass(frozen=True)
class Arguments:
    """What a run is told on its command line.

    Attributes:
        runtime: `glue` or `local`.
        job_name: the Glue job's name.
        run: the run's name; everything is written below `runs/RUN/` of the bucket.
        bucket: the bucket's name.
        spec: `s3://…` address of the job specification.
        connection: the Glue connection to the database; unused locally.
    """

    runtime: Literal["glue", "local"]
    job_name: str
    run: str
    bucket: str
    spec: str
    connection: str = ""


def arguments(argv: Sequence[str]) -> Arguments:
    """Read the command line, `argv[0]` being the script; on Glue by Glue's own reader."""
    parser = argparse.ArgumentParser(
        prog="etl/job.py",
        description="Read a database, write Amazon Personalize files.",
        allow_abbrev=False,
    )
    parser.add_argument("--runtime", choices=("glue", "local"), required=True)
    if "--help" not in argv and parser.parse_known_args(list(argv[1:]))[0].runtime == "glue":
        from awsglue.utils import getResolvedOptions  # noqa: PLC0415  exists on Glue alone

        names = ["JOB_NAME", "run", "bucket", "spec", "connection"]
        options = getResolvedOptions(list(argv), names)
        return Arguments(
            runtime="glue",
            job_name=options["JOB_NAME"],
            run=options["run"],
            bucket=options["bucket"],
            spec=options["spec"],
            connection=options["connection"],
        )
    parser.add_argument("--JOB_NAME", dest="job_name", default="etl", help="name of the Glue job")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--bucket", required=True, help="bucket that the files go to")
    parser.add_argument("--spec", required=True, help="s3://… of the job specification")
    parser.add_argument("--connection", default="", help="Glue connection; unused locally")
    # Glue hands every job further arguments, such as --JOB_RUN_ID.
    return Arguments(**vars(parser.parse_known_args(list(argv[1:]))[0]))


@dataclass(frozen=True)
class RunFolder:
    """The run's prefix in the bucket."""

    s3: Any
    bucket: str
    run: str

    def key(self, path: str) -> str:
        """Return the object key of a path below the run's prefix."""
        return f"runs/{self.run}/{path}"

    def uri(self, path: str) -> str:
        """Return the `s3://` address of a path below the run's prefix."""
        return f"s3://{self.bucket}/{self.key(path)}"

    def put_text(self, path: str, text: str) -> None:
        """Write one object."""
        self.s3.put_object(Bucket=self.bucket, Key=self.key(path), Body=text.encode())

    def delete(self, path: str) -> None:
        """Delete every object whose path begins so."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.key(path)
        )
        for page in pages:
            keys = [item["Key"] for item in page.get("Contents", ())]
            if keys:
                answer = self.s3.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]}
                )
                for failed in answer.get("Errors", ()):
                    raise EtlError(
                        f"S3: cannot delete s3://{self.bucket}/{failed.get('Key')}:"
                        f" {failed.get('Message')}; give the job's role s3:DeleteObject"
                    )


class Runtime(Protocol):
    """What the job asks of the place where it runs."""

    @property
    def folder(self) -> RunFolder:
        """Where the run's objects go."""

    def read_table(self, name: str, partition_column: str = "") -> DataFrame:
        """Return a table's rows, all columns, read when the frame is used.

        Args:
            name: `table` or `schema.table`.
            partition_column: numeric column by which several connections share the table.

        Raises:
            TableError: the database has no such table or column.
            EtlError: the database cannot be reached.
        """

    def write_csv(self, frame: DataFrame, path: str, *, files: int = 1) -> None:
        """Write a frame as CSV files with a header below `path`, a folder such as `users/`."""

    def write_json_lines(self, frame: DataFrame, path: str) -> None:
        """Write a frame as one object a line, to a file or a folder of that stem."""

    def explained(self, error: Py4JJavaError) -> EtlError:
        """Turn what Java says into one line, naming the database where it is to blame."""

    def commit(self, manifest: str) -> None:
        """Publish the manifest: from now on the run's files are complete."""


class LocalRuntime:
    """Spark on this machine; a database by URL; S3 wherever the client points."""

    def __init__(
        self,
        *,
        spark: SparkSession,
        folder: RunFolder,
        database: Database,
        spec: JobSpec,
        directory: Path,
    ) -> None:
        """`directory` holds files until they are uploaded; the caller removes it."""
        database.require(spec.engine)
        self.folder = folder
        self._spark, self._database = spark, database
        self._spec, self._directory = spec, directory

    def read_table(self, name: str, partition_column: str = "") -> DataFrame:
        """Read over JDBC; see `Runtime.read_table`."""
        try:
            return self._read(name, partition_column)
        except Py4JJavaError as error:
            if sql_state(error) in ("42P01", "42S02"):
                known = self._table_names()
                tables = f" Tables: {listing(known)}" if known else " it has no tables"
                raise TableError(
                    f"table '{name}' does not exist in the database"
                    f"{suggestion(name, known)}{tables}"
                ) from None
            raise self.explained(error) from None

    def explained(self, error: Py4JJavaError) -> EtlError:
        """Turn what Java says into one line, naming the database where it is to blame."""
        return java_fault(error, self._database.place, self._database.user)

    def _read(self, name: str, partition_column: str) -> DataFrame:
        quoted = TableName.parse(name).quoted(self._spec.engine)
        frame = self._reader().option("dbtable", quoted).load()
        if not partition_column:
            return frame
        known = {column.lower(): column for column in frame.columns}
        column = known.get(partition_column.lower())
        if column is None:
            raise TableError(
                f"table '{name}' has no column '{partition_column}' (partition_column)"
                f"{suggestion(partition_column, known.values())} Columns: {listing(frame.columns)}"
            )
        kind = frame.schema[column].dataType
        if not isinstance(kind, NumericType):
            raise TableError(
                f"partition_column '{column}' of table '{name}' is a {kind.simpleString()};"
                " name a numeric column or leave it out"
            )
        quoted_column = TableName((column,)).quoted(self._spec.engine)
        query = f"SELECT min({quoted_column}) AS low, max({quoted_column}) AS high FROM {quoted}"
        bounds = self._reader().option("query", query).load().collect()[0]
        if bounds["low"] is None or bounds["low"] == bounds["high"]:
            return frame
        return (
            self._reader()
            .option("dbtable", quoted)
            .option("partitionColumn", column)
            .option("lowerBound", int(bounds["low"]))
            .option("upperBound", int(bounds["high"]) + 1)
            .option("numPartitions", self._spec.partitions)
            .load()
        )

    def _reader(self) -> DataFrameReader:
        options = {**self._database.options(), "fetchsize": str(self._spec.fetch_size)}
        return self._spark.read.format("jdbc").options(**options)

    def _table_names(self) -> list[str]:
        query = (
            "SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'mysql', 'sys',"
            " 'performance_schema')"
        )
        usual = ("public", self._database.name)
        rows = self._reader().option("query", query).load().collect()
        return sorted(row["t"] if row["s"] in usual else f"{row['s']}.{row['t']}" for row in rows)

    def write_csv(self, frame: DataFrame, path: str, *, files: int = 1) -> None:
        """Write to this machine's disk, then upload as `part-00000.csv` and so on."""
        with tempfile.TemporaryDirectory(dir=self._directory) as parent:
            out = Path(parent, "csv")
            frame.coalesce(files).write.option(*_NO_MARKER).csv(str(out), **CSV_OPTIONS)
            for number, part in enumerate(sorted(out.glob("part-*"))):
                self._upload(part, f"{path}part-{number:05d}.csv")

    def write_json_lines(self, frame: DataFrame, path: str) -> None:
        """Write to this machine's disk, then upload as the one file `path`."""
        with tempfile.TemporaryDirectory(dir=self._directory) as parent:
            out = Path(parent, "json")
            frame.coalesce(1).write.option(*_NO_MARKER).json(str(out))
            whole = Path(parent, "whole")
            with whole.open("wb") as lines:
                for part in sorted(out.glob("part-*")):
                    lines.write(part.read_bytes())
            self._upload(whole, path)

    def _upload(self, file: Path, path: str) -> None:
        self.folder.s3.upload_file(str(file), self.folder.bucket, self.folder.key(path))

    def commit(self, manifest: str) -> None:
        """Publish the manifest."""
        self.folder.put_text("manifest.json", manifest)


class GlueRuntime:
    """AWS Glue: the database by a Glue connection, S3 by Glue's own file system."""

    def __init__(self, *, arguments: Arguments, folder: RunFolder, spec: JobSpec) -> None:
        """Begin the Glue job; reads the connection's address and user."""
        from awsglue.context import GlueContext  # noqa: PLC0415  exists on Glue alone
        from awsglue.job import Job  # noqa: PLC0415

        self.folder = folder
        self._spec = spec
        self._glue = GlueContext(SparkContext.getOrCreate())
        for name, value in SQL_SETTINGS.items():
            self._glue.spark_session.conf.set(name, value)
        self._job = Job(self._glue)
        self._job.init(arguments.job_name, {"JOB_NAME": arguments.job_name})
        self._connection = arguments.connection
        self._jdbc: Mapping[str, str] = self._glue.extract_jdbc_conf(arguments.connection)

    def read_table(self, name: str, partition_column: str = "") -> DataFrame:
        """Read a DynamicFrame; see `Runtime.read_table`."""
        options = {
            # `url` has no database name in it; `fullUrl` is missing from older connections.
            "url": self._jdbc.get("fullUrl") or self._jdbc["url"],
            "user": self._jdbc["user"],
            "password": self._jdbc["password"],
            "dbtable": TableName.parse(name).where_needed(self._spec.engine),
        }
        if partition_column:
            options["hashfield"] = partition_column
            options["hashpartitions"] = str(self._spec.partitions)
        try:
            frame: DataFrame = self._glue.create_dynamic_frame_from_options(
                connection_type=self._spec.engine, connection_options=options
            ).toDF()
            return frame
        except Py4JJavaError as error:
            if sql_state(error) in ("42P01", "42S02"):
                raise TableError(
                    f"table '{name}' does not exist in the database of the Glue connection"
                    f" '{self._connection}'; correct its name, with its schema if it has one"
                ) from None
            raise self.explained(error) from None

    def explained(self, error: Py4JJavaError) -> EtlError:
        """Turn what Java says into one line, naming the connection where it is to blame."""
        place = f"{self._spec.engine} database of the Glue connection '{self._connection}'"
        return java_fault(error, place, self._jdbc["user"])

    def write_csv(self, frame: DataFrame, path: str, *, files: int = 1) -> None:
        """Write by Spark's writer.

        Glue's CSV writer either quotes every field, the header too, or none at all; Personalize
        wants the header unquoted and texts quoted.
        """
        target = self.folder.uri(path)
        frame.coalesce(files).write.mode("append").option(*_NO_MARKER).csv(target, **CSV_OPTIONS)

    def write_json_lines(self, frame: DataFrame, path: str) -> None:
        """Write by Glue's writer, which names the files itself, below the folder of `path`."""
        from awsglue.dynamicframe import DynamicFrame  # noqa: PLC0415  exists on Glue alone

        self._glue.write_dynamic_frame.from_options(
            frame=DynamicFrame.fromDF(frame.coalesce(1), self._glue, path),
            connection_type="s3",
            connection_options={"path": self.folder.uri(f"{path.rpartition('/')[0]}/")},
            format="json",
        )

    def commit(self, manifest: str) -> None:
        """Publish the manifest, then tell Glue that the job is done."""
        self.folder.put_text("manifest.json", manifest)
        self._job.commit()


@contextmanager
def open_runtime(
    arguments: Arguments, spec: JobSpec, *, s3: Any, environment: Mapping[str, str]
) -> Iterator[Runtime]:
    """Open the runtime that the arguments name and close it in the end.

    Args:
        arguments: the run's command line.
        spec: the job's specification.
        s3: a client.
        environment: locally `DATABASE_URL` and, optionally, `JDBC_DRIVER` (path of a jar).

    Raises:
        EtlError: `DATABASE_URL` is missing or unreadable, there is no Java or no driver; and,
            in place of an error of Java inside the block, what it means.
    """
    folder = RunFolder(s3, arguments.bucket, arguments.run)
    if arguments.runtime == "glue":
        glue = GlueRuntime(arguments=arguments, folder=folder, spec=spec)
        try:
            yield glue
        except Py4JJavaError as error:
            raise glue.explained(error) from None
        return
    if "DATABASE_URL" not in environment:
        raise EtlError(
            "DATABASE_URL is not set; set it to postgresql://user:password@host:port/name"
        )
    database = Database.from_url(environment["DATABASE_URL"])
    jar = environment.get("JDBC_DRIVER")
    drivers = driver_settings(database.engine, Path(jar) if jar else None)
    with tempfile.TemporaryDirectory(prefix="etl-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        spark = local_spark(directory, drivers=drivers)
        local = LocalRuntime(
            spark=spark, folder=folder, database=database, spec=spec, directory=directory
        )
        try:
            yield local
        except Py4JJavaError as error:
            raise local.explained(error) from None
        finally:
            spark.stop()
