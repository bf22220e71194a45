"""Filter Recommended Item: from batch output to the published CSV.

Everything is streamed: memory does not grow with the number of users or of excluded pairs. Stages:
eligible item ids into a set, excluded pairs into an SQLite file, batch output line by line into a
multipart upload, error lines into a file of their own, and last `recommendations/latest.json`, so
that a reader sees the old list or the new one (`publication`). Where the Spark job has filtered
(`etl.filtering`), only the last of these is left to do.
"""

from __future__ import annotations

import csv
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig

from lambdas.clients import client
from lambdas.errors import (
    ExecutionStopped,
    IncompleteInput,
    InvalidInputException,
    LinesDoNotMatch,
    ListsAlike,
    NoRecommendations,
    ResourceNotFoundException,
    named_errors,
)
from lambdas.list_datasets import manifest_of, read_manifest
from lambdas.publication import publish_list
from lambdas.recommendations import (
    Counts,
    Lists,
    csv_chunks,
    fault_of_user,
    header_of,
    raise_if_incomplete,
    raise_if_other_lines,
    raise_if_useless,
    readable,
    requested_id,
)
from lambdas.records import GATE, folder_of, read_object, record_key

_CHUNK_BYTES = 1 << 20
# One thread: the rows are read while they are uploaded, and SQLite's connection is of one thread.
_TRANSFER = TransferConfig(use_threads=False)


