"""A run's files as DataFrames: from S3 by the run's name, or from a directory.

    run = open_run(config, s3)                      # the latest with recommendations
    before = open_run(config, s3, "previous")       # the one before it
    run.interactions, run.recommendations

Reads only. A file is read when it is first asked for, whole, into memory: a run of tens of
millions of interactions wants a machine with some gigabytes to spare.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from botocore.exceptions import ClientError

from workflow.config import Config
from workflow.spelling import suggestion

LATEST = "latest"
PREVIOUS = "previous"

_MANIFEST = "manifest.json"
# A local run leaves its results at the top of its directory, S3 below `recommendations/`.
_RECOMMENDATIONS = ("recommendations/recommendations.csv", "recommendations.csv")
_ERRORS = ("recommendations/errors.jsonl", "errors.jsonl")
_PANDAS_TYPES = {
    "string": "str",
    "int": "Int64",
    "long": "Int64",
    "float": "float64",
    "double": "float64",
    "boolean": "boolean",
}
_IDS = ("USER_ID", "ITEM_ID")
_LIST_COLUMNS = ["USER_ID", "ITEM_ID", "RANK", "SCORE"]


class RunFilesError(ValueError):
    """A run or one of its files is not there; the text says what, where and what to do."""


class Files(Protocol):
    """The files of one run."""

    def find(self, prefix: str) -> list[str]:
        """Return the paths below the run that begin so, sorted."""

    def read(self, path: str) -> bytes:
        """Return a file's content."""

    def place(self, path: str = "") -> str:
        """Return how a person calls a path, for example `s3://BUCKET/runs/RUN/users/`."""


@dataclass(frozen=True)
class S3Files:
    """The files of a run on S3.

    Attributes:
        s3: a boto3 client.
        bucket: the configured bucket.
        run: the run's name.
    """

    s3: Any
    bucket: str
    run: str

    def find(self, prefix: str) -> list[str]:
        """Return the paths below the run that begin so, sorted."""
        base = f"runs/{self.run}/"
        found = _objects(self.s3, self.bucket, base + prefix)
        return sorted(str(item["Key"]).removeprefix(base) for item in found)

    def read(self, path: str) -> bytes:
        """Return an object's content."""
        key = f"runs/{self.run}/{path}"
        content: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def place(self, path: str = "") -> str:
        """Return the S3 address of a path."""
        return f"s3://{self.bucket}/runs/{self.run}/{path}"


@dataclass(frozen=True)
class DirectoryFiles:
    """The files of a run in a directory: a copy of its S3 prefix, or what a local run left."""

    directory: Path

    def find(self, prefix: str) -> list[str]:
        """Return the paths below the directory that begin so, sorted."""
        paths = (path for path in self.directory.rglob("*") if path.is_file())
        names = (path.relative_to(self.directory).as_posix() for path in paths)
        return sorted(name for name in names if name.startswith(prefix))

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        return (self.directory / path).read_bytes()

    def place(self, path: str = "") -> str:
        """Return the path as the directory was named."""
        return str(self.directory / path)


