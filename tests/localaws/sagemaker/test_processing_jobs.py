"""Processing jobs: inputs, arguments, outputs, and how they end."""

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


def test_a_command_that_does_not_exist_fails_the_job(world: World) -> None:
    application = {"ImageUri": SKLEARN, "ContainerEntrypoint": ["/opt/ml/processing/none.sh"]}

    job = processing(world, "", AppSpecification=application)

    assert "none.sh: No such file or directory, exit code: 127" in job["FailureReason"]


def test_a_command_that_takes_too_long_is_stopped(world: World) -> None:
    job = processing(
        world, "import time\ntime.sleep(60)\n", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )

    assert job["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"AppSpecification": {"ImageUri": SKLEARN}}, "ContainerEntrypoint is missing"),
        (
            {
                "ProcessingInputs": [
                    {
                        "InputName": "a",
                        "S3Input": {
                            "S3Uri": f"s3://{BUCKET}/a",
                            "LocalPath": "/etc",
                            "S3DataType": "S3Prefix",
                        },
                    }
                ]
            },
            "LocalPath must be below /opt/ml/processing/, not '/etc'",
        ),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(
    world: World, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        processing(world, SCRIPT, **more)
