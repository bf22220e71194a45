"""Filter Recommended Item: from batch output to the published CSV.

Everything is streamed: memory does not grow with the number of users or of excluded pairs. Stages:
eligible item ids into a set, excluded pairs into an SQLite file, batch output line by line into a
multipart upload, error lines into a file of their own, and last `recommendations/latest.json`, so
that a reader sees the old list or the new one (`publication`).
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import IO, Any

from boto3.s3.transfer import TransferConfig

from lambdas.clients import client
from lambdas.errors import ListsAlike, NoRecommendations, ResourceNotFoundException, named_errors
from lambdas.list_datasets import manifest_of, read_manifest
from lambdas.publication import publish_list
from lambdas.records import folder_of, record_key

HEADER = ("USER_ID", "ITEM_ID", "RANK", "SCORE")
RELATED_HEADER = ("ITEM_ID", "RELATED_ITEM_ID", "RANK", "SCORE")
GATE = "gate"

_FEW = 25  # fewer users may have the same list by chance
_CHUNK_BYTES = 1 << 20
_ROWS_PER_CHUNK = 5_000
# One thread: the rows are read while they are uploaded, and SQLite's connection is of one thread.
_TRANSFER = TransferConfig(use_threads=False)


@dataclass
class Counts:
    """Counts of users, recommendations, error lines and dropped items, as in `latest.json`.

    `differentLists` counts lists of Personalize that are not like the one before.
    """

    users: int = 0
    differentLists: int = 0  # noqa: N815  as latest.json spells it
    recommendations: int = 0
    errorLines: int = 0  # noqa: N815  as latest.json spells it
    dropped: dict[str, int] = field(default_factory=lambda: {"ineligible": 0, "excluded": 0})


@dataclass(frozen=True)
class Rules:
    """The rules that decide which items a user gets.

    Attributes:
        eligible: Item ids that may be recommended; None for all.
        excluded: User id → item ids never recommended to that user.
        keep: Most items per user.
    """

    eligible: frozenset[str] | None
    excluded: Callable[[str], frozenset[str]]
    keep: int


def recommendation_rows(
    lines: Iterable[str], rules: Rules, counts: Counts, on_error: Callable[[str, str], None]
) -> Iterator[tuple[str, str, int, str]]:
    """Yield (user, item, rank, score) of each recommendation, in the order of the lines.

    Of related items, the item to which they are found stands in the user's place.

    Ranks run 1..N without gaps; the score is empty if Personalize gave none.

    Args:
        lines: JSON lines of a batch inference job's output.
        rules: The rules that decide which items a user gets.
        counts: Counts, increased with each line.
        on_error: Called with each line that holds no recommendations, and the reason.
    """
    before: Sequence[str] | None = None
    for line in map(str.strip, lines):
        if not line:
            continue
        try:
            user, items, scores = _recommendations(line)
        except ValueError as error:
            counts.errorLines += 1
            on_error(line, str(error))
            continue
        counts.differentLists += before is not None and items != before
        before = items
        excluded = rules.excluded(user)
        rank = 0
        first_scores: dict[str, float | None] = {}
        for item, score in zip(items, scores, strict=True):
            first_scores.setdefault(item, score)
        for item, score in first_scores.items():
            if rules.eligible is not None and item not in rules.eligible:
                counts.dropped["ineligible"] += 1
            elif item in excluded:
                counts.dropped["excluded"] += 1
            elif rank < rules.keep:
                rank += 1
                yield user, item, rank, "" if score is None else repr(score)
        counts.users += rank > 0
        counts.recommendations += rank


def _recommendations(line: str) -> tuple[str, Sequence[str], Sequence[float | None]]:
    """Return user (or item to which others are related), items and scores of a line.

    Raises:
        ValueError: If it holds no recommendations, with the reason.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(record, Mapping):
        raise ValueError("no JSON object")
    if record.get("error"):
        raise ValueError(str(record["error"]))
    request, output = (
        member if isinstance(member, Mapping) else {}
        for member in (record.get("input"), record.get("output"))
    )
    user = request.get("userId") or request.get("itemId")
    items = output.get("recommendedItems")
    if not user or items is None:
        raise ValueError("neither error nor recommendedItems" if user else "no userId, no itemId")
    if not _is_list_of(str, items):
        raise ValueError("recommendedItems is no list of ids")
    scores = output.get("scores") or [None] * len(items)
    if not _is_list_of(int | float | None, scores):
        raise ValueError("scores is no list of numbers")
    if len(scores) != len(items):
        raise ValueError(f"{len(items)} items, but {len(scores)} scores")
    return str(user), items, scores


