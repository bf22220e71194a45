"""Training jobs: a script is run by an image's toolkit, and leaves a model on S3.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from signal import SIGKILL
from typing import Any

from backports import tarfile

from localaws.process_groups import exit_code
from localaws.sagemaker.channels import (
    Location,
    download,
    encryption,
    extract,
    find_of_source,
    synchronized,
    upload_archive,
    upload_directory,
)
from localaws.sagemaker.containers.container import ML, Container
from localaws.sagemaker.containers.images import Image, find_image
from localaws.sagemaker.errors import JobFailedError, invalid
from localaws.sagemaker.jobs import MAX_RUNTIME_EXCEEDED, Jobs, Run, error_in
from localaws.sagemaker.metrics import check_definitions, final_metrics
from localaws.sagemaker.registry import TRAINING_JOB
from localaws.sagemaker.training_environment import CODE, TrainingEnvironment

_DAY = 86_400
_CHECKPOINTS = f"{ML}/checkpoints"
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    MAX_RUNTIME_EXCEEDED: "Training job runtime exceeded MaxRuntimeInSeconds",
    "Failed": "Training job failed",
}


# What the toolkit takes each SIGKILL for:
# https://github.com/aws/sagemaker-training-toolkit/blob/master/src/sagemaker_training/process.py
_OUT_OF_MEMORY = "OutOfMemory: Process killed by SIGKILL (signal 9)"


class TrainingJobs(Jobs):
    """Operations on training jobs."""

    type = TRAINING_JOB
    log_group = "/aws/sagemaker/TrainingJobs"

    def _check(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        algorithm = request.get("AlgorithmSpecification", {})
        if "TrainingImage" not in algorithm:
            raise invalid(
                "AlgorithmSpecification.TrainingImage is missing: the local SageMaker runs scripts"
                " in images of AWS, no algorithms by name"
            )
        find_image(algorithm["TrainingImage"], region=self._backend.region, job="training")
        if algorithm.get("ContainerArguments") and not algorithm.get("ContainerEntrypoint"):
            raise invalid(
                "AlgorithmSpecification.ContainerArguments: the local SageMaker passes them to a"
                " ContainerEntrypoint alone; a script has HyperParameters"
            )
        check_definitions(algorithm.get("MetricDefinitions", ()))
        if "InstanceType" not in request.get("ResourceConfig", {}):
            raise invalid("ResourceConfig.InstanceType is missing")
        _check_channels(request, algorithm["TrainingInputMode"])
        Location.parse(request["OutputDataConfig"]["S3OutputPath"], "OutputDataConfig.S3OutputPath")
        if config := request.get("CheckpointConfig"):
            Location.parse(config["S3Uri"], "CheckpointConfig.S3Uri")
            if not config.get("LocalPath", _CHECKPOINTS).startswith(f"{ML}/"):
                raise invalid(f"CheckpointConfig.LocalPath must be below {ML}/")
        self._backend.check_role(request["RoleArn"])
        return {
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
            **request,
            "StoppingCondition": _stopping_condition(request),
        }

    def _phase(
        self, phase: str, details: Mapping[str, Any], message: str = ""
    ) -> Mapping[str, Any]:
        if not phase:
            return {}
        now = self._backend.clock()
        transitions = [dict(one) for one in details.get("SecondaryStatusTransitions", ())]
        if transitions:
            transitions[-1]["EndTime"] = now
        text = message or _MESSAGES[phase]
        transitions.append({"Status": phase, "StartTime": now, "StatusMessage": text})
        return {"SecondaryStatus": phase, "SecondaryStatusTransitions": transitions}

    def _work(self, run: Run) -> None:
        request, s3 = run.request, self._backend.s3(run.request["RoleArn"])
        image_uri = request["AlgorithmSpecification"]["TrainingImage"]
        image = find_image(image_uri, region=self._backend.region, job="training")
        container = self._container(run, image)
        self._update(run, "Downloading", {})
        self._download_channels(run, container, s3)
        checkpoints = request.get("CheckpointConfig")
        following: AbstractContextManager[None] = nullcontext()
        if checkpoints:
            directory = container.host(checkpoints.get("LocalPath", _CHECKPOINTS))
            location = Location.parse(checkpoints["S3Uri"], "CheckpointConfig.S3Uri")
            following = synchronized(s3, directory, location)
        with following:
            status, command = self._train(run, container, image, s3)
        self._upload(run, container, s3, has_failed=status != 0 and not run.ending)
        if status and not run.ending:
            raise JobFailedError(_reason(container, status, command))

    def _download_channels(self, run: Run, container: Container, s3: Any) -> None:
        for number, channel in enumerate(run.request.get("InputDataConfig", ()), start=1):
            run.check()
            objects = find_of_source(
                s3,
                channel["DataSource"]["S3DataSource"],
                member=f"InputDataConfig.{number}.member.DataSource.S3DataSource.S3Uri",
                role=run.request["RoleArn"],
                region=self._backend.region,
            )
            download(s3, objects, container.host(f"{ML}/input/data/{channel['ChannelName']}"))

    def _train(self, run: Run, container: Container, image: Image, s3: Any) -> tuple[int, str]:
        """Run the script; return its exit status, and its command."""
        request = run.request
        environment = TrainingEnvironment(
            request, run.resource.arn, image.family, self._backend.region
        )
        environment.write_configuration(container.host(f"{ML}/input/config"))
        for name in ("model", "output/data", "code", "checkpoints"):
            container.host(f"{ML}/{name}").mkdir(parents=True, exist_ok=True)
        algorithm = request["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint")
        requirements = None
        if entrypoint:
            words = [*entrypoint, *algorithm.get("ContainerArguments", ())]
        else:
            words = self._script(container, environment, s3)
            file = container.host(f"{CODE}/requirements.txt")
            requirements = file if file.exists() else None
        container.note_instances(request["ResourceConfig"].get("InstanceCount", 1))
        run.check()
        self._update(run, "Training", {})
        variables = environment.variables()
        seconds = request["StoppingCondition"]["MaxRuntimeInSeconds"]

        def start() -> Any:
            return container.start(words, variables, directory=CODE, requirements=requirements)

        return self._wait(run, start, seconds), shlex.join(words)

    def _script(self, container: Container, environment: TrainingEnvironment, s3: Any) -> list[str]:
        """Fetch the source directory, and return the command that runs its script."""
        program, source = environment.program, environment.source
        if not program:
            raise JobFailedError(
                "AlgorithmError: ClientError: The training entry point name is empty. Set the"
                " 'sagemaker_program' hyperparameter to the name of the script, and"
                " 'sagemaker_submit_directory' to the s3:// URL of the tar.gz that has it,"
                " exit code: 1"
            )
        code = container.host(CODE)
        if source.startswith("s3://"):
            extract(s3, Location.parse(source, "sagemaker_submit_directory"), code)
        elif source.startswith(f"{ML}/input/"):
            _unpack_local(container.host(source), code)
        script = code / program
        if not script.resolve().is_relative_to(code.resolve()) or not script.is_file():
            there = ", ".join(sorted(path.name for path in code.iterdir())) or "nothing"
            raise JobFailedError(
                f"AlgorithmError: ClientError: there is no {program} in {source or CODE}; it has"
                f" {there}, exit code: 1"
            )
        if (code / "setup.py").exists():
            module = program.removesuffix(".py").replace("/", ".")
            return ["python", "-m", module, *environment.arguments]
        if program.endswith(".py"):
            return ["python", program, *environment.arguments]
        script.chmod(0o755)
        return ["/bin/sh", "-c", shlex.join([f"./{program}", *environment.arguments])]

    def _upload(self, run: Run, container: Container, s3: Any, *, has_failed: bool) -> None:
        """Write the model, unless the script failed, and its further output to S3."""
        self._update(run, "Uploading", {})
        request, config = run.request, run.request["OutputDataConfig"]
        path = Location.parse(config["S3OutputPath"], "OutputDataConfig.S3OutputPath")
        output = path / f"{request['TrainingJobName']}/output"
        extra = encryption(config)
        upload_archive(s3, container.host(f"{ML}/output/data"), output / "output.tar.gz", extra)
        definitions = request["AlgorithmSpecification"].get("MetricDefinitions", ())
        metrics = final_metrics(definitions, container.lines_of_log(), self._backend.clock())
        details: dict[str, Any] = {"FinalMetricDataList": metrics} if metrics else {}
        if not has_failed:
            model = container.host(f"{ML}/model")
            if config.get("CompressionType") == "NONE":
                artifacts = f"{output / 'model'}/"
                written = upload_directory(s3, model, output / "model", extra)
            else:
                artifacts = str(output / "model.tar.gz")
                written = upload_archive(s3, model, output / "model.tar.gz", extra)
            details["ModelArtifacts"] = {"S3ModelArtifacts": artifacts}
            if not written:
                container.note("/opt/ml/model is empty: the job leaves no model")
        self._update(run, "", details)

    def _finish(self, run: Run, outcome: str, details: dict[str, Any]) -> None:
        job = self._registry.find(self.type, run.resource.name)
        if job is None:
            return
        started = job.details.get("TrainingStartTime", job.details["CreationTime"])
        seconds = max(1, round((details["TrainingEndTime"] - started).total_seconds()))
        details |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        phase = MAX_RUNTIME_EXCEEDED if run.ending == MAX_RUNTIME_EXCEEDED else outcome
        self._update(run, phase, details, details.get("FailureReason", ""))


def _check_channels(request: Mapping[str, Any], mode: str) -> None:
    """Refuse channels that a script cannot read here."""
    for number, channel in enumerate(request.get("InputDataConfig", ()), start=1):
        member = f"InputDataConfig.{number}.member"
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid(f"{member}.DataSource: the local SageMaker reads S3DataSource alone")
        Location.parse(source["S3Uri"], f"{member}.DataSource.S3DataSource.S3Uri")
        if source["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
            raise invalid(
                f"{member}.DataSource.S3DataSource.S3DataType: the local SageMaker reads S3Prefix"
                f" and ManifestFile, not {source['S3DataType']}"
            )
        if channel.get("InputMode", mode) == "Pipe":
            raise invalid(f"{member}: the local SageMaker has the input mode File, not Pipe")
        if channel.get("CompressionType", "None") != "None":
            raise invalid(
                f"{member}.CompressionType: channels are decompressed in the input mode Pipe alone;"
                " leave it out, and let the script decompress"
            )
        if channel.get("RecordWrapperType", "None") != "None":
            raise invalid(f"{member}.RecordWrapperType: RecordIO is for the input mode Pipe")
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    if len(names) != len(set(names)):
        raise invalid(f"InputDataConfig: channel names must be unique: {', '.join(names)}")


def _stopping_condition(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the stopping condition of a job, checked as AWS does."""
    condition = {"MaxRuntimeInSeconds": _DAY, **request.get("StoppingCondition", {})}
    longest = condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if longest is None:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to"
                " MaxRuntimeInSeconds"
            )
        if longest < condition["MaxRuntimeInSeconds"]:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be greater than or equal to"
                f" MaxRuntimeInSeconds ({condition['MaxRuntimeInSeconds']}), not {longest}"
            )
    elif longest is not None:
        raise invalid(
            "MaxWaitTimeInSeconds is for jobs with EnableManagedSpotTraining; leave it out"
        )
    return condition


def _unpack_local(source: Path, code: Path) -> None:
    """Copy a source directory, or unpack an archive, of an input channel."""
    if source.is_dir():
        shutil.copytree(source, code, dirs_exist_ok=True)
    elif source.is_file():
        with tarfile.open(source) as archive:
            archive.extractall(code, filter="data")


def _reason(container: Container, status: int, command: str) -> str:
    """Return the FailureReason of a script's exit: what it wrote itself, or its log's last error.

    In the form of the toolkit and of SageMaker.
    """
    written = container.host(f"{ML}/output/failure")
    if written.is_file() and (text := written.read_text(errors="replace").strip()):
        return f"AlgorithmError: {text[:900]}, exit code: {status}"
    killed = f'\nExtraInfo "{_OUT_OF_MEMORY}"' if status == exit_code(-SIGKILL) else ""
    return (
        f"AlgorithmError: ExecuteUserScriptError:\nExitCode {status}\nErrorMessage"
        f' "{error_in(container)[:600]}"{killed}\nCommand "{command[:250]}", exit code: {status}'
    )
