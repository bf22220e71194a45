"""Models: an image, an archive on S3 and variables, by which transform jobs make predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from localaws.sagemaker.channels import Location
from localaws.sagemaker.containers.images import find_image
from localaws.sagemaker.errors import invalid
from localaws.sagemaker.jobs import Backend
from localaws.sagemaker.members import check_members
from localaws.sagemaker.registry import MODEL


class Models:
    """Operations on models.

    Args:
        backend: What all resources share.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry = backend.registry

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        container = _container(request)
        check_members(MODEL, request)
        find_image(container["Image"], region=self._backend.region, job="inference")
        if "ExecutionRoleArn" not in request:
            raise invalid("ExecutionRoleArn is missing")
        self._backend.check_role(request["ExecutionRoleArn"])
        self._check_data(container, request["ExecutionRoleArn"])
        with self._registry.lock:
            name = request["ModelName"]
            if self._registry.find(MODEL, name):
                arn = self._registry.arn(MODEL, name)
                raise invalid(f'Cannot create already existing model "{arn}".')
            defaults = {"EnableNetworkIsolation": False}
            model = self._registry.create(MODEL, {**defaults, **request})
        return {"ModelArn": model.arn}

    def describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._registry.describe(MODEL, request["ModelName"])

    def list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._registry.listed(MODEL, request)

    def delete_model(self, request: dict[str, Any]) -> None:
        self._registry.delete(self._registry.get(MODEL, request["ModelName"]))

    def _check_data(self, container: Mapping[str, Any], role: str) -> None:
        """Refuse a model whose archive does not exist, as AWS does when a model is created."""
        location, is_folder = model_data(container)
        if location is None:
            return
        s3 = self._backend.s3(role)
        try:
            found = s3.list_objects_v2(Bucket=location.bucket, Prefix=location.key)
            keys = [entry["Key"] for entry in found.get("Contents", ())]
        except ClientError:
            keys = []
        if not (keys if is_folder else location.key in keys):
            raise invalid(
                f"Could not find model data at {location}. Please make sure that the role"
                f" {role} exists, that it may read the object, and that a training has left a model"
                " there"
            )


def model_data(container: Mapping[str, Any]) -> tuple[Location | None, bool]:
    """Return where a model's files are, and whether that is a folder and not an archive.

    Raises:
        ServiceError: ValidationException if it is neither.
    """
    if "ModelDataSource" in container:
        source = container["ModelDataSource"]["S3DataSource"]
        member = "ModelDataSource.S3DataSource.S3Uri"
        archived = (source["S3DataType"], source["CompressionType"])
        if archived not in {("S3Prefix", "None"), ("S3Object", "Gzip")}:
            raise invalid(
                "ModelDataSource.S3DataSource: the local SageMaker has S3Prefix with the"
                f" CompressionType None, and S3Object with Gzip, not {' with '.join(archived)}"
            )
        return Location.parse(source["S3Uri"], member), source["S3DataType"] == "S3Prefix"
    if "ModelDataUrl" in container:
        return Location.parse(container["ModelDataUrl"], "ModelDataUrl"), False
    return None, False


def _container(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one container of a model."""
    containers = [
        *([request["PrimaryContainer"]] if "PrimaryContainer" in request else []),
        *request.get("Containers", ()),
    ]
    if len(containers) != 1:
        raise invalid(
            "the local SageMaker serves models with one container: give PrimaryContainer, and no"
            " inference pipeline in Containers"
        )
    container: Mapping[str, Any] = containers[0]
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise invalid("Mode: the local SageMaker serves SingleModel alone")
    if "Image" not in container:
        raise invalid(
            "PrimaryContainer.Image is missing: the local SageMaker knows no model packages"
        )
    return container
