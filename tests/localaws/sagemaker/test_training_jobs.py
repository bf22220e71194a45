"""Training jobs: what a script finds, what it leaves, and how it ends."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.http.service_names import service_model
from localaws.sagemaker.jobs import JobProgress

from .world import ACCOUNT, BUCKET, INSTANCE, REGION, ROLE, SKLEARN, World

HYPERPARAMETERS = {
    "epochs": 3,
    "learning-rate": 0.05,
    "name": "item to item",
    "flag": True,
    "layers": [8, 4],
    "weights": {"a": 1, "b": 2},
    "k": 5,
}

SCRIPT_FOR_SAGEMAKER = """
import argparse
import json
import os

import joblib
import pandas as pd
from sklearn.neighbors import NearestNeighbors

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--n-neighbors", type=int, default=3)
    parser.add_argument("--output-data-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAIN"])
    args = parser.parse_args()

    files = [os.path.join(args.train, name) for name in sorted(os.listdir(args.train))]
    if len(files) == 0:
        raise ValueError("There are no files in {}".format(args.train))
    frames = [pd.read_csv(file, header=None, engine="python") for file in files]
    data = pd.concat(frames)
    model = NearestNeighbors(n_neighbors=args.n_neighbors).fit(data.values)
    distances, _ = model.kneighbors(data.values)
    print("mean_distance: {:.4f};".format(distances.mean()))
    joblib.dump(model, os.path.join(args.model_dir, "model.joblib"))
    with open("/opt/ml/output/data/report.json", "w") as report:
        json.dump({"rows": len(data)}, report)


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


def printed(world: World, job: dict[str, Any]) -> Any:
    """Return what a script printed as JSON."""
    return json.loads(world.log(job["TrainingJobName"]).splitlines()[0])


def test_a_script_for_sagemaker_s_scikit_learn_image_runs_unmodified(world: World) -> None:
    """It has the path /opt/ml in it, reads variables and arguments, and leaves a model."""
    world.put("numbers/train/a.csv", "1,2\n3,4\n")
    world.put("numbers/train/b.csv", "5,6\n7,8\n")

    job = world.train(
        SCRIPT_FOR_SAGEMAKER,
        channels={"train": f"s3://{BUCKET}/numbers/train"},
        hyperparameters={"n-neighbors": 2},
        AlgorithmSpecification={
            "TrainingImage": SKLEARN,
            "TrainingInputMode": "File",
            "MetricDefinitions": [
                {"Name": "distance", "Regex": "mean_distance: ([0-9.]+);"},
                {"Name": "loss", "Regex": "loss: ([0-9.]+);"},
            ],
        },
    )

    assert job["TrainingJobStatus"] == "Completed", job
    output = f"output/{job['TrainingJobName']}/output"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{BUCKET}/{output}/model.tar.gz"}
    assert list(world.files(f"{output}/model.tar.gz")) == ["model.joblib"]
    assert world.files(f"{output}/output.tar.gz") == {"report.json": b'{"rows": 4}'}
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], round(metric["Value"], 4)) == ("distance", 1.4142)


def test_a_job_that_has_ended_leaves_its_log_alone(world: World) -> None:
    job = world.train("import os\nprint(os.environ['TMPDIR'])\n")

    directory = Path(world.log(job["TrainingJobName"]).splitlines()[0]).parent
    assert [path.name for path in directory.iterdir()] == ["log"]