class Exclusions:
    """Pairs of user and item on disk: tens of millions do not fit into a function's memory."""

    def __init__(self, path: Path, pairs: Iterable[tuple[str, str]]) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE pair (user TEXT, item TEXT, PRIMARY KEY (user, item)) WITHOUT ROWID;"
        )
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO pair VALUES (?, ?)", pairs)

    def __call__(self, user: str) -> frozenset[str]:
        """Return the items that are excluded for a user."""
        rows = self._connection.execute("SELECT item FROM pair WHERE user = ?", (user,))
        return frozenset(item for (item,) in rows)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class Users:
    """The users of the batch input, and who has a list, on disk: a set of a million takes 100 MB.

    Args:
        path: Of the file.
        requested: The users of the batch input; None if there is none, and all are right.
    """

    def __init__(self, path: Path, requested: Iterable[str] | None) -> None:
        self._are_known = requested is not None
        self._connection = sqlite3.connect(path)
        self._connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE user (id TEXT PRIMARY KEY, has_list INTEGER) WITHOUT ROWID; BEGIN;"
        )
        users = ((user,) for user in requested or ())
        self._connection.executemany("INSERT OR IGNORE INTO user VALUES (?, 0)", users)

    def fault(self, user: str) -> str:
        """Return `fault_of_user` of the next line's user."""
        if not self._are_known:
            self._change("INSERT OR IGNORE INTO user VALUES (?, 0)", user)
        if self._change("UPDATE user SET has_list = 1 WHERE id = ? AND has_list = 0", user):
            return ""
        found = self._connection.execute("SELECT 1 FROM user WHERE id = ?", (user,)).fetchall()
        return fault_of_user(user, is_requested=bool(found), is_first=False)

    def _change(self, statement: str, user: str) -> bool:
        return self._connection.execute(statement, (user,)).rowcount == 1

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@dataclass(frozen=True)
class RunFiles:
    """The files of a run on S3.

    Attributes:
        s3: A client.
        bucket: The runs' bucket.
        run: The run's name.
        folder: Where the recommender's own files are below the run's prefix; empty for the first.
    """

    s3: Any
    bucket: str
    run: str
    folder: str = ""

    def uri(self, path: str) -> str:
        """Return the S3 URI of a path below the run's prefix."""
        return f"s3://{self.bucket}/runs/{self.run}/{path}"

    def keys(self, path: str) -> list[str]:
        """Return the keys below a path of this run, sorted."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"runs/{self.run}/{path}"
        )
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))

    def lines(self, keys: Iterable[str]) -> Iterator[bytes]:
        """Yield the lines of some objects, each with its line break."""
        for key in keys:
            with closing(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]) as body:
                yield from _lines(body.iter_chunks(_CHUNK_BYTES))

    def rows(self, entry: Mapping[str, Any], columns: int) -> Iterator[list[str]]:
        """Yield the rows of the Spark job's CSV files, without their headers.

        Args:
            entry: What the manifest says of them: `path` and `rows`.
            columns: How many each row has.

        Raises:
            InvalidInputException: If a file is none of the job's, with its line.
            IncompleteInput: If there are other rows than the manifest says; at the end.
        """
        found = 0
        for key in self.keys(entry["path"]):
            rows = csv.reader(
                (line.decode() for line in self.lines([key])),
                strict=True,
                doublequote=False,
                escapechar="\\",
            )
            try:
                for number, row in enumerate(rows):
                    if len(row) != columns or not all(row):
                        raise ValueError(f"{len([*filter(None, row)])} ids, not {columns}")
                    if number:
                        found += 1
                        yield row
            except (csv.Error, ValueError) as error:
                raise InvalidInputException(
                    f"s3://{self.bucket}/{key}, line {rows.line_num}: {error}; the Spark job writes"
                    " this file: start a new execution"
                ) from None
        raise_if_incomplete(found, entry.get("rows"), self.uri(entry["path"]))

    def requested(self, entry: Mapping[str, Any] | None) -> Iterator[str] | None:
        """Return the users of the batch input, or items; None if it is not there.

        Args:
            entry: What the manifest says of it; None if nothing.

        Raises:
            InvalidInputException: If a line is none of the Spark job's, when it is read.
        """
        keys = self.keys(entry["path"]) if entry and "path" in entry else []
        return self._requested(keys) if keys else None

    def _requested(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            for number, line in enumerate(self.lines([key]), start=1):
                try:
                    yield requested_id(line)
                except (ValueError, AttributeError) as error:
                    raise InvalidInputException(
                        f"s3://{self.bucket}/{key}, line {number}: {error}; the Spark job writes"
                        " this file: start a new execution"
                    ) from None

    def upload(self, path: str, content: Any) -> str:
        """Upload a readable object and return its S3 URI; an upload that fails leaves nothing."""
        key = f"runs/{self.run}/{path}"
        self.s3.upload_fileobj(content, self.bucket, key, Config=_TRANSFER)
        return self.uri(path)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def filter_recommendations(
    files: RunFiles,
    manifest: Mapping[str, Any],
    *,
    keep: int,
    directory: Path,
    least_different: float = 0.0,
    output: str = "",
    requested: int | None = None,
    raise_if_other: Callable[[int, int | None, str], None] = raise_if_incomplete,
) -> dict[str, Any]:
    """Write `recommendations.csv` and `errors.jsonl` of a run.

    Args:
        files: The run's files.
        manifest: The run's manifest, as of the recommender; it names the filter files.
        keep: Most items per user.
        directory: For temporary files.
        least_different: Least share of lists that are not like the one before.
        output: Prefix of the batch output below the run's; the recommender's if left out.
        requested: Lines that the output must have; None for any number.
        raise_if_other: Raises the error of other lines, as `raise_if_incomplete` does.

    Returns:
        S3 URIs of both files (`csv`, `errors`), and the counts.

    Raises:
        ResourceNotFoundException: If there is no batch output.
        IncompleteInput: If a filter file has other rows than the manifest says, or the output other
            lines than are requested; as the next.
        InvalidInputException: If a filter file is none.
        NoRecommendations: If nothing is left; then `errors.jsonl` is written, but no CSV.
        ListsAlike: If fewer lists differ; likewise.
    """
    written = output or f"{files.folder}batch-output/"
    outputs = [key for key in files.keys(written) if key.endswith(".out")]
    if not outputs:
        raise ResourceNotFoundException(
            f"no .out file at {files.uri(written)}: did batch inference write elsewhere?"
        )
    filter_files = manifest.get("filter") or {}
    eligible = filter_files.get("eligibleItems")
    excluded = filter_files.get("exclusions")
    pairs = ((user, item) for user, item in (files.rows(excluded, 2) if excluded else ()))
    asked_for = files.requested(manifest.get("batchInput"))
    with (
        closing(Exclusions(directory / "exclusions.sqlite", pairs)) as exclusions,
        closing(Users(directory / "users.sqlite", asked_for)) as users,
        (directory / "errors.jsonl").open("w+b") as errors,
    ):
        lists = Lists(
            eligible=frozenset(item for (item,) in files.rows(eligible, 1)) if eligible else None,
            keep=keep,
            on_error=lambda line: errors.write(line.encode()),
        )
        rows = (
            row
            for line in files.lines(outputs)
            for row in lists.rows(line, exclusions, users.fault)
        )
        chunks = csv_chunks(rows, header_of(manifest))

        def check() -> None:
            raise_if_other(lists.counts.lines, requested, files.uri(written))
            raise_if_useless(lists.counts, least_different)

        content = readable(_useful_chunks(chunks, check))
        try:
            csv_uri = files.upload(f"{files.folder}recommendations/recommendations.csv", content)
        except (IncompleteInput, LinesDoNotMatch, ListsAlike, NoRecommendations) as found:
            raise found.with_traceback(None) from None  # without the fifty frames of the upload
        finally:
            errors.seek(0)
            errors_uri = files.upload(f"{files.folder}recommendations/errors.jsonl", errors)
    return {"csv": csv_uri, "errors": errors_uri, **lists.counts.published()}


def _useful_chunks(chunks: Iterable[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    """Yield the CSV; raise at its end, and so break its upload off, if it is of no use."""
    yield from chunks
    check()


def publish(
    s3: Any, personalize: Any, states: Any, event: dict[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Filter a run, then write `recommendations/latest.json` and return its content.

    If the event's `job` says that the Spark job has `filtered`, the list that it left is published.
    The event's `recommender` has its own list, published by `recommendations/NAME/latest.json`. An
    error leaves the published list as it was; `extractedAt` is the age of the list's data.

    Raises:
        ExecutionStopped: If the event's `execution` is not in progress any more.
        ManifestNotFound: If the run has no manifest.
        ResourceNotFoundException: If the run has no batch output, or none that was filtered.
        IncompleteInput: If a file of the run has other rows than its manifest says.
        LinesDoNotMatch: If a model's output has other lines than its input.
        NoRecommendations: If nothing is left to recommend.
        ListsAlike: If nearly all users have the same list.
        NewerListPublished: If a list of newer data is published.
    """
    bucket, run, recommender = event["bucket"], event["run"], event.get("recommender") or ""
    manifest = manifest_of(read_manifest(s3, bucket, run), recommender)
    least_different = event["leastDifferentLists"]
    maker, job = made_by(personalize, event), event.get("job") or {}
    requested = (manifest.get("batchInput") or {}).get("rows")
    raise_if_other = raise_if_other_lines if "model" in maker else raise_if_incomplete
    if job.get("filtered"):
        filtered = filtered_by_spark(s3, bucket, run, least_different, requested, raise_if_other)
    else:
        with tempfile.TemporaryDirectory() as directory:
            filtered = filter_recommendations(
                RunFiles(s3, bucket, run, folder_of(recommender)),
                manifest,
                keep=event["keep"],
                directory=Path(directory),
                least_different=least_different,
                output=job.get("output", ""),
                requested=requested,
                raise_if_other=raise_if_other,
            )
    latest = {
        "run": run,
        **({"recommender": recommender} if recommender else {}),
        **filtered,
        **maker,
        "extractedAt": str(manifest.get("createdAt", "")),
        "createdAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        # The gate judges versions of Personalize, and no lists of other models.
        **(
            degradation(s3, bucket, run, recommender)
            if event.get("gate") and "model" not in maker
            else {}
        ),
    }
    raise_if_stopped(states, event)
    publish_list(s3, bucket, latest)
    return latest


