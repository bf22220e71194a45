"""`[models.NAME]` and `[publish]`: a team's own models, and whose list is published.

What stands in the files that they name is checked where it is packed, and versions of frameworks
where their images are looked up: `workflow.definition.own_models`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from math import inf, isfinite
from posixpath import normpath
from typing import Annotated, Any, Literal

from botocore.loaders import create_loader
from pydantic import AfterValidator, Field, create_model

from workflow.extensions import OwnFile, exact_requirement
from workflow.settings import BrokenRulesError, Hyperparameter, Rule, Settings
from workflow.spelling import suggestion

PERSONALIZE = "personalize"
BEST = "best"
_RESERVED = (PERSONALIZE, BEST)

ComparedMetric = Literal[
    "hit_rate_at_5",
    "hit_rate_at_10",
    "hit_rate_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
]
"""The metrics of `etl.ranking.COMPARED`, by one of which the best model is chosen."""

_LONGEST = 16  # with the configuration's name it begins that of a job, of 63 letters
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[a-z0-9]+([._/-][a-z0-9]+)*)(:[\w.-]{1,128}|@sha256:[0-9a-f]{64})"
)

HYBRID: Mapping[str, type] = {
    "factors": int,
    "regularization": float,
    "alpha": float,
    "iterations": int,
    "history_length": int,
    "sequence_length": int,
    "recency": bool,
    "seed": int,
}
"""The hyperparameters of `builtin = "hybrid"`."""

ALS: Mapping[str, type] = {
    "factors": int,
    "iterations": int,
    "regularization": float,
    "alpha": float,
    "seed": int,
}
"""The hyperparameters of `builtin = "als"`: those of `etl.factorization.Factorization`."""

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
_MOST_PARAMETERS, _LONGEST_PARAMETER, _LONGEST_VALUE = 100, 256, 2_500
OF_SCRIPT_MODE = 5
"""The hyperparameters by which the SageMaker SDK says what script is run, and how."""
_LONGEST_VARIABLE = 512
# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
_OF_JOBS = ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN")

_BUILTIN: Mapping[str, Mapping[str, type]] = {"hybrid": HYBRID, "als": ALS}
_AT_LEAST_ONE = ("factors", "iterations")


def image_parts(image: str) -> Mapping[str, str] | None:
    """Return account, region and repository of an image of ECR; None if it is none."""
    match = _IMAGE.fullmatch(image)
    return match.groupdict() if match else None


def image_of_ecr(value: str) -> str:
    """Return the URI of an image of ECR, as it is."""
    if image_parts(value) is None:
        fix = "write ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG; push the image there"
        raise BrokenRulesError([((), "SageMaker takes images of Amazon ECR alone", fix)])
    return value


@cache
def _instance_types(shape: str) -> tuple[str, ...]:
    # Not by a session, which reads AWS's configuration.
    shapes = create_loader().load_service_model("sagemaker", "service-2")["shapes"]
    return tuple(shapes[shape]["enum"])


def _known_type(value: str, shape: str, job: str) -> str:
    known = _instance_types(shape)
    if value not in known:
        fix = suggestion(value, known, otherwise="write one such as ml.m5.xlarge")
        raise BrokenRulesError([((), f"SageMaker has no such instance type for {job}", fix)])
    return value


def training_type(value: str) -> str:
    """Return an instance type that trains, as it is."""
    return _known_type(value, "TrainingInstanceType", "training jobs")


def transform_type(value: str) -> str:
    """Return an instance type that transforms, as it is."""
    return _known_type(value, "TransformInstanceType", "transform jobs")


Image = Annotated[str, AfterValidator(image_of_ecr)]


class ModelTrainingSettings(Settings):
    """The training job of a model."""

    instance_type: Annotated[str, AfterValidator(training_type)] = Field(
        "ml.m5.xlarge", description="of its instances, by AWS's name"
    )
    instance_count: int = Field(1, ge=1, le=100, description="of its instances")
    volume_gigabytes: int = Field(30, ge=1, le=16_384, description="disk of each instance")
    max_run_minutes: int = Field(
        120, ge=1, le=40_320, description="SageMaker stops the training after these"
    )
    spot: bool = Field(
        False,
        description="train on spare capacity, which costs less and may be taken away: the script"
        " writes checkpoints to /opt/ml/checkpoints, and goes on from those that are there",
    )
    max_wait_minutes: int | None = Field(
        None,
        ge=1,
        le=40_320,
        examples=[240],
        description="with spot, the longest that the job may take with its waiting; twice"
        " max_run_minutes if left out",
    )

    @property
    def longest_minutes(self) -> int:
        """The longest that the job may take, its waiting included."""
        if not self.spot:
            return self.max_run_minutes
        return self.max_wait_minutes or 2 * self.max_run_minutes

    def own_faults(self) -> Iterator[Rule]:
        """Yield a wait that nobody has, or that is too short."""
        if self.max_wait_minutes is not None and not self.spot:
            rule = "only a training with spot waits for capacity"
            yield ("max_wait_minutes",), rule, "write spot = true, or leave it out"
        elif self.longest_minutes < self.max_run_minutes:
            rule = f"it includes the training, which may take {self.max_run_minutes} minutes"
            yield ("max_wait_minutes",), rule, "raise it, or lower max_run_minutes"


class ModelTransformSettings(Settings):
    """The transform job of a model, which makes the lists."""

    instance_type: Annotated[str, AfterValidator(transform_type)] = Field(
        "ml.m5.xlarge", description="of its instances, by AWS's name"
    )
    instance_count: int = Field(
        1, ge=1, le=100, description="of its instances; more than one share the input's files"
    )
    max_payload_megabytes: int = Field(
        1, ge=1, le=100, description="lines of the batch input that one request holds, at most"
    )
    timeout_minutes: int = Field(120, ge=1, le=10_080, description="the job is stopped after these")


class MetricSettings(Settings):
    """A metric that a training writes into its log."""

    name: str = Field(min_length=1, max_length=255, examples=["ndcg_at_10"], description="its name")
    regex: str = Field(
        min_length=1,
        max_length=500,
        examples=["ndcg_at_10=([0-9.]+)"],
        description="regular expression that finds it; its group is the value",
    )

    def own_faults(self) -> Iterator[Rule]:
        """Yield an expression that finds no value."""
        try:
            groups = re.compile(self.regex).groups
        except re.error as error:
            yield ("regex",), f"it is no regular expression: {error}", "mend it"
            return
        if groups != 1:
            rule = f"SageMaker takes the value from the group in parentheses; here are {groups}"
            yield ("regex",), rule, "write one, such as loss=([0-9.]+)"


class ModelSettings(Settings):
    """A model of your own on SageMaker, or on Spark, trained in the workflow on the same data.

    Its script finds the data sets of the run as CSV files in `SM_CHANNEL_INTERACTIONS`,
    `SM_CHANNEL_USERS` and `SM_CHANNEL_ITEMS`, the batch input in `SM_CHANNEL_BATCH`, gets the
    hyperparameters as arguments, and writes the model to `SM_MODEL_DIR`.
    """

    builtin: Literal["hybrid", "als"] | None = Field(
        None,
        examples=["hybrid"],
        description="a model of this package in place of a script: hybrid is the one that the local"
        " Personalize trains; als is the matrix factorization of Spark, which the Spark job trains"
        " on the workers of etl, without SageMaker",
    )
    entry_point: OwnFile = Field(
        "",
        examples=["models/train.py"],
        description="training script, beside or below this file; left out with builtin, and with an"
        " image that trains by itself",
    )
    inference: OwnFile = Field(
        "",
        examples=["models/inference.py"],
        description="script with model_fn, input_fn, predict_fn and output_fn, directly in source;"
        " the training script if left out",
    )
    source: OwnFile = Field(
        "",
        examples=["models"],
        description="directory that holds the scripts, whose files go with them, but for hidden"
        " ones; the scripts alone if left out",
    )
    framework: Literal["sklearn", "pytorch"] | None = Field(
        None, examples=["sklearn"], description="whose image of AWS runs the scripts"
    )
    framework_version: str = Field("", examples=["1.2-1"], description="the image's, by AWS's name")
    image: Image | None = Field(
        None,
        examples=["123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/ranker:3"],
        description="an image of your own in ECR, in place of framework",
    )
    inference_image: Image | None = Field(
        None, description="the same for the transform; image if left out"
    )
    requirements: list[Annotated[str, AfterValidator(exact_requirement)]] = Field(
        [],
        examples=[["lightfm==1.17"]],
        description="packages that are installed before the scripts run, in training and transform",
    )
    hyperparameters: dict[str, Hyperparameter] = Field(
        {},
        examples=[{"factors": 64}],
        description="of the script, as its arguments: --factors 64",
    )
    metrics: list[MetricSettings] = Field(
        [], max_length=40, description="what SageMaker reads from the training's log"
    )
    environment: dict[str, str] = Field(
        {},
        max_length=48,
        examples=[{"DESK": "tokyo"}],
        description="variables of both containers; no place for secrets",
    )
    training: ModelTrainingSettings = Field(ModelTrainingSettings(), description="the training job")
    transform: ModelTransformSettings = Field(
        ModelTransformSettings(), description="the transform job"
    )

    @property
    def is_on_spark(self) -> bool:
        """Whether the Spark job trains it, and SageMaker does not."""
        return self.builtin == "als"

    @property
    def directory(self) -> str:
        """The directory of the scripts, relative to the configuration; empty for its own."""
        directory = normpath(self.source or self.entry_point.rpartition("/")[0])
        return "" if directory == "." else directory

    @property
    def serving(self) -> str:
        """The script that makes the lists."""
        return self.inference or self.entry_point

    def own_faults(self) -> Iterator[Rule]:
        """Yield what does not go together, and what SageMaker does not take."""
        yield from _builtin_faults(self) if self.builtin else _script_faults(self)
        yield from _parameter_faults(self)


def _builtin_faults(model: ModelSettings) -> Iterator[Rule]:
    builtin = f'builtin = "{model.builtin}"'
    for key in (
        *("entry_point", "inference", "source", "framework", "framework_version"),
        *("image", "inference_image", "requirements"),
    ):
        if getattr(model, key):
            yield (key,), f"{builtin} has its own", "leave it out, or builtin"
    if model.is_on_spark:
        for key in ("metrics", "environment", "training", "transform"):
            if key in model.model_fields_set:
                rule = f"{builtin} has no job on SageMaker: the Spark job trains it"
                yield (key,), rule, "leave it out; [etl] has the workers and their time"
    elif model.training.instance_count > 1:
        fix = 'write 1, and a larger instance_type, or take builtin = "als"'
        yield ("training", "instance_count"), f"{builtin} trains on one machine", fix
    yield from _hyperparameter_faults(model, _BUILTIN[model.builtin or ""])


def _hyperparameter_faults(model: ModelSettings, types: Mapping[str, type]) -> Iterator[Rule]:
    """Yield what is wrong with the hyperparameters of a packaged model."""
    for name, value in model.hyperparameters.items():
        path = ("hyperparameters", name)
        if name not in types:
            fix = suggestion(name, list(types), otherwise=f"write one of {', '.join(types)}")
            yield path, f'builtin = "{model.builtin}" has no such hyperparameter', fix
        elif not _is_a(types[name], value):
            what = {bool: "true or false", int: "a whole number", float: "a number"}[types[name]]
            yield path, f"it is {what}", "write such a value"
        elif not int(name in _AT_LEAST_ONE) <= float(value) < inf:
            yield path, f"it is at least {int(name in _AT_LEAST_ONE)}", "write such a value"


def _is_a(expected: type, value: object) -> bool:
    if expected is bool or isinstance(value, bool):
        return expected is bool and isinstance(value, bool)
    return isinstance(value, expected) or (expected is float and isinstance(value, int))


def _script_faults(model: ModelSettings) -> Iterator[Rule]:
    if not model.framework and not model.image:
        rule = "nothing says which image runs the model"
        fix = 'write builtin = "hybrid", a framework with framework_version, or an image'
        yield ("framework",), rule, fix
    if model.framework and model.image:
        yield ("image",), "framework names an image already", "leave one of them out"
    if model.framework and not model.framework_version:
        yield ("framework_version",), "an image is of one version", "name it, for example 1.2-1"
    if model.framework_version and not model.framework:
        yield ("framework_version",), "there is no framework", "leave it out, or write framework"
    if model.inference_image and not model.image:
        rule = "the training has an image of AWS, whose transform has one too"
        yield ("inference_image",), rule, "leave it out, or write image"
    if model.framework and not model.entry_point:
        rule = f"the image of {model.framework} runs a script"
        yield ("entry_point",), rule, "name the training script, for example models/train.py"
    if model.framework == "sklearn" and model.training.instance_count > 1:
        rule = "scikit-learn trains on one machine"
        yield ("training", "instance_count"), rule, "write 1, and a larger instance_type"
    if not model.entry_point:
        for key in ("inference", "source", "requirements"):
            if getattr(model, key):
                rule = "it belongs to scripts, and there is no entry_point"
                yield (key,), rule, "name the training script, or leave this out"
    if model.entry_point:
        yield from _place_faults(model)


def _place_faults(model: ModelSettings) -> Iterator[Rule]:
    within = f"{model.directory}/" if model.directory else ""
    if not model.entry_point.startswith(within):
        rule = f"it is not below {model.directory}, whose files are packed"
        fix = "move it there, or name a source that holds both scripts"
        yield ("entry_point",), rule, fix
        return
    folder = model.serving.rpartition("/")[0]
    if folder != model.directory:
        key = "inference" if model.inference else "entry_point"
        yield (
            (key,),
            f"SageMaker loads it as a module, which stands directly in {model.directory or '.'}",
            "move it there, or name its directory as source",
        )


def _parameter_faults(model: ModelSettings) -> Iterator[Rule]:
    own = OF_SCRIPT_MODE if model.entry_point or model.builtin else 0
    if len(model.hyperparameters) > _MOST_PARAMETERS - own:
        rule = f"SageMaker takes {_MOST_PARAMETERS}"
        rule += f", of which {own} say how the script is started" if own else ""
        fix = "leave some out, or read them from a file of source"
        yield ("hyperparameters",), f"{rule}; here are {len(model.hyperparameters)}", fix
    for name, value in model.hyperparameters.items():
        path = ("hyperparameters", name)
        if not _PARAMETER.fullmatch(name) or name.startswith("sagemaker"):
            rule = "it is no name of an argument, or one that SageMaker keeps for itself"
            yield path, rule, "use letters, digits, _ and -, a letter first"
        elif len(name) > _LONGEST_PARAMETER:
            rule = f"its name has {len(name)} letters, and SageMaker takes {_LONGEST_PARAMETER}"
            yield path, rule, "shorten it"
        elif isinstance(value, float) and not isfinite(value) and not model.builtin:
            yield path, "it is no number", "write a number, or a text that the script understands"
        elif (length := len(json.dumps(value))) > _LONGEST_VALUE:
            rule = f"SageMaker takes {_LONGEST_VALUE} characters; as JSON it has {length}"
            yield path, rule, "put it into a file of source"
    for name, value in model.environment.items():
        if len(value) > _LONGEST_VARIABLE:
            rule = f"SageMaker takes {_LONGEST_VARIABLE} characters; it has {len(value)}"
            yield ("environment", name), rule, "put it into a file of source"
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            rule = "it is no name of an environment variable"
            yield ("environment", name), rule, "use letters, digits and _, no digit first"
        elif name.startswith(("SM_", "SAGEMAKER_")):
            yield ("environment", name), "SageMaker sets such variables", "take another name"
        elif name in _OF_JOBS:
            yield ("environment", name), "SageMaker sets this variable", "take another name"
        elif name == "RETRAINING_NUM_RESULTS":
            rule = "the workflow sets it, to batch_inference.num_results"
            yield ("environment", name), rule, "write num_results there, or take another name"
        elif name.startswith("RETRAINING_"):
            yield ("environment", name), "the workflow sets such variables", "take another name"


# `from` is a word of Python, and so no attribute can be written with it.
_FIELDS: dict[str, Any] = {
    "from": (
        str,
        Field(
            PERSONALIZE,
            examples=["hybrid"],
            description="whose list is published: personalize; the name of one of the models, where"
            " Personalize is left out of the workflow; or best, where all of them make lists and"
            " those of the best one are published",
        ),
    )
}
_Publish = create_model("_Publish", __base__=Settings, **_FIELDS)


class PublishSettings(_Publish):
    """Whose list is published."""

    metric: ComparedMetric = Field(
        "normalized_discounted_cumulative_gain_at_25",
        description='with from = "best", the metric whose greatest value decides: hit_rate or'
        " normalized_discounted_cumulative_gain, at 5, 10 or 25, of interactions that all trainings"
        " are kept from",
    )

    @property
    def model(self) -> str:
        """The name of the model whose list is published; empty for Personalize's, and the best."""
        name = str(self.model_dump()["from"])
        return "" if name in _RESERVED else name

    @property
    def is_best(self) -> bool:
        """Whether it is the list of that model which the comparison finds to be the best."""
        return bool(self.model_dump()["from"] == BEST)


def model_name_faults(name: str) -> Iterator[Rule]:
    """Yield what is wrong with the name of a model."""
    if name in _RESERVED:
        yield (), "the word has a meaning in [publish]", "take another name"
    elif not _NAME.fullmatch(name) or len(name) > _LONGEST:
        rule = f"a model's name has up to {_LONGEST} letters a-z, digits and hyphens"
        yield (), rule, "begin it with a letter, as in item-to-item"


def image_faults(model: ModelSettings, region: str) -> Iterator[Rule]:
    """Yield images of another region than that of everything."""
    for key in ("image", "inference_image"):
        parts = image_parts(getattr(model, key) or "")
        if parts and parts["region"] != region:
            rule = f"the image is in {parts['region']}, and SageMaker reads those of {region}"
            yield (key,), rule, f"push it to {region} too, and name that one"