def test_a_job_goes_through_its_statuses(world: World) -> None:
    job = world.train("print('nothing')\n")

    transitions = job["SecondaryStatusTransitions"]
    assert [one["Status"] for one in transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(one["EndTime"] >= one["StartTime"] for one in transitions[:-1])
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1


def test_a_script_finds_the_toolkit_s_variables_and_arguments(world: World) -> None:
    """As sagemaker-training 5.1.4 makes them of the same job."""
    script = """
import json, os, sys
names = [name for name in os.environ if name.startswith(("SM_", "TRAINING_"))]
print(json.dumps([sys.argv[1:], {name: os.environ[name] for name in names}, os.getcwd()]))
"""
    world.put("variables/users/users.csv", "1\n")
    world.put("variables/items/items.csv", "1\n")

    job = world.train(
        script,
        channels={
            "users": f"s3://{BUCKET}/variables/users/",
            "items": f"s3://{BUCKET}/variables/items/items.csv",
        },
        hyperparameters=HYPERPARAMETERS,
        Environment={"COLOUR": "green"},
    )
    arguments, variables, directory = printed(world, job)

    name, source = job["TrainingJobName"], f"s3://{BUCKET}/source/{job['TrainingJobName']}.tar.gz"
    assert directory == "/opt/ml/code"
    assert arguments == [
        *("--epochs", "3", "--flag", "True", "-k", "5", "--layers", "[8, 4]"),
        *("--learning-rate", "0.05", "--name", "item to item", "--weights", "a=1,b=2"),
    ]
    assert json.loads(variables["SM_USER_ARGS"]) == arguments
    assert variables["SM_CHANNELS"] == '["items","users"]'
    assert variables["SM_CHANNEL_USERS"] == "/opt/ml/input/data/users"
    assert json.loads(variables["SM_HPS"]) == HYPERPARAMETERS
    assert variables["SM_HP_LEARNING-RATE"] == "0.05"
    assert variables["SM_HP_NAME"] == "item to item"
    assert (variables["SM_HP_FLAG"], variables["SM_HP_LAYERS"]) == ("true", "[8,4]")
    assert variables["SM_MODEL_DIR"] == "/opt/ml/model"
    assert variables["SM_OUTPUT_DATA_DIR"] == "/opt/ml/output/data"
    assert variables["SM_OUTPUT_INTERMEDIATE_DIR"] == "/opt/ml/output/intermediate"
    assert variables["SM_INPUT_CONFIG_DIR"] == "/opt/ml/input/config"
    assert (variables["SM_HOSTS"], variables["SM_CURRENT_HOST"]) == ('["algo-1"]', "algo-1")
    assert (variables["SM_NUM_GPUS"], variables["SM_LOG_LEVEL"]) == ("0", "20")
    assert (variables["SM_MODULE_NAME"], variables["SM_USER_ENTRY_POINT"]) == ("train", "train.py")
    assert variables["SM_MODULE_DIR"] == source
    assert variables["SM_FRAMEWORK_MODULE"] == "sagemaker_sklearn_container.training:main"
    assert json.loads(variables["SM_RESOURCE_CONFIG"])["current_instance_type"] == "ml.m5.large"
    assert json.loads(variables["SM_INPUT_DATA_CONFIG"])["users"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert json.loads(variables["SM_TRAINING_ENV"])["job_name"] == name
    assert variables["TRAINING_JOB_NAME"] == name


def test_the_directory_has_the_channels_and_the_configuration(world: World) -> None:
    script = """
import json, os
found = {}
for directory, _, files in os.walk("/opt/ml/input"):
    for file in files:
        path = os.path.join(directory, file)
        found[path] = open(path).read()
print(json.dumps(found))
"""
    world.put("tree/train/a.csv", "a")
    world.put("tree/train/deep/b.csv", "b")
    manifest = [{"prefix": f"s3://{BUCKET}/tree/"}, "train/a.csv"]
    listed = world.put("tree/list.manifest", json.dumps(manifest))
    request = world.training(script, channels={"train": f"s3://{BUCKET}/tree/train", "m": listed})
    request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"

    world.sagemaker.create_training_job(**request)
    found = printed(world, world.ended("TrainingJob", request["TrainingJobName"]))

    data = {path: text for path, text in found.items() if path.startswith("/opt/ml/input/data/")}
    assert data == {
        "/opt/ml/input/data/train/a.csv": "a",
        "/opt/ml/input/data/train/deep/b.csv": "b",
        "/opt/ml/input/data/m/train/a.csv": "a",
    }
    config = "/opt/ml/input/config"
    assert json.loads(found[f"{config}/hyperparameters.json"]) == request["HyperParameters"]
    assert json.loads(found[f"{config}/resourceconfig.json"])["hosts"] == ["algo-1"]
    assert list(json.loads(found[f"{config}/inputdataconfig.json"])) == ["train", "m"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "def load():\n    raise KeyError('ITEM_ID')\nload()\n",
            'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "KeyError:'
            ' \'ITEM_ID\'"\nCommand "python train.py", exit code: 1',
        ),
        (
            "class NoRows(Exception): pass\nraise NoRows('users is empty')\n",
            'ErrorMessage "NoRows: users is empty"',
        ),
        ("import sys\nsys.exit('no interactions')\n", 'ErrorMessage "no interactions"'),
        ("import os\nos._exit(3)\n", "ExitCode 3"),
        (
            "import os\nprint('epoch 3')\nos.kill(os.getpid(), 9)\n",
            'ExitCode 137\nErrorMessage "epoch 3"\nExtraInfo "OutOfMemory: Process killed by'
            ' SIGKILL (signal 9)"\nCommand "python train.py", exit code: 137',
        ),
        (
            "import os\nos.kill(os.getpid(), 11)\n",
            'ExitCode 139\nErrorMessage ""\nCommand "python train.py", exit code: 139',
        ),
        (
            "open('/opt/ml/output/failure', 'w').write('7 users, not 25')\nraise SystemExit(2)",
            "AlgorithmError: 7 users, not 25, exit code: 2",
        ),
    ],
)
def test_a_script_that_fails_says_why(world: World, script: str, reason: str) -> None:
    job = world.train(script)

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert reason in job["FailureReason"]
    assert "ModelArtifacts" not in job
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]


