"""Step Functions runs SageMaker's jobs: results, failures, stops."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .world import ACCOUNT, ROLE, World, tar

STEPS = f"arn:aws:iam::{ACCOUNT}:role/steps"
WRITES = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/model.txt', 'w').write('7')\n"


def task(action: str, parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::sagemaker:{action}"
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, **fields}


def start(world: World, states: dict[str, Any]) -> str:
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    client = world.aws.client("stepfunctions")
    machine = client.create_state_machine(name=world.name(), roleArn=STEPS, definition=definition)
    started = client.start_execution(stateMachineArn=machine["stateMachineArn"])
    return str(started["executionArn"])


def ended(world: World, execution: str) -> dict[str, Any]:
    client = world.aws.client("stepfunctions")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.02)
    raise AssertionError(described)


def test_a_workflow_trains_makes_a_model_and_transforms(world: World) -> None:
    training = world.training(WRITES, TrainingJobName="nightly")
    del training["InputDataConfig"]
    source = world.put("workflow/in/lines.jsonl", '{"user": 1}\n{"user": 2}\n')
    code = world.put("workflow/code.tar.gz", world_code())
    model = {
        "ModelName": "nightly",
        "PrimaryContainer": {
            "Image": training["AlgorithmSpecification"]["TrainingImage"],
            "ModelDataUrl.$": "$.ModelArtifacts.S3ModelArtifacts",
            "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": code,
            },
        },
        "ExecutionRoleArn": ROLE,
    }
    transform = {
        "TransformJobName": "nightly",
        "ModelName": "nightly",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "SplitType": "Line",
            "ContentType": "application/json",
        },
        "TransformOutput": {"S3OutputPath": "s3://models/workflow/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    states = {
        "Train": task("createTrainingJob.sync", training, Next="Model"),
        "Model": task("createModel", model, ResultPath="$.model", Next="Transform"),
        "Transform": task("createTransformJob.sync", transform, ResultPath="$.transform", End=True),
    }

    described = ended(world, start(world, states))

    assert described["status"] == "SUCCEEDED", described
    output = json.loads(described["output"])
    assert output["TrainingJobStatus"] == "Completed"
    assert output["TrainingJobName"] == "nightly"
    assert isinstance(output["TrainingEndTime"], int)
    assert isinstance(output["SecondaryStatusTransitions"][0]["StartTime"], int)
    assert output["model"] == {
        "ModelArn": f"arn:aws:sagemaker:ap-northeast-1:{ACCOUNT}:model/nightly"
    }
    assert output["transform"]["TransformJobStatus"] == "Completed"
    assert world.get("workflow/out/lines.jsonl.out").decode() == (
        '{"user": 1, "score": 7}\n{"user": 2, "score": 7}\n'
    )


def world_code() -> bytes:
    return tar(
        {
            "inference.py": """
import json

def model_fn(model_dir):
    return int(open(model_dir + "/model.txt").read())

def transform_fn(model, data, content_type, accept):
    lines = [json.loads(line) for line in data.splitlines()]
    return "\\n".join(json.dumps({**line, "score": model}) for line in lines)
