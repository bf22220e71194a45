"""Lists of the hybrid in a SageMaker container that serves: lines of users in, of items out.

A line `{"userId": "42"}` gives Personalize's line of batch output, `{"input": {"userId": "42"},
"output": {"recommendedItems": […], "scores": […]}, "error": null}`. `RETRAINING_NUM_RESULTS` is the
number of items. A line that cannot be answered has an `error`, at its position.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recommenders import Recommender, load_recommender

_DEFAULT_RESULTS = 100


def model_fn(model_dir: str) -> Recommender:
    """Load the model."""
    return load_recommender(Path(model_dir, "hybrid"))


def input_fn(body: bytes | str, _content_type: str) -> list[str]:
    """Return the lines of a request that are not blank."""
    text = body if isinstance(body, str) else body.decode()
    return [line for line in text.splitlines() if line.strip()]


def predict_fn(lines: Sequence[str], model: Recommender) -> list[dict[str, Any]]:
    """Return a line of output for each line."""
    parsed = [_parsed(line) for line in lines]
    users = [value["userId"] for value, fault in parsed if not fault]
    lists = _lists(model, users)
    return [
        {"input": value, "output": None if fault else next(lists), "error": fault or None}
        for value, fault in parsed
    ]


def output_fn(records: Sequence[dict[str, Any]], accept: str) -> tuple[str, str]:
    """Return the lines of output as a text."""
    return "".join(f"{json.dumps(record)}\n" for record in records), accept


def _parsed(line: str) -> tuple[Any, str]:
    """Return the value of a line, and what is wrong with it."""
    try:
        value = json.loads(line)
    except ValueError as error:
        return line, f"not JSON: {error}"
    if isinstance(value, dict) and isinstance(value.get("userId"), str) and value["userId"]:
        return value, ""
    return value, 'must be of the form {"userId": "42"}, the id a string'


def _lists(model: Recommender, users: Sequence[str]) -> Iterator[dict[str, Any]]:
    n_results = int(os.environ.get("RETRAINING_NUM_RESULTS", _DEFAULT_RESULTS))
    for block in model.recommend(users, n_results) if users else ():
        for items, scores, count in zip(block.items, block.scores, block.counts, strict=True):
            # The shortest text of a number of 32 bits, not that of its value in 64.
            texts = scores[:count].astype(str)
            yield {
                "recommendedItems": items[:count].tolist(),
                "scores": [float(text) for text in texts],
            }