def test_output_of_a_script_that_fails_is_kept(world: World) -> None:
    script = "open('/opt/ml/output/data/seen', 'w').write('12')\nraise ValueError('later')\n"

    job = world.train(script)

    output = world.files(f"output/{job['TrainingJobName']}/output/output.tar.gz")
    assert output == {"seen": b"12"}


def test_a_script_without_a_model_leaves_none(world: World) -> None:
    """The job completes, and the model that is to be made of it says what is missing."""
    job = world.train("print('trained')\n")
    url = job["ModelArtifacts"]["S3ModelArtifacts"]

    assert world.keys(f"output/{job['TrainingJobName']}") == []
    with pytest.raises(ClientError, match="Could not find model data at s3://models/output/job-"):
        world.model(url, {"inference.py": ""})


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"sagemaker_program": "main.py"}, "there is no main.py in s3://models/source/job-"),
        ({"sagemaker_program": ""}, "The training entry point name is empty"),
        (
            {"sagemaker_submit_directory": f"s3://{BUCKET}/none.tar.gz"},
            "Data download failed: s3://models/none.tar.gz",
        ),
    ],
)
def test_a_source_that_is_not_there_fails_the_job(
    world: World, hyperparameters: dict[str, str], reason: str
) -> None:
    assert reason in world.train("", hyperparameters=hyperparameters)["FailureReason"]


def test_a_channel_without_objects_fails_the_job(world: World) -> None:
    job = world.train("", channels={"train": f"s3://{BUCKET}/nothing/"})

    assert job["FailureReason"].startswith(
        "ClientError: Data download failed:No S3 objects found under S3 URL"
        f' "s3://{BUCKET}/nothing/" given in input data source.'
    )


def test_a_script_in_another_language_and_modules_of_the_source_are_run(world: World) -> None:
    shell = world.train(
        "",
        files={"run.sh": "#!/bin/sh\nprintf '%s' \"$1$2\" > $SM_MODEL_DIR/model\n"},
        hyperparameters={"sagemaker_program": "run.sh", "epochs": 3},
    )
    module = world.train("import helper\n", files={"helper.py": "print('helped')\n"})

    model = world.files(f"output/{shell['TrainingJobName']}/output/model.tar.gz")
    assert model == {"model": b"--epochs3"}
    assert "helped" in world.aws.sagemaker.log(module["TrainingJobName"])


