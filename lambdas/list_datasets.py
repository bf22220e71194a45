"""List Datasets: from a run's manifest to the data sets to import."""

from __future__ import annotations

import json
from typing import Any

from lambdas.clients import client
from lambdas.errors import (
    InvalidInputException,
    ManifestNotFound,
    ResourceNotFoundException,
    named_errors,
)


def datasets_to_import(
    manifest: dict[str, Any],
    dataset_arns: dict[str, str],
    *,
    bucket: str,
    run: str,
    import_mode: str,
) -> list[dict[str, Any]]:
    """Return the items of the Map state, interactions after the users and items that they name.

    Args:
        manifest: The run's manifest.
        dataset_arns: Dataset type, for example `USERS` → ARN of the group's dataset.
        bucket: The run's bucket.
        run: The execution's name.
        import_mode: `FULL` or `INCREMENTAL`.

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
    return [
        {
            "datasetType": dataset_type,
            "datasetArn": dataset_arns[dataset_type],
            "s3Path": f"s3://{bucket}/runs/{run}/{entries[dataset_type]['path']}",
            "importMode": import_mode,
            "rows": entries[dataset_type]["rows"],
        }
        for dataset_type in sorted(entries, key=lambda name: name == "INTERACTIONS")
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputException(
            f"s3://{bucket}/{key} is no manifest: {error!r}; the Spark job writes it: start a new"
            " execution"
        ) from error
    return manifest


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return `{"datasets": […]}` for `{"bucket", "run", "datasetGroupArn", "importMode"}`."""
    manifest = read_manifest(client("s3"), event["bucket"], event["run"])
    pages = (
        client("personalize")
        .get_paginator("list_datasets")
        .paginate(datasetGroupArn=event["datasetGroupArn"])
    )
    return {
        "datasets": datasets_to_import(
            manifest,
            {
                dataset["datasetType"].upper(): dataset["datasetArn"]
                for dataset in pages.search("datasets")
            },
            bucket=event["bucket"],
            run=event["run"],
            import_mode=event["importMode"],
        )
    }