def _is_list_of(item_type: type | UnionType, value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, item_type) for item in value)


def csv_chunks(
    rows: Iterable[tuple[str, str, int, str]], header: Sequence[str] = HEADER
) -> Iterator[bytes]:
    """Yield a CSV with its header (RFC 4180 quoting, UTF-8, LF) in chunks of some thousand rows."""
    buffer = _LineFeeds()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for number, row in enumerate(rows, start=1):
        writer.writerow(row)
        if number % _ROWS_PER_CHUNK == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


class _LineFeeds(io.StringIO):
    """A buffer that ends each row with LF alone; only a writer of CRLF quotes an id with a CR."""

    def write(self, row: str) -> int:
        return super().write(f"{row.removesuffix(csv.excel.lineterminator)}\n")


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


class _ChunkReader(io.RawIOBase):
    """An iterator of bytes as a readable file, for uploads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


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

    def lines(self, keys: Iterable[str]) -> Iterator[str]:
        """Yield the lines of some objects, each with its line break."""
        for key in keys:
            with closing(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]) as body:
                yield from _lines(body.iter_chunks(_CHUNK_BYTES))

    def rows(self, path: str) -> Iterator[list[str]]:
        """Yield the rows of the Spark job's CSV files below a path, without their headers."""
        for key in self.keys(path):
            rows = csv.reader(self.lines([key]), strict=True, doublequote=False, escapechar="\\")
            next(rows, None)
            yield from rows

    def upload(self, path: str, content: Any) -> str:
        """Upload a readable object and return its S3 URI; an upload that fails leaves nothing."""
        key = f"runs/{self.run}/{path}"
        self.s3.upload_fileobj(content, self.bucket, key, Config=_TRANSFER)
        return self.uri(path)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (f"{line}\n" for line in whole)
    if rest := rest + decoder.decode(b"", final=True):
        yield rest


def filter_recommendations(
    files: RunFiles, manifest: Mapping[str, Any], *, keep: int, directory: Path
) -> dict[str, Any]:
    """Write `recommendations.csv` and `errors.jsonl` of a run.

    Args:
        files: The run's files.
        manifest: The run's manifest, as of the recommender; it names the filter files.
        keep: Most items per user.
        directory: For temporary files.

    Returns:
        S3 URIs of both files (`csv`, `errors`), and the counts.

    Raises:
        ResourceNotFoundException: If there is no batch output.
        NoRecommendations: If nothing is left; then `errors.jsonl` is written, but no CSV.
        ListsAlike: If fewer lists differ than the manifest demands; likewise.
    """
    written = f"{files.folder}batch-output/"
    outputs = [key for key in files.keys(written) if key.endswith(".out")]
    if not outputs:
        raise ResourceNotFoundException(
            f"no .out file at {files.uri(written)}: did batch inference write elsewhere?"
        )
    filter_files = manifest.get("filter") or {}
    eligible = filter_files.get("eligibleItems")
    excluded = filter_files.get("exclusions")
    counts = Counts()
    pairs = ((user, item) for user, item in (files.rows(excluded["path"]) if excluded else ()))
    with (
        closing(Exclusions(directory / "exclusions.sqlite", pairs)) as exclusions,
        (directory / "errors.jsonl").open("w+b") as errors,
    ):
        rules = Rules(
            eligible=frozenset(item for (item,) in files.rows(eligible["path"]))
            if eligible
            else None,
            excluded=exclusions,
            keep=keep,
        )
        rows = recommendation_rows(files.lines(outputs), rules, counts, _error_writer(errors))
        least = float(manifest.get("leastDifferentLists") or 0)
        is_related = (manifest.get("batchInput") or {}).get("id") == "ITEM_ID"
        table = csv_chunks(rows, RELATED_HEADER if is_related else HEADER)
        chunks = _raise_if_useless(table, counts, least)
        content = io.BufferedReader(_ChunkReader(chunks))
        try:
            csv_uri = files.upload(f"{files.folder}recommendations/recommendations.csv", content)
        finally:
            errors.seek(0)
            errors_uri = files.upload(f"{files.folder}recommendations/errors.jsonl", errors)
    return {"csv": csv_uri, "errors": errors_uri, **asdict(counts)}


