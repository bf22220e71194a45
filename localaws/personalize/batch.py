"""Batch inference jobs: JSON lines of users on S3 → JSON lines of recommended items.

Formats: https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html
Files are read, scored and written in blocks, so memory does not grow with the number of users.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from botocore.exceptions import ClientError

from localaws.personalize.jobs import JobFailedError, Report
from localaws.personalize.objects import S3, Location
from recommenders import Recommender, load_recommender

_LINES_PER_BLOCK = 2_048
_LONGEST_ID = 256


@dataclass(frozen=True)
class Batch:
    """One batch inference job.

    Args:
        model: The directory of the trained recommender.
        source: ``s3://…``: a file of JSON lines, or a prefix of such files.
        target: ``s3://…``: the folder that gets ``NAME.out`` for each file.
        n_results: Items per user, 1..500.
        scratch: A directory for one output file at a time.
    """

    model: Path
    source: str
    target: str
    n_results: int
    scratch: Path

    def run(self, s3: S3, report: Report) -> Mapping[str, Any]:
        """Recommend for every line.

        Raises:
            JobFailedError: If there is no input or the output cannot be written.
        """
        client = s3()
        source, folder = Location.parse(self.source), Location.parse(self.target)
        prefix = folder.key.rstrip("/") + "/" if folder.key else ""
        files = source.find(client)
        if not files:
            raise JobFailedError("Invalid S3 input path")
        try:
            client.put_object(Bucket=folder.bucket, Key=f"{prefix}_CHECK", Body=b"")
        except ClientError as error:
            raise JobFailedError("Invalid S3 output path") from error
        recommender = load_recommender(self.model)
        total, done = sum(file.size for file in files), 0
        for file in files:
            with tempfile.TemporaryFile(dir=self.scratch) as out, file.open(client) as lines:
                while block := list(itertools.islice(lines, _LINES_PER_BLOCK)):
                    for answer in answers(block, recommender, self.n_results):
                        out.write(answer)
                    done += sum(map(len, block))
                    report(done / total)
                out.seek(0)
                client.upload_fileobj(out, folder.bucket, f"{prefix}{file.name}.out")
        return {}


def answers(lines: Sequence[bytes], recommender: Recommender, n_results: int) -> Iterator[bytes]:
    """One line of output for each line of input that is not blank, in the same order.

    Args:
        lines: E.g. ``{"userId": "42"}``.
        recommender: A fitted one.
        n_results: Items per user.
    """
    parsed = [_parsed(line) for line in lines if line.strip()]
    users = [line["userId"] for line, fault in parsed if fault is None]
    found = _per_user(recommender, users, n_results)
    for line, fault in parsed:
        if fault is None:
            items, scores = next(found)
            output = {"recommendedItems": items, "scores": scores}
            yield _json({"input": {"userId": line["userId"]}, "output": output, "error": None})
        else:
            yield _json({"input": line, "output": None, "error": fault})


def _per_user(
    recommender: Recommender, users: Sequence[str], n: int
) -> Iterator[tuple[list[str], Any]]:
    """The items and scores of each user."""
    for block in recommender.recommend(users, n) if users else ():
        yield from zip(block.items.tolist(), block.scores, strict=True)


def _parsed(line: bytes) -> tuple[Any, str | None]:
    """The line's JSON value (or its text), and what is wrong with it."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return line.decode("utf-8", "replace").strip(), f"not JSON: {error}"
    if not isinstance(value, dict) or not isinstance(value.get("userId"), str):
        return value, 'must be of the form {"userId": "42"}, the id a string'
    if not 0 < len(value["userId"]) <= _LONGEST_ID:
        return value, f"userId must have 1 to {_LONGEST_ID} characters"
    if further := sorted(set(value) - {"userId"}):
        return value, f"{', '.join(further)}: not supported by the local Personalize"
    return value, None


def _json(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
