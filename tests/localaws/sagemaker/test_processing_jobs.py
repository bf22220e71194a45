"""Processing jobs: inputs, arguments, outputs, and how they end."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .world import BUCKET, ROLE, SKLEARN, World

SCRIPT = """
import os, sys
rows = open("/opt/ml/processing/input/data/rows.csv").read().split()
with open("/opt/ml/processing/output/count.txt", "w") as file:
    file.write(f"{len(rows)} {' '.join(sys.argv[1:])} {os.environ['COLOUR']}")
os.makedirs("/opt/ml/output", exist_ok=True)
open("/opt/ml/output/message", "w").write("counted")
"""


def processing(world: World, script: str, **more: Any) -> dict[str, Any]:
    """Run a script to its end, in the form in which the SDK's processors run it."""
    name = world.name()
    inputs = {
        "code": world.put(f"processing/{name}/code/count.py", script),
        "data": world.put("processing/rows.csv", "1\n2\n3\n"),
    }
    request = {
        "ProcessingJobName": name,
        "AppSpecification": {
            "ImageUri": SKLEARN,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/count.py"],
            "ContainerArguments": ["--by", "user"],
        },
        "ProcessingInputs": [
            {
                "InputName": key,
                "S3Input": {
                    "S3Uri": url,
                    "LocalPath": f"/opt/ml/processing/input/{key}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for key, url in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "counts",
                    "S3Output": {
                        "S3Uri": f"s3://{BUCKET}/processing/{name}/output",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 1,
            }
        },
        "Environment": {"COLOUR": "green"},
        "RoleArn": ROLE,
        **more,
    }
    world.sagemaker.create_processing_job(**request)
    return world.ended("ProcessingJob", name)


def test_a_command_reads_its_inputs_and_leaves_its_outputs(world: World) -> None:
    job = processing(world, SCRIPT)

    assert job["ProcessingJobStatus"] == "Completed", job
    assert job["ExitMessage"] == "counted"
    assert job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    output = f"processing/{job['ProcessingJobName']}/output"
    assert world.keys(output) == [f"{output}/count.txt"]
    assert world.get(f"{output}/count.txt") == b"3 --by user green"


def test_a_command_that_fails_says_why_and_leaves_nothing(world: World) -> None:
    job = processing(world, SCRIPT + "raise ValueError('odd rows')\n")

    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: ValueError: odd rows, exit code: 1"
    logged = world.logged(job["ProcessingJobName"], "ProcessingJobs")
    assert logged[-1] == "ValueError: odd rows"
    assert world.keys(f"processing/{job['ProcessingJobName']}/output") == []


def test_outputs_that_are_uploaded_continuously_are_there_before_the_end(
    world: World, tmp_path: Path
) -> None:
    """Also of a command that fails, whose other outputs are left out."""
    seen = tmp_path / "seen"
    script = f"""
import os, time
for name in ("live", "last"):
    open("/opt/ml/processing/" + name + "/a", "w").write(name)
while not os.path.exists({str(seen)!r}):
    time.sleep(0.02)
open("/opt/ml/processing/live/b", "w").write("b")
raise SystemExit(3)
"""
    outputs = [
        {
            "OutputName": name,
            "S3Output": {
                "S3Uri": f"s3://{BUCKET}/continuous/{name}",
                "LocalPath": f"/opt/ml/processing/{name}",
                "S3UploadMode": mode,
            },
        }
        for name, mode in (("live", "Continuous"), ("last", "EndOfJob"))
    ]

    def see() -> None:
        while not world.keys("continuous/live/a"):
            time.sleep(0.05)
        seen.touch()

    seeing = threading.Thread(target=see, daemon=True)
    seeing.start()
    job = processing(world, script, ProcessingOutputConfig={"Outputs": outputs})

    assert job["FailureReason"].endswith("exit code: 3")
    assert world.keys("continuous/") == ["continuous/live/a", "continuous/live/b"]


def test_tags_and_resources_of_a_job_are_shown(world: World) -> None:
    cluster = {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}

    job = processing(
        world,
        SCRIPT,
        Tags=[{"Key": "team", "Value": "search"}],
        ProcessingResources={"ClusterConfig": cluster},
    )

    tags = world.sagemaker.list_tags(ResourceArn=job["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "search"}]
    assert job["ProcessingResources"] == {"ClusterConfig": cluster}
    log = world.aws.sagemaker.log(f"processing-job/{job['ProcessingJobName']}")
    assert "one of 2 instances: the local SageMaker has one machine" in log


def test_a_command_that_does_not_exist_fails_the_job(world: World) -> None:
    application = {"ImageUri": SKLEARN, "ContainerEntrypoint": ["/opt/ml/processing/none.sh"]}

    job = processing(world, "", AppSpecification=application)

    assert "none.sh: No such file or directory, exit code: 127" in job["FailureReason"]


def test_a_command_that_takes_too_long_is_stopped(world: World) -> None:
    job = processing(
        world, "import time\ntime.sleep(60)\n", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )

    assert job["ProcessingJobStatus"] == "Stopped"


def of_input(**members: str) -> dict[str, Any]:
    """Return a processing input of S3."""
    s3_input = {"S3Uri": f"s3://{BUCKET}/a", "S3DataType": "S3Prefix"}
    s3_input["LocalPath"] = "/opt/ml/processing/a"
    return {"InputName": "a", "S3Input": {**s3_input, **members}}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"AppSpecification": {"ImageUri": SKLEARN}}, "ContainerEntrypoint is missing"),
        (
            {"ProcessingInputs": [of_input()] * 2},
            "ProcessingInputs: names must be unique: a, a",
        ),
        (
            {"ProcessingInputs": [of_input(LocalPath="/etc")]},
            "LocalPath must be below /opt/ml/processing/, not '/etc'",
        ),
        (
            {"ProcessingInputs": [of_input(S3CompressionType="Gzip")]},
            r"ProcessingInputs\.1\.member\.S3Input\.S3CompressionType: the local SageMaker",
        ),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(
    world: World, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        processing(world, SCRIPT, **more)