def _raise_if_useless(
    chunks: Iterator[bytes], counts: Counts, least_different: float
) -> Iterator[bytes]:
    """Yield the chunks; raise at their end if they held no recommendation, or one for all.

    Args:
        chunks: The CSV.
        counts: Those of the whole CSV, at its end.
        least_different: Least share of lists that must not be like the one before.
    """
    yield from chunks
    if not counts.recommendations:
        raise NoRecommendations(
            f"nothing is left to recommend: {counts.errorLines} error lines,"
            f" {counts.dropped['ineligible']} items not eligible, {counts.dropped['excluded']}"
            " excluded; the published list stays as it was. Look at the filter rules and at the"
            " run's recommendations/errors.jsonl"
        )
    if counts.users >= _FEW and counts.differentLists < least_different * counts.users:
        raise ListsAlike(
            f"{counts.users - counts.differentLists:,} of {counts.users:,} users have the same"
            " list, so the model knows nothing of them; the published list stays as it was. Is"
            " batch_inference.user_id the id of the interactions, written alike? Where one list for"
            " all is right, write agreement.different_lists = 0"
        )


def _error_writer(file: IO[bytes]) -> Callable[[str, str], None]:
    def write(line: str, reason: str) -> None:
        record = json.dumps({"reason": reason, "line": line}, ensure_ascii=False)
        file.write(f"{record}\n".encode())

    return write


def publish(s3: Any, personalize: Any, event: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """Filter a run, then write `recommendations/latest.json` and return its content.

    An error leaves the published list as it was; `extractedAt` is the age of the list's data. The
    event's `recommender` has its own list, published by `recommendations/NAME/latest.json`.

    Raises:
        ManifestNotFound: If the run has no manifest.
        ResourceNotFoundException: If the run has no batch output.
        NoRecommendations: If nothing is left to recommend.
        ListsAlike: If nearly all users have the same list.
        NewerListPublished: If a list of newer data is published.
    """
    bucket, run, recommender = event["bucket"], event["run"], event.get("recommender") or ""
    manifest = manifest_of(read_manifest(s3, bucket, run), recommender)
    job = personalize.describe_batch_inference_job(
        batchInferenceJobArn=event["batchInferenceJobArn"]
    )["batchInferenceJob"]
    with tempfile.TemporaryDirectory() as directory:
        filtered = filter_recommendations(
            RunFiles(s3, bucket, run, folder_of(recommender)),
            manifest,
            keep=event["keep"],
            directory=Path(directory),
        )
    latest = {
        "run": run,
        **({"recommender": recommender} if recommender else {}),
        **filtered,
        "solutionVersionArn": job["solutionVersionArn"],
        "extractedAt": str(manifest.get("createdAt", "")),
        "createdAt": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        **(degradation(s3, bucket, run, recommender) if event.get("gate") else {}),
    }
    publish_list(s3, bucket, latest)
    return latest


def degradation(s3: Any, bucket: str, run: str, recommender: str = "") -> dict[str, Any]:
    """Return `degraded`, what the quality gate found wrong with a run; nothing if it is sound.

    Its `reason`, and the version that was refused, `refusedSolutionVersionArn`; null if the run's
    own version made the lists all the same.
    """
    try:
        key = record_key(run, GATE, recommender)
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:  # a workflow that was composed without the stage
        return {}
    gate = json.loads(body)
    if not gate["degraded"]:
        return {}
    is_refused = gate["served"]["solutionVersionArn"] != gate["solutionVersionArn"]
    refused = gate["solutionVersionArn"] if is_refused else None
    return {"degraded": {"reason": gate["reason"], "refusedSolutionVersionArn": refused}}


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Filter and publish a run: `{"bucket", "run", "batchInferenceJobArn", "keep"}`.

    With `"gate": true`, what the quality gate found wrong is published too; `recommender` is the
    list's, if there are several.

    Returns:
        The content of `recommendations/latest.json`, or of the recommender's own.
    """
    return publish(client("s3"), client("personalize"), event, now=datetime.now(UTC))
