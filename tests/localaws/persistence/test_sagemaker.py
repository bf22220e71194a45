"""Jobs and models outlive a restart of the served AWS."""

import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from localaws.aws import LocalAws
from localaws.persistence.documents import Documents
from tests.localaws.sagemaker.world import ACCOUNT, REGION, World

WRITES = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/model', 'w').write('7')\n"
SLEEPS = "import time\nprint('on')\ntime.sleep(120)\n"


def served(directory: Path) -> LocalAws:
    return LocalAws(directory=directory / "aws", account=ACCOUNT, region=REGION)


def test_jobs_models_and_tags_outlive_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as aws:
        world = World(aws)
        job = world.train(WRITES, Tags=[{"Key": "team", "Value": "search"}])
        model = world.model(job["ModelArtifacts"]["S3ModelArtifacts"], {"inference.py": ""})

    with served(tmp_path) as aws:
        client = aws.client("sagemaker")
        again = client.describe_training_job(TrainingJobName=job["TrainingJobName"])
        tags = client.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
        models = client.list_models()["Models"]
        counts = aws.counts()

    for described in (job, again):
        described.pop("ResponseMetadata")
    assert again == job
    assert tags == [{"Key": "team", "Value": "search"}]
    assert [one["ModelName"] for one in models] == [model]
    assert counts["model"] == 1


def test_a_job_is_stopped_when_the_server_closes(tmp_path: Path) -> None:
    with served(tmp_path) as aws:
        world = World(aws)
        request = world.training(SLEEPS, TrainingJobName="nightly")
        del request["InputDataConfig"]
        world.sagemaker.create_training_job(**request)
        world.until_logged("nightly", "on")

    with served(tmp_path) as aws:
        job = aws.client("sagemaker").describe_training_job(TrainingJobName="nightly")

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_a_job_of_a_server_that_was_killed_has_failed_and_its_process_is_ended(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as aws:
        world = World(aws)
        request = world.training(SLEEPS, TrainingJobName="nightly")
        del request["InputDataConfig"]
        world.sagemaker.create_training_job(**request)
        world.until_logged("nightly", "on")
        (document,) = dict(documents(tmp_path)).values()
    # As the file was while the job ran; its process still runs in this test.
    directory = str(tmp_path / "aws/sagemaker/training-job/nightly/python")
    left = psutil.Popen([sys.executable, "-c", SLEEPS, directory], start_new_session=True)
    kept = Documents(tmp_path / "aws/aws.sqlite")
    kept.put("sagemaker training-job", "nightly", {**document, "process": left.pid})
    kept.close()

    with served(tmp_path) as aws:
        job = aws.client("sagemaker").describe_training_job(TrainingJobName="nightly")
        with pytest.raises(ClientError, match="ResourceInUse"):
            aws.client("sagemaker").create_training_job(**request)

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"].startswith("InternalServerError: the local SageMaker ended")
    assert left.wait(5) == -9


def documents(directory: Path) -> list[tuple[str, dict[str, Any]]]:
    kept = Documents(directory / "aws/aws.sqlite")
    try:
        return list(kept.all("sagemaker training-job"))
    finally:
        kept.close()
