"""Runs of the job in the tests' process, and what they leave in the bucket."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from etl import extraction
from etl.database import Database
from etl.datasets import Column, DataSet, Engine, JobSpec, Lookup, Relation
from etl.errors import EtlError
from etl.increments import ALL, Window
from etl.runtime import LocalRuntime, RunFolder
from localaws.http.endpoint import Endpoint

BUCKET = "retraining-test"
NAMES = count(1)


class Run:
    """One run of the job in this process, and what it left in the bucket."""

    def __init__(self, endpoint: Endpoint, spark: SparkSession, url: str, directory: Path) -> None:
        self.s3 = endpoint.client("s3")
        self.spark, self.url, self.directory = spark, url, directory
        self.folder = RunFolder(self.s3, BUCKET, f"run-{next(NAMES)}")
        self.log: list[str] = []

    def runtime(self, spec: JobSpec) -> LocalRuntime:
        """Return the job's runtime."""
        return LocalRuntime(
            spark=self.spark,
            folder=self.folder,
            database=Database.from_url(self.url),
            spec=spec,
            directory=self.directory,
        )

    def __call__(self, spec: JobSpec, window: Window = ALL) -> dict[str, Any]:
        """Run the job; return the manifest."""
        clock = datetime(2024, 6, 1, 12, 0, 0, 5, tzinfo=UTC)
        runtime = self.runtime(spec)
        return extraction.run(runtime, spec, now=lambda: clock, log=self.log.append, window=window)

    def refused(self, spec: JobSpec) -> str:
        """Run the job, which fails without a manifest; return the message."""
        with pytest.raises(EtlError) as caught:
            self(spec)
        assert "manifest.json" not in self.objects()
        return str(caught.value)

    def objects(self) -> list[str]:
        """Return the paths below the run's prefix."""
        listing = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.folder.key(""))
        return [
            item["Key"].removeprefix(self.folder.key("")) for item in listing.get("Contents", [])
        ]

    def text(self, path: str) -> str:
        """Return an object's text, line ends untouched."""
        body = self.s3.get_object(Bucket=BUCKET, Key=self.folder.key(path))["Body"].read()
        return str(body, "utf-8")

    def csv(self, path: str) -> list[list[str]]:
        """Return the rows as Python's own CSV reader parses them, one record on one line."""
        lines = self.text(path).split("\n")
        assert lines.pop() == ""
        return [
            next(csv.reader([line], doublequote=False, escapechar="\\", strict=True))
            for line in lines
        ]

    def rows(self, prefix: str) -> list[list[str]]:
        """Return the rows of every CSV file below a prefix, sorted, without the headers."""
        files = [path for path in self.objects() if path.startswith(prefix)]
        return sorted(row for path in files for row in self.csv(path)[1:])

    def rejected(self, name: str) -> list[tuple[str, str, Any]]:
        """Return the reason, the column and the column's value of each rejected row, sorted."""
        lines = map(json.loads, self.text(f"rejected/{name}.json").splitlines())
        return sorted(
            ((line["reason"], line["column"], line["row"][line["column"]]) for line in lines),
            key=repr,
        )


def events_data_set(*more: Column) -> DataSet:
    """Return the data set of a table `events` (student, posting, at), and further columns of it."""
    columns = (
        Column("USER_ID", "student", required=True),
        Column("ITEM_ID", "posting", required=True),
        Column("TIMESTAMP", "at", "long", required=True),
    )
    return DataSet("INTERACTIONS", Relation("events"), (*columns, *more))


def users_spec(engine: Engine, relation: Relation, *columns: Column, **changes: Any) -> JobSpec:
    """Return a specification of one data set, USERS, and of the same users for batch inference."""
    return replace(
        JobSpec(
            engine=engine,
            datasets=(DataSet("USERS", relation, columns),),
            batch_input=Lookup("batch-input/", relation, {"USER_ID": columns[0].source}),
            max_rejected_share=1,
        ),
        **changes,
    )
