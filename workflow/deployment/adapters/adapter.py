"""The base of the adapters: one type of resource, read, created, changed and deleted by boto3.

An adapter translates between CloudFormation's property names, which the model has, and those of
the service. `read` makes no call that changes anything; the other methods make nothing but changes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from workflow.config import Config
from workflow.deployment.account import Clients
from workflow.deployment.differences import Difference, changed_properties, differences, tags_of
from workflow.deployment.resources import Resource
from workflow.errors import DeployError
from workflow.names import OWNER_TAG

Properties = dict[str, Any]


class TakenError(DeployError):
    """A name that belongs to somebody else; the text says to whom and what to do."""


@dataclass(frozen=True)
class Deployment:
    """The configuration and clients of all adapters.

    Attributes:
        config: The configuration whose resources they are.
        clients: One boto3 client for each service.
        bodies: What is uploaded, by S3 key.
        model: Every resource of the model, by physical name.
        sleep: Waits so many seconds while Personalize creates or deletes something.
    """

    config: Config
    clients: Clients
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    model: Mapping[str, Resource] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep


class Adapter(ABC):
    """One type of resource on AWS."""

    service: ClassVar[str]
    """As boto3 calls it."""
    properties: ClassVar[frozenset[str]]
    """The model's properties that are compared and applied; any other is refused."""
    replaced_by: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change needs another resource instead of this one."""
    irreplaceable: ClassVar[str] = ""
    """Why a resource of this type is never replaced; empty where it may be."""
    loses: ClassVar[str] = ""
    """The data that its deletion loses for ever; empty where it can be created again."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """AWS's defaults of properties that are left out."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.config = deployment.config

    @property
    def client(self) -> Any:
        """The service's client."""
        return self.deployment.clients(self.service)

    @property
    def signing_name(self) -> str:
        """The service's name in actions of IAM, for example `states`."""
        name: str = self.client.meta.service_model.signing_name
        return name

    @abstractmethod
    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return the resource on AWS in the model's property names, None if there is none.

        Raises:
            TakenError: If the name is somebody else's.
        """

    @abstractmethod
    def create(self, resource: Resource) -> None:
        """Create the resource with its tags."""

    @abstractmethod
    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        """Set these properties, which may be several and never `Tags`, to the model's values."""

    @abstractmethod
    def delete(self, resource: Resource) -> None:
        """Delete the resource with what it holds."""

    def tag(self, resource: Resource) -> None:
        """Add the model's tags; others stay."""
        raise NotImplementedError(f"{resource.type} has no tags")

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Bring the resource in line with the model; `changes` are what differs."""
        changed = changed_properties(changes)
        if changed - {"Tags"}:
            self.change(resource, changed - {"Tags"})
        if "Tags" in changed:
            self.tag(resource)

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        """Return the `name` of the configuration that created it, None if nobody's is known."""
        return tags_of(current).get(OWNER_TAG)

    def compare(self, resource: Resource, current: Mapping[str, Any]) -> tuple[Difference, ...]:
        """Return the necessary changes."""
        return differences(
            _with_defaults(self.defaults, current),
            _with_defaults(self.defaults, resource.properties),
        )

    def objection(
        self, resource: Resource, current: Mapping[str, Any], changes: Sequence[Difference]
    ) -> str:
        """Return why these changes cannot be made, and the alternative; empty if they can."""
        return ""

    def obstacle(self, resource: Resource) -> str:
        """Return what has to be taken away before this can be deleted; empty if nothing has."""
        return ""

    def remark(self, resource: Resource) -> str:
        """Return a warning for the deletion of this resource."""
        return ""


def unless_absent(call: Callable[..., Any], *absent: str, **request: Any) -> Any:
    """Return a call's response, None if it fails with one of the codes that mean absence."""
    try:
        return call(**request)
    except ClientError as error:
        if error.response["Error"].get("Code") in absent:
            return None
        raise


def pick(members: Mapping[str, Any], names: AbstractSet[str]) -> Properties:
    """Return the members of a response that have these names and a value."""
    return {name: members[name] for name in sorted(names) if members.get(name) is not None}


def without(properties: Mapping[str, Any], *names: str) -> Properties:
    """Return properties but for some."""
    return {name: value for name, value in properties.items() if name not in names}


def tag_list(resource: Resource, key: str = "Key", value: str = "Value") -> list[Any]:
    """Return a resource's tags as a list, with the service's names for key and value."""
    tags = tags_of(resource.properties)
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def to_camel_case(value: Any) -> Any:
    """Return a value with every member's name in camelCase, as some services want it."""
    if isinstance(value, Mapping):
        return {name[0].lower() + name[1:]: to_camel_case(inner) for name, inner in value.items()}
    return [to_camel_case(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def to_pascal_case(value: Any) -> Any:
    """Return a value with every member's name in PascalCase, as the model has it."""
    if isinstance(value, Mapping):
        return {name[0].upper() + name[1:]: to_pascal_case(inner) for name, inner in value.items()}
    return [to_pascal_case(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _with_defaults(defaults: Mapping[str, Any], properties: Mapping[str, Any]) -> Properties:
    merged = {**defaults, **properties}
    for name in defaults.keys() & properties.keys():
        if isinstance(defaults[name], Mapping) and isinstance(properties[name], Mapping):
            merged[name] = _with_defaults(defaults[name], properties[name])
    return merged
