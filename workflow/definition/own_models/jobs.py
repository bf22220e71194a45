"""The SDK's steps of a model's jobs: an estimator of the SageMaker SDK → states.

What only an execution knows, the run's name and those of the jobs, stands in the requests as a
token in braces, for the SDK takes URIs and names alone; the finished states have paths and
intrinsic functions in their places.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from workflow import sdk
from workflow.config import Config
from workflow.definition.own_models.entry import SCRIPT
from workflow.definition.own_models.images import image_mistakes, images_of
from workflow.definition.own_models.source import ENTRY, ModelSource, model_source
from workflow.definition.polling import MINUTE, retry_service_errors, retry_when_busy
from workflow.definition.stage import JOB
from workflow.mistakes import ConfigError
from workflow.options.models import ModelSettings
from workflow.personalize import METRICS
from workflow.run_names import RUN, model_folder
from workflow.sdk import State, sagemaker_module

# What an operation does not name itself, throttling among it, has the name of the service's
# exception; a request that got no answer that of the SDK's client.
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
SAGEMAKER_ERRORS = (
    "SageMaker.AmazonSageMakerException",
    "SageMaker.SdkClientException",
    "SageMaker.ThrottlingException",
)
SAGEMAKER_BUSY_ERRORS = ("SageMaker.ResourceLimitExceededException",)

NUM_RESULTS = "RETRAINING_NUM_RESULTS"
"""The variable by which an inference script knows how many items to recommend."""

REDRIVE = "$$.Execution.RedriveCount"
"""How often an execution was redriven; a job of another redrive needs another name."""

LINES = "application/jsonlines"
LONGEST_NAME = 63  # of a job or model of SageMaker
NUMBERS = len("-99-99")  # of the execution in its run, and of its redrives

_RUN, _JOB, _MODEL, _DATA = (f"{{retraining:{what}}}" for what in ("run", "job", "model", "data"))
_PATHS: Mapping[str, tuple[str, ...]] = {
    _RUN: (RUN,),
    _JOB: (f"{JOB}.name", REDRIVE),
    _MODEL: (f"{JOB}.created.name",),
    _DATA: (f"{JOB}.model.data",),
}
_START_MINUTES = 30  # until a job's instances run, which SageMaker's own limits leave out
_CODE = "/opt/ml/model/code"
_CHECKPOINTS = "/opt/ml/checkpoints"
_INVOCATION_SECONDS = 3_600  # the most that ModelClientConfig takes


def name_prefix(config: Config, model: str) -> str:
    """Return how the names of a model's jobs begin."""
    return f"{config.name}-{model}-"


def output_folder(config: Config, model: str) -> str:
    """Return where a model's lists are below a run's prefix: Personalize's place, or its own."""
    is_alone = config.publish.model == model
    return "batch-output/" if is_alone else f"{model_folder(model)}batch-output/"


def training_step(config: Config, name: str, state: str, **fields: Any) -> State:
    """Return the state that trains a model; `$.job.name` ends the job's name.

    Args:
        config: The configuration.
        name: The model's name.
        state: The state's name.
        fields: Further fields of the state, in the SDK's spelling.

    Raises:
        ConfigError: If the model's source cannot be used, or AWS has no image for it.
    """
    model, source = config.models[name], _checked_source(config, name)
    environment = {**model.environment, **({SCRIPT: source.script} if source else {})}
    folder = _uri(config, model_folder(name))
    more: dict[str, Any] = {"Environment": environment} if environment else {}
    if source:
        more["HyperParameters"] = {"sagemaker_job_name": f'"{_job_name(config, name)}"'}
    if model.training.spot:
        checkpoints = f"{folder}checkpoints/{_settings_digest(config, name)}/"
        more["CheckpointConfig"] = {"S3Uri": checkpoints, "LocalPath": _CHECKPOINTS}
    with sdk.offline_sagemaker():
        step = sdk.TrainingStep(
            state,
            _estimator(config, name, model, output=folder),
            job_name=_job_name(config, name),
            data=_channels(config),
            parameters=more,
            **_common(config, model.training.longest_minutes + _START_MINUTES),
            **fields,
        )
    return _with_paths(step)