"""
        }
    )


def test_a_failed_job_fails_its_task_with_the_description_as_the_cause(world: World) -> None:
    training = world.training("raise ValueError('no interactions')\n")
    del training["InputDataConfig"]

    described = ended(
        world, start(world, {"Train": task("createTrainingJob.sync", training, End=True)})
    )

    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(described["cause"])
    assert cause["TrainingJobStatus"] == "Failed"
    assert "ValueError: no interactions" in cause["FailureReason"]


def test_a_refused_request_has_the_name_of_sagemaker_s_exception(world: World) -> None:
    done = world.training(WRITES)
    del done["InputDataConfig"]
    world.sagemaker.create_training_job(**done)
    invalid = {**done, "TrainingJobName": world.name(), "RoleArn": f"{ROLE}-missing"}

    again = ended(world, start(world, {"Train": task("createTrainingJob", done, End=True)}))
    refused = ended(world, start(world, {"Train": task("createTrainingJob", invalid, End=True)}))

    assert again["error"] == "SageMaker.ResourceInUseException"
    assert "Job name must be unique" in again["cause"]
    assert refused["error"] == "SageMaker.AmazonSageMakerException"
    assert refused["cause"].startswith("Could not assume role")
    assert "Error Code: ValidationException" in refused["cause"]
    world.ended("TrainingJob", done["TrainingJobName"])


def test_a_task_in_jsonata_runs_a_job(world: World) -> None:
    training = world.training(WRITES)
    del training["InputDataConfig"]
    name = training["TrainingJobName"]
    training["TrainingJobName"] = "{% '" + name + "' & '-' & $states.context.State.Name %}"
    train = {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
        "Arguments": training,
        "Output": "{% $states.result.(TrainingJobName & ' ' & TrainingJobStatus) %}",
        "End": True,
    }

    described = ended(world, start(world, {"Train": train}))

    assert described["output"] == f'"{name}-Train Completed"', described


def test_without_the_repair_a_task_knows_no_sync(world: World) -> None:
    training = world.training(WRITES)
    del training["InputDataConfig"]
    states = {"Train": task("createTrainingJob.sync", training, End=True)}

    with (
        world.aws.endpoint.repairs.without("sagemaker_jobs"),
        pytest.raises(ClientError, match="does not serve sagemaker:createTrainingJob"),
    ):
        start(world, states)


def test_stopping_an_execution_stops_its_job(world: World) -> None:
    training = world.training("import time\nprint('on', flush=True)\ntime.sleep(60)\n")
    del training["InputDataConfig"]
    execution = start(world, {"Train": task("createTrainingJob.sync", training, End=True)})
    world.until_logged(training["TrainingJobName"], "on")

    world.aws.client("stepfunctions").stop_execution(executionArn=execution)

    assert world.ended("TrainingJob", training["TrainingJobName"])["SecondaryStatus"] == "Stopped"


def test_a_job_that_cannot_be_asked_is_stopped(world: World) -> None:
    training = world.training("import time\nprint('on', flush=True)\ntime.sleep(60)\n")
    del training["InputDataConfig"]
    execution = start(world, {"Train": task("createTrainingJob.sync", training, End=True)})
    world.until_logged(training["TrainingJobName"], "on")

    world.aws.faults.inject("throttle", service="sagemaker", operation="DescribeTrainingJob")
    described = ended(world, execution)
    world.aws.faults.clear()

    assert (described["status"], described["error"]) == (
        "FAILED",
        "SageMaker.AmazonSageMakerException",
    )
    assert world.ended("TrainingJob", training["TrainingJobName"])["SecondaryStatus"] == "Stopped"


def test_a_job_that_somebody_stops_fails_its_task(world: World) -> None:
    training = world.training("import time\nprint('on', flush=True)\ntime.sleep(60)\n")
    del training["InputDataConfig"]
    execution = start(world, {"Train": task("createTrainingJob.sync", training, End=True)})
    world.until_logged(training["TrainingJobName"], "on")

    world.sagemaker.stop_training_job(TrainingJobName=training["TrainingJobName"])
    described = ended(world, execution)

    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(described["cause"])["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("createEndpoint", "the local AWS does not serve sagemaker:createEndpoint"),
        ("createHyperParameterTuningJob.sync", "does not serve sagemaker:createHyperParameter"),
        ("createModel.sync", "does not serve sagemaker:createModel"),
        ("createTrainingJobs", "is not recognized"),
    ],
)
def test_what_is_not_served_is_refused_with_the_definition(
    world: World, action: str, message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        start(world, {"Task": task(action, {}, End=True)})


def test_a_misspelt_parameter_is_refused_with_the_definition(world: World) -> None:
    training = world.training(WRITES)
    training["HyperParameter"] = training.pop("HyperParameters")

    with pytest.raises(ClientError, match="'HyperParameter' is not supported"):
        start(world, {"Train": task("createTrainingJob.sync", training, End=True)})
