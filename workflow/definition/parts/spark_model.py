"""A model that the Spark job trains, `builtin = "als"`, on as many workers as `[etl]` has.

    Train NAME → Make Lists by NAME → …

The job trains and makes the lists in one, as its vectors are spread over the workers: the first
state runs it, the second one says at `$.job` who made the lists, as for a model of SageMaker:
`{name, model: {name, jobRunId}, made: {JobRunId}}`. A resumed run trains it again: that costs the
minutes of one job, and gives the same lists of the same data.
"""

from __future__ import annotations

import json

from workflow.config import Config
from workflow.definition.own_models.jobs import output_folder
from workflow.definition.polling import spark_task
from workflow.definition.stage import JOB, Stage, stage_of
from workflow.sdk import Pass

_TRAINED = f"{JOB}.trained"


def spark_training(config: Config, name: str, state: str) -> Stage:
    """Return the stage in which the Spark job trains a model and makes its lists.

    Args:
        config: The configuration.
        name: The model's name.
        state: The state's name.
    """
    settings = {
        "hyperparameters": config.models[name].hyperparameters,
        "output": output_folder(config, name),
        "num_results": config.batch_inference.num_results,
    }
    arguments = {"--task": "recommend", "--settings": json.dumps(settings, sort_keys=True)}
    task = spark_task(config, state, arguments=arguments, result_path=_TRAINED)
    return stage_of(f"Training of {name}", task)


def spark_inference(name: str, state: str) -> Stage:
    """Return the stage that says who made the lists; they are there after `spark_training`.

    Args:
        name: The model's name.
        state: The state's name.
    """
    told = Pass(
        state,
        comment="The Spark job that trained the model has made them",
        parameters={
            "name": name,
            "model": {"name": name, "jobRunId.$": f"{_TRAINED}.JobRunId"},
            "made.$": _TRAINED,
        },
        result_path=JOB,
    )
    return Stage(f"Lists of {name}", told, lead_on=told.next, lead_failures=lambda failure: None)
