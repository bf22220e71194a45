"""Models side by side: Personalize and a team's own make lists, and the best one's are published.

    Train Each Model ─┬─ Personalize: imports, training, gate, batch inference ─┬─→ …
                      └─ each own model: training, lists ───────────────────────┘
    … → Compare Models → Choose Best Model → …

A branch leaves its lists in a folder of its own. The Spark job measures all of them by the hold-out
that it has kept from the trainings, and `Choose Best Model` reads from its record who has won: the
winner's job is at `$.job` then, with the folder of its lists at `$.job.output`, so that what comes
after publishes it as it would the only one's. If a model fails, the run does, and the published
list stays; a resumed run goes on from what each model has finished, and compares anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from workflow.config import Config
from workflow.definition.composition import linked
from workflow.definition.direct import INPUT, RESULT, jsonata, text
from workflow.definition.own_models.jobs import output_folder
from workflow.definition.parts.publication import OUTPUT
from workflow.definition.polling import MINUTE, retry_service_errors, spark_task
from workflow.definition.stage import (
    JOB,
    Part,
    Stage,
    fail,
    fail_inside,
    kept_job,
    stage_of,
)
from workflow.errors import StructureError
from workflow.options.models import BEST, PERSONALIZE
from workflow.run_names import RUN_IN_JSONATA
from workflow.sdk import Parallel, State, Task
from workflow.spelling import suggestion

TRAIN_EACH = "Train Each Model"
"""The state by whose name one of a team's own stands for the stage."""
COMPARE = "Compare Models"

# What an operation does not name itself has the name of the service's exception; a request that got
# no answer that of the SDK's client.
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
_S3_ERRORS = ("S3.S3Exception", "S3.SdkClientException")
_MODELS = "$.models"


def best_model(config: Config, branches: Mapping[str, Sequence[Part]]) -> Stage:
    """Return the stage in which models make lists side by side, and the best one is found.

    Args:
        config: Says which models are compared, and by which metric.
        branches: The parts of each model, in their order.

    Raises:
        StructureError: If models are not compared, or there is no model of a branch's name.
    """
    _check_names(config, branches)
    training = Parallel(
        TRAIN_EACH,
        result_selector={f"{name}.$": f"$[{n}].job" for n, name in enumerate(branches)},
        result_path=_MODELS,
    )
    for name, parts in branches.items():
        training.add_branch(_branch(name, parts))
    return stage_of("Best Model", training, _compare(config), _choose(config))


def check_compared(config: Config) -> None:
    """Raise if no models are compared.

    Raises:
        StructureError: If the configuration names one whose list is published.
    """
    if not config.compared:
        raise StructureError(
            [f'best() has no models to compare; write from = "{BEST}" in [publish]']
        )


def _check_names(config: Config, branches: Mapping[str, Sequence[Part]]) -> None:
    for name in branches:
        if name not in config.compared:
            known = config.compared
            fix = suggestion(name, known, otherwise=f"there are {', '.join(known)}", quote="'")
            raise StructureError([f"best() has a branch of no model, '{name}'; {fix}"])
    if empty := [name for name, parts in branches.items() if not parts]:
        raise StructureError(
            [f"best() has nothing to do for '{empty[0]}'; name its parts, or leave it out"]
        )


def _branch(name: str, parts: Sequence[Part]) -> Part:
    """Return the parts of a model, linked, with each failure led to the end of the branch."""
    title = "Personalize" if name == PERSONALIZE else name
    branch = linked(parts)
    fail_inside(parts[0], fail(f"{title} Failed"))
    return branch


def _outputs(config: Config) -> dict[str, str]:
    """Return where the lists of each model are below a run's prefix."""
    return {
        name: "batch-output/" if name == PERSONALIZE else output_folder(config, name)
        for name in config.compared
    }


def _compare(config: Config) -> State:
    """Return the task that has the Spark job compare the models."""
    settings = {"outputs": _outputs(config), "by": config.publish.metric}
    return spark_task(
        config,
        COMPARE,
        arguments={"--task": "compare", "--settings": json.dumps(settings)},
        result_path=None,
    )


def _choose(config: Config) -> State:
    """Return the task that puts the best model's job, and the folder of its lists, at `$.job`."""
    record = f"'runs/' & {RUN_IN_JSONATA} & '/record/comparison.json'"
    member = OUTPUT.removeprefix(f"{JOB}.")
    job = (
        f"$merge([$lookup({INPUT}.models, $best),"
        f" {{{text(member)}: $lookup({text(_outputs(config))}, $best)}}])"
    )
    return Task(
        "Choose Best Model",
        query_language="JSONata",
        resource=f"arn:{config.partition}:states:::aws-sdk:s3:getObject",
        arguments={"Bucket": config.bucket, "Key": jsonata(record)},
        output=jsonata(f"($best := $parse({RESULT}.Body).best; {kept_job(job)})"),
        timeout_seconds=2 * MINUTE,
        retry=[retry_service_errors(_S3_ERRORS)],
    )