@dataclass(frozen=True)
class Run:
    """One run: each of its files as a DataFrame, read when it is first asked for.

    Attributes:
        name: the run's name, which is its execution's.
        files: where its files are.
        types: data set → column → Avro type, as configured; ids are text in any case, and what
            is not told is left to pandas.
    """

    name: str
    files: Files
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the Spark job wrote about the data sets.

        Raises:
            RunFilesError: it is not there.
        """
        content = self._one(
            (_MANIFEST,),
            "the Spark job did not finish this run: 'retrain explain' says why. A local run's"
            " output/ holds results alone; read the run from S3",
        )
        manifest: dict[str, Any] = json.loads(content)
        return manifest

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """The events: USER_ID, ITEM_ID (text), TIMESTAMP (UTC epoch seconds), … as configured.

        Raises:
            RunFilesError: they are not there.
        """
        return self._data_set("INTERACTIONS", required=("USER_ID", "ITEM_ID", "TIMESTAMP"))

    @cached_property
    def users(self) -> pd.DataFrame:
        """The users: USER_ID (text), … as configured; empty if there is no such data set."""
        return self._data_set("USERS", required=("USER_ID",))

    @cached_property
    def items(self) -> pd.DataFrame:
        """The items: ITEM_ID (text), … as configured; empty if there is no such data set."""
        return self._data_set("ITEMS", required=("ITEM_ID",))

    @cached_property
    def recommendations(self) -> pd.DataFrame:
        """The published lists: USER_ID, ITEM_ID (text), RANK (1..N per user), SCORE.

        Raises:
            RunFilesError: they are not there.
        """
        content = self._one(
            _RECOMMENDATIONS,
            "this run has not published any lists: 'retrain watch' shows how far it is,"
            " 'retrain explain' why it failed",
        )
        frame = _csv([content], {"RANK": "long", "SCORE": "double"})
        return frame.astype({"RANK": "int64"})[_LIST_COLUMNS]

    @cached_property
    def batch_output(self) -> pd.DataFrame:
        """What Personalize answered before the filter: USER_ID, ITEM_ID, RANK, SCORE.

        Lines that hold an error are left out; `errors` has them.

        Raises:
            RunFilesError: there is none.
        """
        paths = [path for path in self.files.find("batch-output/") if path.endswith(".out")]
        if not paths:
            raise self._missing(
                "batch-output/*.out",
                "batch inference has not written anything; a local run's output/ does not keep it",
            )
        lines = (json.loads(line) for path in paths for line in self.files.read(path).splitlines())
        rows = [
            (str(line["input"]["userId"]), items, scores or [float("nan")] * len(items))
            for line in lines
            if line.get("output")
            for items, scores in [
                (line["output"].get("recommendedItems") or [], line["output"].get("scores"))
            ]
        ]
        sizes = [len(items) for _, items, _ in rows]
        return pd.DataFrame(
            {
                "USER_ID": [user for user, items, _ in rows for _ in items],
                "ITEM_ID": [str(item) for _, items, _ in rows for item in items],
                "RANK": [rank for size in sizes for rank in range(1, size + 1)],
                "SCORE": [score for _, _, scores in rows for score in scores],
            }
        ).astype({"RANK": "int64", "SCORE": "float64"})

    @cached_property
    def errors(self) -> pd.DataFrame:
        """The users that batch inference gave no list: `reason` and `line` (as Personalize wrote).

        Empty if there were none.
        """
        there = [path for path in _ERRORS if self.files.find(path)]
        lines = self.files.read(there[0]).splitlines() if there else []
        rows = [json.loads(line) for line in lines]
        return pd.DataFrame(rows, columns=["reason", "line"])

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """Examples of rows that were left out: `data set`, `reason`, `column`, `row` (a dict).

        At most a hundred of each data set; the manifest counts all of them.
        """
        rows = [
            {"data set": Path(path).stem.upper(), **json.loads(line)}
            for path in self.files.find("rejected/")
            for line in self.files.read(path).splitlines()
        ]
        return pd.DataFrame(rows, columns=["data set", "reason", "column", "row"])

    @cached_property
    def eligible_items(self) -> frozenset[str] | None:
        """The items that could be recommended; None where the filter names none."""
        if not self.manifest.get("filter", {}).get("eligibleItems"):
            return None
        return frozenset(self._frame("filter/eligible-items/", {})["ITEM_ID"])

    @cached_property
    def exclusions(self) -> pd.DataFrame:
        """The pairs that were never to be recommended: USER_ID, ITEM_ID; empty if none."""
        if not self.manifest.get("filter", {}).get("exclusions"):
            return pd.DataFrame({"USER_ID": [], "ITEM_ID": []}, dtype=str)
        return self._frame("filter/exclusions/", {})

    @property
    def newest_event(self) -> int:
        """When the newest event was that this run knew of, UTC epoch seconds."""
        told = self.manifest["datasets"]["INTERACTIONS"].get("newestTimestamp")
        return int(told if told is not None else self.interactions["TIMESTAMP"].max())

    def __repr__(self) -> str:
        return f"Run({self.name!r} at {self.files.place()})"

    def _data_set(self, kind: str, *, required: Sequence[str]) -> pd.DataFrame:
        written = self.manifest["datasets"].get(kind)
        if written is None:
            return pd.DataFrame({name: [] for name in required}, dtype=str)
        types = {**self.types.get(kind, {}), **({"TIMESTAMP": "long"} if len(required) > 1 else {})}
        frame = self._frame(written["path"], types)
        return frame.astype({"TIMESTAMP": "int64"}) if "TIMESTAMP" in frame else frame

    def _frame(self, prefix: str, types: Mapping[str, str]) -> pd.DataFrame:
        paths = self.files.find(prefix)
        if not paths:
            raise self._missing(
                prefix, "its manifest names them, so they were deleted since; start a new run"
            )
        return _csv((self.files.read(path) for path in paths), types)

    def _one(self, paths: Sequence[str], what_to_do: str) -> bytes:
        for path in paths:
            if path in self.files.find(path):
                return self.files.read(path)
        raise self._missing(paths[0], what_to_do)

    def _missing(self, path: str, what_to_do: str) -> RunFilesError:
        return RunFilesError(
            f"run '{self.name}': {self.files.place(path)} is not there; {what_to_do}"
        )


def list_runs(s3: Any, bucket: str) -> pd.DataFrame:
    """Return the runs that a bucket holds, newest first.

    Args:
        s3: a boto3 client.
        bucket: the configured bucket.

    Returns:
        `run` (its name), `written` (UTC, when its newest file was), `data sets` (whether the
        Spark job finished it), `recommendations` (whether it has a list), `published` (whether
        `recommendations/latest.json` names it).

    Raises:
        RunFilesError: the bucket cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    for item in _objects(s3, bucket, "runs/"):
        run, _, path = str(item["Key"]).removeprefix("runs/").partition("/")
        about = found.setdefault(run, {"written": item["LastModified"], "paths": set()})
        about["written"] = max(about["written"], item["LastModified"])
        about["paths"].add(path)
    published = _published(s3, bucket)
    rows = [
        {
            "run": run,
            "written": pd.Timestamp(about["written"]).tz_convert("UTC"),
            "data sets": _MANIFEST in about["paths"],
            "recommendations": _RECOMMENDATIONS[0] in about["paths"],
            "published": run == published,
        }
        for run, about in found.items()
    ]
    rows.sort(key=lambda row: (row["published"], row["written"], row["run"]), reverse=True)
    columns = ["run", "written", "data sets", "recommendations", "published"]
    marks = dict.fromkeys(columns[2:], bool)
    return pd.DataFrame(rows, columns=columns).astype(marks)


