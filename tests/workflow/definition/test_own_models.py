"""The stages of a model on SageMaker: the rendered requests, names of jobs, and the source."""

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import validate_parameters

from localaws.moto_patches.states_language.jsonata import evaluated
from tests.workflow.options.test_models import (
    EXAMPLE,
    OWN_HYBRID,
    SCRIPTS,
    SERVES,
    own,
    own_scripts,
)
from workflow import Config, ConfigError, parse_config
from workflow.definition.asl import Definition, states
from workflow.definition.graph import retraining_graph
from workflow.definition.own_models.jobs import SAGEMAKER_BUSY_ERRORS, SAGEMAKER_ERRORS
from workflow.definition.own_models.source import (
    BUILTIN_REQUIREMENTS,
    ENTRY,
    model_source,
    stored_gzip,
)
from workflow.definition.render import render_definition
from workflow.options.models import OF_SCRIPT_MODE

ROOT = Path(__file__).parents[3]
SAGEMAKER = botocore.session.get_session().get_service_model("sagemaker")
RUN = "20240601T040000Z-3fa9c1"
TASKS = {
    "Train own": "CreateTrainingJob",
    "Create Model of own": "CreateModel",
    "Make Lists by own": "CreateTransformJob",
    "Delete Model of own": "DeleteModel",
}
FINDERS = {"Find Training of own": "ListTrainingJobs", "Find Lists of own": "ListTransformJobs"}


def rendered(config: Config) -> tuple[Definition, dict[str, Any]]:
    definition = json.loads(render_definition(retraining_graph(config).to_dict()))
    return definition, {name: state for _, name, state in states(definition)}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return rendered(own(OWN_HYBRID + "training = { spot = true }"))[1]


