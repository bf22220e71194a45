"""Delivery: the published list goes into a table too, of the database or of DynamoDB.

    Deliver Recommendations → …

It fails the run if the table cannot take the list, which is published then; the table keeps the
list that it had. What happened is in the run's `record/delivery.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow.config import Config
from workflow.definition.polling import (
    GLUE_ERRORS,
    MINUTE,
    lambda_task,
    retry_service_errors,
    retry_when_busy,
)
from workflow.definition.stage import Stage, stage_of
from workflow.errors import StructureError
from workflow.sdk import GlueStartJobRunStep, Retry, State

DELIVER = "Deliver Recommendations"
_GLUE_START_MINUTES = 15


def delivery(config: Config, run: str) -> Stage:
    """Return the stage that delivers the published list; the data stay as they are.

    Args:
        config: Its table `[delivery]` names the table.
        run: The run's name, as an intrinsic function or a path.

    Raises:
        StructureError: If there is no such table.
    """
    if config.delivery is None:
        raise StructureError(
            ["deliver() has no table to write to; add the table [delivery] to the configuration"]
        )
    into_database = config.delivery.to == "database"
    return stage_of("Delivery", (_by_spark if into_database else _by_function)(config, run))


def _by_spark(config: Config, run: str) -> State:
    return GlueStartJobRunStep(
        DELIVER,
        partition=config.partition,
        parameters={
            "JobName": config.glue_job,
            "Arguments": job_arguments(config, {"--run.$": run}),
        },
        result_path=None,
        timeout_seconds=(config.etl.timeout_minutes + _GLUE_START_MINUTES) * MINUTE,
        retry=[
            retry_service_errors(GLUE_ERRORS[1:]),
            retry_when_busy(GLUE_ERRORS[:1]),
            # The job itself: the database may be back in a minute, and the list is written whole.
            Retry(
                error_equals=["States.TaskFailed"],
                interval_seconds=60,
                max_attempts=2,
                backoff_rate=3.0,
            ),
        ],
    )


def _by_function(config: Config, run: str) -> State:
    return lambda_task(
        config,
        DELIVER,
        function="deliver-recommendations",
        payload=function_payload(config, {"run.$": run}),
        result_path=None,
    )


def job_arguments(config: Config, run: Mapping[str, str]) -> dict[str, str]:
    """Return the Spark job's arguments for a delivery; `run` is the one that names the run."""
    return {
        "--task": "deliver",
        **run,
        "--bucket": config.bucket,
        "--spec": f"s3://{config.bucket}/{config.spec_key}",
    }


def function_payload(config: Config, run: Mapping[str, str]) -> dict[str, Any]:
    """Return the function's payload for a delivery; `run` is the property that names the run."""
    assert config.delivery is not None  # noqa: S101  the callers have asked
    return {
        "bucket": config.bucket,
        **run,
        "table": config.delivery.table,
        "expireDays": config.delivery.days,
    }
