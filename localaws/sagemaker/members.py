"""The members of create requests that the local SageMaker serves; all others are refused by name.

What botocore's model of a later version adds is refused too, until it is served here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localaws.sagemaker.errors import invalid
from localaws.sagemaker.registry import (
    MODEL,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    ResourceType,
)

_S3_SOURCE = "DataSource.S3DataSource"

SERVED: Mapping[ResourceType, frozenset[str]] = {
    TRAINING_JOB: frozenset(
        {
            *("TrainingJobName", "HyperParameters", "RoleArn", "Environment", "Tags"),
            *("AlgorithmSpecification.TrainingImage", "AlgorithmSpecification.TrainingInputMode"),
            "AlgorithmSpecification.MetricDefinitions",
            "AlgorithmSpecification.ContainerEntrypoint",
            "AlgorithmSpecification.ContainerArguments",
            *("InputDataConfig.ChannelName", "InputDataConfig.ContentType"),
            *("InputDataConfig.InputMode", "InputDataConfig.RecordWrapperType"),
            "InputDataConfig.CompressionType",
            f"InputDataConfig.{_S3_SOURCE}.S3DataType",
            f"InputDataConfig.{_S3_SOURCE}.S3Uri",
            f"InputDataConfig.{_S3_SOURCE}.S3DataDistributionType",
            "OutputDataConfig",
            *("ResourceConfig.InstanceType", "ResourceConfig.InstanceCount"),
            *("StoppingCondition.MaxRuntimeInSeconds", "StoppingCondition.MaxWaitTimeInSeconds"),
            *("CheckpointConfig", "EnableManagedSpotTraining"),
        }
    ),
    PROCESSING_JOB: frozenset(
        {
            *("ProcessingJobName", "AppSpecification", "RoleArn", "Environment", "Tags"),
            *("ProcessingInputs.InputName", "ProcessingInputs.S3Input.S3Uri"),
            *("ProcessingInputs.S3Input.LocalPath", "ProcessingInputs.S3Input.S3DataType"),
            "ProcessingInputs.S3Input.S3InputMode",
            "ProcessingInputs.S3Input.S3DataDistributionType",
            "ProcessingOutputConfig.Outputs.OutputName",
            "ProcessingOutputConfig.Outputs.S3Output",
            "ProcessingOutputConfig.KmsKeyId",
            "ProcessingResources.ClusterConfig.InstanceCount",
            "ProcessingResources.ClusterConfig.InstanceType",
            "StoppingCondition",
        }
    ),
    TRANSFORM_JOB: frozenset(
        {
            *("TransformJobName", "ModelName", "MaxConcurrentTransforms", "ModelClientConfig"),
            *("MaxPayloadInMB", "BatchStrategy", "Environment", "Tags", "DataProcessing"),
            *("TransformInput", "TransformOutput"),
            *("TransformResources.InstanceType", "TransformResources.InstanceCount"),
        }
    ),
    MODEL: frozenset(
        {"ModelName", "ExecutionRoleArn", "Tags"}
        | {
            f"{container}.{member}"
            for container in ("PrimaryContainer", "Containers")
            for member in ("Image", "Mode", "ModelDataUrl", "Environment", "ModelDataSource")
        }
    ),
}
"""Type → the paths of its members, without the numbers of lists; a path has all below it."""

WITHOUT_EFFECT: Mapping[ResourceType, frozenset[str]] = {
    TRAINING_JOB: frozenset(
        {
            *("VpcConfig", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"),
            *("ResourceConfig.VolumeSizeInGB", "ResourceConfig.VolumeKmsKeyId"),
            *("StoppingCondition.MaxPendingTimeInSeconds", "RetryStrategy", "InfraCheckConfig"),
            # The SDK's estimators send these.
            *("DebugHookConfig", "ProfilerConfig"),
            "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries",
        }
    ),
    PROCESSING_JOB: frozenset(
        {
            *("NetworkConfig", "ProcessingResources.ClusterConfig.VolumeSizeInGB"),
            "ProcessingResources.ClusterConfig.VolumeKmsKeyId",
        }
    ),
    TRANSFORM_JOB: frozenset(
        {"TransformResources.VolumeKmsKeyId", "TransformResources.TransformAmiVersion"}
    ),
    MODEL: frozenset(
        {
            *("VpcConfig", "EnableNetworkIsolation"),
            *("PrimaryContainer.ContainerHostname", "Containers.ContainerHostname"),
        }
    ),
}
"""The same of members about the network and the machines, which one machine need not heed."""


def check_members(type_: ResourceType, request: Mapping[str, Any]) -> None:
    """Refuse a create request with a member that would be ignored.

    Raises:
        ServiceError: ValidationException that names the first one.
    """
    known = SERVED[type_] | WITHOUT_EFFECT[type_]
    for member in _unknown(request, known, path="", shown=""):
        raise invalid(f"{member}: the local SageMaker does not serve this member; leave it out")


def _unknown(value: Any, known: frozenset[str], *, path: str, shown: str) -> Iterator[str]:
    """Yield the members of a value at a path that are not known, as they are shown to people."""
    prefix, shown_prefix = (f"{path}.", f"{shown}.") if path else ("", "")
    if path in known or _is_nothing(value):
        return
    if not any(each.startswith(prefix) for each in known):
        yield shown
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from _unknown(item, known, path=path, shown=f"{shown_prefix}{number}.member")
    else:
        for name, member in value.items():
            yield from _unknown(member, known, path=prefix + name, shown=shown_prefix + name)


def _is_nothing(value: Any) -> bool:
    """Return whether a value asks for nothing, e.g. `{"EnableRemoteDebug": False}`."""
    if isinstance(value, Mapping):
        return all(map(_is_nothing, value.values()))
    return value in (None, False, "None", "", [])
