"""The job's runtimes, AWS Glue and Spark on this machine, behind one interface.

A runtime gives the job its arguments, reads a table as a DataFrame, writes files below the run's
prefix and commits. `--runtime` alone decides which one is used, never what happens to be installed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from boto3.s3.transfer import TransferConfig
from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.arguments import Arguments
from etl.csv_lines import WRITER_OPTIONS, csv_lines
from etl.database import Database, jdbc_options
from etl.datasets import JobSpec
from etl.errors import EtlError
from etl.java import Java, drivers_of
from etl.session import SQL_SETTINGS, end_java, keep_found, local_spark
from etl.sources import has_few_rows, sources_from_spec
from etl.tables import Tables
from lambdas.recommendations import readable

# Personalize imports every object below a data set's prefix: an empty `_SUCCESS` is none of it.
_NO_MARKER = ("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")

_CHECKPOINTS = "checkpoints/"


@dataclass(frozen=True)
class RunFolder:
    """The run's prefix in the bucket."""

    s3: Any
    bucket: str
    run: str

    def of(self, run: str) -> RunFolder:
        """Return the prefix of another run in the same bucket."""
        return replace(self, run=run)

    def key(self, path: str) -> str:
        """Return the object key of a path below the run's prefix."""
        return f"runs/{self.run}/{path}"

    def uri(self, path: str) -> str:
        """Return the S3 URI of a path below the run's prefix."""
        return f"s3://{self.bucket}/{self.key(path)}"

    def paths(self, prefix: str) -> list[str]:
        """Return the paths of the objects whose path begins with `prefix`, sorted."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.key(prefix)
        )
        run = self.key("")
        return sorted(
            item["Key"].removeprefix(run) for page in pages for item in page.get("Contents", ())
        )

    def manifest(self) -> dict[str, Any]:
        """Return the run's manifest.

        Raises:
            EtlError: If there is none, or it is no JSON.
        """
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=self.key("manifest.json"))["Body"]
        except self.s3.exceptions.NoSuchKey:
            raise EtlError(
                f"{self.uri('manifest.json')} is not there: the Spark job did not finish run"
                f" '{self.run}'; check its log and start a new execution"
            ) from None
        try:
            manifest: dict[str, Any] = json.loads(body.read())
        except ValueError as error:
            raise EtlError(
                f"{self.uri('manifest.json')} is no manifest: {error}; start a new execution"
            ) from None
        return manifest

    def put_text(self, path: str, text: str) -> None:
        """Write a text as one object, in UTF-8."""
        self.s3.put_object(Bucket=self.bucket, Key=self.key(path), Body=text.encode())

    def upload(self, path: str, chunks: Iterable[bytes]) -> str:
        """Write chunks as one object, all of them or none, and return its S3 URI."""
        # One thread: the chunks come one after the other from Spark.
        transfer = TransferConfig(use_threads=False)
        self.s3.upload_fileobj(readable(chunks), self.bucket, self.key(path), Config=transfer)
        return self.uri(path)

    def delete(self, path: str) -> None:
        """Delete every object whose path begins with `path`.

        Raises:
            EtlError: If S3 refuses to delete one.
        """
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.key(path)
        )
        for page in pages:
            keys = [item["Key"] for item in page.get("Contents", ())]
            if keys:
                response = self.s3.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]}
                )
                for failed in response.get("Errors", ()):
                    raise EtlError(
                        f"S3: cannot delete s3://{self.bucket}/{failed.get('Key')}:"
                        f" {failed.get('Message')}; give the job's role s3:DeleteObject"
                    )


class Runtime(Protocol):
    """The interface of a runtime: how the job reads tables, writes files and commits."""

    @property
    def folder(self) -> RunFolder:
        """The run's prefix in the bucket."""

    @property
    def tables(self) -> Tables:
        """The database's tables."""

    def read_lines(self, paths: Sequence[str]) -> DataFrame:
        """Read text files: `line`, its bytes, and by what it is sorted: `file`, `block`, `number`.

        Args:
            paths: Of the run's objects, sorted.
        """

    def write_csv(
        self,
        frame: DataFrame,
        path: str,
        *,
        texts: Collection[str] = (),
        files: int | None = None,
    ) -> None:
        """Write a frame as CSV files with a header below `path`, a prefix such as `users/`.

        Args:
            frame: What to write.
            path: The prefix.
            texts: The columns that hold natural language; they are always quoted.
            files: Most files; None for one from each of the frame's partitions.
        """

    def write_json_lines(self, frame: DataFrame, path: str) -> None:
        """Write a frame as JSON lines below `path`, a file from each of its partitions."""

    def read_csv(
        self, uri: str, schema: str, *, escape: str, is_multi_line: bool = False
    ) -> DataFrame:
        """Read a CSV file with a header, or all of them below a prefix that ends with `/`.

        Args:
            uri: The S3 URI.
            schema: The columns, as Spark SQL declares them: `USER_ID string, RANK int`.
            escape: The character before a quote inside a quoted value.
            is_multi_line: Whether a quoted value may hold line breaks; then one reads each file.
        """

    def commit(self, text: str, *, path: str = "manifest.json") -> None:
        """Write the file, by default the manifest, which says that the job's work is complete."""

    @contextmanager
    def checkpoints(self) -> Iterator[None]:
        """Have Spark keep checkpoints where all of its processes read them, inside the block."""