def model_step(config: Config, name: str, state: str, **fields: Any) -> State:
    """Return the state that creates the model of a training at `$.job.model.data`.

    Args:
        config: The configuration.
        name: The model's name.
        state: The state's name.
        fields: Further fields of the state, in the SDK's spelling.

    Raises:
        ConfigError: If the model's source cannot be used, or AWS has no image for it.
    """
    model, source = config.models[name], _checked_source(config, name)
    environment = {**model.environment, NUM_RESULTS: str(config.batch_inference.num_results)}
    if source:
        environment |= {
            "SAGEMAKER_PROGRAM": source.serving,
            "SAGEMAKER_SUBMIT_DIRECTORY": _CODE,
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            "SAGEMAKER_REGION": config.aws.region,
            # The servers of both frameworks end a request after a minute by themselves.
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(_INVOCATION_SECONDS),
            "SAGEMAKER_TS_RESPONSE_TIMEOUT": str(_INVOCATION_SECONDS),
        }
    vpc = _vpc(config)
    with sdk.offline_sagemaker():
        created = sagemaker_module("sagemaker.model").Model(
            image_uri=images_of(config, name).inference,
            model_data=_DATA,
            role=config.role_arn("sagemaker"),
            env=environment,
            sagemaker_session=_session(config),
        )
        step = sdk.ModelStep(
            state,
            created,
            model_name=_job_name(config, name),
            parameters={"VpcConfig": vpc} if vpc else {},
            **_common(config, 2),
            **fields,
        )
    return _with_paths(step)


def transform_step(config: Config, name: str, state: str, **fields: Any) -> State:
    """Return the state that has the model at `$.job.created.name` make the lists of a run.

    Args:
        config: The configuration.
        name: The model's name.
        state: The state's name.
        fields: Further fields of the state, in the SDK's spelling.
    """
    settings = config.models[name].transform
    key = config.aws.kms_key or None
    with sdk.offline_sagemaker():
        transformer = sagemaker_module("sagemaker.transformer").Transformer(
            model_name=_MODEL,
            instance_count=settings.instance_count,
            instance_type=settings.instance_type,
            strategy="MultiRecord",
            assemble_with="Line",
            accept=LINES,
            max_payload=settings.max_payload_megabytes,
            output_path=_uri(config, output_folder(config, name)),
            output_kms_key=key,
            volume_kms_key=_volume_key(config, settings.instance_type),
            sagemaker_session=_session(config),
        )
        step = sdk.TransformStep(
            state,
            transformer,
            job_name=_job_name(config, name),
            model_name=_MODEL,
            data=_uri(config, "batch-input/"),
            content_type=LINES,
            split_type="Line",
            parameters={
                "ModelClientConfig": {
                    "InvocationsTimeoutInSeconds": _INVOCATION_SECONDS,
                    "InvocationsMaxRetries": 1,
                }
            },
            **_common(config, settings.timeout_minutes),
            **fields,
        )
    return _with_paths(step)


def _checked_source(config: Config, name: str) -> ModelSource | None:
    """Return the source of a model, if it has one.

    Raises:
        ConfigError: If a source or an image of any model cannot be used; it lists every mistake.
    """
    mistakes = image_mistakes(config)
    try:
        source = model_source(config, name)
    except ConfigError as error:
        mistakes = [*error.mistakes, *mistakes]
    if mistakes:
        raise ConfigError(config.source_name, mistakes)
    return source


def _estimator(config: Config, name: str, model: ModelSettings, *, output: str) -> Any:
    """Return the estimator: in script mode if the model has a source, else of its image alone."""
    source, settings, vpc = model_source(config, name), model.training, _vpc(config)
    common: dict[str, Any] = {
        "role": config.role_arn("sagemaker"),
        "image_uri": images_of(config, name).training,
        "instance_type": settings.instance_type,
        "instance_count": settings.instance_count,
        "volume_size": settings.volume_gigabytes,
        "max_run": settings.max_run_minutes * MINUTE,
        "hyperparameters": dict(model.hyperparameters),
        "metric_definitions": _metrics(model) or None,
        "output_path": output,
        "output_kms_key": config.aws.kms_key or None,
        "volume_kms_key": _volume_key(config, settings.instance_type),
        "subnets": vpc.get("Subnets"),
        "security_group_ids": vpc.get("SecurityGroupIds"),
        "sagemaker_session": _session(config),
        "debugger_hook_config": False,
        "disable_profiler": True,
    }
    if settings.spot:
        common |= {"use_spot_instances": True, "max_wait": settings.longest_minutes * MINUTE}
    if source is None:
        return sagemaker_module("sagemaker.estimator").Estimator(**common)
    is_sklearn = model.framework == "sklearn"
    module = sagemaker_module(f"sagemaker.{'sklearn' if is_sklearn else 'pytorch'}")
    estimator = module.SKLearn if is_sklearn else module.PyTorch
    uri = f"s3://{config.bucket}/{source.key}"
    return estimator(entry_point=ENTRY, source_dir=uri, **common)


