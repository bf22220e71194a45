"""A run's files as DataFrames: from S3 by the run's name, or from a directory.

    run = open_run(config, s3)                      # the latest with recommendations
    before = open_run(config, s3, "previous")       # the one before it
    run.interactions, run.recommendations

Reads only. A file is read on first access, whole, into memory: a run of tens of millions of
interactions needs a machine with some gigabytes to spare.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from botocore.exceptions import ClientError

from workflow.config import Config
from workflow.run_names import model_folder
from workflow.spelling import suggestion

LATEST = "latest"
PREVIOUS = "previous"

_MANIFEST = "manifest.json"
# What a manifest says of the first recommender, or of all, alone.
_OF_THE_FIRST = frozenset({"recommenders", "backtest", "popularity", "popularityBaseline"})
# A local run leaves its results at the top of its directory, S3 below `recommendations/`.
_RECOMMENDATIONS = ("recommendations/recommendations.csv", "recommendations.csv")
_PANDAS_TYPES = {
    "string": "str",
    "int": "Int64",
    "long": "Int64",
    "float": "float64",
    "double": "float64",
    "boolean": "boolean",
}
_LIST_COLUMNS = ["USER_ID", "ITEM_ID", "RANK", "SCORE"]


class RunFilesError(ValueError):
    """A run or one of its files is missing; the message says what, where and what to do."""


class Files(Protocol):
    """The files of one run; paths are relative to the run."""

    def find(self, prefix: str) -> list[str]:
        """Return the paths that begin with a prefix, sorted."""

    def read(self, path: str) -> bytes:
        """Return the content of a file."""

    def location(self, path: str = "") -> str:
        """Return the location of a file, for messages: `s3://BUCKET/runs/RUN/users/`."""


@dataclass(frozen=True)
class _S3Files:
    """The files of a run on S3."""

    s3: Any
    bucket: str
    run: str

    def find(self, prefix: str) -> list[str]:
        run_prefix = f"runs/{self.run}/"
        objects = _objects(self.s3, self.bucket, run_prefix + prefix)
        return sorted(str(item["Key"]).removeprefix(run_prefix) for item in objects)

    def read(self, path: str) -> bytes:
        key = f"runs/{self.run}/{path}"
        content: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def location(self, path: str = "") -> str:
        return f"s3://{self.bucket}/runs/{self.run}/{path}"


@dataclass(frozen=True)
class _DirectoryFiles:
    """The files of a run in a directory: a copy of its S3 prefix, or the output of a local run."""

    directory: Path

    def find(self, prefix: str) -> list[str]:
        paths = (path for path in self.directory.rglob("*") if path.is_file())
        names = (path.relative_to(self.directory).as_posix() for path in paths)
        return sorted(name for name in names if name.startswith(prefix))

    def read(self, path: str) -> bytes:
        return (self.directory / path).read_bytes()

    def location(self, path: str = "") -> str:
        return str(self.directory / path)


@dataclass(frozen=True)
class Run:
    """One run: each of its files as a DataFrame, read on first access.

    Attributes:
        name: The run's name, which is its execution's.
        files: The run's files.
        types: Data set → column → Avro type, as configured; ids are text in any case, and pandas
            infers the types of other columns.
        recommender: Whose lists they are, if there are several recommenders; empty for the first.
    """

    name: str
    files: Files
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    recommender: str = ""

    def of_recommender(self, name: str) -> Run:
        """Return the same run with the lists of another recommender."""
        return Run(self.name, self.files, self.types, name)

    @property
    def folder(self) -> str:
        """Where the recommender's own files are; empty for the first."""
        return _folder(self.recommender)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the Spark job about the data sets, and the recommender's own lists.

        Raises:
            RunFilesError: If it is missing, as all other files that a property reads.
        """
        content = self._read_first(
            (_MANIFEST,),
            "the Spark job did not finish this run: 'retrain explain' says why. A local run's"
            " output/ holds results alone; read the run from S3",
        )
        manifest: dict[str, Any] = json.loads(content)
        if not self.recommender:
            return manifest
        shared = {name: manifest[name] for name in manifest.keys() - _OF_THE_FIRST}
        return {**shared, **(manifest.get("recommenders") or {}).get(self.recommender, {})}

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """The events: USER_ID, ITEM_ID (text), TIMESTAMP (UTC epoch seconds), … as configured."""
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

        Of related items, USER_ID is the item to which ITEM_ID is related.
        """
        content = self._read_first(
            [f"{self.folder}{path}" for path in _RECOMMENDATIONS],
            "this run has not published any lists: 'retrain watch' shows how far it is,"
            " 'retrain explain' why it failed",
        )
        types = {"RANK": "long", "SCORE": "double", "RELATED_ITEM_ID": "string"}
        frame = _csv([content], types)
        if "RELATED_ITEM_ID" in frame:
            frame = frame.rename(columns={"ITEM_ID": "USER_ID", "RELATED_ITEM_ID": "ITEM_ID"})
        return frame.astype({"RANK": "int64"})[_LIST_COLUMNS]

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """Examples of rejected rows: `data set`, `reason`, `column`, `row` (a dict).

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
        return frozenset(self._frame(f"{self.folder}filter/eligible-items/", {})["ITEM_ID"])

    @cached_property
    def exclusions(self) -> pd.DataFrame:
        """The pairs that must not be recommended: USER_ID, ITEM_ID; empty if none."""
        if not self.manifest.get("filter", {}).get("exclusions"):
            return pd.DataFrame({"USER_ID": [], "ITEM_ID": []}, dtype=str)
        return self._frame(f"{self.folder}filter/exclusions/", {})

    @cached_property
    def gate(self) -> dict[str, Any] | None:
        """What the quality gate decided and why; None if the run has not passed any."""
        return self.record("gate")

    def lists_of(self, model: str = "") -> pd.DataFrame:
        """Return the lists that a model made, before the filter.

        Args:
            model: A model whose lists were not to be published alone; empty for those of
                Personalize, or of the model in its place.

        Returns:
            USER_ID, ITEM_ID, RANK, SCORE as of `recommendations`; SCORE is missing where the model
            gave none. Of related items, USER_ID is the item to which ITEM_ID is related.

        Raises:
            RunFilesError: If there are none.
        """
        folder = f"{model_folder(model) if model else self.folder}batch-output/"
        paths = [path for path in self.files.find(folder) if path.endswith(".out")]
        if not paths:
            raise self._missing(
                folder,
                "the model has not made any in this run: 'retrain watch' shows how far it is,"
                " 'retrain explain' why it failed",
            )
        lines = (line for path in paths for line in self.files.read(path).splitlines())
        rows = [row for line in lines for row in _rows(json.loads(line))]
        types = {"USER_ID": "str", "ITEM_ID": "str", "RANK": "int64", "SCORE": "float64"}
        return pd.DataFrame(rows, columns=_LIST_COLUMNS).astype(types)

    @property
    def newest_event(self) -> int:
        """The time of the newest event that this run read, UTC epoch seconds; 0 of none."""
        newest = self.manifest["datasets"]["INTERACTIONS"].get("newestTimestamp")
        if newest is None and len(self.interactions):
            newest = self.interactions["TIMESTAMP"].max()
        return int(newest or 0)

    @property
    def since(self) -> str:
        """The time since which interactions were read; empty if they are all of them."""
        return str(self.manifest["datasets"].get("INTERACTIONS", {}).get("since") or "")

    def record(self, stage: str) -> dict[str, Any] | None:
        """Return what a stage of the run decided, `record/STAGE.json`; None if it was not there."""
        path = f"{self.folder}record/{stage}.json"
        if path not in self.files.find(path):
            return None
        content: dict[str, Any] = json.loads(self.files.read(path))
        return content

    def __repr__(self) -> str:
        return f"Run({self.name!r} at {self.files.location()})"

    def _data_set(self, dataset_type: str, *, required: Sequence[str]) -> pd.DataFrame:
        written = self.manifest["datasets"].get(dataset_type)
        if written is None:
            return pd.DataFrame({name: [] for name in required}, dtype=str)
        frame = self._frame(written["path"], self.types.get(dataset_type, {}))
        return frame.astype({"TIMESTAMP": "int64"}) if "TIMESTAMP" in frame else frame

    def _frame(self, prefix: str, types: Mapping[str, str]) -> pd.DataFrame:
        paths = self.files.find(prefix)
        if not paths:
            raise self._missing(
                prefix, "its manifest names them, so they were deleted since; start a new run"
            )
        # The Spark job writes CSV as Personalize reads it.
        try:
            return _csv((self.files.read(path) for path in paths), types, escape="\\")
        except ValueError as error:  # pandas' errors of parsing are ValueErrors
            location = self.files.location(prefix)
            raise RunFilesError(
                f"run '{self.name}': {location} does not fit the schema: {error}; start a new run"
            ) from None

    def _read_first(self, paths: Sequence[str], advice: str) -> bytes:
        for path in paths:
            if path in self.files.find(path):
                return self.files.read(path)
        raise self._missing(paths[0], advice)

    def _missing(self, path: str, advice: str) -> RunFilesError:
        location = self.files.location(path)
        return RunFilesError(f"run '{self.name}': {location} is not there; {advice}")


def list_runs(s3: Any, bucket: str, recommender: str = "") -> pd.DataFrame:
    """Return the runs that a bucket holds, the published one first, then the newest.

    Args:
        s3: A boto3 client.
        bucket: The configured bucket.
        recommender: Whose lists, if there are several recommenders; empty for the first.

    Returns:
        `run` (its name), `written` (time of its newest file, UTC), `data sets` (whether the Spark
        job finished), `recommendations` (whether it has lists), `published` (whether
        `recommendations/latest.json` names it).

    Raises:
        RunFilesError: If the bucket cannot be read.
    """
    written: dict[str, pd.Timestamp] = {}
    paths: dict[str, set[str]] = {}
    for item in _objects(s3, bucket, "runs/"):
        run, _, path = str(item["Key"]).removeprefix("runs/").partition("/")
        time = pd.Timestamp(item["LastModified"]).tz_convert("UTC")
        written[run] = max(written.get(run, time), time)
        paths.setdefault(run, set()).add(path)
    published = _published_run(s3, bucket, recommender)
    lists = _folder(recommender) + _RECOMMENDATIONS[0]
    rows = [
        (run, written[run], _MANIFEST in files, lists in files, run == published)
        for run, files in paths.items()
    ]
    columns = ["run", "written", "data sets", "recommendations", "published"]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], bool))
    return table.sort_values(["published", "written", "run"], ascending=False, ignore_index=True)


def open_run(config: Config, s3: Any, name: str = LATEST) -> Run:
    """Return a run on S3; its files are not read yet.

    Args:
        config: Names the bucket and the type of each column.
        s3: A boto3 client.
        name: `latest`, the newest run with recommendations; `previous`, the one before it; or
            the name of a run.

    Raises:
        RunFilesError: If there is no such run; the message proposes a similar name.
    """
    known = list_runs(s3, config.bucket, config.recommender)
    names = [str(run) for run in known["run"]]
    finished = [str(run) for run in known.loc[known["recommendations"], "run"]]
    prefix = f"s3://{config.bucket}/runs/"
    if name in {LATEST, PREVIOUS}:
        position = (LATEST, PREVIOUS).index(name)
        if len(finished) <= position:
            raise RunFilesError(
                f"{name} run: {prefix} holds {len(finished)} with recommendations and"
                f" {len(names) - len(finished)} without; 'retrain start' begins one"
            )
        name = finished[position]
    elif name not in names:
        known_names = f"there are {', '.join(names) or 'none'}"
        hint = suggestion(name, names, otherwise=known_names, quote="'")
        raise RunFilesError(f"run '{name}': nothing at {prefix}{name}/; {hint}")
    return run_on_s3(config, s3, name)


def run_on_s3(config: Config, s3: Any, name: str) -> Run:
    """Return the run of this name, which may not have written any file."""
    files = _S3Files(s3, config.bucket, name)
    return Run(name, files, _column_types(config), config.recommender)


def previous_run(config: Config, s3: Any) -> Run:
    """Return the run with recommendations before the latest, or the latest if it is the only one.

    Compared with itself nothing has changed and nothing came after, so that a notebook needs no
    special case.

    Raises:
        RunFilesError: If there is none at all.
    """
    known = list_runs(s3, config.bucket, config.recommender)
    return open_run(config, s3, PREVIOUS if known["recommendations"].sum() > 1 else LATEST)


def read_directory(directory: str | Path, config: Config | None = None) -> Run:
    """Return the run in a directory: a copy of its S3 prefix, or a local run's `output/`.

    Args:
        directory: For example `output`, which holds results alone, or a directory that
            `aws s3 sync s3://BUCKET/runs/RUN/` filled.
        config: Names the type of each column.

    Raises:
        RunFilesError: If there is no such directory.
    """
    path = Path(directory)
    if not path.is_dir():
        raise RunFilesError(
            f"{path}: there is no such directory; 'retrain local run --output {path}' makes one,"
            f" or fetch a run by 'aws s3 sync s3://BUCKET/runs/RUN/ {path}'"
        )
    types, recommender = (_column_types(config), config.recommender) if config else ({}, "")
    return Run(path.resolve().name, _DirectoryFiles(path), types, recommender)


def _column_types(config: Config) -> dict[str, dict[str, str]]:
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
        message = error.response.get("Error", {}).get("Message", str(error))
        raise RunFilesError(
            f"s3://{bucket}/{prefix}: {message}; is the workflow deployed ('retrain deploy'), and"
            " may these credentials read the bucket?"
        ) from error


def _folder(recommender: str) -> str:
    return f"recommenders/{recommender}/" if recommender else ""


def _published_run(s3: Any, bucket: str, recommender: str) -> str:
    key = "/".join(filter(None, ("recommendations", recommender, "latest.json")))
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return ""
    return str(json.loads(body).get("run", ""))


def _rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str, int, float | None]]:
    """Yield a row for each item of a line of batch output."""
    asked, output = record.get("input") or {}, record.get("output") or {}
    items = output.get("recommendedItems") or ()
    for rank, item in enumerate(items, start=1):
        score = output["scores"][rank - 1] if output.get("scores") else None
        yield str(asked.get("userId") or asked.get("itemId")), str(item), rank, score


def _csv(
    contents: Iterable[bytes], types: Mapping[str, str], *, escape: str | None = None
) -> pd.DataFrame:
    """Return CSV files as one frame; an empty field is missing, `NA` is an id like any other.

    A quote inside a value is doubled, or stands after the character `escape`.
    """
    dtypes: dict[Any, Any] = {name: _PANDAS_TYPES[avro_type] for name, avro_type in types.items()}
    dtypes.update(dict.fromkeys(("USER_ID", "ITEM_ID"), "str"))
    return pd.concat(
        [
            pd.read_csv(
                io.BytesIO(content),
                dtype=dtypes,
                keep_default_na=False,
                na_values=[""],
                doublequote=escape is None,
                escapechar=escape,
            )
            for content in contents
        ],
        ignore_index=True,
    )