def test_a_stopped_job_uploads_what_it_saves_on_sigterm(world: World) -> None:
    script = """
import os, signal, sys, time

def save(*_):
    open(os.environ["SM_MODEL_DIR"] + "/half", "w").write("half")
    sys.exit(0)

signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(60)
"""
    request = world.training(script)
    del request["InputDataConfig"]
    world.sagemaker.create_training_job(**request)
    name = request["TrainingJobName"]
    world.until_logged(name, "ready")
    assert JobProgress(name, "Training") in world.aws.sagemaker.progress()

    world.sagemaker.stop_training_job(TrainingJobName=name)
    job = world.ended("TrainingJob", name)

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]][-3:] == [
        "Stopping",
        "Uploading",
        "Stopped",
    ]
    assert name not in [job.name for job in world.aws.sagemaker.progress()]
    assert world.files(f"output/{name}/output/model.tar.gz") == {"half": b"half"}
    with pytest.raises(ClientError, match="rejected because the training job is in status Stopped"):
        world.sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_that_takes_too_long_is_stopped(world: World) -> None:
    job = world.train("import time\ntime.sleep(60)\n", StoppingCondition={"MaxRuntimeInSeconds": 1})

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_checkpoints_are_read_from_s3_and_written_there(world: World) -> None:
    script = """
import os, time
old = open("/opt/ml/checkpoints/epoch").read()
open("/opt/ml/checkpoints/epoch", "w").write(str(int(old) + 1))
open("/opt/ml/checkpoints/new", "w").write("new")
"""
    world.put("checkpoints/epoch", "7")

    job = world.train(
        script,
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
    )

    assert job["TrainingJobStatus"] == "Completed"
    assert (world.get("checkpoints/epoch"), world.get("checkpoints/new")) == (b"8", b"new")


def test_the_log_is_in_cloudwatch(world: World) -> None:
    job = world.train("print('first')\nprint('second')\n")

    messages = world.logged(job["TrainingJobName"])
    assert [one for one in messages if "opt/ml/model is empty" not in one] == ["first", "second"]


def test_the_log_of_a_running_job_is_in_cloudwatch(world: World, tmp_path: Path) -> None:
    """The script goes on when what it has printed is read there, and a half line waits."""
    read = tmp_path / "read"
    script = f"""
import os, sys, time
print("epoch 1")
sys.stdout.write("epoch")
sys.stdout.flush()
while not os.path.exists({str(read)!r}):
    time.sleep(0.02)
print(" 2")
print("ü" * 140_000)
"""
    request = world.training(script)
    del request["InputDataConfig"]
    name = request["TrainingJobName"]
    world.sagemaker.create_training_job(**request)

    running = world.until_delivered(name)
    status = world.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
    read.touch()
    world.ended("TrainingJob", name)

    assert (running, status) == (["epoch 1"], "InProgress")
    ended = world.logged(name)
    assert ended[:2] == ["epoch 1", "epoch 2"]
    assert [len(one) for one in ended[2:4]] == [131_059, 140_000 - 131_059]


