"""Processing jobs: a command in an image, with files from S3 before it and to S3 after it.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from localaws.sagemaker.channels import (
    Location,
    copied,
    download,
    encryption,
    find_of_source,
    upload_directory,
)
from localaws.sagemaker.containers.container import ML, Container
from localaws.sagemaker.containers.images import find_image
from localaws.sagemaker.errors import JobFailedError, invalid
from localaws.sagemaker.jobs import Jobs, Run, error_in
from localaws.sagemaker.registry import PROCESSING_JOB
from localaws.sagemaker.training_environment import HOST

_DAY = 86_400
_ROOT = f"{ML}/processing"
_LONGEST_MESSAGE = 1024


class ProcessingJobs(Jobs):
    """Operations on processing jobs."""

    type = PROCESSING_JOB
    log_group = "/aws/sagemaker/ProcessingJobs"

    def _check(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        application = request["AppSpecification"]
        find_image(application["ImageUri"], region=self._backend.region, job="processing")
        if "ContainerEntrypoint" not in application:
            raise invalid(
                "AppSpecification.ContainerEntrypoint is missing: the images that the local"
                " SageMaker runs have none of their own for processing"
            )
        for number, given in enumerate(request.get("ProcessingInputs", ()), start=1):
            member = f"ProcessingInputs.{number}.member"
            if "S3Input" not in given:
                raise invalid(f"{member}: the local SageMaker reads S3Input alone")
            _check_path(given["S3Input"], f"{member}.S3Input")
            if given["S3Input"].get("S3InputMode", "File") != "File":
                raise invalid(f"{member}.S3Input.S3InputMode: the local SageMaker has File alone")
        for number, output in enumerate(_outputs(request), start=1):
            member = f"ProcessingOutputConfig.Outputs.{number}.member"
            if "S3Output" not in output:
                raise invalid(f"{member}: the local SageMaker writes S3Output alone")
            _check_path(output["S3Output"], f"{member}.S3Output")
        for member, names in {
            "ProcessingInputs": [each["InputName"] for each in request.get("ProcessingInputs", ())],
            "ProcessingOutputConfig.Outputs": [each["OutputName"] for each in _outputs(request)],
        }.items():
            if len(names) != len(set(names)):
                raise invalid(f"{member}: names must be unique: {', '.join(names)}")
        self._backend.check_role(request["RoleArn"])
        condition = {"MaxRuntimeInSeconds": _DAY, **request.get("StoppingCondition", {})}
        return {**request, "StoppingCondition": condition}

    def _work(self, run: Run) -> None:
        request, s3 = run.request, self._backend.s3(run.request["RoleArn"])
        application = request["AppSpecification"]
        image = find_image(application["ImageUri"], region=self._backend.region, job="processing")
        container = self._container(run, image)
        _write_configuration(container, run)
        for number, given in enumerate(request.get("ProcessingInputs", ()), start=1):
            run.check()
            source = given["S3Input"]
            member = f"ProcessingInputs.{number}.member.S3Input.S3Uri"
            objects = find_of_source(
                s3, source, member=member, role=request["RoleArn"], region=self._backend.region
            )
            download(s3, objects, container.host(source["LocalPath"]))
        for output in _outputs(request):
            container.host(output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
        container.host(_ROOT).mkdir(exist_ok=True)
        container.note_instances(request["ProcessingResources"]["ClusterConfig"]["InstanceCount"])
        words = [*application["ContainerEntrypoint"], *application.get("ContainerArguments", ())]
        variables = {
            **request.get("Environment", {}),
            "PROCESSING_JOB_NAME": run.resource.name,
            "PROCESSING_JOB_ARN": run.resource.arn,
        }
        extra = encryption(request.get("ProcessingOutputConfig", {}))
        outputs = [
            (output["S3Output"]["S3UploadMode"], container.host(output["S3Output"]["LocalPath"]),
             Location.parse(output["S3Output"]["S3Uri"], "S3Output.S3Uri"))
            for output in _outputs(request)
        ]  # fmt: skip
        with ExitStack() as copies:
            for mode, directory, location in outputs:
                if mode == "Continuous":
                    copies.enter_context(copied(s3, directory, location, extra))
            status = self._wait(
                run,
                lambda: container.start(words, variables, directory=_ROOT),
                request["StoppingCondition"]["MaxRuntimeInSeconds"],
            )
        for mode, directory, location in outputs:
            if mode == "EndOfJob" and status == 0 and not run.ending:
                upload_directory(s3, directory, location, extra)
        message = container.host(f"{ML}/output/message")
        if message.is_file():
            text = message.read_text(errors="replace")[:_LONGEST_MESSAGE]
            self._update(run, "", {"ExitMessage": text})
        if status and not run.ending:
            reason = error_in(container) or "See job logs for more information"
            raise JobFailedError(f"AlgorithmError: {reason[:900]}, exit code: {status}")


def _outputs(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(request.get("ProcessingOutputConfig", {}).get("Outputs", ()))


def _check_path(place: Mapping[str, Any], member: str) -> None:
    Location.parse(place["S3Uri"], f"{member}.S3Uri")
    path = place.get("LocalPath", "")
    if not path.startswith(f"{_ROOT}/") or ".." in path.split("/"):
        raise invalid(f"{member}.LocalPath must be below {_ROOT}/, not {path!r}")


def _write_configuration(container: Container, run: Run) -> None:
    """Write the files of `/opt/ml/config`."""
    directory = container.host(f"{ML}/config")
    directory.mkdir()
    hosts = {"current_host": HOST, "hosts": [HOST]}
    (directory / "resourceconfig.json").write_text(json.dumps(hosts), encoding="utf-8")
    shown = {"ProcessingJobArn": run.resource.arn} | {
        key: value for key, value in run.request.items() if not key.endswith("Time")
    }
    text = json.dumps(shown, default=str)
    (directory / "processingjobconfig.json").write_text(text, encoding="utf-8")
