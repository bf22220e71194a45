"""The Step Functions SDK's own steps, with an estimator of the SageMaker SDK."""

import json
import os
import subprocess
import sys
from pathlib import Path

from .test_state_machines import ended, start
from .test_training_jobs import SCRIPT_FOR_SAGEMAKER
from .world import World

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json
import sys

import boto3
from sagemaker.inputs import TrainingInput
from sagemaker.session import Session
from sagemaker.sklearn import SKLearn
from sagemaker.transformer import Transformer
from stepfunctions.steps import Chain, Graph, ModelStep, TrainingStep, TransformStep

session = Session(boto3.Session(region_name="ap-northeast-1"), default_bucket="models")
estimator = SKLearn(
    "train.py",
    source_dir=sys.argv[1],
    role="arn:aws:iam::210987654321:role/sagemaker",
    instance_type="ml.m5.large",
    framework_version="1.2-1",
    hyperparameters={"n-neighbors": 1},
    output_path="s3://models/sdk/",
    sagemaker_session=session,
)
train = TrainingStep(
    "Train Model",
    estimator=estimator,
    data={"train": TrainingInput("s3://models/sdk/numbers")},
    job_name="sdk-training",
)
model = ModelStep("Save Model", model=train.get_expected_model(), model_name="sdk-model")
transformer = Transformer(
    "sdk-model",
    1,
    "ml.m5.large",
    assemble_with="Line",
    accept="text/csv",
    output_path="s3://models/sdk/out",
    sagemaker_session=session,
)
transform = TransformStep(
    "Transform Input",
    transformer=transformer,
    job_name="sdk-transform",
    model_name="sdk-model",
    data="s3://models/sdk/numbers",
    content_type="text/csv",
    split_type="Line",
)
print(json.dumps(Graph(Chain([train, model, transform])).to_dict()))
"""
PREDICTS = """

def predict_fn(data, model):
    return model.kneighbors(data)[1]
"""


def test_the_sdk_s_steps_train_save_a_model_and_transform(world: World, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT_FOR_SAGEMAKER + PREDICTS)
    world.put("sdk/numbers/a.csv", "1,2\n30,40\n")
    rendered = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={**os.environ, **world.aws.environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr[-2_000:]
    states = json.loads(rendered.stdout.splitlines()[-1])["States"]

    described = ended(world, start(world, states))

    assert described["status"] == "SUCCEEDED", described
    assert json.loads(described["output"])["TransformJobStatus"] == "Completed"
    assert world.get("sdk/out/a.csv.out").decode() == "0\n1\n"
