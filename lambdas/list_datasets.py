"""List Datasets: a run's manifest → the data sets to import."""

from __future__ import annotations

import json
from typing import Any

import boto3

from lambdas.errors import (
    InvalidInputException,
    ManifestNotFound,
    ResourceNotFoundException,
    named_errors,
)
from lambdas.jobs import pages


def datasets_to_import(
    manifest: dict[str, Any],
    dataset_arns: dict[str, str],
    *,
    bucket: str,
    run: str,
    import_mode: str,
) -> list[dict[str, Any]]:
    """Return what the Map imports, interactions after the users and items that they name.

    Args:
        manifest: what the Spark job wrote.
        dataset_arns: the dataset group's ARN by type, for example `USERS`.
        bucket: that the run lies in.
        run: the execution's name.
        import_mode: `FULL` or `INCREMENTAL`.

    Raises:
        ResourceNotFoundException: the run holds a data set that the dataset group lacks.
    """
    written = manifest["datasets"]
    strangers = [kind for kind in written if kind not in dataset_arns]
    if strangers:
        raise ResourceNotFoundException(
            f"run '{run}' holds {', '.join(strangers)}, but the dataset group has only"
            f" {', '.join(dataset_arns) or 'no dataset'}; create the dataset, or take"
            " it out of the configuration, and start again"
        )
    return [
        {
            "datasetType": kind,
            "datasetArn": dataset_arns[kind],
            "s3Path": f"s3://{bucket}/runs/{run}/{written[kind]['path']}",
            "importMode": import_mode,
            "rows": written[kind]["rows"],
        }
        for kind in sorted(written, key=lambda kind: kind == "INTERACTIONS")
    ]


def read_manifest(s3: Any, bucket: str, run: str) -> dict[str, Any]:
    """Return the manifest of a run.

    Raises:
        ManifestNotFound: the Spark job did not finish this run.
        InvalidInputException: it is no manifest.
    """
    key = f"runs/{run}/manifest.json"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise ManifestNotFound(
            f"s3://{bucket}/{key} is not there: the Spark job did not finish run '{run}';"
            " look at its log and start a new execution"
        ) from None
    try:
        manifest: dict[str, Any] = json.loads(body)
        for kind, written in manifest["datasets"].items():
            if not {"path", "rows"} <= {*written}:
                raise ValueError(f"{kind} lacks its path or its rows")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputException(
            f"s3://{bucket}/{key} is no manifest: {error!r}; the Spark job writes it: start a new"
            " execution"
        ) from error
    return manifest


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer `{"datasets": […]}` for `{"bucket", "run", "datasetGroupArn", "importMode"}`."""
    manifest = read_manifest(boto3.client("s3"), event["bucket"], event["run"])
    found = pages(
        boto3.client("personalize").list_datasets,
        "datasets",
        datasetGroupArn=event["datasetGroupArn"],
    )
    return {
        "datasets": datasets_to_import(
            manifest,
            {dataset["datasetType"].upper(): dataset["datasetArn"] for dataset in found},
            bucket=event["bucket"],
            run=event["run"],
            import_mode=event["importMode"],
        )
    }
