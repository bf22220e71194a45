"""A model of a team's own on SageMaker: its training, and the lists that it makes.

    Find Training of NAME → NAME Trained Already? ──────────────────→ …
                                └→ Train NAME ───────────────────────┘
    Find Lists of NAME → NAME Has Made Lists? ──────────────────────→ …
                              └→ Create Model of NAME → Make Lists by NAME → Delete Model of NAME

The first state of each looks for a job of the run that has completed: a resumed run goes on from
it, and no training is paid twice. Names of jobs are made of the run's and of what the job is asked
for, so that one of other settings is another one. `$.job` is `{name, trained: {name, arn}}` after
the training, and `{name, model: {name, trainingJobArn, data}, made: {arn}}` after the lists.
Of a model that the Spark job trains, see `spark_model`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from workflow.config import Config
from workflow.definition.direct import INPUT, RESULT, jsonata, text
from workflow.definition.own_models.jobs import (
    LONGEST_NAME,
    NUMBERS,
    REDRIVE,
    model_step,
    name_prefix,
    sagemaker_retries,
    training_step,
    transform_step,
)
from workflow.definition.parts.spark_model import spark_inference, spark_training
from workflow.definition.polling import MINUTE
from workflow.definition.stage import JOB, Part, Stage, catch_all
from workflow.errors import StructureError
from workflow.run_names import RUN_IN_JSONATA, model_folder
from workflow.sdk import Catch, Choice, ChoiceRule, State, Task
from workflow.spelling import suggestion

TRAIN = "Train {}"
MAKE_LISTS = "Make Lists by {}"

_TRAINED, _MADE = f"{JOB}.trained", f"{JOB}.made"
_DIGEST = 10  # letters of the digest that makes a job's name the run's and the request's own


def own_training(config: Config, name: str) -> Stage:
    """Return the stage that trains a model, unless the run has.

    Args:
        config: Its table `[models.NAME]` describes the model.
        name: The model's name.

    Raises:
        StructureError: If there is no such model.
        ConfigError: If its source cannot be used, or AWS has no image for it.
    """
    _check_known(config, name)
    if config.models[name].is_on_spark:
        return spark_training(config, name, TRAIN.format(name))
    training = training_step(
        config,
        name,
        TRAIN.format(name),
        result_selector={"name.$": "$.TrainingJobName", "arn.$": "$.TrainingJobArn"},
        result_path=_TRAINED,
    )
    found = "$found.{'name': TrainingJobName, 'arn': TrainingJobArn}"
    finding = _finding(
        config,
        name,
        f"Find Training of {name}",
        "TrainingJob",
        name=_base_name(config, name, training),
        job=f"{{'trained': {found}}}",
    )
    return _unless_done(
        f"Training of {name}", finding, f"{name} Trained Already?", _TRAINED, training
    )


def own_inference(config: Config, name: str) -> Stage:
    """Return the stage in which a model makes the lists of a run, unless it has.

    Args:
        config: Its table `[models.NAME]` describes the model.
        name: The model's name.

    Raises:
        StructureError: If there is no such model.
        ConfigError: If its source cannot be used, or AWS has no image for it.
    """
    _check_known(config, name)
    if config.models[name].is_on_spark:
        return spark_inference(name, MAKE_LISTS.format(name))
    creating = model_step(
        config,
        name,
        f"Create Model of {name}",
        result_selector={
            "name.$": "States.ArrayGetItem(States.StringSplit($.ModelArn, '/'), 1)",
            "redrive.$": REDRIVE,
        },
        result_path=f"{JOB}.created",
    )
    making = transform_step(
        config,
        name,
        MAKE_LISTS.format(name),
        result_selector={"arn.$": "$.TransformJobArn"},
        result_path=_MADE,
    )
    folder = f"'s3://{config.bucket}/runs/' & {RUN_IN_JSONATA} & '/{model_folder(name)}'"
    trained = f"{INPUT}.job.trained"
    model = (
        f"{{'name': {text(name)}, 'trainingJobArn': {trained}.arn,"
        f" 'data': {folder} & {trained}.name & '/output/model.tar.gz'}}"
    )
    finding = _finding(
        config,
        name,
        f"Find Lists of {name}",
        "TransformJob",
        name=_base_name(config, name, creating, making, of=f"{trained}.name"),
        job=f"$merge([{{'model': {model}}}, {{'made': $found.{{'arn': TransformJobArn}}}}])",
    )
    deleting = _deleting(config, name)
    creating.next(making)
    making.next(deleting)
    return _unless_done(
        f"Lists of {name}",
        finding,
        f"{name} Has Made Lists?",
        _MADE,
        creating,
        making,
        then=deleting,
    )


def _deleting(config: Config, name: str) -> Task:
    """Return the task that deletes the model which the lists were made by.

    The name begins with what the state machine's role may delete, so it is made anew.
    """
    return Task(
        f"Delete Model of {name}",
        resource=f"arn:{config.partition}:states:::aws-sdk:sagemaker:deleteModel",
        parameters={
            "ModelName.$": f"States.Format('{name_prefix(config, name)}{{}}-{{}}',"
            f" {JOB}.name, {JOB}.created.redrive)"
        },
        result_path=None,
        timeout_seconds=2 * MINUTE,
        retry=sagemaker_retries(),
    )


def _check_known(config: Config, name: str) -> None:
    if name not in config.models:
        known = list(config.models)
        others = f"add [models.{name}]" if not known else f"there are {', '.join(known)}"
        fix = suggestion(name, known, otherwise=others, quote="'")
        raise StructureError([f"there is no model '{name}'; {fix}"])


def _finding(config: Config, model: str, state: str, job_type: str, *, name: str, job: str) -> Task:
    """Return the task that names a run's jobs of a type, and finds one that has completed.

    Args:
        config: Names the partition of the ARN.
        model: The model's name.
        state: The state's name.
        job_type: `TrainingJob` or `TransformJob`.
        name: The expression of what all attempts' names contain, after the prefix.
        job: The expression of the members of `$.job`, beside its name; the job is `$found`.
    """
    prefix = text(name_prefix(config, model))
    attempt = (
        "($numbers := $split($states.context.Execution.Name, '.');"
        " $count($numbers) > 1 ? $numbers[1] : '1')"
    )
    return Task(
        state,
        query_language="JSONata",
        resource=f"arn:{config.partition}:states:::aws-sdk:sagemaker:list{job_type}s",
        arguments={
            "NameContains": jsonata(f"{prefix} & {name}"),
            "StatusEquals": "Completed",
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": 1,
        },
        output=jsonata(
            f"($found := {RESULT}.{job_type}Summaries[0];"
            f" $merge([{INPUT}, {{'job': $merge([{{'name': {name} & '-' & {attempt}}}, {job}])}}]))"
        ),
        timeout_seconds=2 * MINUTE,
        retry=sagemaker_retries(),
    )


def _base_name(config: Config, name: str, *steps: State, of: str = "''") -> str:
    """Return the expression of what follows the prefix in the names of a run's jobs.

    It is the run's name, as far as it fits, and a digest of it, of the requests and of the
    expression that `of` is. Letters are small, as SageMaker's ARNs have them.
    """
    requests = [step.fields["parameters"] for step in steps]
    digest = hashlib.sha256(json.dumps(requests, sort_keys=True).encode()).hexdigest()[:_DIGEST]
    most = LONGEST_NAME - NUMBERS - len(name_prefix(config, name)) - _DIGEST - 1
    return (
        f"($run := {RUN_IN_JSONATA};"
        f" $lowercase($replace($substring($replace($run, /[^A-Za-z0-9]+/, '-'), 0, {most}),"
        " /^-|-$/, ''))"
        f" & '-' & $substring($hash($run & '{digest}' & {of}, 'SHA-256'), 0, {_DIGEST}))"
    )


def _unless_done(
    title: str,
    finding: State,
    choice: str,
    there: str,
    *tasks: State,
    then: State | None = None,
) -> Stage:
    """Return the stage that does tasks, unless the first one has found that they are done.

    Args:
        title: The stage's.
        finding: The task that looks for what is done.
        choice: The name of the state that decides.
        there: Where the data have something if it is done.
        tasks: What is to be done.
        then: A task that follows them, and whose failure fails nothing.
    """
    choosing = Choice(choice)
    choosing.default_choice(tasks[0])
    finding.next(choosing)

    def lead_on(part: Part) -> None:
        choosing.add_choice(ChoiceRule.IsPresent(variable=there, value=True), part)
        (then or tasks[-1]).next(part)
        if then is not None:
            then.catches.clear()  # in a branch it has been led to the branch's failure before
            then.add_catch(Catch(error_equals=["States.ALL"], next_step=part, result_path=None))

    def lead_failures(failure: State) -> None:
        for task in (finding, *tasks):
            task.add_catch(catch_all(failure, task))

    return Stage(title, finding, lead_on=lead_on, lead_failures=lead_failures, must_go_on=True)


def made_by(config: Config) -> Mapping[str, Any]:
    """Return what tells the publishing function who made a list, as part of its payload."""
    return {"job.$": JOB} if config.models else {"batchInferenceJobArn.$": f"{JOB}.arn"}