def test_requests_are_signed_by_the_job_s_role(world: World) -> None:
    script = "import os\nprint(os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_REGION'])\n"

    job = world.train(script)

    assert "sagemaker ap-northeast-1" in world.aws.sagemaker.log(job["TrainingJobName"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"TrainingJobName": "not_a_name"}, "regular expression pattern"),
        (
            {"ResourceConfig": {"InstanceType": "ml.m9.tiny", "InstanceCount": 1}},
            "Value 'ml.m9.tiny' at 'ResourceConfig.InstanceType' failed to satisfy constraint",
        ),
        ({"RoleArn": ROLE + "-none"}, "Could not assume role"),
        ({"OutputDataConfig": {"S3OutputPath": "models/out"}}, "regular expression pattern|s3://"),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
            "MaxWaitTimeInSeconds is for jobs with EnableManagedSpotTraining",
        ),
    ],
)
def test_a_request_that_sagemaker_refuses_is_refused(
    world: World, change: dict[str, Any], message: str
) -> None:
    request = {**world.training(""), **change}
    del request["InputDataConfig"]

    with pytest.raises(ClientError, match=message) as refused:
        world.sagemaker.create_training_job(**request)

    assert refused.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ({"TrainingInputMode": "Pipe", "TrainingImage": SKLEARN}, "the input mode File, not Pipe"),
        (
            {
                "TrainingInputMode": "File",
                "TrainingImage": SKLEARN,
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss: ("}],
            },
            "metric definition 'loss': .*unterminated subpattern",
        ),
        ({"TrainingInputMode": "File", "AlgorithmName": "mine"}, "TrainingImage is missing"),
    ],
)
def test_what_a_script_cannot_be_run_with_is_refused(
    world: World, algorithm: dict[str, Any], message: str
) -> None:
    request = world.training(
        "", channels={"train": f"s3://{BUCKET}/x"}, AlgorithmSpecification=algorithm
    )

    with pytest.raises(ClientError, match=message):
        world.sagemaker.create_training_job(**request)


@pytest.mark.parametrize(
    ("more", "member"),
    [
        (
            {"ResourceConfig": {**INSTANCE, "KeepAlivePeriodInSeconds": 60}},
            "ResourceConfig.KeepAlivePeriodInSeconds",
        ),
        (
            {
                "DebugRuleConfigurations": [
                    {"RuleConfigurationName": "a", "RuleEvaluatorImage": "b"}
                ]
            },
            "DebugRuleConfigurations",
        ),
        ({"ExperimentConfig": {"TrialName": "a"}}, "ExperimentConfig"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": SKLEARN,
                    "TrainingInputMode": "File",
                    "ContainerArguments": ["--epochs", "3"],
                }
            },
            "AlgorithmSpecification.ContainerArguments",
        ),
    ],
)
def test_a_member_that_would_be_ignored_is_refused_by_name(
    world: World, more: dict[str, Any], member: str
) -> None:
    request = {**world.training(""), **more}
    del request["InputDataConfig"]

    with pytest.raises(ClientError, match=rf"{member}: the local SageMaker"):
        world.sagemaker.create_training_job(**request)


def test_what_the_sdk_s_estimators_send_is_taken_and_described(world: World) -> None:
    """As `sagemaker.pytorch.PyTorch` of version 2.257 sends it, where nobody says another."""
    sent = {
        "AlgorithmSpecification": {
            "TrainingImage": SKLEARN,
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": True,
        },
        "DebugHookConfig": {"S3OutputPath": f"s3://{BUCKET}/", "CollectionConfigurations": []},
        "ProfilerConfig": {"S3OutputPath": f"s3://{BUCKET}/", "DisableProfiler": False},
    }

    job = world.train("", **sent)

    assert job["TrainingJobStatus"] == "Completed"
    assert {member: job[member] for member in sent} == sent


def test_members_of_a_channel_are_served_or_refused(world: World) -> None:
    """FastFile shows the same files as File does; the rest belongs to the mode Pipe."""
    world.put("channel/a.csv", "1")
    script = "import os\nprint(open(os.environ['SM_CHANNEL_TRAIN'] + '/a.csv').read())\n"

    def created(**more: Any) -> str:
        request = world.training(script, channels={"train": f"s3://{BUCKET}/channel/"})
        request["InputDataConfig"][0] |= more
        world.sagemaker.create_training_job(**request)
        name: str = request["TrainingJobName"]
        return name

    fast = created(InputMode="FastFile", CompressionType="None")
    assert world.ended("TrainingJob", fast)["TrainingJobStatus"] == "Completed"
    assert world.log(fast).startswith("1\n")
    with pytest.raises(ClientError, match=r"InputDataConfig\.1\.member\.CompressionType"):
        created(CompressionType="Gzip")
    with pytest.raises(ClientError, match=r"InputDataConfig\.1\.member\.ShuffleConfig"):
        created(ShuffleConfig={"Seed": 7})


