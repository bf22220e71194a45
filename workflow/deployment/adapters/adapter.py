"""What every adapter is: one type of resource, read, made, changed and deleted through boto3.

An adapter speaks the model's language, CloudFormation's property names, and translates to the
service's own. `read` makes no call that changes anything; the others make nothing but changes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from workflow.config import OWNER_TAG, Config
from workflow.deployment.account import Clients
from workflow.deployment.differences import Difference, differences, tags_of
from workflow.errors import DeployError

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource

Properties = dict[str, Any]


class TakenError(DeployError):
    """The name belongs to somebody else; says to whom and what to do."""


@dataclass(frozen=True)
class Site:
    """Where adapters work.

    Attributes:
        config: the configuration whose resources they are.
        clients: one client for each service.
        bodies: what is uploaded, by S3 key.
        model: every resource that is wanted, by physical name.
        sleep: waits so many seconds while Personalize makes or deletes something.
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
    """Properties whose change needs another resource in place of this one."""
    irreplaceable: ClassVar[str] = ""
    """Why a resource of this type is never replaced; empty where it may be."""
    loses: ClassVar[str] = ""
    """What is lost for ever when it is deleted; empty where it can be made again."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """What AWS takes for a property that is left out."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def client(self) -> Any:
        """The service's client."""
        return self.site.clients(self.service)

    @abstractmethod
    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS in the model's property names, None if there is nothing.

        Raises:
            TakenError: the name is somebody else's.
        """

    @abstractmethod
    def create(self, resource: Resource) -> None:
        """Make the resource."""

    @abstractmethod
    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Make the resource what the model says; `changes` are what differs."""

    @abstractmethod
    def delete(self, resource: Resource) -> None:
        """Delete the resource."""

    def owner(self, resource: Resource, was: Mapping[str, Any]) -> str | None:
        """Return the `name` of the configuration that made it, None if nobody's is known."""
        return tags_of(was).get(OWNER_TAG)

    def compare(self, resource: Resource, was: Mapping[str, Any]) -> tuple[Difference, ...]:
        """Return what has to change."""
        return differences(_over(self.defaults, was), _over(self.defaults, resource.properties))

    def objection(
        self, resource: Resource, was: Mapping[str, Any], changes: Sequence[Difference]
    ) -> str:
        """Return why these changes cannot be made, and what to do instead; empty if they can."""
        return ""

    def remark(self, resource: Resource) -> str:
        """Return what a person should know before this is deleted."""
        return ""


def touched(changes: Sequence[Difference]) -> frozenset[str]:
    """Return the properties that changes lie in."""
    return frozenset(change.property for change in changes)


def found(call: Callable[..., Any], *absent: str, **request: Any) -> Any:
    """Return a call's answer, None if it fails with one of the codes that mean absence."""
    try:
        return call(**request)
    except ClientError as error:
        if error.response["Error"].get("Code") in absent:
            return None
        raise


def picked(answer: Mapping[str, Any], names: frozenset[str]) -> Properties:
    """Return the members of an answer that have these names and a value."""
    return {name: answer[name] for name in sorted(names) if answer.get(name) is not None}


def without(properties: Mapping[str, Any], *names: str) -> Properties:
    """Return properties but for some."""
    return {name: value for name, value in properties.items() if name not in names}


def tag_list(properties: Mapping[str, Any], key: str = "Key", value: str = "Value") -> list[Any]:
    """Return a resource's tags as the service wants them."""
    return [{key: name, value: text} for name, text in sorted(tags_of(properties).items())]


def lowered(value: Any) -> Any:
    """Return a value with every member's name in camelCase, as some services want it."""
    if isinstance(value, Mapping):
        return {name[0].lower() + name[1:]: lowered(inner) for name, inner in value.items()}
    return [lowered(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def raised(value: Any) -> Any:
    """Return a value with every member's name in PascalCase, as the model has it."""
    if isinstance(value, Mapping):
        return {name[0].upper() + name[1:]: raised(inner) for name, inner in value.items()}
    return [raised(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _over(defaults: Mapping[str, Any], properties: Mapping[str, Any]) -> Properties:
    merged = dict(defaults)
    for name, value in properties.items():
        under = merged.get(name)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[name] = _over(under, value)
        else:
            merged[name] = value
    return merged
