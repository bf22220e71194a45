"""The job's tasks, each done by the module that is named after it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from etl.arguments import Arguments
from etl.comparison import compare
from etl.datasets import JobSpec
from etl.delivery import deliver
from etl.errors import EtlError
from etl.extraction import run
from etl.filtering import filter_lists
from etl.increments import Window
from etl.java import Java
from etl.runtime import Runtime, open_runtime
from etl.session import spark_failure


def perform(
    options: Arguments,
    environment: Mapping[str, str],
    *,
    java: Java | None,
    log: Callable[[str], None],
) -> None:
    """Do the task that the arguments name.

    Args:
        options: The command line.
        environment: As `open_runtime` takes it.
        java: As `open_runtime` takes it.
        log: Called with each line of the log.

    Raises:
        EtlError: If it fails.
    """
    try:
        s3 = boto3.client("s3")
        spec = read_spec(s3, options.spec)
        with open_runtime(options, spec, s3=s3, environment=environment, java=java) as runtime:
            _perform(options, runtime, spec, log)
    except (BotoCoreError, ClientError) as error:
        raise EtlError(
            f"S3: {error}; does the bucket '{options.bucket}' exist, and may the job's role"
            " write to it?"
        ) from None
    except (PySparkException, Py4JError, ConnectionError) as error:
        raise EtlError(spark_failure(error)) from None


def _perform(
    options: Arguments, runtime: Runtime, spec: JobSpec, log: Callable[[str], None]
) -> None:
    """Do the task that the arguments name."""
    settings = json.loads(options.settings)
    if options.task == "deliver":
        deliver(runtime, spec, now=lambda: datetime.now(UTC), log=log, sleep=time.sleep)
    elif options.task == "filter":
        filter_lists(runtime, keep=options.keep, output=options.output, log=log)
    elif options.task == "compare":
        compare(runtime, **settings, log=log)
    elif options.task == "recommend":
        # What learns takes half a second to import, and the other tasks do not need it.
        from etl.factorization import Factorization, recommend  # noqa: PLC0415

        model = Factorization.of(settings.pop("hyperparameters"))
        recommend(runtime, spec, model, **settings, log=log)
    else:
        window = Window.of(options.since, options.until, options.unchanged, options.after)
        run(runtime, spec, now=lambda: datetime.now(UTC), log=log, window=window)


def read_spec(s3: Any, uri: str) -> JobSpec:
    """Read the job's specification from S3.

    Args:
        s3: An S3 client.
        uri: `s3://BUCKET/KEY`.

    Raises:
        EtlError: If there is no such object, or it is not a specification.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
        raise EtlError(f"--spec {uri}: write s3://BUCKET/KEY")
    try:
        body = s3.get_object(Bucket=parts.netloc, Key=parts.path.removeprefix("/"))["Body"].read()
        return JobSpec.from_json(body.decode())
    except ClientError as error:
        message = error.response["Error"].get("Message", str(error))
        raise EtlError(f"--spec {uri}: {message}; deploy the workflow, which writes it") from None
    except ValueError as error:
        raise EtlError(f"--spec {uri}: {error}; deploy the workflow anew") from None