class LocalRuntime:
    """The runtime on this machine: its Spark, a database by URL, S3 by the client's endpoint."""

    def __init__(
        self,
        *,
        spark: SparkSession,
        folder: RunFolder,
        database: Database,
        spec: JobSpec,
        directory: Path,
    ) -> None:
        """Check the database's engine.

        Args:
            spark: The session.
            folder: The run's prefix.
            database: The database to read.
            spec: The job's specification.
            directory: For files until they are uploaded; the caller removes it.

        Raises:
            EtlError: If the database is not of the specification's engine.
        """
        database.require(spec.engine)
        self.folder = folder
        self.tables = Tables(
            spark,
            engine=spec.engine,
            options={**database.options(), "fetchsize": str(spec.fetch_size)},
            database=database.description,
            partitions=spec.partitions,
        )
        self._spark, self._directory = spark, directory

    def read_lines(self, paths: Sequence[str]) -> DataFrame:
        """Download to this machine's disk, and read there."""
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        for number, path in enumerate(paths):
            file = str(directory / f"part-{number:05d}")
            self.folder.s3.download_file(self.folder.bucket, self.folder.key(path), file)
        return _lines(self._spark, [str(directory)])

    def write_csv(
        self,
        frame: DataFrame,
        path: str,
        *,
        texts: Collection[str] = (),
        files: int | None = None,
    ) -> None:
        """Write to this machine's disk, then upload as `part-00000.csv` and so on."""
        lines = _in_files(csv_lines(frame, texts), files)
        with tempfile.TemporaryDirectory(dir=self._directory) as parent:
            lines.write.option(*_NO_MARKER).options(**WRITER_OPTIONS).csv(f"{parent}/csv")
            self._upload(Path(parent, "csv"), path, "csv")

    def write_json_lines(self, frame: DataFrame, path: str) -> None:
        """Write to this machine's disk, then upload as `part-00000.json` and so on."""
        with tempfile.TemporaryDirectory(dir=self._directory) as parent:
            frame.write.option(*_NO_MARKER).json(f"{parent}/json")
            self._upload(Path(parent, "json"), path, "json")

    def _upload(self, directory: Path, path: str, suffix: str) -> None:
        for number, part in enumerate(sorted(directory.glob("part-*"))):
            key = self.folder.key(f"{path}part-{number:05d}.{suffix}")
            self.folder.s3.upload_file(str(part), self.folder.bucket, key)

    def read_csv(
        self, uri: str, schema: str, *, escape: str, is_multi_line: bool = False
    ) -> DataFrame:
        """Download to this machine's disk, and read there."""
        parts, s3 = urlsplit(uri), self.folder.s3
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=parts.netloc, Prefix=parts.path.removeprefix("/")
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        for number, key in enumerate(keys):
            s3.download_file(parts.netloc, key, str(directory / f"part-{number:05d}.csv"))
        return _csv(self._spark, str(directory), schema, escape, is_multi_line)

    def commit(self, text: str, *, path: str = "manifest.json") -> None:
        """Write the file."""
        self.folder.put_text(path, text)

    @contextmanager
    def checkpoints(self) -> Iterator[None]:
        """Keep them on this machine's disk."""
        with tempfile.TemporaryDirectory(dir=self._directory) as directory:
            self._spark.sparkContext.setCheckpointDir(directory)
            yield