def open_run(config: Config, s3: Any, name: str = LATEST) -> Run:
    """Return a run on S3; nothing is read yet.

    Args:
        config: names the bucket, and says which type each column has.
        s3: a boto3 client.
        name: `latest`, the newest run with recommendations; `previous`, the one before it; or
            a run's own name.

    Raises:
        RunFilesError: there is no such run; a name near to the one asked for is proposed.
    """
    known = list_runs(s3, config.bucket)
    names = [str(run) for run in known["run"]]
    finished = [str(run) for run in known.loc[known["recommendations"], "run"]]
    place = f"s3://{config.bucket}/runs/"
    if name in {LATEST, PREVIOUS}:
        position = (LATEST, PREVIOUS).index(name)
        if len(finished) <= position:
            raise RunFilesError(
                f"{name} run: {place} holds {len(finished)} with recommendations and"
                f" {len(names) - len(finished)} without; 'retrain start' begins one"
            )
        name = finished[position]
    elif name not in names:
        known_names = f"there are {', '.join(names) or 'none'}"
        hint = suggestion(name, names, otherwise=known_names, quote="'")
        raise RunFilesError(f"run '{name}': nothing at {place}{name}/; {hint}")
    return Run(name, S3Files(s3, config.bucket, name), _types(config))


def previous_run(config: Config, s3: Any) -> Run:
    """Return the run with recommendations before the latest, or the latest if it is the only one.

    Compared with itself nothing has changed, and nothing came after: no notebook has to ask.

    Raises:
        RunFilesError: there is none at all.
    """
    known = list_runs(s3, config.bucket)
    return open_run(config, s3, PREVIOUS if known["recommendations"].sum() > 1 else LATEST)


def read_directory(directory: str | Path, config: Config | None = None) -> Run:
    """Return the run in a directory: a copy of its S3 prefix, or a local run's `output/`.

    Args:
        directory: for example `output`, which holds results alone, or what
            `aws s3 sync s3://BUCKET/runs/RUN/` fetched.
        config: says which type each column has.

    Raises:
        RunFilesError: there is no such directory.
    """
    path = Path(directory)
    if not path.is_dir():
        raise RunFilesError(
            f"{path}: there is no such directory; 'retrain local run --output {path}' makes one,"
            f" or fetch a run by 'aws s3 sync s3://BUCKET/runs/RUN/ {path}'"
        )
    return Run(path.resolve().name, DirectoryFiles(path), _types(config) if config else {})


def _types(config: Config) -> dict[str, dict[str, str]]:
    return {
        str(data_set.type): {column.name: str(column.type) for column in data_set.columns}
        for data_set in config.data_sets
    }


def _objects(s3: Any, bucket: str, prefix: str) -> Iterable[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    try:
        for page in pages:
            yield from page.get("Contents", ())
    except ClientError as error:
        why = error.response.get("Error", {}).get("Message", str(error))
        raise RunFilesError(
            f"s3://{bucket}/{prefix}: {why}; is the workflow deployed ('retrain deploy'), and may"
            " these credentials read the bucket?"
        ) from error


def _published(s3: Any, bucket: str) -> str:
    try:
        body = s3.get_object(Bucket=bucket, Key="recommendations/latest.json")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return ""
    return str(json.loads(body).get("run", ""))


def _csv(contents: Iterable[bytes], types: Mapping[str, str]) -> pd.DataFrame:
    """Return CSV files as one frame; an empty field is missing, `NA` is an id like any other."""
    parts = []
    for content in contents:
        header = pd.read_csv(io.BytesIO(content), nrows=0).columns
        dtypes: dict[str, Any] = {
            name: _PANDAS_TYPES[types[name]] for name in header if name in types
        }
        dtypes.update({name: "str" for name in header if name in _IDS})
        parts.append(
            pd.read_csv(
                io.BytesIO(content),
                dtype=dtypes,
                keep_default_na=False,
                na_values={name: [""] for name in header if name not in _IDS},
            )
        )
    return pd.concat(parts, ignore_index=True)
