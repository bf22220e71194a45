"""Delivery: the published list goes into a table too, of the database or of DynamoDB.

    Deliver Recommendations → …

It fails the run if the table cannot take the list, which is published then; the table keeps the
list that it had. What happened is in the run's `record/delivery.json`.
"""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.definition.polling import lambda_task, spark_task
from workflow.definition.stage import Stage, stage_of
from workflow.errors import StructureError
from workflow.run_names import RUN
from workflow.sdk import State

DELIVER = "Deliver Recommendations"


def delivery(config: Config) -> Stage:
    """Return the stage that delivers the published list; the data stay as they are.

    Args:
        config: Its table `[delivery]` names the table.

    Raises:
        StructureError: If there is no such table.
    """
    if config.delivery is None:
        raise StructureError(
            ["deliver() has no table to write to; add the table [delivery] to the configuration"]
        )
    return stage_of("Delivery", _task(config))


def _task(config: Config) -> State:
    into_database = config.delivery is not None and config.delivery.to == "database"
    return _by_spark(config) if into_database else _by_function(config)


def _by_spark(config: Config) -> State:
    # The job tries passing faults again: each of its failures is `States.TaskFailed` here.
    return spark_task(config, DELIVER, arguments={"--task": "deliver"}, result_path=None)


def _by_function(config: Config) -> State:
    assert config.delivery is not None  # noqa: S101  the callers have asked
    return lambda_task(
        config,
        DELIVER,
        function="deliver-recommendations",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "table": config.delivery.table,
            "expireDays": config.delivery.days,
        },
        result_path=None,
    )


def delivery_of(config: Config, run: str) -> dict[str, Any]:
    """Return what the state asks for, for one run: the job's arguments, or the function's payload.

    Args:
        config: Its table `[delivery]` names the table.
        run: The run's name.
    """
    parameters = _task(config).to_dict()["Parameters"]
    asked = parameters.get("Arguments") or parameters["Payload"]
    return {name.removesuffix(".$"): run if name.endswith(".$") else asked[name] for name in asked}