class GlueRuntime:
    """The runtime on AWS Glue: a database by a Glue connection, S3 by Glue's own file system."""

    def __init__(self, *, arguments: Arguments, folder: RunFolder, spec: JobSpec) -> None:
        """Initialise the Glue job and read the connection's URL and user."""
        from awsglue.context import GlueContext  # noqa: PLC0415  exists on Glue alone
        from awsglue.job import Job  # noqa: PLC0415

        self.folder = folder
        self._glue = GlueContext(SparkContext.getOrCreate())
        for name, value in SQL_SETTINGS.items():
            self._glue.spark_session.conf.set(name, value)
        keep_found(self._glue.spark_session)
        self._job = Job(self._glue)
        self._job.init(arguments.job_name, {"JOB_NAME": arguments.job_name})
        jdbc: Mapping[str, str] = self._glue.extract_jdbc_conf(arguments.connection)
        # Spark's own reader, with the driver that Glue has: a DynamicFrame's types are others.
        self.tables = Tables(
            self._glue.spark_session,
            engine=spec.engine,
            options={
                # `url` has no database name in it; `fullUrl` is missing from older connections.
                **jdbc_options(
                    spec.engine,
                    jdbc.get("fullUrl") or jdbc["url"],
                    user=jdbc["user"],
                    password=jdbc["password"],
                    encrypted=str(jdbc.get("enforceSSL")).lower() == "true",
                ),
                "fetchsize": str(spec.fetch_size),
            },
            database=f"{spec.engine} database of the Glue connection '{arguments.connection}'",
            partitions=spec.partitions,
        )

    def read_lines(self, paths: Sequence[str]) -> DataFrame:
        """Read by Spark's reader."""
        return _lines(self._glue.spark_session, [self.folder.uri(path) for path in paths])

    def write_csv(
        self,
        frame: DataFrame,
        path: str,
        *,
        texts: Collection[str] = (),
        files: int | None = None,
    ) -> None:
        """Write by Spark's writer.

        Glue's CSV writer quotes every field, the header too, or none at all; Personalize needs an
        unquoted header and quoted texts.
        """
        lines = _in_files(csv_lines(frame, texts), files)
        writer = lines.write.mode("append").option(*_NO_MARKER).options(**WRITER_OPTIONS)
        writer.csv(self.folder.uri(path))

    def write_json_lines(self, frame: DataFrame, path: str) -> None:
        """Write by Spark's writer: of a DynamicFrame's rows nothing is counted (`counted`)."""
        writer = frame.write.mode("append").option(*_NO_MARKER)
        writer.json(self.folder.uri(path))

    def read_csv(
        self, uri: str, schema: str, *, escape: str, is_multi_line: bool = False
    ) -> DataFrame:
        """Read by Spark's reader."""
        return _csv(self._glue.spark_session, uri, schema, escape, is_multi_line)

    def commit(self, text: str, *, path: str = "manifest.json") -> None:
        """Write the file, then commit the Glue job."""
        self.folder.put_text(path, text)
        self._job.commit()

    @contextmanager
    def checkpoints(self) -> Iterator[None]:
        """Keep them on S3, below the run's prefix."""
        context = self._glue.spark_session.sparkContext
        context.setCheckpointDir(self.folder.uri(_CHECKPOINTS))
        try:
            yield
        finally:
            self.folder.delete(_CHECKPOINTS)


