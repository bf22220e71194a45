"""A local AWS with a bucket and a role of SageMaker, and what its jobs are made of."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from localaws.aws import LocalAws

ACCOUNT, REGION, BUCKET = "210987654321", "ap-northeast-1", "models"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
SKLEARN = f"354813040037.dkr.ecr.{REGION}.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
INSTANCE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
ENDED = {"Completed", "Failed", "Stopped"}


def tar(files: Mapping[str, str | bytes]) -> bytes:
    """Return the bytes of a tar.gz: path inside → content."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as opened:
        for path, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(path)
            entry.size = len(body)
            opened.addfile(entry, io.BytesIO(body))
    return archive.getvalue()


class World:
    """A local AWS, by the names of its parts."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.s3, self.sagemaker = aws.client("s3"), aws.client("sagemaker")
        where = {"LocationConstraint": REGION}
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        aws.client("iam").create_role(
            RoleName="sagemaker", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        self._jobs = 0

    def name(self) -> str:
        self._jobs += 1
        return f"job-{self._jobs}"

    def put(self, key: str, body: str | bytes) -> str:
        """Write an object; return its URL."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", ())]

    def files(self, key: str) -> dict[str, bytes]:
        """Return the files of a tar.gz on S3."""
        with tarfile.open(fileobj=io.BytesIO(self.get(key))) as archive:
            members = [member for member in archive if member.isfile()]
            return {one.name: archive.extractfile(one).read() for one in members}  # type: ignore[union-attr]

    def training(
        self,
        script: str,
        *,
        files: Mapping[str, str | bytes] | None = None,
        channels: Mapping[str, str] | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Return a request to train by a script, in the form of the SageMaker SDK."""
        name = more.pop("TrainingJobName", None) or self.name()
        source = self.put(f"source/{name}.tar.gz", tar({"train.py": script, **(files or {})}))
        parameters = {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": source,
            "sagemaker_container_log_level": 20,
            "sagemaker_region": REGION,
            **(hyperparameters or {}),
        }
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": SKLEARN, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "HyperParameters": {key: json.dumps(value) for key, value in parameters.items()},
            "InputDataConfig": [
                {
                    "ChannelName": channel,
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": url,
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
                for channel, url in (channels or {}).items()
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
            "ResourceConfig": INSTANCE,
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **more,
        }

    def train(self, script: str, **more: Any) -> dict[str, Any]:
        """Train by a script to the end, and return the job's description."""
        request = self.training(script, **more)
        if not request["InputDataConfig"]:
            del request["InputDataConfig"]
        self.sagemaker.create_training_job(**request)
        return self.ended("TrainingJob", request["TrainingJobName"])

    def ended(self, kind: str, name: str) -> dict[str, Any]:
        """Return the description of a job once it has ended."""
        operation = {
            "TrainingJob": self.sagemaker.describe_training_job,
            "ProcessingJob": self.sagemaker.describe_processing_job,
            "TransformJob": self.sagemaker.describe_transform_job,
        }[kind]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            described: dict[str, Any] = operation(**{f"{kind}Name": name})
            if described[f"{kind}Status"] in ENDED:
                return described
            time.sleep(0.02)
        raise AssertionError(described)

    def log(self, name: str) -> str:
        """Return a training job's log, with `/opt/ml` also on a machine without namespaces."""
        log: str = self.aws.sagemaker.log(f"training-job/{name}")
        return re.sub(rf"/[^\s\"']*/training-job/{name}/ml\b", "/opt/ml", log)

    def logged(self, name: str, group: str = "TrainingJobs") -> list[str]:
        """Return the messages that CloudWatch has of a job."""
        logs, group = self.aws.client("logs"), f"/aws/sagemaker/{group}"
        with suppress(logs.exceptions.ResourceNotFoundException):
            found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")
            return [event["message"] for event in found["events"]]
        return []

    def until_delivered(self, name: str, group: str = "TrainingJobs") -> list[str]:
        """Return the messages that CloudWatch has of a job, when it has the first."""
        deadline = time.monotonic() + 30
        while not (messages := self.logged(name, group)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return messages

    def until_logged(self, name: str, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.aws.sagemaker.log(name):
            assert time.monotonic() < deadline, self.aws.sagemaker.log(name)
            time.sleep(0.02)

    def model(self, url: str | None, files: Mapping[str, str | bytes], **more: Any) -> str:
        """Create a model of an archive and an inference script; return its name."""
        name = self.name()
        source = self.put(f"source/{name}.tar.gz", tar(files))
        environment = {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": source,
            **more.pop("Environment", {}),
        }
        container = {"Image": SKLEARN, "Environment": environment, **more}
        if url:
            container["ModelDataUrl"] = url
        self.sagemaker.create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE
        )
        return name

    def transform(self, model: str, source: str, **more: Any) -> dict[str, Any]:
        """Transform what is at a URL to the end, and return the job's description."""
        name = self.name()
        given = {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "application/json",
            "SplitType": "Line",
            **more.pop("TransformInput", {}),
        }
        output = {
            "S3OutputPath": f"s3://{BUCKET}/transformed/{name}",
            "AssembleWith": "Line",
            **more.pop("TransformOutput", {}),
        }
        self.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput=given,
            TransformOutput=output,
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        )
        return self.ended("TransformJob", name)

    def transformed(self, described: Mapping[str, Any]) -> dict[str, str]:
        """Return the output of a transform job: name → text."""
        prefix = f"transformed/{described['TransformJobName']}/"
        return {key.removeprefix(prefix): self.get(key).decode() for key in self.keys(prefix)}
