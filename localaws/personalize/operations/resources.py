"""Operations that every type of resource has, by its entry in the table of types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from localaws.http.protocol import Operation
from localaws.personalize.backend import Answer, Parts, Request, created
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import KINDS, Kind


class Resources:
    """Operations that describe, list, delete and tag resources, and create filters.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry

    def by_type(self) -> Mapping[str, Operation]:
        """The Describe, List and Delete operations of all types, by their names."""
        operations: dict[str, Operation] = {}
        for kind in KINDS.values():
            operations[f"Describe{kind.name}"] = partial(self._describe, kind)
            operations[f"List{kind.name}s"] = partial(self._registry.page, kind)
            if kind.deletable:
                operations[f"Delete{kind.name}"] = partial(self._delete, kind)
        return operations

    def create_filter(self, request: Request) -> Answer:
        resource = self._parts.filters.create(request)
        self._parts.workers.activate(resource.arn)
        return created(resource)

    def list_tags_for_resource(self, request: Request) -> Answer:
        tags = self._registry.get(request["resourceArn"]).tags
        return {"tags": [{"tagKey": key, "tagValue": value} for key, value in tags.items()]}

    def tag_resource(self, request: Request) -> None:
        self._registry.tag(request["resourceArn"], request["tags"])

    def untag_resource(self, request: Request) -> None:
        self._registry.untag(request["resourceArn"], request["tagKeys"])

    def _describe(self, kind: Kind, request: Request) -> Answer:
        return self._registry.describe(kind, request[kind.arn_member])

    def _delete(self, kind: Kind, request: Request) -> None:
        going = self._registry.delete(kind, request[kind.arn_member])
        if kind.life:
            self._parts.workers.delete(going, self._gone)

    def _gone(self, resource: Resource) -> None:
        self._parts.store.drop(resource.arn)
        self._parts.models.drop(resource.arn)
