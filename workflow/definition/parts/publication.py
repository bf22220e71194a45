"""The publication of a list, which the Spark job filters where it is too large for a function.

    Large Output? ─────────────────────→ Filter Recommended Item → …
          └→ Filter on Spark ────────────┘

The function publishes in either case: `$.job.filtered`, the run of the Spark job, tells it that the
list is made. The size is at `$.filter.size`, from the manifest. A newer list that is published
stays, and that is no failure. The lists are in the run's folder `batch-output/`, or in the one at
`$.job.output` where the best of several models made them.
"""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.definition.polling import spark_task
from workflow.definition.stage import JOB, Stage, catch_all, stage_of
from workflow.run_names import FILTER_SIZE
from workflow.sdk import Catch, Choice, ChoiceRule, State, Succeed

OUTPUT = f"{JOB}.output"
"""Where a definition has the folder of the lists, if several models make some."""

_NEWER = "NewerListPublished"  # by which the function names it


def published(config: Config, task: State) -> Stage:
    """Return the stage that publishes; the run ends where a newer list is published.

    Args:
        config: `filter.spark_above` says from which size on the Spark job filters.
        task: Filters what is smaller, and publishes.
    """
    stays = Succeed("Newer List Stays Published")
    task.add_catch(Catch(error_equals=[_NEWER], result_path=JOB, next_step=stays))
    above = config.filter.spark_above
    if above is None:
        return stage_of("Publish", task)
    spark = filter_on_spark(config)
    if above == 0:
        return stage_of("Publish", spark, task)
    spark.next(task)
    choice = Choice("Large Output?")
    # Steps before this one may have left the size out of the data: the Spark job filters any.
    known = ChoiceRule.IsPresent(variable=FILTER_SIZE, value=True)
    smaller = ChoiceRule.NumericLessThanEquals(variable=FILTER_SIZE, value=above)
    choice.add_choice(ChoiceRule.And([known, smaller]), task)
    choice.default_choice(spark)

    def lead_failures(failure: State) -> None:
        for each in (spark, task):
            each.add_catch(catch_all(failure))

    return Stage("Publish", choice, lead_on=task.next, lead_failures=lead_failures)


def filter_on_spark(config: Config) -> State:
    """Return the task that has the Spark job filter and rank; `$.job` is the batch job."""
    return spark_task(
        config,
        "Filter on Spark",
        arguments={
            "--task": "filter",
            "--keep": str(config.filter.keep),
            **({"--output.$": OUTPUT} if config.compared else {}),
        },
        result_path=f"{JOB}.filtered",
    )


def by_spark(config: Config) -> dict[str, Any]:
    """Return what tells the function whether the Spark job has filtered, as part of its payload."""
    return {} if config.filter.spark_above is None else {"job.$": JOB}
