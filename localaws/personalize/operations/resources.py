"""Operations that every type of resource has, by its entry in the table of types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from localaws.http.protocol import Operation
from localaws.personalize.backend import Operations, Request, Response, arn_response
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.types import RESOURCE_TYPES, ResourceType


class Resources(Operations):
    """Operations that describe, list, delete and tag resources, and create filters."""

    def by_type(self) -> Mapping[str, Operation]:
        """Return the Describe, List and Delete operations of all types, by their names."""
        operations: dict[str, Operation] = {}
        for type_ in RESOURCE_TYPES.values():
            operations[f"Describe{type_.name}"] = partial(self._describe, type_)
            operations[f"List{type_.name}s"] = partial(self._registry.page, type_)
            if type_.is_deletable:
                operations[f"Delete{type_.name}"] = partial(self._delete, type_)
        return operations

    def create_filter(self, request: Request) -> Response:
        resource = self._backend.filters.create(request)
        self._backend.workers.activate(resource.arn)
        return arn_response(resource)

    def list_tags_for_resource(self, request: Request) -> Response:
        tags = self._registry.get(request["resourceArn"]).tags
        return {"tags": [{"tagKey": key, "tagValue": value} for key, value in tags.items()]}

    def tag_resource(self, request: Request) -> None:
        self._registry.tag(request["resourceArn"], request["tags"])

    def untag_resource(self, request: Request) -> None:
        self._registry.untag(request["resourceArn"], request["tagKeys"])

    def _describe(self, type_: ResourceType, request: Request) -> Response:
        return self._registry.describe(type_, request[type_.arn_member])

    def _delete(self, type_: ResourceType, request: Request) -> None:
        resources = self._registry.delete(type_, request[type_.arn_member])
        if type_.lifecycle:
            self._backend.workers.delete(resources, self._drop)

    def _drop(self, resource: Resource) -> None:
        self._backend.store.drop(resource.arn)
        self._backend.models.drop(resource.arn)
