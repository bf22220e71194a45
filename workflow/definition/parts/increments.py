"""Only what has changed: what is read and imported, whether it is trained, whether there is work.

    Plan Increment → ETL → List Datasets → Anything New? → Reimport All Datasets
                                                  └→ Nothing Changed
    Training Needed? → Create Solution Version → … → Trigger Batch Inference
           └→ Trigger Batch Inference

The plan is at `$.increment`, in the form of the Spark job's arguments. `List Datasets` compares
what the job found with it, and puts the next step there: nothing, inference or training. Its
`$.trainingMode` is that of the training; its `$.job` the solution version that makes the lists
where none is trained.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from workflow.config import Config
from workflow.definition.polling import lambda_task
from workflow.definition.recommender import gate_values
from workflow.definition.stage import Part, Stage, catch_all, stage_of
from workflow.errors import StructureError
from workflow.lifetimes import renewal
from workflow.options.delivery import DeliverySettings
from workflow.run_names import RUN
from workflow.sdk import Choice, ChoiceRule, State, Succeed

PLAN = "Plan Increment"
INCREMENT = "$.increment"
_STEP = f"{INCREMENT}.step"
_WINDOW = ("since", "until", "unchanged", "after")


def plan_increment(config: Config) -> Stage:
    """Return the stage that decides which interactions the Spark job reads.

    Args:
        config: Its table `[increments]` has the rules.

    Raises:
        StructureError: If there is no such table.
    """
    if config.increments is None:
        raise StructureError(
            ["plan_increment() has no rules; add the table [increments] to the configuration"]
        )
    task = lambda_task(
        config,
        PLAN,
        function="plan-increment",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "input.$": "$$.Execution.Input",
            "datasetGroupArn": config.dataset_group_arn,
            "descriptions": config.data_set_digests,
            "fullEvery": config.increments.full_every,
        },
        result_selector={f"{name}.$": f"$.Payload.{name}" for name in ("mode", "why", *_WINDOW)},
        result_path=INCREMENT,
    )
    return stage_of(PLAN, task)


def window_arguments(config: Config) -> dict[str, Any]:
    """Return the Spark job's arguments that say which interactions it reads."""
    if config.increments is None:
        return {}
    return {f"--{name}.$": f"{INCREMENT}.{name}" for name in _WINDOW}


def comparison(config: Config) -> dict[str, Any]:
    """Return what `List Datasets` compares a run with, as a part of its payload."""
    if config.increments is None:
        return {}
    delivery, gate = config.delivery, gate_values(config)
    return {
        "increments": {
            "solutionName": config.solution_name,
            "updates": config.is_updatable,
            "fullEvery": config.increments.full_every,
            "renewAfterHours": renewal(config) // timedelta(hours=1),
            "settings": config.publication_digest,
            "rules": {name: gate[name] for name in ("metrics", "backtest")},
            "delivery": delivery and _target(config, delivery),
            "campaigns": [
                {"name": name, "campaignArn": config.campaign_arn(name)}
                for name in config.campaigns
            ],
        }
    }


def _target(config: Config, delivery: DeliverySettings) -> dict[str, Any]:
    """Return what the record of a delivery says of where the list went, and how."""
    table = delivery.delivery(are_related=config.are_related)
    how = {"columns": dict(table.columns)} if table else {"expireDays": delivery.days}
    return {"to": delivery.to, "table": delivery.table, **how}


def training_mode(config: Config) -> dict[str, str]:
    """Return the training's mode, as a part of the payload of `Create Solution Version`."""
    return {"trainingMode.$": "$.trainingMode"} if config.increments else {"trainingMode": "FULL"}


def only_if_new(listing: State, importing: State) -> Stage:
    """Return the stage of imports, which ends the run if nothing has changed.

    Args:
        listing: The task that lists what is imported.
        importing: The Map that imports it.
    """
    choice = Choice("Anything New?")
    choice.add_choice(
        ChoiceRule.StringEquals(variable=_STEP, value="nothing"), Succeed("Nothing Changed")
    )
    choice.default_choice(importing)
    listing.next(choice)

    def lead_failures(failure: State) -> None:
        for task in (listing, importing):
            task.add_catch(catch_all(failure))

    return Stage("Imports", listing, lead_on=importing.next, lead_failures=lead_failures)


def only_if_needed(training: Stage) -> Stage:
    """Return the stage of the training, which is left out if its version would be the same."""
    choice = Choice("Training Needed?")
    choice.default_choice(training.entry)

    def lead_on(part: Part) -> None:
        choice.add_choice(ChoiceRule.StringEquals(variable=_STEP, value="inference"), part)
        training.next(part)

    return Stage(
        training.title,
        choice,
        lead_on=lead_on,
        lead_failures=training.fail_to,
        must_go_on=True,
    )