def raise_if_stopped(states: Any, event: Mapping[str, Any]) -> None:
    """Refuse to publish for an execution that has ended: AWS does not end a function with it.

    Raises:
        ExecutionStopped: If the event's `execution` is not in progress any more.
    """
    execution = event.get("execution")
    if execution is None:  # of a definition that was deployed before it was asked for
        return
    status = states.describe_execution(executionArn=execution)["status"]
    if status != "RUNNING":
        raise ExecutionStopped(
            f"execution '{execution.rpartition(':')[2]}' is {status}: its list is not published,"
            f" and the published one stays; 'retrain resume {event['run']}' goes on with the run"
        )


def made_by(personalize: Any, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `latest.json` says of who made the list.

    That is `solutionVersionArn`, or the `model` of the event's `job`: its name, the ARN of its
    training job and the S3 URI of its data, or the id of the Spark job's run that trained it.
    """
    job = event.get("job") or {}
    if "model" in job:
        return {"model": job["model"]}
    arn = event.get("batchInferenceJobArn") or job["arn"]
    described = personalize.describe_batch_inference_job(batchInferenceJobArn=arn)
    return {"solutionVersionArn": described["batchInferenceJob"]["solutionVersionArn"]}


def filtered_by_spark(
    s3: Any,
    bucket: str,
    run: str,
    least_different: float,
    requested: int | None,
    raise_if_other: Callable[[int, int | None, str], None] = raise_if_incomplete,
) -> dict[str, Any]:
    """Return what the Spark job has filtered, as `filter_recommendations` does.

    Raises:
        ResourceNotFoundException: If it has left no record of a list.
        IncompleteInput: If the output has another number of lines than are requested.
        LinesDoNotMatch: The same of a model of one's own.
        NoRecommendations: If nothing is left to recommend.
        ListsAlike: If nearly all users have the same list.
    """
    key = record_key(run, "filter")
    record = read_object(s3, bucket, key)
    if record is None:
        raise ResourceNotFoundException(
            f"s3://{bucket}/{key} is not there: the Spark job did not filter run '{run}'; start the"
            " execution again where it failed, at the Spark job"
        )
    lines = record.pop("lines", None)
    if lines is not None:
        raise_if_other(lines, requested, f"the batch output of run '{run}'")
    raise_if_useless(Counts.from_published(record), least_different)
    return record


def degradation(s3: Any, bucket: str, run: str, recommender: str = "") -> dict[str, Any]:
    """Return `degraded`, what the quality gate found wrong with a run; nothing if it is sound.

    Its `reason`, and the version that was refused, `refusedSolutionVersionArn`; null if the run's
    own version made the lists all the same.
    """
    gate = read_object(s3, bucket, record_key(run, GATE, recommender))
    if gate is None or not gate["degraded"]:  # None of a workflow composed without the stage
        return {}
    is_refused = gate["served"]["solutionVersionArn"] != gate["solutionVersionArn"]
    refused = gate["solutionVersionArn"] if is_refused else None
    return {"degraded": {"reason": gate["reason"], "refusedSolutionVersionArn": refused}}


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Filter and publish a run: `{"bucket", "run", "batchInferenceJobArn", "keep"}`.

    And `leastDifferentLists`, the least share of lists that are not like the one before. With
    `"gate": true`, what the quality gate found wrong is published too. With `"job"`, the job that
    made the lists as the execution has it, `"filtered"` in it says that the Spark job has filtered,
    `"output"` where the lists are below the run's prefix, if they are not in `batch-output/`, and
    `"model"` that a model of one's own made them; then there is no `batchInferenceJobArn`, for
    which its `"arn"` stands in otherwise. `recommender` is the list's, if there are several. An
    `execution` that has ended meanwhile publishes nothing.

    Returns:
        The content of `recommendations/latest.json`, or of the recommender's own.
    """
    clients = client("s3"), client("personalize"), client("stepfunctions")
    return publish(*clients, event, now=datetime.now(UTC))