def test_endpoints_are_refused_by_name(world: World) -> None:
    with pytest.raises(ClientError, match="CreateEndpoint is not supported by the local sagemaker"):
        world.sagemaker.create_endpoint(EndpointName="live", EndpointConfigName="live")
    with pytest.raises(ClientError, match="the local SageMaker has no endpoints"):
        world.aws.client("sagemaker-runtime").invoke_endpoint(EndpointName="live", Body=b"1")


def test_a_name_is_a_job_s_once(world: World) -> None:
    job = world.train("")
    request = world.training("", TrainingJobName=job["TrainingJobName"])
    del request["InputDataConfig"]

    with pytest.raises(ClientError, match="Job name must be unique") as refused:
        world.sagemaker.create_training_job(**request)

    assert refused.value.response["Error"]["Code"] == "ResourceInUse"


def test_jobs_are_listed_by_pages_the_oldest_first(world: World) -> None:
    before = time.time()
    names = [f"listed-{number}" for number in range(3)]
    for name in names:
        request = world.training("", TrainingJobName=name)
        del request["InputDataConfig"]
        world.sagemaker.create_training_job(**request)
        world.ended("TrainingJob", name)

    pages = world.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="listed-", CreationTimeAfter=before, PaginationConfig={"PageSize": 2}
    )
    listed = [[one["TrainingJobName"] for one in page["TrainingJobSummaries"]] for page in pages]
    by_name = world.sagemaker.list_training_jobs(
        NameContains="listed-", SortBy="Name", SortOrder="Descending", StatusEquals="Completed"
    )

    assert listed == [["listed-0", "listed-1"], ["listed-2"]]
    assert [one["TrainingJobName"] for one in by_name["TrainingJobSummaries"]] == names[::-1]


def test_lists_have_no_filter_that_is_not_served() -> None:
    """If this fails, botocore has learned one: serve it, or refuse it by name."""
    times = {
        f"{time}{side}"
        for time in ("CreationTime", "LastModifiedTime")
        for side in ("After", "Before")
    }
    everywhere = {"NextToken", "MaxResults", "NameContains", "SortBy", "SortOrder"}
    served = everywhere | times | {"StatusEquals", "WarmPoolStatusEquals", "TrainingPlanArnEquals"}

    for listed in ("TrainingJobs", "ProcessingJobs", "TransformJobs", "Models"):
        shape: Any = service_model("sagemaker").operation_model(f"List{listed}").input_shape
        assert set(shape.members) <= served, listed


def test_no_job_is_in_a_warm_pool_or_of_a_training_plan(world: World) -> None:
    world.train("")
    plan = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-plan/none"
    pool = world.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available")
    planned = world.sagemaker.list_training_jobs(TrainingPlanArnEquals=plan)

    assert pool["TrainingJobSummaries"] == planned["TrainingJobSummaries"] == []


def test_tags_are_added_listed_and_deleted(world: World) -> None:
    job = world.train("", Tags=[{"Key": "team", "Value": "search"}])
    arn = job["TrainingJobArn"]

    world.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "7"}])
    world.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])

    assert world.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "cost", "Value": "7"}]


@pytest.mark.parametrize(
    ("keys", "message"),
    [(["team", "team"], "keys must be unique"), (["aws:team"], "AWS's own tags")],
)
def test_tags_that_sagemaker_does_not_take_are_refused(
    world: World, keys: list[str], message: str
) -> None:
    """And the job is not made."""
    request = world.training("", Tags=[{"Key": key, "Value": ""} for key in keys])
    del request["InputDataConfig"]

    with pytest.raises(ClientError, match=message):
        world.sagemaker.create_training_job(**request)

    with pytest.raises(ClientError, match="Requested resource not found"):
        world.sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"])


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job"])
def test_a_job_that_does_not_exist_is_not_found(world: World, operation: str) -> None:
    with pytest.raises(ClientError, match="Requested resource not found") as missing:
        getattr(world.sagemaker, operation)(TrainingJobName="none")

    assert missing.value.response["Error"]["Code"] == "ValidationException"
