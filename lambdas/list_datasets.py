"""List Datasets: from a run's manifest to the data sets to import."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import (
    InvalidInputException,
    ManifestNotFound,
    ResourceNotFoundException,
    named_errors,
)
from lambdas.increments import decide
from lambdas.jobs import job_response

PAIRS_OF_A_USER = 10
"""Excluded pairs that take the filter as long as a user does."""

_OF_THE_FIRST = frozenset({"recommenders", "backtest", "popularity", "popularityBaseline"})
"""What a manifest says of the first recommender, or of all, alone."""


def datasets_to_import(
    manifest: dict[str, Any],
    dataset_arns: dict[str, str],
    *,
    bucket: str,
    run: str,
    import_modes: Mapping[str, str | None] | None = None,
) -> list[dict[str, Any]]:
    """Return the items of the Map state, interactions after the users and items that they name.

    Args:
        manifest: The run's manifest.
        dataset_arns: Dataset type, for example `USERS` → ARN of the group's dataset.
        bucket: The run's bucket.
        run: The execution's name.
        import_modes: Dataset type → FULL or INCREMENTAL, None for a data set that is left out;
            FULL for all if it is left out.

    Raises:
        ResourceNotFoundException: If the run holds a data set that the dataset group lacks.
    """
    entries = manifest["datasets"]
    missing = [dataset_type for dataset_type in entries if dataset_type not in dataset_arns]
    if missing:
        raise ResourceNotFoundException(
            f"run '{run}' holds {', '.join(missing)}, but the dataset group has only"
            f" {', '.join(dataset_arns) or 'no dataset'}; create the dataset, or take"
            " it out of the configuration, and start again"
        )
    modes = dict.fromkeys(entries, "FULL") if import_modes is None else import_modes
    return [
        {
            "datasetType": dataset_type,
            "datasetArn": dataset_arns[dataset_type],
            "s3Path": f"s3://{bucket}/runs/{run}/{entries[dataset_type]['path']}",
            "importMode": modes[dataset_type],
            "rows": entries[dataset_type]["rows"],
        }
        for dataset_type in sorted(entries, key=lambda name: name == "INTERACTIONS")
        if modes[dataset_type]
    ]


def read_manifest(s3: Any, bucket: str, run: str) -> dict[str, Any]:
    """Return the manifest of a run.

    Raises:
        ManifestNotFound: If the Spark job did not finish this run.
        InvalidInputException: If the file is not a manifest.
    """
    key = f"runs/{run}/manifest.json"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise ManifestNotFound(
            f"s3://{bucket}/{key} is not there: the Spark job did not finish run '{run}';"
            " check its log and start a new execution"
        ) from None
    try:
        manifest: dict[str, Any] = json.loads(body)
        for dataset_type, entry in manifest["datasets"].items():
            if not {"path", "rows"} <= {*entry}:
                raise ValueError(f"{dataset_type} lacks its path or its rows")
        for name, entry in (manifest.get("filter") or {}).items():
            if entry and not {"path", "rows"} <= {*entry}:
                raise ValueError(f"the filter's {name} lacks its path or its rows")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputException(
            f"s3://{bucket}/{key} is no manifest: {error!r}; the Spark job writes it: start a new"
            " execution"
        ) from error
    return manifest


def filter_size(manifest: Mapping[str, Any]) -> int:
    """Return how much the filter of a run has to do, counted in users.

    Users (or items) of the batch input, and a tenth of the excluded pairs: each takes the function
    a tenth of the time of a user with a hundred items (benchmarks/filter_size.py).
    """
    users = (manifest.get("batchInput") or {}).get("rows", 0)
    pairs = ((manifest.get("filter") or {}).get("exclusions") or {}).get("rows", 0)
    return int(users) + int(pairs) // PAIRS_OF_A_USER


def manifest_of(manifest: Mapping[str, Any], recommender: str) -> dict[str, Any]:
    """Return a manifest as of one recommender: its lists, and what was measured for it.

    Args:
        manifest: The run's.
        recommender: Its name; empty for the first.

    Raises:
        ResourceNotFoundException: If the run has no lists of it.
    """
    if not recommender:
        return {**manifest}
    further = manifest.get("recommenders") or {}
    if recommender not in further:
        raise ResourceNotFoundException(
            f"run '{manifest.get('run')}' has no lists of recommender '{recommender}', but of"
            f" {', '.join(further) or 'none besides the first'}; start a new execution"
        )
    shared = {name: value for name, value in manifest.items() if name not in _OF_THE_FIRST}
    return {**shared, **further[recommender]}


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return `{"datasets": […], "filter": {"size"}}` for `{"bucket", "run", "datasetGroupArn"}`.

    If the event has `increments`, as `lambdas.increments.decide` takes them, only what has changed
    is among the data sets, and the response says too what the run goes on with: `increment`
    (`step`, `why`), `trainingMode` (empty without a training) and `job`, whose `arn` is the
    solution version that makes the lists then.
    """
    s3, personalize = client("s3"), client("personalize")
    manifest = read_manifest(s3, event["bucket"], event["run"])
    pages = personalize.get_paginator("list_datasets").paginate(
        datasetGroupArn=event["datasetGroupArn"]
    )
    arns = {
        dataset["datasetType"].upper(): dataset["datasetArn"]
        for dataset in pages.search("datasets")
    }
    place: dict[str, Any] = {"bucket": event["bucket"], "run": event["run"]}
    size = {"filter": {"size": filter_size(manifest)}}
    if not event.get("increments"):
        return {"datasets": datasets_to_import(manifest, arns, **place), **size}
    record = decide(personalize, s3, event, manifest, now=datetime.now(UTC))
    modes = {name: each["mode"] for name, each in record["datasets"].items()}
    return {
        "datasets": datasets_to_import(manifest, arns, **place, import_modes=modes),
        **size,
        "increment": {"step": record["step"], "why": record["why"]},
        "trainingMode": record["trainingMode"] or "",
        "job": job_response(record["solutionVersionArn"] or "", "ACTIVE", 0),
    }
