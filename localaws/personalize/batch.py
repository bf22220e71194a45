"""Batch inference jobs: JSON lines of users on S3 → JSON lines of recommended items.

Formats: https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html
Files are read, scored and written in blocks, so memory does not grow with the number of users.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from localaws.personalize.filters import Eligibility, Filter, Values
from localaws.personalize.jobs import JobFailedError, Report
from localaws.personalize.objects import S3, Location
from recommenders import Eligible, Recommender, load_recommender

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
        filtered: Makes a filter of the job's data for the model's items, if the job has one.
    """

    model: Path
    source: str
    target: str
    n_results: int
    scratch: Path
    filtered: Callable[[NDArray[np.str_]], Eligibility] | None = None

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
        eligibility = self.filtered(recommender.item_ids) if self.filtered else None
        total, done = sum(file.size for file in files), 0
        for file in files:
            with tempfile.TemporaryFile(dir=self.scratch) as out, file.open(client) as lines:
                while block := list(itertools.islice(lines, _LINES_PER_BLOCK)):
                    for answer in answers(block, recommender, self.n_results, eligibility):
                        out.write(answer)
                    done += sum(map(len, block))
                    report(done / total)
                out.seek(0)
                client.upload_fileobj(out, folder.bucket, f"{prefix}{file.name}.out")
        return {}


def answers(
    lines: Sequence[bytes],
    recommender: Recommender,
    n_results: int,
    eligibility: Eligibility | None = None,
) -> Iterator[bytes]:
    """One line of output for each line of input that is not blank, in the same order.

    Args:
        lines: E.g. ``{"userId": "42"}``, with ``filterValues`` if the filter has placeholders.
        recommender: A fitted one.
        n_results: Items per user; fewer come where the filter leaves fewer.
        eligibility: The job's filter, for the recommender's items.
    """
    wanted = eligibility.filter if eligibility else None
    parsed = [_parsed(line, wanted) for line in lines if line.strip()]
    found = _per_user(
        [line for line in parsed if not line.fault], recommender, n_results, eligibility
    )
    for line in parsed:
        if line.fault:
            yield _json({"input": line.given, "output": None, "error": line.fault})
        else:
            items, scores = next(found)
            output = {"recommendedItems": items, "scores": scores}
            yield _json({"input": line.given, "output": output, "error": None})


@dataclass(frozen=True)
class _Line:
    """One line of input.

    Args:
        given: Its JSON value, or its text.
        fault: What is wrong with it; empty if it can be answered.
        values: What it gives for the filter's placeholders.
    """

    given: Any
    fault: str = ""
    values: Values = field(default_factory=dict)


def _per_user(
    lines: Sequence[_Line], recommender: Recommender, n: int, eligibility: Eligibility | None
) -> Iterator[tuple[list[str], Any]]:
    """The items and scores of each user."""
    users = [line.given["userId"] for line in lines]
    eligible = _eligible(eligibility, users, lines) if eligibility else None
    for block in recommender.recommend(users, n, eligible=eligible) if users else ():
        for items, scores, count in zip(block.items, block.scores, block.counts, strict=True):
            yield items[:count].tolist(), scores[:count]


def _eligible(eligibility: Eligibility, users: Sequence[str], lines: Sequence[_Line]) -> Eligible:
    """Tells what the users of the lines may get."""
    values = [line.values for line in lines]
    return lambda start, stop: eligibility.masks(users[start:stop], values[start:stop])


def _parsed(line: bytes, wanted: Filter | None) -> _Line:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _Line(line.decode("utf-8", "replace").strip(), f"not JSON: {error}")
    if not isinstance(value, dict) or not isinstance(value.get("userId"), str):
        return _Line(value, 'must be of the form {"userId": "42"}, the id a string')
    if not 0 < len(value["userId"]) <= _LONGEST_ID:
        return _Line(value, f"userId must have 1 to {_LONGEST_ID} characters")
    if further := sorted(set(value) - {"userId", "filterValues"}):
        return _Line(value, f"{', '.join(further)}: not supported by the local Personalize")
    if wanted is None:
        fault = "filterValues: the job has no filter" if "filterValues" in value else ""
        return _Line(value, fault)
    try:
        return _Line(value, values=wanted.bind(value.get("filterValues", {})))
    except ValueError as error:
        return _Line(value, str(error))


def _json(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
