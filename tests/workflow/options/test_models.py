"""`[models.NAME]` and `[publish]`: their mistakes, each with its place, its rule and its fix."""

from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest

from etl.datasets import LearnedEvents
from etl.ranking import COMPARED
from recommenders import Hybrid
from workflow import Config, ConfigError, Stages, parse_config
from workflow.definition.graph import retraining_graph
from workflow.definition.own_models.images import images_of
from workflow.errors import StructureError
from workflow.options.models import HYBRID, ComparedMetric
from workflow.settings import ROLES

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
# The filter of Personalize is a setting of its batch inference.
WITHOUT_FILTER = "\n".join(
    line for line in EXAMPLE.splitlines() if not line.startswith("personalize_filter")
)
PUBLISHED = '\n[publish]\nfrom = "own"\n'
OWN_HYBRID = '\n[models.own]\nbuiltin = "hybrid"\n'
SCRIPTS = """
[models.own]
entry_point = "models/train.py"
framework = "sklearn"
framework_version = "1.2-1"
"""
SERVES = "def model_fn(directory):\n    return directory\n"


def own(
    tables: str = OWN_HYBRID,
    *,
    directory: Path = Path(),
    example: str = WITHOUT_FILTER,
    name: str = "own",
) -> Config:
    """Return the example with a model in Personalize's place, which the tables call `own`."""
    text = f"{example}\n{PUBLISHED}{tables}"
    text = text.replace('from = "own"', f'from = "{name}"').replace("models.own", f"models.{name}")
    return parse_config(text, directory=directory)


def best(*tables: str, publish: str = "", example: str = EXAMPLE) -> Config:
    """Return the example with a model beside Personalize, of which the better one is published."""
    published = f'\n[publish]\nfrom = "best"\n{publish}\n'
    return parse_config("\n".join([example, published, OWN_HYBRID, *tables]))


def own_scripts(directory: Path, tables: str = "", **files: str) -> Config:
    """Return a configuration of scripts in `models/`, which are written; `train` has model_fn."""
    for name, text in {"train": SERVES, **files}.items():
        path = directory / "models" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return own(SCRIPTS + tables, directory=directory)


def mistakes(error: ConfigError) -> list[tuple[str, str]]:
    return [(mistake.key, mistake.rule) for mistake in error.mistakes]


def test_a_model_takes_the_place_of_personalize() -> None:
    config = own()

    assert (config.publish.model, config.has_personalize) == ("own", False)
    assert config.roles == ("states", "functions", "glue", "sagemaker", "scheduler")
    assert parse_config(EXAMPLE).publish.model == ""


def test_a_model_that_the_packaged_workflow_does_not_train_is_a_mistake() -> None:
    config = own(OWN_HYBRID + "[models.other]\nbuiltin = 'hybrid'")

    with pytest.raises(StructureError, match=r"nothing trains \[models\.other\]"):
        retraining_graph(config)


def test_the_lists_of_a_model_beside_personalize_are_apart_from_those_of_personalize() -> None:
    """A workflow of their stages alone reads a run's files, among which are Personalize's lists."""
    config = parse_config(f"{EXAMPLE}\n{OWN_HYBRID}")
    stages = Stages(config)
    graph = stages.compose(stages.own_training("own"), stages.own_inference("own"))
    making = graph.to_dict()["States"]["Make Lists by own"]

    prefix = making["Parameters"]["TransformOutput"]["S3OutputPath.$"]
    assert "/models/own/batch-output/" in prefix


def test_the_hyperparameters_of_the_hybrid_are_its_own() -> None:
    of_model = dict(signature(Hybrid).parameters)
    del of_model["threads"]  # all cores of the instance

    assert {name: type(each.default) for name, each in of_model.items()} == HYBRID