def _metrics(model: ModelSettings) -> list[dict[str, str]]:
    measured = METRICS if model.builtin else ()
    return [
        *({"Name": name, "Regex": f"^{name}=([0-9.]+)$"} for name in measured),
        *({"Name": metric.name, "Regex": metric.regex} for metric in model.metrics),
    ]


def _channels(config: Config) -> dict[str, Any]:
    """Return the channels of the data sets and of the batch input, by their names."""
    channel = sagemaker_module("sagemaker.inputs").TrainingInput
    channels = {
        data_set.type.lower(): channel(_uri(config, data_set.prefix), content_type="text/csv")
        for data_set in config.data_sets
    }
    batch = channel(_uri(config, "batch-input/"), content_type=LINES)
    return {**channels, "batch": batch}


def _session(config: Config) -> Any:
    return sdk.offline_session(config.aws.region, config.bucket)


def _uri(config: Config, folder: str) -> str:
    return f"s3://{config.bucket}/runs/{_RUN}/{folder}"


def _job_name(config: Config, model: str) -> str:
    return f"{name_prefix(config, model)}{_JOB}"


def _vpc(config: Config) -> dict[str, list[str]]:
    if not config.aws.subnets:
        return {}
    return {"Subnets": config.aws.subnets, "SecurityGroupIds": config.aws.security_groups}


def _settings_digest(config: Config, name: str) -> str:
    """Return a digest of what a checkpoint is of: the scripts, hyperparameters and image."""
    model, source = config.models[name], model_source(config, name)
    trained = [source.key if source else "", images_of(config, name).training]
    text = json.dumps([*trained, model.hyperparameters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _volume_key(config: Config, instance_type: str) -> str | None:
    """Return the key of an instance's volume; local disks take none, as hardware encrypts them.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    family = instance_type.split(".")[1]
    is_local = family.startswith(("g4", "g5", "g6", "p3dn", "p4", "p5", "p6", "trn", "inf"))
    has_disk = is_local or "d" in family[1:].lstrip("0123456789")
    return None if has_disk else config.aws.kms_key or None


def _common(config: Config, minutes: int) -> dict[str, Any]:
    """Return the fields that all steps have; `minutes` is the time limit."""
    return {
        "tags": dict(sorted(config.owned_tags.items())),
        "partition": config.partition,
        "timeout_seconds": minutes * MINUTE,
        "retry": sagemaker_retries(),
    }


def sagemaker_retries() -> list[Any]:
    """Return the retriers of every task that calls SageMaker."""
    return [retry_service_errors(SAGEMAKER_ERRORS), retry_when_busy(SAGEMAKER_BUSY_ERRORS)]


def _with_paths(step: State) -> State:
    """Put paths and intrinsic functions in the places of the tokens of a step's request."""
    step.fields["parameters"] = _resolved(step.fields["parameters"])
    return step


def _resolved(value: Any) -> Any:
    if isinstance(value, list):
        return [_resolved(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    resolved: dict[str, Any] = {}
    for name, member in value.items():
        expression = _expression(member) if isinstance(member, str) else ""
        resolved[f"{name}.$" if expression else name] = expression or _resolved(member)
    return resolved


def _expression(text: str) -> str:
    """Return the path or intrinsic function that a text with tokens stands for; empty without."""
    found = sorted((token for token in _PATHS if token in text), key=text.index)
    paths = [path for token in found for path in _PATHS[token]]
    if found == [text] and len(paths) == 1:
        return paths[0]
    for token in found:
        text = text.replace(token, "-".join("{}" for _ in _PATHS[token]))
    return f"States.Format('{text}', {', '.join(paths)})" if found else ""
