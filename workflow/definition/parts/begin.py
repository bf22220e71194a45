"""The begin of a run: one run at a time, and a resumed one goes on from what it has.

`Begin Run` takes the lock and says at `$.begin.extracted` whether the run's data sets are complete,
which a resumed run's may be; `Extracted Already?` then leads past the Spark job.
"""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.definition.polling import lambda_task
from workflow.definition.stage import JOB, Part, Stage, catch_all, stage_of
from workflow.options.overlap import LONGEST_RETRY_SECONDS, RETRY_SECONDS
from workflow.run_names import EXTRACTED, RUN
from workflow.sdk import Catch, Choice, ChoiceRule, Retry, State, Succeed

BEGIN = "Begin"
"""The stage's title."""

_IN_PROGRESS = "AnotherRunInProgress"  # by which the function names it


def begin_run(config: Config) -> Stage:
    """Return the stage that takes the lock of the runs."""
    overlap = config.runs.overlap
    task = lambda_task(
        config,
        "Begin Run",
        function="begin-run",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "execution.$": "$$.Execution.Id",
            "extraction": config.job_spec().extraction,
            "hours": config.timeout_hours,
            **_dynamodb_table(config),
        },
        result_selector={"extracted.$": "$.Payload.extracted"},
        result_path="$.begin",
    )
    if overlap == "wait":
        task.add_retry(_retry_until_it_has_ended())
    if overlap == "skip":
        skipped = Succeed("Skipped for Another Run")
        task.add_catch(
            Catch(error_equals=[_IN_PROGRESS], result_path=JOB, next_step=skipped),
        )
    return stage_of(BEGIN, task)


def _dynamodb_table(config: Config) -> dict[str, Any]:
    """Return the table that is checked before anything is paid, as a part of the payload."""
    if config.delivery is None or config.delivery.to != "dynamodb":
        return {}
    key = "ITEM_ID" if config.are_related else "USER_ID"
    return {"delivery": {"table": config.delivery.table, "key": key}}


def unless_extracted(etl: State) -> Stage:
    """Return the stage that runs the Spark job, unless the run's data sets are complete."""
    choice = Choice("Extracted Already?")
    choice.default_choice(etl)

    def lead_on(part: Part) -> None:
        # Steps before this one may have left the begin's answer out of the data.
        there = ChoiceRule.IsPresent(variable=EXTRACTED, value=True)
        choice.add_choice(
            ChoiceRule.And([there, ChoiceRule.BooleanEquals(variable=EXTRACTED, value=True)]), part
        )
        etl.next(part)

    def lead_failures(failure: State) -> None:
        etl.add_catch(catch_all(failure))

    return Stage("ETL", choice, lead_on=lead_on, lead_failures=lead_failures, must_go_on=True)


def _retry_until_it_has_ended() -> Retry:
    """Return a retrier that polls every five minutes; the run's time limit ends it."""
    return Retry(
        error_equals=[_IN_PROGRESS],
        interval_seconds=RETRY_SECONDS,
        backoff_rate=2.0,
        max_delay_seconds=LONGEST_RETRY_SECONDS,
        max_attempts=100_000,
        jitter_strategy="FULL",
    )