@pytest.mark.parametrize(
    ("tables", "key", "rule"),
    [
        ('[models.own]\nbuiltin = "hybrd"', "models.own.builtin", "should be 'hybrid'"),
        ("[models.own]\n", "models.own.framework", "nothing says which image"),
        (OWN_HYBRID + 'image = "x"', "models.own.image", "images of Amazon ECR alone"),
        (OWN_HYBRID + 'entry_point = "a.py"', "models.own.entry_point", "has its own"),
        (
            OWN_HYBRID + "hyperparameters = { factor = 3 }",
            "models.own.hyperparameters.factor",
            "no such hyperparameter",
        ),
        (
            OWN_HYBRID + "hyperparameters = { recency = 1 }",
            "models.own.hyperparameters.recency",
            "it is true or false",
        ),
        (
            OWN_HYBRID + 'training = { instance_type = "ml.m5.xlrge" }',
            "models.own.training.instance_type",
            "no such instance type for training jobs",
        ),
        (
            OWN_HYBRID + 'transform = { instance_type = "ml.p5.48xlarge" }',
            "models.own.transform.instance_type",
            "no such instance type for transform jobs",
        ),
        (
            OWN_HYBRID + "training = { max_wait_minutes = 9 }",
            "models.own.training.max_wait_minutes",
            "only a training with spot waits",
        ),
        (
            OWN_HYBRID + "training = { spot = true, max_wait_minutes = 9 }",
            "models.own.training.max_wait_minutes",
            "it includes the training, which may take 120 minutes",
        ),
        (
            OWN_HYBRID + "training = { max_run_minutes = 1440 }",
            "models.own.training.max_run_minutes",
            "timeout_hours = 24 ends the run before",
        ),
        (
            SCRIPTS.replace('framework_version = "1.2-1"', ""),
            "models.own.framework_version",
            "an image is of one version",
        ),
        (
            SCRIPTS + "training = { instance_count = 2 }",
            "models.own.training.instance_count",
            "scikit-learn trains on one machine",
        ),
        (SCRIPTS + 'source = "scripts"', "models.own.entry_point", "it is not below scripts"),
        (SCRIPTS + 'inference = "serve.py"', "models.own.inference", "stands directly in models"),
        (
            SCRIPTS + 'inference = "../serve.py"',
            "models.own.inference",
            "outside the project",
        ),
        (
            SCRIPTS + 'environment = { SM_HOSTS = "x" }',
            "models.own.environment.SM_HOSTS",
            "SageMaker sets such variables",
        ),
        (
            SCRIPTS + 'environment = { TRAINING_JOB_NAME = "x" }',
            "models.own.environment.TRAINING_JOB_NAME",
            "SageMaker sets this variable",
        ),
        (
            SCRIPTS + 'environment = { RETRAINING_NUM_RESULTS = "3" }',
            "models.own.environment.RETRAINING_NUM_RESULTS",
            "the workflow sets it, to batch_inference.num_results",
        ),
        (
            SCRIPTS + 'environment = { RETRAINING_SCRIPT = "x.py" }',
            "models.own.environment.RETRAINING_SCRIPT",
            "the workflow sets such variables",
        ),
        (
            SCRIPTS + 'inference = "/srv/shop/models/serve.py"',
            "models.own.inference",
            "it is an absolute path, which another machine does not have",
        ),
        (
            SCRIPTS + f'environment = {{ DESK = "{"x" * 513}" }}',
            "models.own.environment.DESK",
            "SageMaker takes 512 characters; it has 513",
        ),
        (
            SCRIPTS + f'hyperparameters = {{ text = "{"x" * 2499}" }}',
            "models.own.hyperparameters.text",
            "SageMaker takes 2500 characters; as JSON it has 2501",
        ),
        (
            SCRIPTS + f"hyperparameters = {{ {'n' * 257} = 1 }}",
            f"models.own.hyperparameters.{'n' * 257}",
            "its name has 257 letters, and SageMaker takes 256",
        ),
        (
            SCRIPTS + "hyperparameters = { rate = nan }",
            "models.own.hyperparameters.rate",
            "it is no number",
        ),
        (
            SCRIPTS + f"hyperparameters = {{ {', '.join(f'n{n} = 1' for n in range(96))} }}",
            "models.own.hyperparameters",
            "SageMaker takes 100, of which 5 say how the script is started; here are 96",
        ),
        (
            SCRIPTS + 'metrics = [{ name = "loss", regex = "loss" }]',
            "models.own.metrics[0].regex",
            "takes the value from the group",
        ),
        (
            '[models.own]\nimage = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ranker:3"',
            "models.own.image",
            "the image is in us-east-1, and SageMaker reads those of ap-northeast-1",
        ),
        (OWN_HYBRID + "[campaigns.home]\n", "campaigns", "they serve a version of Personalize"),
        (OWN_HYBRID + "[increments]\n", "increments", "what Personalize imports and trains"),
        ("[models.best]\nbuiltin = 'hybrid'", "models.best", "has a meaning in [publish]"),
        ("[models.other]\nbuiltin = 'hybrid'", "publish.from", "there is no such model"),
    ],
)
def test_a_mistake_is_named_with_its_place(tables: str, key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        own(tables)

    found = dict(mistakes(refused.value))
    assert rule in found[key], found


def test_a_hyperparameter_that_is_a_list_is_one_mistake() -> None:
    with pytest.raises(ConfigError) as refused:
        own(SCRIPTS + "hyperparameters = { k = [1, 2] }")

    assert mistakes(refused.value) == [
        ("models.own.hyperparameters.k", "a hyperparameter is a text, a number, true or false")
    ]


def test_what_belongs_to_personalize_is_refused_and_its_filter_with_it() -> None:
    with pytest.raises(ConfigError) as refused:
        own(example=EXAMPLE)

    ((key, rule),) = mistakes(refused.value)
    assert key == "batch_inference.personalize_filter"
    assert 'from = "own" leaves Personalize out' in rule


def test_of_models_that_are_compared_personalize_is_one() -> None:
    config = best("[models.other]", 'builtin = "hybrid"')

    assert config.compared == ("personalize", "own", "other")
    assert (config.publish.model, config.has_personalize) == ("", True)
    assert config.roles == ROLES
    assert config.publish.metric == "normalized_discounted_cumulative_gain_at_25"
    assert own().compared == parse_config(EXAMPLE).compared == ()


def test_what_decides_is_what_the_spark_job_compares_by() -> None:
    assert get_args(ComparedMetric) == COMPARED


def test_interactions_are_held_out_where_models_are_compared_alone() -> None:
    learned = '[solution]\nevent_type = "apply"\nevent_value_threshold = 0.5'
    text = EXAMPLE.replace("[solution]", learned).replace(
        "[datasets.interactions.columns]", '[datasets.interactions.columns]\nEVENT_VALUE = "1.0"'
    )

    assert best(example=text).job_spec().holdout == LearnedEvents("apply", 0.5)
    assert best().job_spec().holdout == LearnedEvents("", None)
    assert own().job_spec().holdout is parse_config(EXAMPLE).job_spec().holdout is None


@pytest.mark.parametrize(
    ("tables", "key", "rule"),
    [
        ("[campaigns.home]\n", "campaigns", "another model may be the best"),
        ('[increments]\nwatermark = "created_at"', "increments", "no training has ever got"),
        (
            '[recommenders.more]\nsolution = { recipe = "aws-popularity-count" }\n'
            'batch_inference = { table = "students", user_id = "students.id" }',
            "recommenders",
            "each of them publishes a list of its own",
        ),
        (
            "[backtest]\n[gate.backtest]\nhit_rate_at_10 = { minimum = 0.1 }",
            "gate.backtest",
            "which another model may have made",
        ),
    ],
)
def test_what_does_not_go_with_a_comparison_is_refused(tables: str, key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        best(tables)

    ((found, said),) = mistakes(refused.value)
    assert found == key
    assert rule in said


def test_related_items_and_lists_of_unknown_size_are_not_compared() -> None:
    text = (
        EXAMPLE.replace("\n[filter]", "\n[filter]\nspark_above = 10")
        .replace('user_id = "students.id"', 'item_id = "students.id"')
        .replace('recipe = "aws-user-personalization', 'recipe = "aws-similar-items" #')
    )
    with pytest.raises(ConfigError) as refused:
        best(example=text)

    found = dict(mistakes(refused.value))
    assert "related items have no users" in found["batch_inference.item_id"], found
    assert "known from the imports" in found["filter.spark_above"]


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ('[publish]\nfrom = "best"', "publish.from", "no other model to compare Personalize with"),
        ('[publish]\nmetric = "hit_rate_at_5"', "publish.metric", "it decides between models"),
        ('[publish]\nmetric = "hit_rate_at_6"', "publish.metric", "should be"),
    ],
)
def test_a_comparison_of_nothing_is_refused(text: str, key: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(f"{EXAMPLE}\n{text}\n")

    ((found, said),) = mistakes(refused.value)
    assert found == key
    assert rule in said


@pytest.mark.parametrize(
    ("change", "key", "rule"),
    [
        ({"framework_version": "1.2-3"}, "framework_version", "no image of sklearn 1.2-3"),
        ({"framework_version": "1.4-2"}, "framework_version", "for inference"),
        ({"framework": "pytorch", "framework_version": "99.1"}, "framework_version", "it has up"),
        ({"framework": "pytorch"}, "framework_version", "no image of pytorch 1.2-1"),
        (
            {"training": {"instance_type": "ml.g4dn.xlarge"}},
            "training.instance_type",
            "for it: Unsupported processor: gpu. Supported processor(s): cpu.",
        ),
    ],
)
def test_images_that_aws_does_not_have_are_refused(
    tmp_path: Path, change: dict[str, Any], key: str, rule: str
) -> None:
    config = own_scripts(tmp_path)
    training = config.models["own"].training.model_copy(update=change.pop("training", {}))
    model = config.models["own"].model_copy(update={**change, "training": training})

    with pytest.raises(ConfigError) as refused:
        retraining_graph(config.model_copy(update={"models": {"own": model}}))

    ((found, said),) = mistakes(refused.value)
    assert found == f"models.own.{key}"
    assert rule in said


@pytest.mark.parametrize(
    ("framework", "version", "fix"),
    [
        ("pytorch", "99.1", "write one of 2.1.0, 2.2.0, 2.3.0, "),
        ("pytorch", "2.33", "did you mean 2.3.0?"),
        ("sklearn", "1.2-3", "did you mean 1.2-1?"),
    ],
)
def test_a_version_is_proposed_of_the_same_major_one(
    tmp_path: Path, framework: str, version: str, fix: str
) -> None:
    change = {"framework": framework, "framework_version": version}
    model = own_scripts(tmp_path).models["own"].model_copy(update=change)

    with pytest.raises(ConfigError) as refused:
        images_of(own().model_copy(update={"models": {"own": model}}), "own")

    assert refused.value.mistakes[0].fix.startswith(fix)


@pytest.mark.parametrize(
    ("tables", "files", "key", "rule"),
    [
        ('inference = "models/serve.py"', {}, "inference", "there is no file"),
        ("", {"train": "def model_fn(:\n"}, "entry_point", "line 1: invalid syntax"),
        ("", {"train": "import os\n"}, "entry_point", "it has no model_fn(model_dir)"),
        (
            'source = "models"',
            {"retraining_entry": ""},
            "source",
            "a file of the source is called retraining_entry.py",
        ),
    ],
)
def test_sources_that_cannot_be_used_are_refused(
    tmp_path: Path, tables: str, files: dict[str, str], key: str, rule: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        retraining_graph(own_scripts(tmp_path, tables, **files))

    ((found, said),) = mistakes(refused.value)
    assert found == f"models.own.{key}"
    assert rule in said


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "secret.py"
    outside.write_text("KEY = 1\n", encoding="utf-8")
    config = own_scripts(project, 'source = "models"')
    link = project / "models" / "more.py"
    link.symlink_to(outside)

    with pytest.raises(ConfigError) as refused:
        retraining_graph(config)

    assert mistakes(refused.value) == [
        ("models.own.source", f"{link} is a link to {outside}, outside the project")
    ]


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        retraining_graph(own(SCRIPTS + 'source = "models"', directory=tmp_path))

    assert mistakes(refused.value) == [
        ("models.own.source", f"there is no directory {tmp_path / 'models'}")
    ]


def test_stages_of_personalize_are_refused_where_a_model_takes_its_place() -> None:
    stages = Stages(own())

    for stage in (stages.imports, stages.training, stages.batch_inference):
        with pytest.raises(StructureError, match=r'own_training\("own"\)'):
            stage()


def test_a_model_that_is_not_configured_is_refused_by_name() -> None:
    with pytest.raises(StructureError, match="there is no model 'onw'; did you mean 'own'"):
        Stages(own()).own_training("onw")


def test_a_workflow_that_leaves_the_stages_out_is_refused() -> None:
    stages = Stages(own())

    with pytest.raises(StructureError, match=r'needs stages.own_inference\("own"\)'):
        stages.compose(stages.etl(), stages.own_training("own"), stages.publish())
