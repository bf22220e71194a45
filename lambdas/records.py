"""The keys of a run's files on S3, and its small JSON objects: `runs/RUN/record/STAGE.json`.

Of several recommenders the first has no name, and its files are where those of a run with one
recommender are; those of any other are in `recommenders/NAME/` below the run's prefix.
"""

from __future__ import annotations

import json
from typing import Any

from lambdas.errors import InvalidInputException

LATEST = "recommendations/latest.json"
"""Key of the object that names the published list."""


def latest_key(recommender: str = "") -> str:
    """Return the key of the object that names a recommender's published list."""
    return f"recommendations/{recommender}/latest.json" if recommender else LATEST


def folder_of(recommender: str = "") -> str:
    """Return where a recommender's files are below a run's prefix; empty for the first."""
    return f"recommenders/{recommender}/" if recommender else ""


def record_key(run: str, stage: str, recommender: str = "") -> str:
    """Return the key of what a stage of a run decided."""
    return f"runs/{run}/{folder_of(recommender)}record/{stage}.json"


def read_object(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """Return an object of JSON; None if it is not there.

    Raises:
        InvalidInputException: If it is no JSON object.
    """
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    try:
        content = json.loads(body)
    except ValueError as error:
        raise InvalidInputException(f"s3://{bucket}/{key} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidInputException(f"s3://{bucket}/{key} is no JSON object")
    return content


def write_object(s3: Any, bucket: str, key: str, content: dict[str, Any]) -> None:
    """Write an object of JSON, whole."""
    body = json.dumps(content, ensure_ascii=False, indent=2).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
