"""Every step of the SDK: quick to import, with SageMaker or without it, in any partition."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stepfunctions.steps import integration_resources

from workflow import sdk

ROOT = Path(__file__).parents[2]
TRAINING = """
import boto3
from sagemaker.estimator import Estimator
from sagemaker.session import Session

session = Session(boto3.Session(region_name="eu-west-1"), default_bucket="models")
estimator = Estimator(
    image_uri="1.dkr.ecr.eu-west-1.amazonaws.com/own:1",
    role="arn:aws:iam::123456789012:role/training",
    instance_count=1,
    instance_type="ml.m5.large",
    output_path="s3://models/own",
    sagemaker_session=session,
)
step = TrainingStep("Train", estimator=estimator, job_name="own", data={"train": "s3://rows/x"})
state = step.to_dict()
assert state["Resource"] == "arn:aws:states:::sagemaker:createTrainingJob.sync", state
assert state["Parameters"]["AlgorithmSpecification"]["TrainingImage"].endswith("/own:1"), state
assert state["Parameters"]["TrainingJobName"] == "own", state
"""


def run(program: str) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def test_the_import_loads_no_sagemaker_and_leaves_the_root_logger():
    out = run(
        "import logging, sys, workflow.sdk, stepfunctions.steps;"
        "print('sagemaker' in sys.modules, logging.getLogger().level,"
        " 'TrainingStep' in dir(workflow.sdk), 'TrainingStep' in dir(stepfunctions.steps))"
    )

    assert out.split() == ["False", str(30), "True", "True"]


def test_a_table_of_the_sdk_is_shown_although_ipython_was_not_loaded_with_it():
    out = run(
        "import sys, workflow.sdk, stepfunctions\n"
        "before = 'IPython' in sys.modules, 'pkg_resources' in sys.modules\n"
        "from stepfunctions.workflow.widgets.graph import WorkflowGraphWidget\n"
        "shown = WorkflowGraphWidget('{}').show()\n"
        "from IPython.display import HTML\n"
        "print(*before, isinstance(shown, HTML), stepfunctions.__version__)"
    )

    assert out.split() == ["False", "False", "True", "2.3.0"]


@pytest.mark.parametrize(
    "imports",
    [
        "import workflow.sdk, sagemaker\nfrom workflow.sdk import TrainingStep",
        "import sagemaker\nfrom workflow.sdk import TrainingStep",
        "import workflow.sdk\nfrom stepfunctions.steps import TrainingStep",
        "from stepfunctions.steps import TrainingStep\nimport workflow.sdk",
        "import workflow.sdk\nfrom stepfunctions.template import TrainingPipeline\n"
        "from workflow.sdk import TrainingStep",
    ],
    ids=["before", "after", "from the SDK", "of the SDK before", "with the pipelines"],
)
def test_a_training_step_works_in_any_order_of_imports(imports: str):
    run(imports + TRAINING)


def test_a_training_step_works_alone_and_the_grammar_of_iris_is_built_when_one_is_checked():
    """SageMaker's own import builds it, where JupyterLab is installed."""
    out = run(
        f"from workflow.sdk import TrainingStep{TRAINING}"
        "import sys, jsonschema\n"
        "checker = jsonschema.FormatChecker()\n"
        "print('rfc3987_syntax' in sys.modules, checker.conforms('http://例/', 'iri'),"
        " checker.conforms('no iri', 'iri'), 'rfc3987_syntax' in sys.modules)"
    )

    assert out.split() == ["False", "True", "False", "True"]


def test_every_service_step_takes_the_partition_and_a_result_selector():
    names = [name for name in sdk.__all__ if name.endswith("Step")] + [
        "DynamoDBPutItemStep",
        "EcsRunTaskStep",
        "EmrCreateClusterStep",
        "EventBridgePutEventsStep",
        "SqsSendMessageStep",
        "StepFunctionsStartExecutionStep",
    ]

    for name in names:
        step = getattr(sdk, name)("Step", partition="aws-cn", result_selector={"id.$": "$.Id"})
        state = step.to_dict()
        assert state["Resource"].startswith("arn:aws-cn:states:::"), name
        assert state["ResultSelector"] == {"id.$": "$.Id"}
        assert getattr(sdk, name)("Step").to_dict()["Resource"].startswith("arn:aws:states:::")


@pytest.mark.parametrize("name", ["Task", "Parallel", "Map"])
def test_states_with_a_result_take_a_result_selector(name: str):
    arguments = {"Task": {"resource": "arn:aws:states:::aws-sdk:s3:listBuckets"}}
    state = getattr(sdk, name)("State", result_selector={"n.$": "$.n"}, **arguments.get(name, {}))

    if name != "Task":
        branch = sdk.Pass("Inside")
        state.add_branch(branch) if name == "Parallel" else state.attach_iterator(branch)

    assert state.to_dict()["ResultSelector"] == {"n.$": "$.n"}


def test_a_step_that_the_sdk_has_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'workflow\.sdk' has no attribute 'TrainStep'"):
        sdk.TrainStep  # noqa: B018


def test_without_its_repair_the_sdk_asks_boto3_for_the_partition(monkeypatch):
    """A canary: the SDK's own function needs the region of a session."""
    from stepfunctions.steps import utils  # noqa: PLC0415

    monkeypatch.setattr(integration_resources, "get_aws_partition", utils.get_aws_partition)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)

    resource = sdk.LambdaStep("Step").to_dict()["Resource"]

    assert resource == "arn:aws-cn:states:::lambda:invoke"