def glue_options(argv: Sequence[str], names: Sequence[str]) -> Mapping[str, str]:
    """Return a command line's options by Glue's own parser, which requires each of the names."""
    from awsglue.utils import getResolvedOptions  # noqa: PLC0415  exists on Glue alone

    options: Mapping[str, str] = getResolvedOptions(list(argv), list(names))
    return options


def _csv(
    spark: SparkSession, path: str, schema: str, escape: str, is_multi_line: bool
) -> DataFrame:
    reader = spark.read.options(header=True, escape=escape, encoding="UTF-8", lineSep="\n")
    # A row that is not like the schema ends the read.
    return reader.options(multiLine=is_multi_line, mode="FAILFAST").schema(schema).csv(path)


def _lines(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    text = spark.read.text(list(paths), lineSep="\n")
    return text.select(
        F.col("value").cast("binary").alias("line"),  # as a text it would lose what is no UTF-8
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("number"),
    )


def _in_files(frame: DataFrame, files: int | None) -> DataFrame:
    return frame if files is None else frame.coalesce(files)


@contextmanager
def open_runtime(
    arguments: Arguments,
    spec: JobSpec,
    *,
    s3: Any,
    environment: Mapping[str, str],
    java: Java | None = None,
) -> Iterator[Runtime]:
    """Open the runtime that the arguments name, and close it at the end of the block.

    Args:
        arguments: The run's command line.
        spec: The job's specification.
        s3: An S3 client.
        environment: Locally `DATABASE_URL` and, optionally, `JDBC_DRIVER` (path of a jar).
        java: Locally one that `started_java` has started for that; started here if left out.

    Raises:
        EtlError: If `DATABASE_URL` is missing or unreadable, if there is no Java or no driver, or
            if Java fails inside the block.
    """
    folder = RunFolder(s3, arguments.bucket, arguments.run)
    if arguments.runtime == "glue":
        glue = GlueRuntime(arguments=arguments, folder=folder, spec=spec)
        try:
            yield glue
        except Py4JJavaError as error:
            raise glue.tables.error_from_java(error) from None
        return
    database = Database.from_environment(environment)
    sources = sources_from_spec(spec).values()
    with ExitStack() as stack:

        def opened(*, is_large: bool = False, java: Java | None = None) -> LocalRuntime:
            spark, directory = stack.enter_context(
                open_spark(database, environment, is_large=is_large, java=java)
            )
            return LocalRuntime(
                spark=spark, folder=folder, database=database, spec=spec, directory=directory
            )

        local = opened(java=java)
        try:
            is_large = arguments.task == "extract" and not has_few_rows(
                local.tables, sources, views_are_small=True
            )
            if is_large:  # a JVM of both compilers is worth a second start of Java
                stack.close()
                end_java()
                local = opened(is_large=True)
            yield local
        except Py4JJavaError as error:
            raise local.tables.error_from_java(error) from None


@contextmanager
def open_spark(
    database: Database,
    environment: Mapping[str, str],
    *,
    is_large: bool = False,
    java: Java | None = None,
) -> Iterator[tuple[SparkSession, Path]]:
    """Start Spark on this machine for the length of a `with` block.

    Args:
        database: The database whose driver is put on the class path.
        environment: Optionally `JDBC_DRIVER`, the path of another driver's jar.
        is_large: Whether there are millions of rows.
        java: One that `started_java` has started for the database; started here if left out.

    Returns:
        The session, and an empty directory for files of the job.

    Raises:
        EtlError: If there is no Java or no driver.
    """
    drivers = drivers_of(database.engine, environment)
    with tempfile.TemporaryDirectory(prefix="etl-", ignore_cleanup_errors=True) as temporary:
        directory = Path(temporary)
        spark = local_spark(directory, drivers=drivers, is_large=is_large, java=java)
        try:
            yield spark, directory
        finally:
            spark.stop()
            if java is not None:  # it writes into directories that are removed
                end_java()
