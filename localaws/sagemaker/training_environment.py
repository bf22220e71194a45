"""What a training script finds in its container: files in `/opt/ml/input/config`, and variables.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localaws.sagemaker.containers.container import ML

HOST = "algo-1"
CODE = f"{ML}/code"

_INPUT, _OUTPUT = f"{ML}/input", f"{ML}/output"
_GROUP = "homogeneousCluster"
# What the toolkits keep for themselves; with other parameters that begin with `sagemaker_`, it is
# no argument of the script.
_OWN = {"default_user_module_name", "_tuning_objective_metric"}
_PREFIX = "sagemaker_"
# Members of SM_TRAINING_ENV alone, or under another name.
_NO_VARIABLES = {
    "additional_framework_parameters",
    "channel_input_dirs",
    "distribution_hosts",
    "hyperparameters",
    "is_master",
    "is_smddpmprun_installed",
    "is_smddprun_installed",
    "job_name",
    "master_hostname",
    "topology",
}
_MODULES = {
    "sagemaker-scikit-learn": "sagemaker_sklearn_container.training:main",
    "pytorch-training": "sagemaker_pytorch_container.training:main",
}


class TrainingEnvironment:
    """The environment of one training job.

    Args:
        request: CreateTrainingJob's.
        arn: The job's ARN.
        family: Of its image, e.g. `pytorch-training`.
        region: The job's.
    """

    def __init__(self, request: Mapping[str, Any], arn: str, family: str, region: str) -> None:
        self._request = request
        self._arn = arn
        self._family = family
        self._region = region
        self._raw: Mapping[str, str] = request.get("HyperParameters", {})
        values = {name: _value(text) for name, text in self._raw.items()}
        self._own = {name: value for name, value in values.items() if _is_own(name)}
        self._hyperparameters = {name: values[name] for name in values if name not in self._own}
        self._channels = {
            channel["ChannelName"]: {
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
                "TrainingInputMode": channel.get("InputMode")
                or request["AlgorithmSpecification"]["TrainingInputMode"],
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            }
            for channel in request.get("InputDataConfig", ())
        }
        instance = request["ResourceConfig"].get("InstanceType", "")
        group = {"instance_group_name": _GROUP, "instance_type": instance, "hosts": [HOST]}
        self._resources = {
            "current_host": HOST,
            "current_instance_type": instance,
            "current_group_name": _GROUP,
            "hosts": [HOST],
            "instance_groups": [group],
            "network_interface_name": "lo",
        }

    @property
    def program(self) -> str:
        """The script's path in its source directory; empty if the job names none."""
        environment = self._request.get("Environment", {})
        return str(self._own.get("sagemaker_program") or environment.get("SAGEMAKER_PROGRAM", ""))

    @property
    def source(self) -> str:
        """Where the source directory is; empty if the job does not say it."""
        environment = self._request.get("Environment", {})
        name = "sagemaker_submit_directory"
        return str(self._own.get(name) or environment.get(name.upper(), ""))

    @property
    def arguments(self) -> list[str]:
        """The script's arguments: the hyperparameters, by name."""
        words = []
        for name, value in sorted(self._hyperparameters.items()):
            words.append(f"--{name}" if len(name) > 1 else f"-{name}")
            if isinstance(value, dict):
                words.append(",".join(f"{key}={one}" for key, one in sorted(value.items())))
            else:
                words.append("" if value is None else str(value))
        return words

    def write_configuration(self, directory: Path) -> None:
        """Write the files of `/opt/ml/input/config` into a directory, which is made."""
        directory.mkdir(parents=True)
        for name, content in (
            ("hyperparameters", dict(self._raw)),
            ("inputdataconfig", self._channels),
            ("resourceconfig", self._resources),
        ):
            (directory / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")

    def variables(self) -> dict[str, str]:
        """Return the variables of the script's process."""
        name = self._request["TrainingJobName"]
        directories = {channel: f"{_INPUT}/data/{channel}" for channel in self._channels}
        training = self._training_environment(name, directories)
        shown = training | {
            "hps": self._hyperparameters,
            "framework_params": training["additional_framework_parameters"],
            "channels": sorted(self._channels),
            "user_args": self.arguments,
            "training_env": training,
            **{f"channel_{channel}": path for channel, path in directories.items()},
            **{f"hp_{key}": value for key, value in self._hyperparameters.items()},
        }
        return {
            **self._request.get("Environment", {}),
            **{f"SM_{key.upper()}": _text(shown[key]) for key in shown if key not in _NO_VARIABLES},
            "TRAINING_JOB_NAME": name,
            "TRAINING_JOB_ARN": self._arn,
            "SAGEMAKER_JOB_NAME": str(self._own.get("sagemaker_job_name", "")),
            "SAGEMAKER_REGION": str(self._own.get("sagemaker_region", self._region)),
            "CURRENT_HOST": HOST,
            "PYTHONPATH": CODE,
        }

    def _training_environment(self, name: str, channels: Mapping[str, str]) -> dict[str, Any]:
        """Return what the toolkit calls the training environment, as in SM_TRAINING_ENV."""
        module = self.program.removesuffix(".py")
        group = self._resources["instance_groups"][0]
        return {
            "additional_framework_parameters": {
                key: value for key, value in self._own.items() if key not in _TOOLKIT
            },
            "channel_input_dirs": dict(channels),
            "current_host": HOST,
            "current_instance_group": _GROUP,
            "current_instance_group_hosts": [HOST],
            "current_instance_type": self._resources["current_instance_type"],
            "distribution_hosts": [],
            "distribution_instance_groups": [],
            "framework_module": _MODULES[self._family],
            "hosts": [HOST],
            "hyperparameters": self._hyperparameters,
            "input_config_dir": f"{_INPUT}/config",
            "input_data_config": self._channels,
            "input_dir": _INPUT,
            "instance_groups": [_GROUP],
            "instance_groups_dict": {_GROUP: group},
            "is_hetero": False,
            "is_master": True,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "job_name": name,
            "log_level": self._own.get("sagemaker_container_log_level", 20),
            "master_hostname": HOST,
            "model_dir": f"{ML}/model",
            "module_dir": self.source or CODE,
            "module_name": module,
            "network_interface_name": self._resources["network_interface_name"],
            "num_cpus": os.cpu_count() or 1,
            "num_gpus": 0,
            "num_neurons": 0,
            "output_data_dir": f"{_OUTPUT}/data",
            "output_dir": _OUTPUT,
            "output_intermediate_dir": f"{_OUTPUT}/intermediate",
            "resource_config": self._resources,
            "topology": [],
            "user_entry_point": self.program,
        }


_TOOLKIT = {
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_s3_output",
    *_OWN,
}


def _is_own(name: str) -> bool:
    return name in _OWN or name.startswith(_PREFIX)


def _value(text: str) -> Any:
    """Return a hyperparameter's value: the SDK writes them as JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    """Return a variable's text, as the toolkit writes it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
