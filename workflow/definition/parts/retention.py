"""Retention: the files of old runs go once a list is published, and what nobody uses any more."""

from __future__ import annotations

from workflow.config import Config
from workflow.definition.polling import lambda_task
from workflow.definition.stage import Stage, stage_of
from workflow.errors import StructureError
from workflow.run_names import RUN

CLEAN_UP = "Clean Up Old Runs"


def clean_up(config: Config) -> Stage:
    """Return the stage that deletes what old runs left.

    Args:
        config: Its table `[retention]` has the rules.

    Raises:
        StructureError: If there is no such table.
    """
    if config.retention is None:
        raise StructureError(
            ["clean_up() has no rules; add the table [retention] to the configuration"]
        )
    task = lambda_task(
        config,
        CLEAN_UP,
        function="clean-up",
        payload={"run.$": RUN, **config.clean_up_request()},
        result_selector={
            name: f"$.Payload.{name.removesuffix('.$')}"
            for name in ("runs.$", "files.$", "bytes.$")
        },
        result_path="$.retention",
    )
    return stage_of("Clean Up", task)