def with_values(value: Any) -> Any:
    """Return a request with a text in the place of each path."""
    if isinstance(value, list):
        return [with_values(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name.removesuffix(".$"): "chosen" if name.endswith(".$") else with_values(each)
        for name, each in value.items()
    }


def test_the_way_of_a_run_leads_past_what_is_done(found: dict[str, Any]) -> None:
    assert found.keys() == {
        "Begin Run",
        "Skipped for Another Run",
        "Extracted Already?",
        "ETL",
        *FINDERS,
        "own Trained Already?",
        "own Has Made Lists?",
        *TASKS,
        "Filter Recommended Item",
        "Newer List Stays Published",
        "Report Failure",
        "Retraining Failed",
    }
    trained, made = found["own Trained Already?"], found["own Has Made Lists?"]
    assert (trained["Choices"][0]["Next"], trained["Default"]) == ("Find Lists of own", "Train own")
    assert found["Train own"]["Next"] == "Find Lists of own"
    assert made["Choices"][0]["Next"] == found["Delete Model of own"]["Next"]
    (failed,) = found["Delete Model of own"]["Catch"]
    assert failed["Next"] == found["Delete Model of own"]["Next"], "the lists are there"
    assert made["Default"] == "Create Model of own"
    payload = found["Filter Recommended Item"]["Parameters"]["Payload"]
    assert payload["job.$"] == "$.job"
    assert "batchInferenceJobArn.$" not in payload


@pytest.mark.parametrize(("state", "operation"), [*TASKS.items(), *FINDERS.items()])
def test_requests_are_those_of_botocores_model(
    found: dict[str, Any], state: str, operation: str
) -> None:
    request = with_values(found[state].get("Parameters") or found[state]["Arguments"])
    if "NameContains" in request:
        request["NameContains"] = "chosen"

    validate_parameters(request, SAGEMAKER.operation_model(operation).input_shape)


@pytest.mark.parametrize(
    "source",
    [
        OWN_HYBRID,
        '\n[models.own]\nimage = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/own/ranker:3"',
    ],
)
def test_every_option_makes_a_request_of_botocores_model(source: str) -> None:
    tables = """
hyperparameters = { factors = 8, alpha = 2.5, recency = false }
environment = { DESK = "tokyo" }
metrics = [{ name = "loss", regex = "loss=([0-9.]+)" }]
training = { instance_type = "ml.g4dn.xlarge", spot = true, max_wait_minutes = 300 }
transform = { instance_count = 3, instance_type = "ml.c5.2xlarge" }
"""
    config = own(source + tables)
    guarded = config.aws.model_copy(
        update={
            "kms_key": "arn:aws:kms:ap-northeast-1:123456789012:key/1f2e3d4c",
            "subnets": ["subnet-0a1b2c3d"],
            "security_groups": ["sg-0a1b2c3d"],
        }
    )
    found = rendered(config.model_copy(update={"aws": guarded}))[1]

    for state, operation in TASKS.items():
        request = with_values(found[state]["Parameters"])
        validate_parameters(request, SAGEMAKER.operation_model(operation).input_shape)
    training = found["Train own"]["Parameters"]
    assert "VolumeKmsKeyId" not in training["ResourceConfig"]  # it has a disk of its own
    assert training["VpcConfig"] == found["Create Model of own"]["Parameters"]["VpcConfig"]
    assert training["OutputDataConfig"]["KmsKeyId"] == guarded.kms_key
    assert training["CheckpointConfig"]["LocalPath"] == "/opt/ml/checkpoints"
    assert training["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 7_200,
        "MaxWaitTimeInSeconds": 18_000,
    }
    transform = found["Make Lists by own"]["Parameters"]["TransformResources"]
    assert transform["VolumeKmsKeyId"] == guarded.kms_key


def test_checkpoints_are_those_of_the_same_scripts_and_hyperparameters() -> None:
    def folder(training: str, *, alpha: float) -> str:
        tables = f"hyperparameters = {{ alpha = {alpha} }}\ntraining = {{ {training} }}\n"
        found = rendered(own(OWN_HYBRID + tables))[1]
        return str(found["Train own"]["Parameters"]["CheckpointConfig"]["S3Uri.$"])

    once = folder("spot = true", alpha=2.5)
    assert re.search(r"/checkpoints/[0-9a-f]{10}/'", once)
    assert folder('spot = true, instance_type = "ml.m5.4xlarge"', alpha=2.5) == once
    assert folder("spot = true", alpha=2.0) != once


def test_a_request_may_take_the_time_that_sagemaker_gives_it(found: dict[str, Any]) -> None:
    client = found["Make Lists by own"]["Parameters"]["ModelClientConfig"]
    environment = found["Create Model of own"]["Parameters"]["PrimaryContainer"]["Environment"]

    assert client["InvocationsTimeoutInSeconds"] == 3_600
    assert environment["SAGEMAKER_MODEL_SERVER_TIMEOUT"] == "3600"  # of scikit-learn's server
    assert environment["SAGEMAKER_TS_RESPONSE_TIMEOUT"] == "3600"  # of PyTorch's


def test_the_hyperparameters_that_start_a_script_are_as_many_as_the_limit_leaves_out(
    found: dict[str, Any],
) -> None:
    parameters = found["Train own"]["Parameters"]["HyperParameters"]
    assert sum(name.startswith("sagemaker_") for name in parameters) == OF_SCRIPT_MODE


def test_every_channel_is_a_folder_of_the_run(found: dict[str, Any]) -> None:
    channels = found["Train own"]["Parameters"]["InputDataConfig"]

    folders = {
        channel["ChannelName"]: re.search(
            r"runs/\{\}/([\w-]+/)'", channel["DataSource"]["S3DataSource"]["S3Uri.$"]
        )
        for channel in channels
    }
    assert {name: match and match[1] for name, match in folders.items()} == {
        "users": "users/",
        "items": "items/",
        "interactions": "interactions/",
        "batch": "batch-input/",
    }


def finder(found: dict[str, Any], state: str, execution: str, **result: Any) -> tuple[str, Any]:
    """Return what a state looks for in an execution, and its `$.job` after a result."""
    task = found[state]
    given = {
        "context": {"Execution": {"Name": execution}},
        "input": {"job": {"trained": {"name": "labbase-own-x-1-0", "arn": "arn:training"}}},
        "result": result,
    }
    looked_for = evaluated(task["Arguments"]["NameContains"][3:-3], {"states": given})
    output = evaluated(task["Output"][3:-3], {"states": given})
    return looked_for, output["job"]


@pytest.mark.parametrize(
    "run", [RUN, "a", "-x-", "x" * 76, "run_1-", "nightly-of-the-whole-shop-2024-06-01-again-3"]
)
@pytest.mark.parametrize("name", ["own", "a-rather-long-na"])
def test_names_of_jobs_are_short_enough_and_each_runs_own(run: str, name: str) -> None:
    config = own(name=name).model_copy(update={"name": "x" * 24})
    found = rendered(config)[1]
    template = found[f"Train {name}"]["Parameters"]["TrainingJobName.$"]
    contained, job = finder(found, f"Find Training of {name}", f"{run}.27")
    of_first, first = finder(found, f"Find Training of {name}", run)

    used = re.fullmatch(r"States.Format\('(.*)', \$.job.name, .*RedriveCount\)", template)
    assert used is not None
    full = used[1].format(job["name"], 31)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", full), full
    assert re.fullmatch(r"[a-zA-Z0-9\-]{1,63}", contained)
    assert contained == of_first
    assert contained in full
    assert full.endswith("-27-31")
    assert first["name"].endswith("-1")
    assert contained not in finder(found, f"Find Training of {name}", f"{run}x")[1]["name"]


def test_a_training_that_has_completed_is_gone_on_from(found: dict[str, Any]) -> None:
    summary = {"TrainingJobName": "labbase-own-r-1-0", "TrainingJobArn": "arn:it"}

    _, job = finder(found, "Find Training of own", RUN, TrainingJobSummaries=[summary])
    _, none = finder(found, "Find Training of own", RUN, TrainingJobSummaries=[])

    assert job["trained"] == {"name": "labbase-own-r-1-0", "arn": "arn:it"}
    assert none.keys() == {"name"}


def test_the_lists_say_which_training_made_them(found: dict[str, Any]) -> None:
    summary = {"TransformJobArn": "arn:it"}

    _, job = finder(found, "Find Lists of own", f"{RUN}.2", TransformJobSummaries=[summary])
    _, none = finder(found, "Find Lists of own", RUN, TransformJobSummaries=[])

    bucket = "labbase-retraining-123456789012-ap-northeast-1"
    data = f"s3://{bucket}/runs/{RUN}/models/own/labbase-own-x-1-0/output/model.tar.gz"
    model = {"name": "own", "trainingJobArn": "arn:training", "data": data}
    assert (job["model"], job["made"]) == (model, {"arn": "arn:it"})
    assert none.keys() == {"name", "model"}


def test_other_settings_are_another_training() -> None:
    def name(tables: str) -> str:
        return finder(rendered(own(OWN_HYBRID + tables))[1], "Find Training of own", RUN)[0]

    assert name("") == name("transform = { instance_count = 2 }")
    assert name("") != name("hyperparameters = { factors = 8 }")


def test_the_errors_that_are_retried_are_botocores() -> None:
    named = {
        f"SageMaker.{shape.name}Exception".replace("ResourceLimitExceededException", "")
        for name in TASKS.values()
        for shape in SAGEMAKER.operation_model(name).error_shapes
    }
    shapes = {
        shape.name
        for name in TASKS.values()
        for shape in SAGEMAKER.operation_model(name).error_shapes
    }
    assert named
    assert "ResourceLimitExceeded" in shapes
    assert SAGEMAKER_BUSY_ERRORS == ("SageMaker.ResourceLimitExceededException",)
    assert all(error.startswith("SageMaker.") for error in SAGEMAKER_ERRORS)


DRAWN = """
import sys
sys.path.insert(0, {root!r})
from tests.workflow.options.test_models import OWN_HYBRID, own
from workflow.definition.render import render
print(render(own(OWN_HYBRID)))
"""


def test_the_definition_is_the_same_bytes_under_any_configuration_of_the_machine(
    tmp_path: Path,
) -> None:
    """No profile, no region, no home, and SageMaker defaults that would change each request."""
    defaults = tmp_path / "config.yaml"
    defaults.write_text(
        "SchemaVersion: '1.0'\nSageMaker:\n  TrainingJob:\n    EnableNetworkIsolation: true\n"
        "    RoleArn: arn:aws:iam::555555555555:role/other\n"
    )
    variables = {
        "AWS_PROFILE": "missing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(defaults),
    }
    drawn = subprocess.run(
        [sys.executable, "-c", DRAWN.format(root=str(ROOT))],
        env=variables,
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert json.loads(drawn.stdout) == rendered(own(OWN_HYBRID))[0]
    assert drawn.stderr == ""


def test_without_a_model_sagemaker_is_not_loaded(tmp_path: Path) -> None:
    code = (
        f"import sys\nfrom workflow import load_config\nfrom workflow.definition.render import"
        f" render\nrender(load_config({str(ROOT / 'retraining.toml')!r}))\n"
        "print([name for name in sys.modules if name.startswith('sagemaker')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )

    assert loaded.stdout.strip() == "[]"


def test_what_is_wrong_with_the_files_and_images_of_all_models_is_told_at_once(
    tmp_path: Path,
) -> None:
    others = """
[publish]
from = "best"
[models.other]
entry_point = "models/missing.py"
framework = "pytorch"
framework_version = "2.99"
[models.third]
builtin = "hybrid"
training = { instance_type = "ml.trn1.2xlarge" }
transform = { instance_type = "ml.inf2.xlarge" }
"""
    own_scripts(tmp_path, train="def serve(: ...")
    config = parse_config(EXAMPLE + SCRIPTS + others, directory=tmp_path)

    with pytest.raises(ConfigError) as raised:
        retraining_graph(config)

    assert [mistake.key for mistake in raised.value.mistakes] == [
        "models.own.entry_point",
        "models.other.entry_point",
        "models.other.framework_version",
        "models.third.training.instance_type",
        "models.third.transform.instance_type",
    ]


def test_the_source_is_the_directory_without_what_is_hidden(tmp_path: Path) -> None:
    config = own_scripts(
        tmp_path,
        'source = "models"\nrequirements = ["lightfm==1.17"]',
        parts__features="X = 1\n",
    )
    (tmp_path / "models" / ".env").write_text("SECRET=1")
    (tmp_path / "models" / "__pycache__").mkdir()
    (tmp_path / "models" / "__pycache__" / "train.pyc").write_bytes(b"")

    source = model_source(config, "own")

    assert source is not None
    with tarfile.open(fileobj=io.BytesIO(source.archive())) as archive:
        names = archive.getnames()
        required = archive.extractfile("requirements.txt")
        assert required is not None
        assert required.read() == b"lightfm==1.17\n"
    assert names == ["parts/features.py", "requirements.txt", ENTRY, "train.py"]


def test_the_project_s_own_directory_can_be_the_source(tmp_path: Path) -> None:
    tables = SCRIPTS.replace("models/", "") + 'source = "."\n'
    (tmp_path / "train.py").write_text(SERVES, encoding="utf-8")

    source = model_source(own(tables, directory=tmp_path), "own")

    assert source is not None
    assert (source.script, source.serving) == ("train.py", "train.py")
    assert source.files["train.py"].decode() == SERVES


def test_scripts_alone_are_packed_where_no_source_is_named(tmp_path: Path) -> None:
    source = model_source(own_scripts(tmp_path, other="X = 1\n"), "own")

    assert source is not None
    assert sorted(source.files) == [ENTRY, "train.py"]
    assert (source.script, source.serving) == ("train.py", "train.py")


def test_the_key_changes_with_the_content_alone(tmp_path: Path) -> None:
    first = model_source(own_scripts(tmp_path / "a"), "own")
    same = model_source(own_scripts(tmp_path / "b"), "own")
    other = model_source(own_scripts(tmp_path / "c", train=SERVES + "#\n"), "own")

    assert first and same and other
    assert first.key == same.key != other.key
    assert first.archive() == same.archive()


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(65_535), os.urandom(200_000)])
def test_what_is_stored_is_read_by_gzip(content: bytes) -> None:
    assert gzip.decompress(stored_gzip(content)) == content


def test_the_requirement_of_packaged_models_is_that_of_the_package() -> None:
    pins = (ROOT / "setup.py").read_text(encoding="utf-8")

    assert all(f'"{each}"' in pins for each in BUILTIN_REQUIREMENTS)


def test_building_leaves_boto3_and_the_environment_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    before, variables = boto3.DEFAULT_SESSION, dict(os.environ)

    retraining_graph(own())

    assert boto3.DEFAULT_SESSION is before
    assert dict(os.environ) == variables
