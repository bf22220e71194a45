"""SageMaker's models: runs make them, and delete them unless they fail; here they are deleted."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from workflow.deployment.adapters.adapter import Adapter, unless_absent
from workflow.deployment.resources import Resource


class Model(Adapter):
    """AWS::SageMaker::Model."""

    service = "sagemaker"
    properties = frozenset({"ModelName"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        # SageMaker has no error of its own for a model that does not exist.
        absent, name = "ValidationException", resource.name
        found = unless_absent(self.client.describe_model, absent, ModelName=name)
        if found is None:
            return None
        tags = self.client.list_tags(ResourceArn=found["ModelArn"])["Tags"]
        return {"ModelName": name, "Tags": tags}

    def create(self, resource: Resource) -> None:
        raise NotImplementedError("runs make models")

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        raise NotImplementedError("runs make models")

    def delete(self, resource: Resource) -> None:
        self.client.delete_model(ModelName=resource.name)
